"""How an analysis grows with its events: CPU time, memory and disk of every step, at several sizes.

Events are 50 numbers each, in an HDF5 table: 44 observables and weights at 6 benchmarks of a known
process with two parameters. Steps run one after another, each job in a process of its own, on one
core; what is done for each method has a row for each. After each size come the costs, then how they
grow from one size to the next. Memory is the largest resident one of any process, "anonymous" that
without pages of files. The table of 10 million events has 2.7 GB, and all products of its run some
30 GB: they go to TMPDIR, or into --folder, where they stay for a later call to go on with other
steps.

    python benchmarks/scale.py [--jobs N] [--folder DIR] [--steps STEP ...] [--methods METHOD ...]
        [NUMBER OF EVENTS ...]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from costs import Cost, cost_of

from madminer_workflow.engines.folder import Selection, commands
from madminer_workflow.engines.order import Order
from madminer_workflow.graph import STEPS

PROGRAM = Path(sys.executable).parent / "madminer-workflow"
SIZES = (20_000, 100_000)
CHUNK = 100_000
MB = 1e6
OBSERVABLES = 44
METHODS = ("counts", "learned", "ratio")
BENCHMARKS = {
    "sm": (0.0, 0.0),
    "w": (1.0, 0.0),
    "neg_w": (-1.0, 0.0),
    "ww": (0.0, 1.0),
    "neg_ww": (0.0, -1.0),
    "both": (1.0, 1.0),
}
# Without numpy's and torch's own threads, which would count twice.
ONE_CORE = {"OMP_NUM_THREADS": "1", "MADMINER_WORKFLOW_CORES": "1"}

ANALYSIS = """version: 1
name: scale
seed: 1
parameters:
  - {{parameter_name: a, lha_block: dim6, lha_id: 1, parameter_range: [-2.0, 2.0]}}
  - {{parameter_name: b, lha_block: dim6, lha_id: 2, parameter_range: [-2.0, 2.0]}}
benchmarks:
{benchmarks}
morphing: {{max_overall_power: 2, n_trials: 10, n_test_thetas: 10}}
processes:
  - name: signal
    generator: files
    files: {{sm: [events.h5]}}
    cross_section: {{sm: 0.01}}
observables:
{observables}
cuts:
  - {{definition: x0 > -1.0}}
ml:
  luminosity: 100000.0
  test_split: 0.3
  methods:
    - {{name: counts, method: histogram, observables: [x0, x1], bins: {{x0: 5, x1: 5}}}}
    - name: learned
      method: polynomial
      features: [x0, x1, x2, x3, x4, x5]
      n_estimators: 2
      network: {{n_hidden: [32, 32]}}
      training: {{n_epochs: 2, batch_size: 1000}}
    - name: ratio
      method: alices
      n_samples: 20000
      n_estimators: 1
      features: [x0, x1, x2, x3, x4, x5]
      theta0:
        n_thetas: 1000
        priors:
          a: {{prior: gaussian, mean: 0.0, std: 0.5}}
          b: {{prior: gaussian, mean: 0.0, std: 0.5}}
      network: {{n_hidden: [32, 32]}}
      training: {{n_epochs: 2, batch_size: 500, alpha: 0.1}}
  limits:
    toys: {{njobs: 1, n_toys: 20}}
    grid:
      a: {{range: [-1.0, 1.0], resolution: 11}}
      b: {{range: [-1.0, 1.0], resolution: 11}}
