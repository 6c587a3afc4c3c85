"""SALLY and SALLINO: a network for the score at one reference point.

arXiv:1805.00013 and arXiv:1805.00020. The estimated score enters the likelihood through
histograms, which is how MadMiner sets limits with it: of all its components for SALLY, of its
projection on the direction from the reference to the tested point for SALLINO. SALLY learns the
score of the nuisance parameters, too, for the Fisher information.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.types import Bins, Score
from madminer_workflow.array_files import Checked, read_npy
from madminer_workflow.errors import InputError
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods.drawing import with_validation
from madminer_workflow.ml.methods.family import Arrays, Losses, OnEpoch
from madminer_workflow.ml.methods.unbinned import of_events
from madminer_workflow.statistics.binning import (
    bin_indices,
    binned_density,
    inner_edges,
    n_bins,
)
from madminer_workflow.statistics.checks.families import score_checks
from madminer_workflow.statistics.closed_form import density_at
from madminer_workflow.statistics.events import Events, Observed
from madminer_workflow.statistics.events import draw as draw_events
from madminer_workflow.statistics.fluctuations import SIMULATION, Fluctuations, of_counts
from madminer_workflow.statistics.information import Information, from_scores
from madminer_workflow.statistics.likelihood import Density
from madminer_workflow.statistics.nuisance import varied_rates
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Check

NUISANCE_SCALES = "nuisance_scales.npy"
ROUNDING = 1e-6

BINS: dict[int, list[Bins]] = {1: [25], 2: [12, 12]}
ADAPTIVE_BINS: dict[int, list[Bins]] = {1: [25], 2: [15, 5]}
BINS_OTHERWISE = 5
BINS_ALONG = 12
"""Numbers of bins of a score histogram by the number of axes; the first of many axes of an adaptive
one has BINS_ALONG. They are MadMiner's but for two fixed axes, of which it has 8 by 8."""


def draw(events: Events, settings: Score, rng: np.random.Generator) -> Arrays:
    """Unweighted events at the reference point with their joint score.

    Components for the nuisance parameters follow those of the parameters, if the method knows them.
    """
    theta = events.setup.theta(settings.theta)
    with_nuisance = settings.knows_nuisance and events.setup.nuisance

    def joint_scores(part: Events) -> np.ndarray:
        scores = part.scores_at(theta)
        return np.hstack([scores, part.nuisance_scores_at(theta)]) if with_nuisance else scores

    def draw_from(part: Events, n: int) -> Arrays:
        chosen = draw_events(part.weights_at(theta), n, rng)
        return {
            "x": part.columns(settings.inputs(part.observables))[chosen].astype(np.float32),
            "t_xz": joint_scores(part)[chosen].astype(np.float32),
        }

    arrays = with_validation(draw_from, events, settings)
    if with_nuisance:
        arrays["nuisance_scales"] = nuisance_scales(arrays["t_xz"], len(theta))
    return arrays


def nuisance_scales(scores: np.ndarray, n_parameters: int) -> np.ndarray:
    """Units for the nuisance components of joint scores, 1 for the others, (n_scores,).

    Scores of small uncertainties are small numbers, which a squared loss would not see beside
    those of the parameters: in these units all are equally wide. The score of a normalisation
    is zero up to rounding, which stays as small as it is.
    """
    widths = scores.std(axis=0)
    scales = widths / widths[:n_parameters].min()
    scales[:n_parameters] = 1.0
    scales[scales < ROUNDING] = 1.0
    return scales


