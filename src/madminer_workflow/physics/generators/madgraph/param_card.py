"""The parameter card (SUSY Les Houches format, hep-ph/0311123) at every benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from madminer_workflow.analysis.madgraph_cards import (
    PARAM_CARD_ENTRY,
    Place,
    param_card_entries,
    read_param_card,
)
from madminer_workflow.analysis.types import Parameter
from madminer_workflow.errors import InputError

_STANDARD_MODEL = ("sminputs", "mass", "decay", "yukawa", "wolfenstein", "ckmblock", "vckm")


def with_values(text: str, values: Mapping[Place, float]) -> str:
    """The card with other values at the places in ``values``, which must exist."""
    lines = text.splitlines()
    for number, place, _ in param_card_entries(text):
        if place in values:
            match = PARAM_CARD_ENTRY.match(lines[number - 1])
            assert match is not None
            lines[number - 1] = (
                f"{match.group(1)}{match.group(2)}{values[place]:.12e}{match.group(4)}"
            )
    return "\n".join(lines) + "\n"


def completed(default: str, changes: str | None, where: str) -> str:
    """MadGraph's ``default`` card with the entries of the user's, if there is one.

    Raises InputError for entries that the default card of the model does not have.
    """
    if changes is None:
        return default
    values = read_param_card(changes, where)
    known = read_param_card(default, "MadGraph's parameter card")
    for block, ids in values:
        if (block, ids) not in known:
            numbers = " ".join(map(str, ids))
            raise InputError(
                f"{where}: sets {block} {numbers}, which the model does not have; it has "
                f"{', '.join(sorted({name for name, _ in known}))}"
            )
    return with_values(default, values)


def values_at(
    parameters: Sequence[Parameter],
    theta: Mapping[str, float],
    known: Mapping[Place, float],
    where: str,
) -> dict[Place, float]:
    """What the parameter card holds at the point ``theta``.

    Raises InputError for parameters whose ``lha_block`` or ``lha_id`` the card does not have, that
    share a place, or whose ``param_card_transform`` has no finite value.
    """
    values: dict[Place, float] = {}
    for parameter in parameters:
        name, place = parameter.parameter_name, _known_place(parameter, known, where)
        if place in values:
            raise InputError(f"parameters.{name}: another parameter has the same entry in {where}")
        values[place] = parameter.card_value(theta[name])
    return values


def forgotten(parameters: Sequence[Parameter], known: Mapping[Place, float]) -> dict[Place, float]:
    """Entries that are not zero, in the blocks of the ``parameters``, and set by none of them.

    The cards of models often have all their coefficients at one, for MadGraph to drop none.
    """
    places = {(parameter.lha_block.lower(), (parameter.lha_id,)) for parameter in parameters}
    blocks = {block for block, _ in places}.difference(_STANDARD_MODEL)
    return {
        place: value
        for place, value in known.items()
        if place[0] in blocks and place not in places and value != 0.0
    }


def _known_place(parameter: Parameter, known: Mapping[Place, float], where: str) -> Place:
    block, number = parameter.coupling
    if (block, (number,)) in known:
        return (block, (number,))
    blocks = sorted({name for name, _ in known})
    if block not in blocks:
        has = f"has the blocks {', '.join(blocks)}"
    else:
        numbers = sorted(str(*ids) for name, ids in known if name == block and len(ids) == 1)
        has = f"has {', '.join(numbers)} in the block {block}"
    raise InputError(
        f"parameters.{parameter.parameter_name}: {where} has no entry {number} in a block "
        f"{block}; it {has}"
    )
