"""Which weights of event files are those of scale and parton density uncertainties.

For each uncertainty, ``variations`` of a process lists the weights: of scales, one for each of
``scale_variations`` that is not 1; of parton densities, that of the central member and then one
for each other member. A text stands for a list: the number in braces in it counts up, so that
``LHEPdfWeight[{0}]`` means LHEPdfWeight[0], LHEPdfWeight[1] and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from madminer_workflow.analysis.systematics import weight_variations
from madminer_workflow.analysis.types import PDFVariation, ScaleVariation, Systematic
from madminer_workflow.errors import InputError

Weight = str | int
"""A name or an expression, or the position in ``<rwgt>``."""

Given = str | Sequence[Weight]

_NUMBER = re.compile(r"\{(\d+)\}")


def varied_weights(
    variations: Mapping[str, Given], systematics: Iterable[Systematic]
) -> dict[str, dict[str, Weight]]:
    """The weights of each uncertainty by the names of ``weight_variations``.

    Raises InputError for an uncertainty without weights, or with another number of them.
    """
    return {
        systematic.systematic_name: weights_of(systematic, variations)
        for systematic in systematics
        if isinstance(systematic, ScaleVariation | PDFVariation)
    }


def weights_of(
    systematic: ScaleVariation | PDFVariation, variations: Mapping[str, Given]
) -> dict[str, Weight]:
    """The weights of an uncertainty by the names of ``weight_variations``; see there."""
    names = [variation.benchmark for variation in weight_variations([systematic])]
    if systematic.systematic_name not in variations:
        raise InputError(
            f"the weights for {systematic.systematic_name} are not named; list "
            f"{_words(systematic)} in `variations`, or remove this uncertainty from the "
            "systematics of the process"
        )
    given = variations[systematic.systematic_name]
    weights = _counted(given, len(names)) if isinstance(given, str) else list(given)
    if len(weights) != len(names):
        raise InputError(f"expected {_words(systematic)}, got {len(weights)}")
    # The first nuisance benchmark is at +1, which is the last of the factors.
    ordered = weights[::-1] if isinstance(systematic, ScaleVariation) else weights
    return dict(zip(names, ordered, strict=True))


def _counted(text: str, number: int) -> list[Weight]:
    start = _NUMBER.search(text)
    if start is None or len(_NUMBER.findall(text)) > 1:
        raise InputError(
            "expected a list, or one name with a number in braces to count from, as in "
            "'LHEPdfWeight[{0}]'; "
            f"got '{text}'"
        )
    return [_NUMBER.sub(str(int(start[1]) + i), text) for i in range(number)]


def _words(systematic: ScaleVariation | PDFVariation) -> str:
    if isinstance(systematic, PDFVariation):
        n = systematic.pdf_members
        return f"{n + 1} weights (of the central member and {n} others)"
    varied = [factor for factor in systematic.scale_variations if factor != 1.0]
    factors = ", ".join(f"{factor:g}" for factor in varied)
    return f"{len(varied)} weight{'s' if len(varied) > 1 else ''} (of the factors {factors})"
