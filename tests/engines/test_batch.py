"""Steps in jobs of a real batch system: Slurm, through dask-jobqueue."""

from __future__ import annotations

import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import dask
import pytest

from madminer_workflow.engines.executors import Conditions
from madminer_workflow.engines.executors import dask as dask_executor
from madminer_workflow.engines.executors import make as make_executor
from madminer_workflow.engines.order import Order
from madminer_workflow.engines.run import run_workflow
from madminer_workflow.errors import InputError, StepError
from tests.engines.test_dask import leftovers, products
from tests.engines.test_resources import resources
from tests.support.paths import DATA
from tests.support.slurm import jobs, slurm


@pytest.mark.slow
def test_the_same_products_from_jobs_of_slurm(tmp_path: Path):
    with slurm(tmp_path / "slurm"):
        here = Order(DATA / "tiny", tmp_path / "here", njobs=2)
        run_workflow(here)
        there = Order(DATA / "tiny", tmp_path / "there", njobs=2, on="dask=slurm")
        run_workflow(there)
        assert products(there.workdir) == products(here.workdir)
        assert leftovers(there.workdir) == []
        # The class of the steps is what was asked for, and in the end nothing is asked any more.
        asked = subprocess.run(["scontrol", "show", "job"], capture_output=True, text=True).stdout
        assert {"TimeLimit=01:00:00", "MinMemoryNode=2G", "TimeLimit=08:00:00"} <= {*asked.split()}
        assert jobs() == []
        assert run_workflow(there) == 0


@pytest.mark.slow
def test_a_job_that_is_refused_is_told(tmp_path: Path):
    with slurm(tmp_path / "slurm"), dask.config.set({"jobqueue.slurm.queue": "nowhere"}):
        order = Order(DATA / "tiny", tmp_path / "there", njobs=2, on="dask=slurm")
        with pytest.raises(StepError, match=r"could not be run: no worker is available.*sbatch"):
            run_workflow(order)


@pytest.mark.parametrize(
    ("system", "asked"),
    [
        ("SLURM", ["--cpus-per-task=1", "--mem=4G", "-t 08:00:00"]),
        ("PBS", ["ncpus=1:mem=4096MB", "walltime=08:00:00"]),
        ("SGE", ["h_rt=08:00:00"]),
        ("LSF", ["-n 1", "-M 4294968", "-W 08:00"]),
        ("OAR", ["core=1,walltime=08:00:00"]),
        (
            "HTCondor",
            ["DaskWorkerCores = 1", f"Memory = {4 * 1024**3}", 'MY.JobFlavour = "workday"'],
        ),
    ],
)
def test_what_jobs_ask_for(system: str, asked: list[str]):
    with dask_executor._own_interrupts():
        kind = getattr(import_module("dask_jobqueue"), f"{system}Cluster")
    settings = dask_executor._job_settings(kind, resources("medium"))
    with dask.config.set({"jobqueue.htcondor.disk": "1 GB"}):
        script = kind.job_cls("tcp://n1:1", name="worker", **settings).job_script()
    for words in asked:
        assert words in script, script


def test_ctrl_c_stays_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Of itself dask-jobqueue makes it the end of the process, with exit code 0."""
    for name in [name for name in sys.modules if name.startswith("dask_jobqueue")]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "sbatch").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    handler = signal.getsignal(signal.SIGINT)
    make_executor("dask=slurm", Conditions())
    assert "dask_jobqueue.runner" in sys.modules
    assert signal.getsignal(signal.SIGINT) is handler


def test_without_a_batch_system_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        InputError, match="sbatch not found; start from a machine on which jobs can be submitted"
    ):
        make_executor("dask=slurm", Conditions())
