"""What the method ``polynomial`` finds in the reference analysis.

The analysis runs from events to report with this method alone, five members, and toys at three
points. On its events the information at the Standard Model is then measured by five-fold
cross-validation: *proven* is E[s t]^2 / E[t^2] for the score s of the partons and t of the network,
of events that it was not trained on, *claimed* is E[t^2]. Closure and reweighting are those at
|theta_i| = 10: the rate, over the true one, and the largest distance between the distributions of
an observable. At last the same events are learned without positivity, as processes that are no
squares of amplitudes are, and in the same way with a squared error: FORMS.

    python benchmarks/polynomial.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import yaml
from costs import HEADER, cost_of

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.types import Polynomial
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.ml import polynomial_training
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import polynomial
from madminer_workflow.ml.training import fit
from madminer_workflow.products.samples import MemberNote, Samples
from madminer_workflow.report.results import read_report
from madminer_workflow.statistics.events import Events, union
from madminer_workflow.statistics.monomials import Monomials, amplitude_of
from madminer_workflow.statistics.polynomial import PolynomialDensity, scores

REFERENCE = Path(__file__).parents[1] / "inputs/wbf"
PROGRAM = Path(sys.executable).parent / "madminer-workflow"
POINTS = ({"CWL2": 0.0, "CPWL2": 0.0}, {"CWL2": 0.5, "CPWL2": -0.5}, {"CWL2": 1.2, "CPWL2": 0.8})
N_FOLDS, SEEDS, FEW, N_BOOTSTRAP = 5, (1, 2, 3), 7000, 100
FAR = np.array([[10.0, 0.0], [-10.0, 0.0], [0.0, 10.0], [0.0, -10.0]])


def analysis(folder: Path, truth: dict[str, float]) -> Path:
    """The reference analysis with this method alone, and toys at POINTS."""
    settings = yaml.safe_load((REFERENCE / "input.yml").read_text())
    ml = settings["ml"]
    ml["methods"] = [{"method": "polynomial"}]
    ml["limits"]["theta_true"] = truth
    others = [point for point in POINTS if point != truth]
    ml["limits"]["toys"] = {"n_toys": 2000, "njobs": 2, "points": others, "resolution": 2}
    folder.mkdir(exist_ok=True)
    (folder / "input.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return folder


def show_limits(folder: Path, truth: dict[str, float]) -> None:
    """Run the whole analysis; print widths of intervals, the best fit and the coverage."""
    directory = folder / f"truth_{'_'.join(map(str, truth.values()))}"
    inputs = analysis(folder / "analysis", truth)
    command = [str(PROGRAM), "run", str(inputs), "--ntrainsamples", "5", "--workdir"]
    print(cost_of([*command, str(directory)], folder).row(f"run, expected data at {truth}"))
    [method] = read_report(directory / "ml/plotting/results.json").methods
    limits = method.limits["rate_and_shape"]
    print("  best fit", np.round(limits.best_fit, 4))
    for name, by_level in limits.intervals.items():
        widths = [high - low for low, high in by_level["0.95"]]
        print(f"  {name}: width of the 95 % interval {sum(widths):.4f}")
    assert method.toys is not None
    for point in method.toys.points:
        for name, thresholds in point.kinds["rate_and_shape"].parameters.items():
            coverage = {level: f"{c.value:.3f}" for level, c in thresholds.coverage.items()}
            print(f"  coverage at {point.theta} of {name}: {coverage}")


def trained(events: Events, settings: Polynomial, seed: int, directory: Path) -> Member:
    """One member, trained on events."""
    directory.mkdir(parents=True)
    fingerprint = events.setup.fingerprint(events.observables)
    note = MemberNote(settings=settings, member=0, seed=seed, fingerprint=fingerprint)
    drawn = polynomial.draw(events, settings, np.random.default_rng(seed))
    return Member(fit(Samples(note, drawn), settings, directory), directory)


def chosen(events: Events, rows: np.ndarray) -> Events:
    """Some of the events, which stand for all."""
    return replace(
        events,
        x=events.x[rows],
        weights=events.weights[rows] * len(events) / len(rows),
        slopes=events.slopes[rows],
        curvatures=events.curvatures[rows],
    )


def density(member: Member, events: Events) -> PolynomialDensity:
    """What the member says of the events."""
    monomials = Monomials(events.setup.components)
    rows = polynomial.coefficients(member, events, monomials)
    with np.load(member.directory / polynomial.NORM) as norm:
        return PolynomialDensity(
            monomials, rows, norm["coefficients"], {"test": np.arange(len(rows))}
        )


def information(
    weights: np.ndarray, exact: np.ndarray, estimated: np.ndarray, luminosity: float
) -> np.ndarray:
    """Proven information and what is claimed over it, (2, n_parameters), by each parameter."""
    crossed = luminosity * weights @ (exact * estimated)
    claimed = luminosity * weights @ estimated**2
    return np.array([crossed**2 / claimed, (claimed / crossed) ** 2])


def cross_validate(
    events: Events, settings: Polynomial, n_events: int, seed: int, luminosity: float, folder: Path
) -> None:
    """Print the information with the scores of folds that training has left out."""
    theta = np.zeros(len(events.setup.parameters))
    totals = (events.weights @ events.setup.morphing_matrix).sum(axis=0)[None, :]
    fold = np.arange(len(events)) * N_FOLDS // len(events)
    estimated = np.zeros((len(events), len(theta)))
    seconds = 0.0
    for k in range(N_FOLDS):
        left = np.flatnonzero(fold != k)[:n_events]
        start = time.process_time()
        member = trained(chosen(events, left), settings, seed, folder / f"{n_events}_{seed}_{k}")
        seconds += time.process_time() - start
        known = density(member, chosen(events, np.flatnonzero(fold == k)))
        shape = scores(known.rows("test"), known.monomials, theta)
        shape -= scores(known.norm[None, :], known.monomials, theta)
        estimated[fold == k] = shape + scores(totals, known.monomials, theta)
        if k == N_FOLDS - 1:
            far = closure(known, chosen(events, np.flatnonzero(fold == k)))
    weights = events.weights_at(theta)
    exact = events.gradients_at(theta) / weights[:, None]
    proven, claimed = information(weights, exact, estimated, luminosity)
    rng = np.random.default_rng(1)
    replicas = [
        information(weights * rng.poisson(1.0, len(weights)), exact, estimated, luminosity)
        for _ in range(N_BOOTSTRAP)
    ]
    errors = np.std(replicas, axis=0)
    print(
        f"{len(left)} events, seed {seed}: proven {proven.round(1)} ± {errors[0].round(1)}, "
        f"claimed/proven {claimed.round(3)} ± {errors[1].round(3)}, closure and reweighting "
        f"{far[0]:.1%} {far[1]:.1%}, {seconds / N_FOLDS:.1f} CPU s a training",
        flush=True,
    )


def squared_error(
    ratios: torch.Tensor, rates: torch.Tensor, reference: torch.Tensor
) -> torch.Tensor:
    """The loss that rare events with large coefficients rule."""
    return 0.5 * reference * ratios**2 - rates * ratios


def no_amplitude(monomials: Monomials) -> None:
    """Let no cross-section be a square."""


FORMS = {
    "square": {"amplitude_of": amplitude_of},
    "unbounded": {"amplitude_of": no_amplitude},
    "unbounded, squared error": {"amplitude_of": no_amplitude, "unconstrained": squared_error},
}


def compare_forms(events: Events, settings: Polynomial, luminosity: float, folder: Path) -> None:
    """Print what each form proves of the last fifth of the events, having learned from the rest."""
    train, test = events.part(0.0, 0.8), events.part(0.8, 1.0)
    theta = np.zeros(len(events.setup.parameters))
    weights = test.weights_at(theta)
    exact = test.gradients_at(theta) / weights[:, None]
    for name, changes in FORMS.items():
        with patch.multiple(polynomial_training, **changes):
            known = density(trained(train, settings, 1, folder / name), test)
        rows = known.rows("test")
        estimated = scores(rows, known.monomials, theta)
        proven, claimed = information(weights, exact, estimated, luminosity)
        print(f"{name}: proven {proven.round(1)}, claimed/proven {claimed.round(3)}", flush=True)


def closure(known: PolynomialDensity, events: Events) -> tuple[float, float]:
    """The largest deviations at FAR: of the rate, and of a distribution of an observable."""
    rates, distances = [], []
    reference = events.weights_at(np.zeros(FAR.shape[1]))
    for theta in FAR:
        reweighted = reference * (known.rows("test") @ known.monomials.values(theta))
        true = events.weights_at(theta)
        rates.append(abs(reweighted.sum() / true.sum() - 1.0))
        difference = reweighted / reweighted.sum() - true / true.sum()
        for x in events.x.T:
            distances.append(np.abs(np.cumsum(difference[np.argsort(x)])).max())
    return float(max(rates)), float(max(distances))


def main(folder: Path) -> None:
    """Print all of it."""
    torch.set_num_threads(1)
    print(HEADER)
    for truth in POINTS[:2]:
        show_limits(folder, truth)
    combined = next(folder.glob("truth_*/physics/combine/combined_delphes.h5"))
    events = union(read_sample(combined), read_setup(combined))
    ml = read_analysis(folder / "analysis/input.yml").ml
    [settings] = ml.methods
    assert isinstance(settings, Polynomial)
    for n_events in (len(events), FEW):
        for seed in SEEDS:
            cross_validate(events, settings, n_events, seed, ml.luminosity, folder / "members")
    compare_forms(events, settings, ml.luminosity, folder / "forms")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
