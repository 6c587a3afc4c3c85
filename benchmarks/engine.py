"""What the engine itself costs: CPU seconds of a workflow of trivial jobs, new and unchanged.

The steps are shell commands of a few milliseconds; what they cost is told apart. The last one takes
the files of all others, whose names a command line of Linux holds for some 2000 jobs: here it is
started without them.

    python benchmarks/engine.py [number of jobs, default 1000 ...]
"""

from __future__ import annotations

import io
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from madminer_workflow.engines.run import run_yadage

TOY = Path(__file__).parents[1] / "tests" / "data" / "toy_workflow"
WORKERS = 2


def cpu_seconds() -> tuple[float, float]:
    """CPU time of this process, and of those that it waited for [s]."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own, children = (usage.ru_utime + usage.ru_stime for usage in usages)
    return own, children


def run(directory: Path) -> str:
    """Run the workflow in ``directory`` and say what it cost."""
    parameters = {"letters": str(directory / "letters"), "suffix": str(directory / "suffix")}
    before, start = cpu_seconds(), time.perf_counter()
    jobs = run_yadage(
        "workflow.yml",
        directory / "workflow",
        {**parameters, "delay": 0},
        directory / "workdir",
        WORKERS,
        console=Console(file=io.StringIO()),
    )
    engine, steps = (after - was for after, was in zip(cpu_seconds(), before, strict=True))
    ran = sum(job.status == "done" for job in jobs)
    wall = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return (
        f"{len(jobs)} jobs, {ran} run: engine {engine:.1f} s CPU, "
        f"{1e3 * engine / len(jobs):.1f} ms per job, steps {steps:.1f} s, {wall:.1f} s in all; "
        f"{peak:.0f} MB so far"
    )


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:]] or [1000]
    # Imports are no part of it.
    for number in (3, *numbers):
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch)
            shutil.copytree(TOY, directory / "workflow")
            steps = directory / "workflow/steps.yml"
            steps.write_text(steps.read_text().replace("cat {doubled} {suffix}", "cat {suffix}"))
            (directory / "letters").write_text(" ".join(f"a{i}" for i in range(number - 2)))
            (directory / "suffix").write_text("end\n")
            told = run(directory)
            if number > 3:
                print(f"new:       {told}", flush=True)
                print(f"unchanged: {run(directory)}", flush=True)


if __name__ == "__main__":
    main()
