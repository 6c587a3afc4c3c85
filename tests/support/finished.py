"""A finished run of the tiny analysis, made once for all modules; tests work on copies of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from madminer_workflow.cli import main
from tests.support.paths import DATA
from tests.support.shared import shared
from tests.support.warm import steps_are_warm


def finished_tiny(factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The work directory, with two jobs and two members, and what the run had to say."""
    return shared(factory, "finished_tiny", _make)


def _make(directory: Path) -> tuple[Path, str]:
    workdir = directory / "workdir"
    words = ["run", DATA / "tiny", "--workdir", workdir, "--njobs", 2, "--ntrainsamples", 2]
    with contextlib.chdir(directory), steps_are_warm():
        finished = CliRunner().invoke(main, [*map(str, words)])
    assert finished.exit_code == 0, finished.output
    return workdir, finished.output
