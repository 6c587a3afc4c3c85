"""Whether p-values of observed data are what they say, and which mistakes they find.

Pseudo-data come from other simulated events of ``inputs/wbf`` than those that models are trained
on and toys are drawn from: another seed from the generator on. If nothing is wrong with them,
p-values are uniform: the test of Kolmogorov and Smirnov says how well, for every test and for the
smallest p-value of all. All pseudo-data of one pair of simulations have the difference of these in
common, so that several pairs share them. Then something is wrong that no parameter describes:

    resonance   1 % of the events have pT(j1) at 250 GeV, within 5 GeV
    tilt        by rank in pT(j1), from 5 % fewer events than simulated to 5 % more
    resolution  missing momentum has a noise of 15 GeV, in the simulation one of 10 GeV
    count       40 events

The fit is that of the polynomial method.

    python benchmarks/goodness.py [--trials 200] [--simulations 10] [--power-trials 60]
        [--toys 200] [--workers 2] [--folder FOLDER] [--figure FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import yaml
from matplotlib.figure import Figure
from scipy.stats import kstest

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.ml.goodness import scores_of
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import polynomial
from madminer_workflow.ml.sampling import draw_member
from madminer_workflow.ml.training import fit
from madminer_workflow.products.evaluation import evaluation_of
from madminer_workflow.products.problem import pose_problem, read_events
from madminer_workflow.statistics.events import Events, draw
from madminer_workflow.statistics.goodness.assess import goodness_of_fit
from madminer_workflow.statistics.goodness.fits import fit_in_closed_form
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Observation, Problem
from madminer_workflow.statistics.results import Goodness

REFERENCE = Path(__file__).parents[1] / "inputs/wbf/input.yml"
PROGRAM = Path(sys.executable).parent / "madminer-workflow"
SEEDS = {"simulation": 2023, "nature": 777}
TEST_SPLIT = 0.5
KIND = "rate_and_shape"
POINTS = {"sm": (0.0, 0.0), "far": (0.5, -0.5)}
LUMINOSITIES = (1.0, 4.0, 16.0)
"""Over that of the analysis."""

Nature = tuple[np.ndarray, np.ndarray]
"""Observables of events, and their weights at the true point."""


def simulated(folder: Path, name: str, number: int) -> Path:
    """The data file of the reference analysis with a seed of its own."""
    settings = yaml.safe_load(REFERENCE.read_text())
    settings["seed"] = SEEDS[name] + number
    settings["ml"]["test_split"] = TEST_SPLIT
    settings["ml"]["methods"] = [{"method": "polynomial", "name": "polynomial"}]
    inputs = folder / f"{name}_{number}"
    inputs.mkdir(parents=True, exist_ok=True)
    (inputs / "input.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
    work = folder / f"{name}_{number}_run"
    command = [PROGRAM, "run", inputs, "--workdir", work, "--part", "physics"]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    return work / "physics/combine/combined_delphes.h5"


def resonance(x: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> Nature:
    """In 1 % of the events."""
    changed = x.copy()
    chosen = rng.random(len(x)) < 0.01
    changed[chosen, 0] = rng.normal(250.0, 5.0, chosen.sum())
    return changed, weights


def tilt(x: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> Nature:
    """Of 5 %."""
    order = np.argsort(x[:, 0])
    share = np.empty(len(x))
    share[order] = np.cumsum(weights[order]) / weights.sum()
    return x, weights * (1.0 + 0.05 * (2.0 * share - 1.0))


def resolution(x: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> Nature:
    """Of missing momentum."""
    noise = rng.normal(0.0, np.sqrt(15.0**2 - 10.0**2), (len(x), 2))
    changed = x.copy()
    changed[:, 2] = np.hypot(x[:, 2] + noise[:, 0], noise[:, 1])
    return changed, weights


MISTAKES: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Nature]] = {
    "resonance": resonance,
    "tilt": tilt,
    "resolution": resolution,
}


MISTAKEN = {
    "resonance": "resonance in 1 % of the events",
    "tilt": "tilt in pT(j1) by 5 %",
    "resolution": "missing momentum: 15 GeV for 10",
}
"""What the figure calls them."""


@dataclass(frozen=True)
class World:
    """A problem whose observed events are all that nature might give, with ``weights``."""

    problem: Problem
    density: PolynomialDensity
    weights: np.ndarray
    expected: float

    @classmethod
    def of(cls, member: Member, problem: Problem, theta: np.ndarray, nature: Nature) -> World:
        """At a true point."""
        x, weights = nature
        whole = replace(problem, observed=Observation(problem.test.observables, x, "nature"))
        density = polynomial.closed_form([member], whole)
        return cls(whole, density, weights, float(problem.expected_events(theta)))

    def trial(self, n_toys: int, n: int | None, seed: int) -> Goodness:
        """The tests of one set of pseudo-data, of ``n`` events or as many as Poisson's law says."""
        rng = np.random.default_rng(seed)
        n = int(rng.poisson(self.expected)) if n is None else n
        chosen = draw(self.weights, n, rng)
        assert self.problem.observed is not None
        observed = replace(self.problem.observed, x=self.problem.observed.x[chosen])
        cells = {**self.density.cells, "observed": self.density.cells["observed"][chosen]}
        problem = replace(self.problem, observed=observed)
        density = replace(self.density, cells=cells)
        fitted = partial(fit_in_closed_form, density, problem, KIND)
        return goodness_of_fit(problem, fitted, scores_of(density, problem), rng, n_toys)


