"""How much of the information that events hold an estimated score has for certain.

The Fisher information that a method claims takes its estimate t for the mean of the partons' score
s given what t is made from. A network that fluctuates claims too much by that, one that averages
too widely too little. Without that assumption, the mean of t changes by E[s t] per unit of a
parameter and its covariance is E[t t], both centred: an information of

    E[s t] E[t t]^-1 E[t s]

per event, which no calibration changes. It is *proven* if the events are not those of the
training, and a lower bound of what the observables hold; t = s gives that of the partons. To it
comes the information in the rate, which is the same for all methods and has no error here. Nuisance
parameters are fixed at 0.

All methods are measured with the same events and the same bootstrap replicas of them: the error of
what is compared is that of the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from madminer_workflow.statistics.information import Bootstrap, bootstrapped, of_counts
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Estimate, ProvenInformation, Shares

KNOWN = 3.0
"""Standard errors by which information in a direction has to differ from none."""

ROUNDING = 1e-10


def proven(scores: np.ndarray, problem: Problem) -> Bootstrap:
    """Proven information of scores of the test events at the Fisher point, (n_events, n_scores)."""

    def estimate(true: np.ndarray, estimated: np.ndarray, p: np.ndarray) -> np.ndarray:
        crossed = (p[:, None] * true).T @ estimated
        squares = (p[:, None] * estimated).T @ estimated
        return crossed @ np.linalg.pinv(squares, rcond=ROUNDING, hermitian=True) @ crossed.T

    widths = scores.std(axis=0)
    return _with_rate(estimate, scores / np.where(widths > 0.0, widths, 1.0), problem)


def claimed(scores: np.ndarray, problem: Problem) -> Bootstrap:
    """What the same events and scores have if the scores are taken for true ones."""

    def estimate(true: np.ndarray, estimated: np.ndarray, p: np.ndarray) -> np.ndarray:
        return (p[:, None] * estimated).T @ estimated

    return _with_rate(estimate, scores, problem)


def of_partons(problem: Problem) -> Bootstrap:
    """The information of the partons' momenta in the same events, which no method exceeds."""

    def estimate(true: np.ndarray, estimated: np.ndarray, p: np.ndarray) -> np.ndarray:
        return (p[:, None] * true).T @ true

    return _with_rate(estimate, np.zeros((len(problem.test), 0)), problem)


def _with_rate(
    estimate: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    scores: np.ndarray,
    problem: Problem,
) -> Bootstrap:
    """Rate information and that of all expected events, ``estimate`` of a mean one.

    ``estimate`` maps the partons' score, the scores, both centred, and the probabilities of the
    events to a matrix.
    """
    theta, everything = problem.fisher_theta, problem.everything
    weights = problem.test.weights_at(theta)
    filled = np.flatnonzero(weights > 0.0)
    true = problem.test.scores_at(theta, filled)
    totals = everything.weights_at(theta).sum(keepdims=True)
    slopes = everything.gradients_at(theta).sum(axis=0, keepdims=True)
    rate = of_counts(totals, slopes, problem.luminosity)
    expected = problem.expected_events(theta)

    def of_replica(n: np.ndarray) -> np.ndarray:
        p = n[filled] * weights[filled]
        p /= p.sum()
        centred = [values - p @ values for values in (true, scores[filled])]
        return rate + expected * estimate(centred[0], centred[1], p)

    return bootstrapped(of_replica, len(weights), problem.seed)


def known_directions(found: Sequence[Bootstrap], ceiling: Bootstrap) -> np.ndarray:
    """Directions of the parameter space in which methods together prove something, (n, n_known).

    They are eigenvectors of the mean of what is ``found`` in units of the ``ceiling``. In other
    directions, ratios of information are ratios of noise.
    """
    units = np.sqrt(np.diag(ceiling.estimate))
    units = np.where(units > 0.0, units, np.inf)
    values, vectors = np.linalg.eigh(ceiling.estimate / np.outer(units, units))
    some = values > ROUNDING * values[-1]
    whiten = vectors[:, some] / np.sqrt(values[some]) / units[:, None]
    mean = np.mean([one.estimate for one in found], axis=0)
    directions = whiten @ np.linalg.eigh(whiten.T @ mean @ whiten)[1]
    replicas = np.mean([one.replicas for one in found], axis=0)
    along = Bootstrap(*(_along(matrices, directions) for matrices in (mean, replicas)))
    return directions[:, along.estimate > KNOWN * along.error]


def _along(matrices: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The information in single directions, (..., n_directions)."""
    return np.einsum("...ij,id,jd->...d", matrices, directions, directions)


def shares(
    found: Bootstrap, whole: Bootstrap, directions: np.ndarray, parameters: Sequence[str]
) -> Shares:
    """One information over another of the same replicas, by parameter and in all ``directions``.

    A share is not a number where the other information differs from none by noise only.
    """

    def ratios(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            single = _diagonals(ours) / _diagonals(theirs)
            return np.append(single, _size(ours, directions) / _size(theirs, directions))

    # An array (n_replicas, n_parameters + 1), as one replica has no errors of its own.
    replicas = [ratios(*pair) for pair in zip(found.replicas, whole.replicas, strict=True)]
    result = Bootstrap(ratios(found.estimate, whole.estimate), np.array(replicas))
    noise = Bootstrap(_diagonals(whole.estimate), _diagonals(whole.replicas)).error
    unknown = np.append(_diagonals(whole.estimate) <= KNOWN * noise, directions.shape[1] == 0)
    *single, together = [
        Estimate(value=None, error=None) if no else Estimate(value=value, error=error)
        for value, error, no in zip(
            plain(result.estimate), plain(result.error), unknown, strict=True
        )
    ]
    return Shares(parameters=dict(zip(parameters, single, strict=True)), together=together)


def _diagonals(matrices: np.ndarray) -> np.ndarray:
    return np.diagonal(matrices, axis1=-2, axis2=-1)


def _size(matrix: np.ndarray, directions: np.ndarray) -> float:
    """The geometric mean of the information in independent directions."""
    determinant = np.linalg.det(directions.T @ matrix @ directions)
    return float(max(determinant, 0.0) ** (1.0 / max(directions.shape[1], 1)))


def summarise_proven(scores: np.ndarray, problem: Problem) -> tuple[ProvenInformation, Bootstrap]:
    """What a method's scores of the test events prove, and what they claim beside it."""
    found = proven(scores, problem)
    directions = known_directions([found], of_partons(problem))
    return ProvenInformation(
        matrix=plain(found.estimate),
        error=plain(found.error),
        claimed=shares(claimed(scores, problem), found, directions, problem.setup.parameters),
    ), found
