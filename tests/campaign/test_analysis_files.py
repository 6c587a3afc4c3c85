"""Bad analysis files are refused with file and line; what is accepted runs to its report."""

from __future__ import annotations

import pytest

from tests.campaign import analysis_files
from tests.campaign.analysis_files import Case
from tests.campaign.conftest import Judge
from tests.campaign.corpus import chosen
from tests.campaign.outcome import refused, sound
from tests.campaign.sandbox import Limits, Place, Sandbox

SECONDS = 20.0
RUN = Limits(seconds=300.0, programs=True)


def name(case: Case) -> str:
    return f"{case.group}-{case.name}"


@pytest.mark.parametrize(
    "case", chosen(analysis_files.refused(), name, every=24, is_quick=lambda case: not case.may_run)
)
def test_a_bad_file(case: Case, box: Sandbox, place: Place, judge: Judge):
    file = case.write(place)
    outcome = box.run(["validate", file], place, Limits(SECONDS))
    if case.may_run and outcome.exit_code == 0:
        runs(case, box, place, judge)
        return
    faults = refused(outcome, file)
    lines = outcome.lines_of(file)
    if case.parses and outcome.is_refused and not lines:
        faults.other.append("no line is named")
    judge(
        f"analysis files: {case.group}",
        outcome,
        faults,
        file=int(outcome.names(file)),
        line=int(bool(lines)),
        **({"right line": int(bool(lines & set(case.lines)))} if case.lines else {}),
    )


@pytest.mark.parametrize(
    "case", chosen(analysis_files.odd(), name, every=40, is_quick=lambda case: True)
)
def test_an_odd_file(case: Case, box: Sandbox, place: Place, judge: Judge):
    case.write(place)
    runs(case, box, place, judge)


def runs(case: Case, box: Sandbox, place: Place, judge: Judge) -> None:
    """What is accepted runs to the report."""
    words = ["run", "input.yml", "--workdir", "w", "--njobs", "1"]
    outcome = box.run(words, place, RUN)
    faults = sound(outcome, disk=2**30)
    if outcome.exit_code != 0 or not (place.here / "w/ml/plotting/report.html").is_file():
        faults.other.append(f"exit code {outcome.exit_code}; expected a report")
    judge(f"analysis files: {case.group}", outcome, faults, ran=int(outcome.exit_code == 0))