def p_values(found: Goodness) -> dict[str, float]:
    """Of all tests by name."""
    tests = {f"{test.about}: {test.name}": test.p_value for test in found.tests}
    return {**tests, "global": found.p_value}


_world: World | None = None


def _work(n_toys: int, n: int | None, seed: int) -> dict[str, float]:
    assert _world is not None
    return p_values(_world.trial(n_toys, n, seed))


def trials(
    world: World, n_toys: int, n_trials: int, workers: int, n: int | None = None
) -> dict[str, np.ndarray]:
    """p-values of so many pseudo-data by test."""
    global _world
    _world = world
    work = partial(_work, n_toys, n)
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        rows = list(pool.map(work, range(1, n_trials + 1)))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def train(data: Path, analysis_file: Path, folder: Path) -> tuple[Member, Problem]:
    """The polynomial method, and the problem."""
    analysis = read_analysis(analysis_file)
    problem = pose_problem(evaluation_of(analysis), data)
    [settings] = [method.of_member for method in analysis.ml.by_name.values()]
    samples = draw_member(problem.train, settings, member=0, seed=1)
    return Member(fit(samples, samples.note.settings, folder), folder), problem


def show(title: str, found: dict[str, np.ndarray]) -> None:
    """A row for every test: uniformity, and how often it is below 0.05."""
    print(f"\n{title}: {len(found['global'])} pseudo-data")
    for name, values in found.items():
        low = np.mean(values < 0.05)
        error = np.sqrt(max(low * (1.0 - low), 0.04) / len(values))
        ks = kstest(values, "uniform").pvalue
        print(
            f"  {name:<40} KS {ks:.3f}  mean {values.mean():.3f}  "
            f"below 0.05: {low:.3f} ± {error:.3f}",
            flush=True,
        )


