"""What the engine itself costs: CPU seconds of a workflow of trivial jobs, new and unchanged.

The steps are shell commands of a few milliseconds; what they cost is told apart.

    python benchmarks/engine.py [number of jobs, default 1000]
"""

from __future__ import annotations

import io
import resource
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
        TOY,
        {**parameters, "delay": 0},
        directory / "workdir",
        WORKERS,
        console=Console(file=io.StringIO()),
    )
    engine, steps = (after - was for after, was in zip(cpu_seconds(), before, strict=True))
    ran = sum(job.status == "done" for job in jobs)
    wall = time.perf_counter() - start
    return (
        f"{len(jobs)} jobs, {ran} run: engine {engine:.1f} s CPU, steps {steps:.1f}, {wall:.1f} s"
    )


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        # Imports are no part of it.
        for n in (1, number - 2):
            (directory / "letters").write_text(" ".join(f"a{i}" for i in range(n)))
            (directory / "suffix").write_text("end\n")
            told = run(directory)
        print(f"new:       {told}")
        print(f"unchanged: {run(directory)}")


if __name__ == "__main__":
    main()
