"""Figures drawn in several processes."""

from __future__ import annotations

import os
import tempfile
from multiprocessing.connection import arbitrary_address
from pathlib import Path

import pytest

from madminer_workflow import cores
from madminer_workflow.errors import StepError
from madminer_workflow.report import drawing
from madminer_workflow.report.plotting import plotting
from madminer_workflow.report.results import read_report
from tests.support.plotted import Plotted


def test_any_order_and_number_of_processes_gives_the_same_files(
    two: Plotted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: 2)
    monkeypatch.setenv(cores.CORES, "8")
    inputs = two.inputs
    plotting(inputs.analysis, inputs.data, inputs.results[::-1], tmp_path)
    one, other = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (two.output, tmp_path)
    )
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


def test_a_process_that_is_killed_is_told(
    two: Plotted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing._Worker, "draw", os._exit)
    with pytest.raises(StepError, match="a process that draws figures ended unexpectedly"):
        drawing.draw_all(read_report(two.output / "results.json"), tmp_path, 2)


def test_a_temporary_folder_with_a_long_name_does_without_helpers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = len(os.fsencode(tempfile.gettempdir()))
    assert len(arbitrary_address("AF_UNIX")) <= here + drawing.SOCKET
    for length, reachable in ((20, True), (75, True), (76, False), (200, False)):
        monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * (length - 1))
        assert drawing._reachable() == reachable