def draw_figure(
    uniform: dict[str, dict[str, np.ndarray]], power: dict[str, dict], file: Path
) -> None:
    """p-values under the truth, and the power of the global test and the best one."""
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for point, found in uniform.items():
        for name, values in found.items():
            whole = name == "global"
            left.plot(
                np.sort(values),
                np.arange(1, len(values) + 1) / len(values),
                color="C0" if point == "sm" else "C1",
                linewidth=2.2 if whole else 0.6,
                alpha=1.0 if whole else 0.5,
                label=f"all tests, truth at {POINTS[point]}" if whole else None,
            )
    left.plot([0.0, 1.0], [0.0, 1.0], color="0.5", linestyle=":")
    left.set_xlabel("p-value")
    left.set_ylabel("share of pseudo-data below")
    left.set_title("Nothing wrong", loc="left")
    left.legend(frameon=False, loc="upper left")
    for i, (mistake, rows) in enumerate(power.items()):
        events = [row["events"] for row in rows.values()]
        n_trials = len(rows[LUMINOSITIES[0]]["p"]["global"])
        shares = np.array([np.mean(row["p"]["global"] < 0.05) for row in rows.values()])
        errors = np.sqrt(np.maximum(shares * (1.0 - shares), 0.01) / n_trials)
        right.errorbar(
            events, shares, errors, marker="o", color=f"C{i + 2}", label=MISTAKEN[mistake]
        )
    right.axhline(0.05, color="0.5", linestyle=":")
    right.set_xscale("log")
    right.set_xticks(events, [f"{n:.0f}" for n in events])
    right.set_xticks([], minor=True)
    right.set_ylim(0.0, 1.45)
    right.set_yticks(np.linspace(0.0, 1.0, 6))
    right.set_xlabel("expected events")
    right.set_ylabel("share with p < 0.05")
    right.set_title("Something wrong", loc="left")
    right.legend(frameon=False, loc="upper left")
    figure.savefig(file, dpi=130)


@dataclass(frozen=True)
class Pair:
    """A simulation, the ``member`` that learned from it, and another one that data come from."""

    member: Member
    problem: Problem
    nature: Events

    @classmethod
    def made(cls, folder: Path, number: int) -> Pair:
        """In ``folder``; pairs of other numbers have no events in common."""
        files = {name: simulated(folder, name, number) for name in SEEDS}
        model = folder / f"model_{number}"
        model.mkdir(exist_ok=True)
        analysis = folder / f"simulation_{number}/input.yml"
        member, problem = train(files["simulation"], analysis, model)
        return cls(member, problem, read_events(files["nature"]))

    def weights(self, theta: np.ndarray) -> np.ndarray:
        """Those of nature."""
        return np.maximum(self.nature.weights_at(theta), 0.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and draw the figure if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--simulations", type=int, default=10, help="pairs that share the trials")
    parser.add_argument("--power-trials", type=int, default=60)
    parser.add_argument("--toys", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.folder or Path(scratch)).absolute()
        pairs = [Pair.made(folder, number) for number in range(given.simulations)]
        uniform = without_mistakes(pairs, given) if given.trials else {}
        power = with_mistakes(pairs[0], given) if given.power_trials else {}
    if given.figure:
        draw_figure(uniform, power, given.figure)


def without_mistakes(pairs: Sequence[Pair], given: argparse.Namespace) -> dict[str, dict]:
    """All p-values by point and test."""
    uniform: dict[str, dict] = {}
    for name, point in POINTS.items():
        theta, found = np.array(point), []
        for pair in pairs:
            nature = pair.nature.x, pair.weights(theta)
            world = World.of(pair.member, pair.problem, theta, nature)
            found.append(trials(world, given.toys, given.trials // len(pairs), given.workers))
        uniform[name] = {test: np.concatenate([one[test] for one in found]) for test in found[0]}
        show(f"nothing wrong, truth at {point}", uniform[name])
    return uniform


def with_mistakes(pair: Pair, given: argparse.Namespace) -> dict[str, dict]:
    """All p-values by mistake and luminosity."""
    rng = np.random.default_rng(5)
    power: dict[str, dict] = {}
    problem, theta = pair.problem, pair.problem.theta_true
    weights = pair.weights(theta)
    world = World.of(pair.member, problem, theta, (pair.nature.x, weights))
    show("40 events", trials(world, 1000, 4, given.workers, n=40))
    for mistake, change in MISTAKES.items():
        power[mistake] = {}
        for factor in LUMINOSITIES:
            larger = replace(problem, luminosity=factor * problem.luminosity)
            changed = change(pair.nature.x, weights, rng)
            world = World.of(pair.member, larger, theta, changed)
            found = trials(world, given.toys, given.power_trials, given.workers)
            power[mistake][factor] = {"events": world.expected, "p": found}
            show(f"{mistake}, {world.expected:.0f} events expected", found)
    return power


if __name__ == "__main__":
    main()
