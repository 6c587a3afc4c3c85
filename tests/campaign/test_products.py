"""Damaged products and hostile archives are refused by the step that takes them."""

from __future__ import annotations

import pytest

from tests.campaign import archives, products
from tests.campaign.conftest import Judge
from tests.campaign.corpus import chosen
from tests.campaign.outcome import MiB
from tests.campaign.products import Case, Finished
from tests.campaign.sandbox import SKETCHES, Limits, Place, Sandbox

LIMITS = Limits(seconds=90.0, memory=3072 * MiB, programs=True)
HEAVY = ("bomb", "many", "many-directories", "claimed-size", "only-zeros", "array-complex")


def name(case: Case) -> str:
    return case.name


def is_quick(case: Case) -> bool:
    return not case.is_slow and not case.damage.endswith(HEAVY)


@pytest.mark.parametrize("case", chosen(products.cases(), name, 90, is_quick))
def test_a_damaged_product(
    case: Case, box: Sandbox, place: Place, finished: Finished, judge: Judge
):
    refuse(f"damaged products: {case.target.step}", case, box, place, finished, judge)


@pytest.mark.parametrize("case", chosen(archives.cases(), name, 16, is_quick))
def test_a_hostile_archive(
    case: Case, box: Sandbox, place: Place, finished: Finished, judge: Judge
):
    kind = case.damage.partition("-")[0]
    refuse(f"hostile archives: {kind}", case, box, place, finished, judge)


def refuse(
    kind: str, case: Case, box: Sandbox, place: Place, finished: Finished, judge: Judge
) -> None:
    """The step refuses the file, or makes the same of it."""
    words, file, made = products.damaged(case, finished, place)
    outcome = box.run(words, place, LIMITS, {SKETCHES: "1"})
    faults = products.verdict(case, outcome, file, place.here / "output", made)
    judge(
        kind,
        outcome,
        faults,
        file=int(outcome.names(file)),
        **{"same product": int(outcome.exit_code == 0 and not faults)},
    )