def train(
    arrays: Arrays,
    settings: Score,
    directory: Path,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Losses:
    """Regress the joint score; see ``networks.train``."""
    from madminer_workflow.ml import networks

    if "nuisance_scales" in arrays:
        scales = arrays["nuisance_scales"]
        np.save(directory / NUISANCE_SCALES, scales)
        units = {name: scales for name in arrays if name.startswith("t_xz")}
        arrays = {
            name: (values / units[name]).astype(np.float32) if name in units else values
            for name, values in arrays.items()
            if name != "nuisance_scales"
        }
    estimator = networks.make(networks.ScoreEstimator, settings.network)
    return networks.train(estimator, arrays, settings, directory, seed, on_epoch)


def estimated_scores(member: Member, x: np.ndarray) -> np.ndarray:
    """Score at the reference point for inputs ``x`` (n_events, n_inputs), (n_events, n_scores).

    With the components of the nuisance parameters, if the model has learned them.
    """
    n = len(member.note.parameters)
    scales = np.ones(n)
    if member.settings(Score).knows_nuisance and (nuisance := member.note.nuisance_parameters):
        with member.reading(NUISANCE_SCALES):
            scales = read_npy(member.directory / NUISANCE_SCALES)
            scales = Checked()(NUISANCE_SCALES, scales, n + len(nuisance), least=0.0)
    estimated = member.numbers("scores", member.network.evaluate_score(x))
    return estimated * scales if len(scales) > n else estimated


def all_scores(members: Sequence[Member], events: Observed) -> np.ndarray:
    """Mean over members of ``estimated_scores`` of events, (n_events, n_scores)."""

    def scores_of(member: Member) -> np.ndarray:
        return estimated_scores(member, member.inputs(events))

    return np.mean(
        [member.once(events, "scores", partial(scores_of, member)) for member in members], axis=0
    )


def outputs(member: Member, problem: Problem, thetas: np.ndarray) -> Arrays:
    """Estimated score with respect to the parameters of every sample, (n_events, n_parameters)."""
    n = len(problem.setup.parameters)
    return {name: all_scores([member], events)[:, :n] for name, events in problem.samples().items()}


def closed_form(members: Sequence[Member], problem: Problem) -> PolynomialDensity | None:
    """Probabilities of the bins of the score, from the training events, if bins are fixed."""
    if not members[0].settings(Score).fitted:
        return None
    samples, edges = problem.samples(), _fixed_edges(members, problem)
    cells = {name: _bins(members, problem, events, edges) for name, events in samples.items()}
    shifted = _shifted_bins(members, problem, edges)
    rates = varied_rates(problem.train, cells["train"], n_bins(edges), shifted)
    return binned_density(rates, cells, problem.setup)


def fluctuations(members: Sequence[Member], problem: Problem) -> dict[str, Fluctuations]:
    """Those of fixed bins, whose templates are sums over training events.

    The score that bins are made of is an observable like any other: had its network been trained
    otherwise, it would be another one, and neither would be wrong.
    """
    if not members[0].settings(Score).fitted:
        return {}
    edges = _fixed_edges(members, problem)
    cells = _bins(members, problem, problem.train, edges)
    shifted = _shifted_bins(members, problem, edges)
    return {SIMULATION: of_counts(problem, cells, n_bins(edges), shifted)}


def _fixed_edges(members: Sequence[Member], problem: Problem) -> list[np.ndarray]:
    """Inner edges of the bins of the score that do not depend on the parameters."""
    bins = bins_of(members[0].settings(Score), problem.setup.parameters)
    scores = _scores(members, problem, problem.train)
    weights = informative(scores, problem.train.weights_at(problem.theta_true))
    return inner_edges(scores, weights, bins)


def _bins(
    members: Sequence[Member], problem: Problem, events: Observed, edges: Sequence[np.ndarray]
) -> np.ndarray:
    return bin_indices(_scores(members, problem, events), edges)


def _shifted_bins(
    members: Sequence[Member], problem: Problem, edges: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Bins of the training events where they are measured otherwise, by nuisance benchmark."""
    shifted = problem.train.shifted
    return {name: _bins(members, problem, events, edges) for name, events in shifted.items()}


def _scores(members: Sequence[Member], problem: Problem, events: Observed) -> np.ndarray:
    """The mean score with respect to the parameters, (n_events, n_parameters)."""
    return all_scores(members, events)[:, : len(problem.setup.parameters)]


def density(outputs: Arrays, problem: Problem, thetas: np.ndarray, member: Member) -> Density:
    """Log ratios to the reference of a histogram of its own for every theta; cells are events."""
    settings = member.settings(Score)
    bins = bins_of(settings, problem.setup.parameters)
    return _adaptive(outputs, problem, thetas, problem.setup.theta(settings.theta), bins)


def bins_of(settings: Score, parameters: Sequence[str]) -> list[Bins]:
    """The bins on each of ``settings.axes``, MadMiner's where the settings say none."""
    axes, given = settings.axes(parameters), settings.binning.bins
    if isinstance(given, int):
        return [given] * len(axes)
    n = len(axes)
    if settings.binning.kind == "adaptive":
        usual = ADAPTIVE_BINS.get(n, [BINS_ALONG] + [BINS_OTHERWISE] * (n - 1))
    else:
        usual = BINS.get(n, [BINS_OTHERWISE] * n)
    return [(given or {}).get(axis, bins) for axis, bins in zip(axes, usual, strict=True)]


def informative(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What bins shall hold equal parts of: half cross-section, half information.

    The few events of large scores, which hold most of the information, would share a bin of the
    cross-section's quantiles. ``scores`` and the result are (n_events, n_parameters).
    """
    information = weights[:, None] * np.square(scores)
    return weights[:, None] / weights.sum() + information / np.maximum(
        information.sum(axis=0), 1e-300
    )


def _histogram(
    values: Arrays, train: Events, weights: np.ndarray, bins: Sequence[Bins]
) -> PolynomialDensity:
    """Probabilities of one histogram of ``values``, each (n_events, n_dimensions).

    Where bins are a number, they hold equal parts of the training events' ``weights``.
    """
    edges = inner_edges(values["train"], weights, bins)
    cells = {name: bin_indices(rows, edges) for name, rows in values.items()}
    rates = varied_rates(train, cells["train"], n_bins(edges))
    return binned_density(rates, cells, train.setup)


def _adaptive(
    scores: Arrays,
    problem: Problem,
    thetas: np.ndarray,
    reference: np.ndarray,
    bins: Sequence[Bins],
) -> Density:
    weights = problem.train.weights_at(problem.theta_true)
    directions = thetas - reference
    directions[np.all(directions == 0.0, axis=1), 0] = 1.0
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    log_p = {
        name: np.empty((len(thetas), len(rows))) for name, rows in scores.items() if name != "train"
    }
    # Bins that depend on the parameters have no response to nuisance parameters.
    train = replace(problem.train, shifted={})
    for i, (theta, direction) in enumerate(zip(thetas, directions, strict=True)):
        turned = {name: turn(rows, direction, len(bins)) for name, rows in scores.items()}
        along = _histogram(turned, train, weights, bins)
        log_of_theta, log_of_reference = along.log_density(np.stack([theta, reference]))
        ratio = log_of_theta - log_of_reference
        for name, values in log_p.items():
            values[i] = ratio[along.cells[name]]
    return of_events(log_p)


def turn(scores: np.ndarray, direction: np.ndarray, n_axes: int) -> np.ndarray:
    """The score along a unit vector, and as many other axes as there are to be, as MadMiner has it.

    For one more axis that is the score across, for more the components. ``scores`` are (n_events,
    n_parameters), the result (n_events, n_axes).
    """
    along = (scores @ direction)[:, None]
    if n_axes == 1:
        return along
    if scores.shape[1] == 2:
        across = scores @ np.array([-direction[1], direction[0]])
        return np.column_stack([along, across])
    return np.column_stack([along, scores])


def information(members: Sequence[Member], problem: Problem) -> Information:
    """Fisher information at the reference point, from the test events.

    Where a nuisance parameter changes what is measured, its score is that of the bins.
    """
    scores = all_scores(members, problem.test)
    known = closed_form(members, problem) if problem.train.shifted else None
    if known is not None and members[0].settings(Score).knows_nuisance:
        theta, setup = problem.fisher_theta, problem.setup
        response = density_at(known, setup, theta[None]).response
        assert response is not None, "bins know how nuisance parameters change them"
        of_events = response[0][0][known.cells["test"]]
        weights = problem.test.weights_at(theta)
        of_events = of_events - weights @ of_events / weights.sum()
        shifts = [len(theta) + i for i, one in enumerate(setup.nuisance) if one.shifts]
        scores[:, shifts] = of_events[:, np.array(shifts) - len(theta)]
    return from_scores(
        scores,
        problem.test,
        problem.fisher_theta,
        problem.luminosity,
        problem.everything,
        problem.seed,
        problem.rate_information,
    )


def fisher_scores(members: Sequence[Member], problem: Problem) -> np.ndarray:
    """The score at the reference of every test event, (n_events, n_parameters)."""
    return all_scores(members, problem.test)[:, : len(problem.setup.parameters)]


def event_ratios(members: Sequence[Member], events: Observed, thetas: np.ndarray) -> np.ndarray:
    """None: the likelihood is a histogram of the score."""
    settings = members[0].note.settings
    raise InputError(
        f"{settings.name}: knows only the score at {settings.reference}, and no likelihood ratio "
        "of single events; its limits come from histograms of the score"
    )


def event_scores(
    members: Sequence[Member], events: Observed, theta: np.ndarray | None
) -> np.ndarray:
    """The score at the reference of events, (n_events, n_parameters); InputError elsewhere."""
    settings, reference = members[0].note.settings, members[0].reference
    if theta is not None and not np.array_equal(theta, reference):
        raise InputError(f"{settings.name}: knows only the score at {settings.reference}")
    return all_scores(members, events)[:, : len(reference)]


def diagnostics(members: Sequence[Member], problem: Problem) -> list[Check]:
    """Checks of the estimated score at the reference point."""
    theta = problem.setup.theta(members[0].note.settings.reference)
    return score_checks(all_scores(members, problem.test), problem.test, theta)


def per_event(members: Sequence[Member], problem: Problem) -> Arrays:
    """The estimated score of every test event, and the test events themselves."""
    n = len(problem.setup.parameters)
    return {"score": all_scores(members, problem.test)[:, :n], **problem.test_set()}
