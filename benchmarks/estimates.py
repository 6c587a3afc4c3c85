"""What every step of an analysis costs, beside what `validate` estimates of it.

Steps run one after another, each job in a process of its own, as on any engine. The constants of
`analysis/cost.py` are to be changed where a factor is far from 1 for all analyses.

    python benchmarks/estimates.py [ANALYSIS ...]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from costs import Cost, cost_of

from madminer_workflow.analysis.cost import Estimate, Plan, estimate
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.engines.folder import commands
from madminer_workflow.engines.order import Order
from madminer_workflow.errors import InputError
from madminer_workflow.graph import STEPS

REPOSITORY = Path(__file__).parents[1]
ANALYSES = [
    REPOSITORY / folder for folder in ("tests/data/tiny", "inputs/wbf", "inputs/wbf-estimators")
]
PROGRAM = Path(sys.executable).parent / "madminer-workflow"
MB = 1e6
ONE_CORE = {"OMP_NUM_THREADS": "1", "MADMINER_WORKFLOW_CORES": "1"}


def measured(order: Order, name: str) -> tuple[int, Cost, float]:
    """The number of a step's jobs, their cost together (memory: the largest), and MB on disk."""
    try:
        lines = commands(name, order)
    except InputError:
        return 0, Cost(0.0, 0.0, 0.0, 0.0), 0.0
    wall = cpu = memory = anonymous = disk = 0.0
    for line in lines:
        cost = cost_of([str(PROGRAM), *line], REPOSITORY, ONE_CORE)
        wall, cpu, memory = wall + cost.wall, cpu + cost.cpu, max(memory, cost.memory)
        anonymous = max(anonymous, cost.anonymous)
        output = Path(line[line.index("--output") + 1])
        disk += sum(file.stat().st_size for file in output.rglob("*") if file.is_file()) / MB
    return len(lines), Cost(wall, cpu, memory, anonymous), disk


def compare(analysis: Path) -> dict[str, list[float]]:
    """Print a table of one analysis; the factors by which estimates are too large."""
    with tempfile.TemporaryDirectory() as scratch:
        order = Order(analysis, Path(scratch))
        whole = estimate(read_analysis(analysis / "input.yml"), Plan())
        print(f"\n{analysis}\n{'':<12}{'jobs':>10}{'CPU s':>18}{'MB memory':>18}{'MB disk':>18}")
        factors: dict[str, list[float]] = {}
        total = [0.0, 0.0]
        for name in STEPS:
            jobs, cost, disk = measured(order, name)
            step = whole.by_name.get(name) or Estimate(name, 0, 0.0, 0.0, 0.0)
            total = [total[0] + cost.cpu, total[1] + disk]
            row = [(step.cpu, cost.cpu), (step.memory / MB, cost.memory), (step.disk / MB, disk)]
            cells = "".join(f"{guess:10.1f}{fact:8.1f}" for guess, fact in row)
            print(f"{name:<12}{step.jobs:5}{jobs:5}{cells}", flush=True)
            factors[name] = [guess / fact for guess, fact in row if fact]
        print(f"{'together':<12}{'':10}{whole.cpu:10.1f}{total[0]:8.1f}{'':18}", end="")
        print(f"{whole.disk / MB:10.1f}{total[1]:8.1f}")
    return factors


if __name__ == "__main__":
    for folder in [Path(argument) for argument in sys.argv[1:]] or ANALYSES:
        compare(folder.absolute())
