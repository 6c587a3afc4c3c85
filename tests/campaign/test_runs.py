"""Killed and misled runs leave nothing behind, and finish with the same bytes when repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.campaign import faults, kills
from tests.campaign.conftest import Judge
from tests.campaign.corpus import chosen
from tests.campaign.engine import Engine, write_analysis
from tests.campaign.sandbox import Place, Sandbox
from tests.support.shared import shared


@dataclass(frozen=True)
class Undisturbed:
    """How long a run takes, and what it makes."""

    seconds: float
    products: Mapping[str, bytes]


Usual = Callable[[bool], Undisturbed]


@pytest.fixture(scope="session")
def usual(box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Usual:
    """The undisturbed run, with genuine steps or quick ones."""

    def run(genuine: bool) -> Undisturbed:
        def make(directory: Path) -> Undisturbed:
            engine = prepared(Place.make(directory / "place"), box, genuine)
            started = time.monotonic()
            outcome = engine.run()
            assert outcome.exit_code == 0, outcome.output
            return Undisturbed(time.monotonic() - started, engine.products())

        return shared(tmp_path_factory, f"undisturbed-{genuine}", make)

    return run


def prepared(place: Place, box: Sandbox, genuine: bool) -> Engine:
    """An engine in a place with the analysis."""
    write_analysis(place.here / "input.yml")
    return Engine(place, None if genuine else box.server)


@pytest.mark.parametrize(
    "case", chosen(kills.cases(), lambda c: c.name, 25, lambda case: not case.genuine)
)
def test_a_kill(case: kills.Case, box: Sandbox, place: Place, usual: Usual, judge: Judge):
    normal = usual(case.genuine)
    engine = prepared(place, box, case.genuine)
    outcome, wrong = kills.run(case, engine, normal.seconds, normal.products)
    judge("kills", outcome, wrong, ran=1)


@pytest.mark.parametrize(
    "case", chosen(faults.cases(), lambda c: c.name, 41, lambda case: not case.genuine)
)
def test_a_fault(case: faults.Case, box: Sandbox, place: Place, usual: Usual, judge: Judge):
    normal = usual(case.genuine)
    engine = prepared(place, box, case.genuine)
    outcome, wrong = faults.run(case, engine, normal.products)
    judge("faults", outcome, wrong, ran=int(outcome.exit_code == 0))
