"""Fisher information, with errors from a bootstrap over events.

Definitions follow arXiv:1612.05261 and MadMiner (arXiv:1907.10621, section 4.4): for n expected
events the information is the sum of a rate and a kinematic part. It is calculated for the physics
parameters and the nuisance parameters together, these at 0 and after them, and reported twice: with
the nuisance parameters fixed, and profiled, with a unit Gaussian constraint on each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
from scipy import sparse

from madminer_workflow.large_arrays import RowsFile, pieces, release
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.nuisance import (
    coefficients,
    everywhere,
    shifted_columns,
    without_shifts,
)
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import FisherInformation

REPLICAS = 100


@dataclass(frozen=True)
class Profiled:
    """Information on the physics parameters with the nuisance parameters profiled.

    ``full`` is the information on both, (n_parameters + n_nuisance,) squared, without constraints.
    """

    matrix: np.ndarray
    error: np.ndarray
    full: np.ndarray


@dataclass(frozen=True)
class Information:
    """A Fisher information matrix and the standard errors of its entries.

    The nuisance parameters are fixed; ``profiled`` is None without any.
    """

    matrix: np.ndarray
    error: np.ndarray
    profiled: Profiled | None = None


@dataclass(frozen=True)
class Bootstrap:
    """An estimate and, (n_replicas, ...), the same in Poisson bootstrap replicas of the events."""

    estimate: np.ndarray
    replicas: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Standard errors."""
        return np.std(self.replicas, axis=0, ddof=1)


def bootstrapped(
    estimate: Callable[[np.ndarray], np.ndarray], n_events: int, seed: int
) -> Bootstrap:
    """``estimate`` at unit event multiplicities, and for multiplicities drawn from Poisson's law.

    ``estimate`` maps multiplicities, shape (n_events,), to a matrix.
    """
    first, *replicas = [estimate(times) for times in _multiplicities(n_events, seed)]
    return Bootstrap(first, np.array(replicas))


def _multiplicities(n_events: int, seed: int, rows: slice = slice(None)) -> Iterator[np.ndarray]:
    """How often events occur, (n_events,): once, and then in each replica; those of some ``rows``.

    They are the same for all members.
    """
    drawn = _drawn(n_events, seed)
    yield np.ones(len(range(n_events)[rows]))
    for times in drawn:
        yield times[rows].astype(float)
        release(drawn)


@lru_cache(maxsize=2)
def _drawn(n_events: int, seed: int) -> np.ndarray:
    """How often every event occurs in replicas, (REPLICAS, n_events)."""
    rng = np.random.default_rng(seed)
    with RowsFile(None, n_events, np.uint8) as file:
        for _ in range(REPLICAS):
            file.append(rng.poisson(1.0, (1, n_events)))
        return file.mapped()


def information(parts: Sequence[Bootstrap], n_parameters: int) -> Information:
    """The sum of independent parts, each (n_parameters + n_nuisance,) squared."""
    physics = np.s_[..., :n_parameters, :n_parameters]
    full = np.sum([part.estimate for part in parts], axis=0)
    # Every replica is profiled on its own: the errors of the blocks are correlated.
    replicas = profile(np.sum([part.replicas for part in parts], axis=0), n_parameters)
    return Information(
        full[physics],
        reduce(np.hypot, [part.error[physics] for part in parts]),
        Profiled(profile(full, n_parameters), np.std(replicas, axis=0, ddof=1), full)
        if len(full) > n_parameters
        else None,
    )


def summarise_information(
    ensemble: Information, members: Sequence[Information]
) -> tuple[FisherInformation, FisherInformation | None]:
    """Information of an ensemble with that of its members: nuisance parameters fixed, and profiled.

    The latter is None without any.
    """
    fixed = _with_members(ensemble, members)
    if ensemble.profiled is None:
        return fixed, None
    profiled = [member.profiled for member in members if member.profiled is not None]
    return fixed, _with_members(ensemble.profiled, profiled, ensemble.profiled.full)


def _with_members(
    ensemble: Information | Profiled,
    members: Sequence[Information | Profiled],
    full: np.ndarray | None = None,
) -> FisherInformation:
    matrices = np.array([member.matrix for member in members])
    spread = matrices.std(axis=0, ddof=1) if len(matrices) > 1 else np.zeros_like(ensemble.matrix)
    return FisherInformation(
        matrix=plain(ensemble.matrix),
        statistical_error=plain(ensemble.error),
        ensemble_spread=plain(spread),
        members=plain(matrices),
        full=plain(full),
    )


def profile(full: np.ndarray, n_parameters: int) -> np.ndarray:
    """Information on the first ``n_parameters`` with the others constrained and profiled.

    ``full`` has shape (..., n, n). A unit Gaussian constraint adds 1 to the information on every
    nuisance parameter; profiling subtracts what these take away (arXiv:1612.05261, appendix A.4).
    """
    n_nuisance = full.shape[-1] - n_parameters
    mixed = full[..., n_parameters:, :n_parameters]
    nuisance = full[..., n_parameters:, n_parameters:] + np.eye(n_nuisance)
    lost = np.swapaxes(mixed, -1, -2) @ np.linalg.solve(nuisance, mixed)
    return full[..., :n_parameters, :n_parameters] - lost


def standard_deviations(matrix: np.ndarray) -> list[float | None]:
    """Cramér-Rao: sqrt((I^-1)_ii), all parameters free; None where I cannot tell."""
    if np.linalg.cond(matrix) > 1e12:
        return [None] * len(matrix)
    return [float(np.sqrt(v)) if v > 0.0 else None for v in np.diag(np.linalg.inv(matrix))]


