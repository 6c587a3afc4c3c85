"""Nothing is fetched while an analysis runs: ``make run`` where there is no network at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from madminer_workflow.provenance.crate import read_crate
from tests.support.finished import finished_tiny
from tests.support.paths import DATA, REPOSITORY
from tests.support.warm import steps_are_warm

# A namespace of its own for the network, which has not even a loopback interface that is up.
ALONE = ("unshare", "--map-root-user", "--net")


@pytest.fixture(scope="module")
def alone() -> tuple[str, ...]:
    """What starts a command without a network."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no program unshare here (Debian: util-linux)")
    made = subprocess.run([*ALONE, "true"], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"namespaces cannot be made here: {made.stderr.strip()}")
    return ALONE


def test_there_is_no_network_there(alone: tuple[str, ...]):
    """Not even to this machine itself: what follows would not notice a network otherwise."""
    code = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    asked = subprocess.run(
        [*alone, sys.executable, "-IS", "-c", code], capture_output=True, text=True
    )
    assert asked.returncode == 1
    assert "Network is unreachable" in asked.stderr


@pytest.mark.slow
def test_the_same_bytes_without_a_network(
    alone: tuple[str, ...], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    with steps_are_warm():
        usual, _ = finished_tiny(tmp_path_factory)
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make here")
    environment = Path(sys.prefix)
    finished = subprocess.run(
        [
            *(*alone, make, "--no-print-directory", "run", f"VENV={environment}"),
            # The environment is there, whatever it was made from.
            *("--old-file", f"{environment}/.ready-core"),
            *(f"ANALYSIS={DATA / 'tiny'}", f"WORKDIR={tmp_path / 'alone'}"),
            *("NJOBS=2", "NTRAINSAMPLES=2"),
        ],
        cwd=REPOSITORY,
        env={n: v for n, v in os.environ.items() if n != "MLFLOW_TRACKING_URI"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    without, with_network = read_crate(tmp_path / "alone"), read_crate(usual)
    without.check(without.outputs)
    assert without.outputs == with_network.outputs
    assert len(without.outputs) > 100
