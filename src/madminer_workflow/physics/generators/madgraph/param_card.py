"""The parameter card (SUSY Les Houches format, hep-ph/0311123) at every benchmark."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from madminer_workflow.errors import InputError
from madminer_workflow.expressions import compile_expression

Place = tuple[str, tuple[int, ...]]
"""A block's name in lower case ("decay" for widths) and the integers of an entry."""

_ENTRY = re.compile(
    r"^(\s*(?:decay\s+)?)((?:-?\d+\s+)+)([^\s#]+|scan[^#]*?)(\s*(?:#.*)?)$", re.IGNORECASE
)
_STANDARD_MODEL = ("sminputs", "mass", "decay", "yukawa", "wolfenstein", "ckmblock", "vckm")
_NO_NUMBERS = ("qnumbers", "spinfo", "dcinfo")


def entries(text: str, where: str) -> dict[Place, float]:
    """All numbers of a card; InputError for anything that is not a number (Auto, scan)."""
    found = {}
    for number, place, value in _lines(text):
        try:
            found[place] = float(value.lower().replace("d", "e"))
        except ValueError:
            raise InputError(
                f"{where}: line {number}: '{value}' is no number; widths must be computed "
                "beforehand (MadGraph: compute_widths), and scans are not supported"
            ) from None
    if not found:
        raise InputError(f"{where}: is no parameter card: it has no block with an entry")
    return found


def with_values(text: str, values: Mapping[Place, float]) -> str:
    """The card with other values at the places in ``values``, which must exist."""
    lines = text.splitlines()
    for number, place, _ in _lines(text):
        if place in values:
            match = _ENTRY.match(lines[number - 1])
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
    values, known = entries(changes, where), entries(default, "MadGraph's parameter card")
    for block, ids in values:
        if (block, ids) not in known:
            numbers = " ".join(map(str, ids))
            raise InputError(
                f"{where}: sets {block} {numbers}, which the model does not have; it has "
                f"{', '.join(sorted({name for name, _ in known}))}"
            )
    return with_values(default, values)


def values_at(
    parameters: Sequence[Mapping[str, Any]],
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
        name, text = parameter["parameter_name"], parameter["param_card_transform"]
        place = _known_place(parameter, known, where)
        if place in values:
            raise InputError(f"parameters.{name}: another parameter has the same place in {where}")
        transform = compile_expression(text, names=["theta"], particles=False)
        values[place] = float(transform({"theta": theta[name]}))
        if not math.isfinite(values[place]):
            raise InputError(
                f"parameters.{name}.param_card_transform: '{text}' has no finite value at "
                f"theta = {theta[name]}"
            )
    return values


def forgotten(
    parameters: Sequence[Mapping[str, Any]], known: Mapping[Place, float]
) -> dict[Place, float]:
    """Entries that are not zero, in the blocks of the ``parameters``, and set by none of them.

    The cards of models often have all their coefficients at one, for MadGraph to drop none.
    """
    own = {(parameter["lha_block"].lower(), (parameter["lha_id"],)) for parameter in parameters}
    blocks = {block for block, _ in own}.difference(_STANDARD_MODEL)
    return {
        place: value
        for place, value in known.items()
        if place[0] in blocks and place not in own and value != 0.0
    }


def _known_place(parameter: Mapping[str, Any], known: Mapping[Place, float], where: str) -> Place:
    block, number = parameter["lha_block"].lower(), parameter["lha_id"]
    if (block, (number,)) in known:
        return (block, (number,))
    blocks = sorted({name for name, _ in known})
    if block not in blocks:
        has = f"has the blocks {', '.join(blocks)}"
    else:
        numbers = sorted(str(*ids) for name, ids in known if name == block and len(ids) == 1)
        has = f"has {', '.join(numbers)} in the block {block}"
    raise InputError(
        f"parameters.{parameter['parameter_name']}: {where} has no entry {number} in a block "
        f"{block}; it {has}"
    )


def _lines(text: str) -> list[tuple[int, Place, str]]:
    """Line number, place and text of all entries."""
    found, block = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].lower().split()
        if words[:1] == ["block"] and len(words) > 1:
            block = "" if words[1] in _NO_NUMBERS else words[1]
            continue
        match = _ENTRY.match(line)
        if match is None:
            continue
        is_width = words[0] == "decay"
        if is_width:
            # Branching ratios follow, which are no parameters.
            block = ""
        elif not block:
            continue
        ids = tuple(int(word) for word in match.group(2).split())
        found.append((number, ("decay" if is_width else block, ids), match.group(3)))
    return found
