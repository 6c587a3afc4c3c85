"""What every engine adds to a job: 200 jobs of a trivial workflow, on each in turn.

The steps are shell commands of a few milliseconds. CPU seconds are those of the engine and of
everything else: scheduler, workers, steps. On Kubernetes that is the API server of the tests, whose
pods are processes: what a real cluster does, and starts of containers, are not in it.

    python benchmarks/engines.py [number of jobs, default 200]
"""

from __future__ import annotations

import io
import logging
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.support.dask_cluster import dask_cluster  # noqa: E402
from tests.support.kube_site import kube_site  # noqa: E402

from madminer_workflow.engines.run import run_yadage  # noqa: E402

TOY = REPOSITORY / "tests" / "data" / "toy_workflow"
WORKERS = 2


def cpu_seconds() -> float:
    """CPU time of this process and of all below it, those that have ended included [s]."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def run(directory: Path, on: str, number: int) -> tuple[float, float]:
    """Run ``number`` jobs; return CPU and wall time [s]."""
    directory.mkdir()
    (directory / "letters").write_text(" ".join(f"a{i}" for i in range(number - 2)))
    (directory / "suffix").write_text("end\n")
    parameters = {name: str(directory / name) for name in ("letters", "suffix")} | {"delay": 0}
    before, start = cpu_seconds(), time.perf_counter()
    quiet = Console(file=io.StringIO())
    workdir = directory / "workdir"
    jobs = run_yadage("workflow.yml", TOY, parameters, workdir, WORKERS, console=quiet, on=on)
    assert len(jobs) == number and all(job.status == "done" for job in jobs)
    return cpu_seconds() - before, time.perf_counter() - start


def compare(name: str, directory: Path, on: str, number: int) -> None:
    """Print what ``number`` jobs cost; imports, and what workers do at first, are no part of it."""
    few = run(directory / "few", on, 4)
    cpu, wall = run(directory / "many", on, number)
    print(
        f"{name}: {number} jobs {wall:.1f} s, {cpu:.1f} s CPU; "
        f"a job {1000 * wall / number:.0f} ms, {1000 * cpu / number:.0f} ms CPU; "
        f"the first run of 4 jobs {few[1]:.1f} s, {few[0]:.1f} s CPU",
        flush=True,
    )


def main() -> None:
    # Not every request to the API server.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        compare("local", place, "local", number)
        with dask_cluster(place / "cluster", WORKERS) as cluster:
            compare("dask", place / "cluster", cluster.on, number)
        with kube_site(place / "site") as site:
            compare("kubernetes", site.volume, site.on, number)


if __name__ == "__main__":
    main()
