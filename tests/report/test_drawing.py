"""Figures drawn in several processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from madminer_workflow import cores
from madminer_workflow.errors import StepError
from madminer_workflow.report import drawing
from madminer_workflow.report.plotting import plotting
from madminer_workflow.report.results import read_report
from tests.support import synthetic_analysis as synthetic


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> synthetic.Analysis:
    return synthetic.write_analysis(tmp_path_factory.mktemp("in"), 1)


def test_any_number_of_processes_gives_the_same_files(
    own: synthetic.Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        monkeypatch.setattr(cores, "available_cores", lambda n=number: n)
        monkeypatch.setenv(cores.CORES, "8")
        plotting(own.analysis, own.data, own.results, tmp_path / str(number))
    one, two = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (tmp_path / "1", tmp_path / "2")
    )
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def test_a_process_that_is_killed_is_told(
    own: synthetic.Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plotting(own.analysis, own.data, own.results, tmp_path)
    monkeypatch.setattr(drawing._Worker, "draw", os._exit)
    with pytest.raises(StepError, match="a process that draws figures ended unexpectedly"):
        drawing.draw_all(read_report(tmp_path / "results.json"), tmp_path, 2)