def of_counts(rates: np.ndarray, gradients: np.ndarray, luminosity: float) -> np.ndarray:
    """Information of independent Poisson counts.

    ``rates`` are cross-sections, shape (n_bins,), ``gradients`` their derivatives (n_bins,
    n_parameters). Empty bins carry no information.
    """
    filled = rates > 0.0
    scaled = gradients[filled] / rates[filled, None]
    return luminosity * scaled.T @ gradients[filled]


def histogram(
    events: Events,
    indices: np.ndarray,
    n_bins: int,
    theta: np.ndarray,
    luminosity: float,
    seed: int,
    shifted: Mapping[str, np.ndarray] | None = None,
) -> Bootstrap:
    """Information in the numbers of events in bins; ``indices`` (n_events,) are those of events.

    ``shifted`` are, by nuisance benchmark, those of shifted events, if there are any.
    """
    n_parameters, n_nuisance = len(events.setup.parameters), len(events.setup.nuisance)
    ends = np.cumsum([1, n_parameters, n_nuisance])
    sums = np.zeros((1 + REPLICAS, n_bins, 1 + n_parameters + 2 * n_nuisance))
    for rows in pieces(len(events)):
        columns = _varied_columns(events, theta, rows)
        # Row i of the matrix has the multiplicities of the events in bin i.
        shape = n_bins, len(columns)
        for i, n in enumerate(_multiplicities(len(events), seed, rows)):
            cells = n, indices[rows], np.arange(len(n) + 1)
            sums[i] += sparse.csc_array(cells, shape) @ columns

    moved = [
        (
            n_parameters + column,
            benchmark,
            rows.partners(len(events)),
            rows.weights_at(theta, events.setup),
        )
        for column, benchmark, rows in shifted_columns(events)
    ]

    if moved:
        assert shifted is not None, "the bins of shifted events are needed"
        for i, n in enumerate(_multiplicities(len(events), seed)):
            for column, benchmark, partners, once in moved:
                replicated = n[partners] * once
                sums[i, :, column] = np.bincount(shifted[benchmark], replicated, minlength=n_bins)
    estimates = []
    for in_bins in sums:
        nominal, gradients, up, down = np.split(in_bins, ends, axis=1)
        slopes, _ = coefficients(nominal, up, down, events.setup)
        everything = np.column_stack([gradients, nominal * slopes])
        estimates.append(of_counts(nominal[:, 0], everything, luminosity))
    return Bootstrap(estimates[0], np.array(estimates[1:]))


def _varied_columns(events: Events, theta: np.ndarray, rows: slice) -> np.ndarray:
    """Weights of some events, their gradients, and weights at +1 and -1 of nuisance parameters."""
    weights = events.weights_at(theta, rows)[:, None]
    slopes, curvatures = events.slopes[rows], events.curvatures[rows]
    return np.column_stack(
        [
            weights,
            events.gradients_at(theta, rows),
            weights * np.exp(curvatures + slopes),
            weights * np.exp(curvatures - slopes),
        ]
    )


def rate(events: Events, theta: np.ndarray, luminosity: float) -> Information:
    """Information in the total number of events."""
    return information([counted(events, theta, luminosity)], len(events.setup.parameters))


def counted(events: Events, theta: np.ndarray, luminosity: float) -> Bootstrap:
    """The same, with nuisance parameters, in replicas of the events."""
    cells = np.zeros(len(events), dtype=int)
    return histogram(events, cells, 1, theta, luminosity, seed=1, shifted=everywhere(events))


def truth(events: Events, theta: np.ndarray, luminosity: float) -> Information:
    """Information in the parton-level truth of every event: the ceiling for any method.

    Uncertainties of what is measured in an event change the rate alone.
    """
    events = without_shifts(events, theta)
    size = len(events.setup.parameters) + events.slopes.shape[1]
    sums = np.zeros((1 + REPLICAS, size, size))
    for rows in pieces(len(events)):
        weights, gradients = events.weights_at(theta, rows), events.gradients_at(theta, rows)
        positive = weights > 0.0
        scores = np.column_stack(
            [gradients[positive] / weights[positive, None], events.slopes[rows][positive]]
        )
        weighted = weights[positive, None] * scores
        for i, n in enumerate(_multiplicities(len(events), 2, rows)):
            sums[i] += luminosity * scores.T @ (n[positive, None] * weighted)
    return information([Bootstrap(sums[0], sums[1:])], len(events.setup.parameters))


def from_scores(
    scores: np.ndarray,
    events: Events,
    theta: np.ndarray,
    luminosity: float,
    everything: Events,
    seed: int,
    of_rate: Bootstrap | None = None,
) -> Information:
    """Rate information plus the covariance of estimated scores, (n_events, n_scores).

    As MadMiner's ``FisherInformation.full_information``: the rate comes from ``everything``,
    the kinematics from ``events``, normalised to the same number of expected events. Scores are
    those of the physics parameters, and of the nuisance parameters if the method estimates them:
    otherwise these are taken to change the rate only. ``of_rate`` is the former, if it is known.
    """
    weights = events.weights_at(theta)
    expected = luminosity * everything.cross_section(theta)
    missing = len(events.setup.parameters) + len(events.setup.nuisance) - scores.shape[1]
    complete = np.pad(scores, ((0, 0), (0, missing)))

    def estimate(n: np.ndarray) -> np.ndarray:
        normalised = n * weights / (n @ weights)
        return expected * complete.T @ (normalised[:, None] * complete)

    kinematic = bootstrapped(estimate, len(events), seed)
    rate_part = counted(everything, theta, luminosity) if of_rate is None else of_rate
    return information([rate_part, kinematic], len(events.setup.parameters))
