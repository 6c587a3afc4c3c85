"""What five nuisance parameters add to the cost of the method ``polynomial``, and the proofs.

The events are those of the reference analysis with the uncertainties of docs/systematics.md, made
anew unless a MadMiner file is named. CPU seconds, one thread, of the same events with and without
the uncertainties: training a member; maximum and intervals of expected data, of rate and shape;
their log likelihood at 25 x 25 points; the pulls, constraints and impacts; each of the toys, both
likelihoods. At last the proofs among the tests, with what they find:

- the factorisation scale without smearing, where the exact profiled limit is known,
- a response that depends on the parameters,
- coverage of toys whose nuisance parameters are drawn from their priors,
- pseudo-data at a shifted scale of what is measured, fitted back.

    python benchmarks/systematics.py [COMBINED]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import yaml
from polynomial import PROGRAM, REFERENCE, trained

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.types import Polynomial
from madminer_workflow.ml.methods import polynomial
from madminer_workflow.products.problem import read_events
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.likelihood import KINDS, expected_data, log_likelihoods
from madminer_workflow.statistics.limits import make_grid
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.pulls import joint_fit
from madminer_workflow.statistics.toys import draw_toys

R = TypeVar("R")

REPOSITORY = Path(__file__).parents[1]
SYSTEMATICS = """
- {systematic_name: scale, effect: scale, scale: mu, scale_variations: [0.5, 1.0, 2.0]}
- {systematic_name: luminosity, effect: norm, norm_variation: 1.02}
- {systematic_name: jet_scale, effect: energy_scale, energy_scale_variation: 0.03, particles: [j]}
- systematic_name: jet_resolution
  effect: energy_resolution
  energy_resolution_variation: 0.05
  particles: [j]
- {systematic_name: photon_id, effect: efficiency, efficiency_variation: 0.015, particles: [a]}
"""
PROOFS = ("tests/ml/test_polynomial_uncertain.py", "tests/ml/test_polynomial_shifts.py")
LEVELS = (0.68, 0.95)
REPEATS, N_TOYS = 5, 100


def combined_events(folder: Path) -> Path:
    """The MadMiner file of the reference analysis with SYSTEMATICS."""
    settings = yaml.safe_load((REFERENCE / "input.yml").read_text())
    settings["systematics"] = yaml.safe_load(SYSTEMATICS)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "input.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
    run = [PROGRAM, "run", folder, "--part", "physics", "--workdir", folder / "run"]
    subprocess.run([str(one) for one in run], check=True)
    return next(folder.glob("run/**/combined_delphes.h5"))


def without_uncertainties(events: Events) -> Events:
    """The same events, with nothing that is uncertain about them."""
    nothing = np.zeros((len(events), 0))
    setup = replace(events.setup, nuisance=[], nuisance_benchmarks=[])
    return replace(events, setup=setup, slopes=nothing, curvatures=nothing, shifted={})


def posed(events: Events, luminosity: float) -> Problem:
    """Expected data at the Standard Model, from the last fifth of the events."""
    theta = np.zeros(len(events.setup.parameters))
    train, test = events.part(0.0, 0.8), events.part(0.8, 1.0)
    return Problem(events.setup, events, train, test, theta, theta, theta, luminosity, seed=1)


def seconds_of(task: Callable[[], R], repeats: int = REPEATS) -> tuple[R, float]:
    """What a task returns, and the fewest CPU seconds that it took."""
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        result = task()
        spent.append(time.process_time() - start)
    return result, min(spent)


def costs(events: Events, folder: Path) -> dict[str, float]:
    """CPU seconds of each task."""
    ml = read_analysis(REFERENCE / "input.yml").ml
    [settings] = [one for one in ml.methods if isinstance(one, Polynomial)]
    problem = posed(events, ml.luminosity)
    grid, theta = make_grid(ml.limits.grid, problem.setup.parameters), problem.theta_true
    member, learning = seconds_of(partial(trained, problem.train, settings, 1, folder), 1)
    known, opening = seconds_of(partial(polynomial.closed_form, [member], problem), 1)
    data = expected_data(problem)
    model = closed_form.Model(known, problem, "rate_and_shape")

    def fit() -> closed_form.Maximum:
        # What is known of a problem once is found anew.
        anew = replace(model, problem=replace(problem))
        return closed_form.maximum(anew, data, LEVELS, grid)

    def scan() -> None:
        anew, thetas = replace(problem), grid.thetas()
        log_likelihoods(closed_form.density_at(known, anew.setup, thetas), data, anew, thetas)

    highest, fitting = seconds_of(fit)
    found = {"training": learning, "density of events": opening, "fit": fitting}
    found["grid"] = seconds_of(scan)[1]
    found["pulls and impacts"] = seconds_of(partial(joint_fit, model, highest, data))[1]
    toys = draw_toys(problem, theta, N_TOYS, np.random.default_rng(1))
    _, spent = seconds_of(partial(closed_form.statistics, known, toys, problem, theta), 2)
    found[f"a toy, {len(KINDS)} likelihoods"] = spent / N_TOYS
    for name, pairs in highest.intervals.items():
        print(f"  {len(events.setup.nuisance)} nuisance parameters: {name} in {pairs['0.95']}")
    return found


def prove() -> None:
    """Run the proofs among the tests, and print what they print."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-n", "0", "-m", "slow", *PROOFS]
    subprocess.run(command, cwd=REPOSITORY, check=True)


def main(combined: Path | None, folder: Path) -> None:
    """Print all of it."""
    torch.set_num_threads(1)
    events = read_events(combined or combined_events(folder / "analysis"))
    kinds = {"none": without_uncertainties(events), "five": events}
    found = {name: costs(some, folder / name) for name, some in kinds.items()}
    print(f"{'CPU s':26}{'none':>10}{'five':>10}{'ratio':>8}")
    for task, without in found["none"].items():
        spent = found["five"].get(task, 0.0)
        ratio = f"{spent / without:8.2f}" if task != "pulls and impacts" else ""
        print(f"{task:26}{without:10.4f}{spent:10.4f}{ratio}")
    prove()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else None, Path(scratch))