"""


def write_analysis(folder: Path, n_events: int) -> None:
    """An analysis of so many events, and their table."""
    points = [f"  {name}: {{a: {a}, b: {b}}}" for name, (a, b) in BENCHMARKS.items()]
    names = [f"x{i}" for i in range(OBSERVABLES)]
    entries = [f"  - {{name: {name}, definition: {name}, required: true}}" for name in names]
    text = ANALYSIS.format(benchmarks="\n".join(points), observables="\n".join(entries))
    folder.mkdir(parents=True)
    (folder / "input.yml").write_text(text)
    rng = np.random.default_rng(1)
    with h5py.File(folder / "events.h5", "w") as file:
        places = {
            name: file.create_dataset(
                f"events/{name}", (n_events,), "f8" if name in BENCHMARKS else "f4"
            )
            for name in [*BENCHMARKS, *names]
        }
        for first in range(0, n_events, CHUNK):
            chosen = slice(first, min(first + CHUNK, n_events))
            true = rng.normal(size=(chosen.stop - first, 2))
            for name, point in BENCHMARKS.items():
                # Of two amplitudes one interferes with the parameters' and one does not.
                amplitude = 1.0 + 0.3 * true @ np.array(point)
                places[name][chosen] = amplitude**2 + 0.05 * np.sum(np.square(point))
            for i, name in enumerate(names):
                noise = rng.normal(size=chosen.stop - first)
                places[name][chosen] = true[:, i % 2] + (0.2 + 0.1 * i) * noise


def rows_of(steps: Sequence[str], methods: Sequence[str]) -> list[tuple[str, Selection]]:
    """What has a row: a step, and of those that are done for each method, one of them."""
    return [
        (step, selection)
        for step in steps
        for selection in (
            [Selection(method=method) for method in methods]
            if "method" in STEPS[step].each
            else [Selection()]
        )
    ]


def run(
    n_events: int, n_jobs: int, steps: Sequence[tuple[str, Selection]], scratch: Path
) -> dict[str, list[float]]:
    """Do the steps; of each, CPU seconds, memory of the largest process [MB] and disk [MB].

    Memory is that of all pages, and that of anonymous ones.
    """
    analysis = scratch / f"analysis_{n_events}"
    if not analysis.exists():
        write_analysis(analysis, n_events)
    order = Order(analysis, scratch / f"run_{n_events}", njobs=n_jobs)
    table = (analysis / "events.h5").stat().st_size / MB
    print(f"\n{n_events} events, a table of {table:.0f} MB, {n_jobs} jobs")
    print(
        f"{'':<20}{'jobs':>5}{'wall s':>9}{'CPU s':>9}{'us/event':>10}{'MB memory':>11}"
        f"{'anonymous':>11}{'MB disk':>9}"
    )
    rows = {}
    for step, selection in steps:
        name = step if selection == Selection() else f"{step} {selection.method}"
        costs: list[Cost] = []
        disk = 0.0
        for line in commands(step, order, selection):
            costs.append(cost_of([str(PROGRAM), *line], scratch, ONE_CORE))
            output = Path(line[line.index("--output") + 1])
            disk += sum(file.stat().st_size for file in output.rglob("*") if file.is_file()) / MB
        cpu = sum(cost.cpu for cost in costs)
        memory, anonymous = (
            max(getattr(cost, of) for cost in costs) for of in ("memory", "anonymous")
        )
        rows[name] = [cpu, memory, anonymous, disk]
        print(
            f"{name:<20}{len(costs):5}{sum(cost.wall for cost in costs):9.1f}{cpu:9.1f}"
            f"{cpu / n_events * 1e6:10.1f}{memory:11.0f}{anonymous:11.0f}{disk:9.1f}",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (arguments.folder or Path(temporary)).resolve()
        steps = rows_of(arguments.steps, arguments.methods)
        runs = [run(n, arguments.jobs, steps, scratch) for n in arguments.sizes]
    for (small, fewer), (large, more) in zip(
        zip(arguments.sizes, runs, strict=True),
        list(zip(arguments.sizes, runs, strict=True))[1:],
        strict=False,
    ):
        print(f"\nfrom {small} to {large} events, for each event more")
        print(f"{'':<20}{'us CPU':>9}{'B memory':>11}{'anonymous':>11}{'B disk':>9}")
        for name, row in more.items():
            cpu, memory, anonymous, disk = (
                (now - then) / (large - small) * 1e6
                for now, then in zip(row, fewer[name], strict=True)
            )
            print(f"{name:<20}{cpu:9.1f}{memory:11.0f}{anonymous:11.0f}{disk:9.0f}")


if __name__ == "__main__":
    main()
