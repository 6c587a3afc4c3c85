"""What any method is measured against: the rate alone, and the truth of every event."""

from __future__ import annotations

import numpy as np

from madminer_workflow.large_arrays import pieces, release
from madminer_workflow.statistics.closed_form import density_at
from madminer_workflow.statistics.likelihood import DataSets, Density, chunks, log_likelihoods
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.nuisance import varied_factors, without_shifts
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem


def truth(problem: Problem) -> PolynomialDensity:
    """The density of partons with respect to ``theta_true``, as if they were observed: a ceiling.

    From the joint likelihood ratio of every test event. Partons know nothing of how objects are
    measured: such uncertainties change the rate alone, as they do at ``theta_true``.
    """
    setup = problem.setup
    events = without_shifts(problem.test, problem.theta_true)
    reference = events.weights_at(problem.theta_true)
    cells = np.arange(len(events))
    n_variations = 1 + 2 * events.slopes.shape[1]
    rates = np.empty((len(events), n_variations, setup.morphing_matrix.shape[1]))
    for rows in pieces(len(events)):
        weights = events.weights[rows, None]
        factors = np.hstack([np.ones((len(weights), 1)), varied_factors(events, rows)])
        rates[rows] = np.ascontiguousarray(factors[:, :, None] * weights) @ setup.morphing_matrix
        release(events.weights)
    norm = rates[:, 0].sum(axis=0) / reference.sum()
    for rows in pieces(len(events)):
        some, possible = rates[rows], reference[rows] != 0.0
        some[possible] /= reference[rows][possible, None, None]
        # What never happens does not depend on the parameters.
        some[~possible] = norm
    return PolynomialDensity(
        Monomials(setup.components),
        rates[:, 0],
        norm,
        {"test": cells},
        rates[:, 1:],
        reference / reference.sum(),
    )


def truth_log_likelihoods(
    known: PolynomialDensity,
    problem: Problem,
    thetas: np.ndarray,
    data: DataSets,
    profiled: bool = True,
) -> dict[str, np.ndarray]:
    """The ceiling's log likelihoods by kind, (n_sets, n_thetas), of data made of test events.

    ``known`` is the ``truth``.
    """
    # Profiling makes arrays with a number per event, parameter point and nuisance parameter.
    size = len(problem.test) * (1 + 4 * len(problem.setup.nuisance))
    pieces = [
        log_likelihoods(density_at(known, problem.setup, chunk), data, problem, chunk, profiled)
        for chunk in chunks(thetas, size)
    ]
    return {kind: np.concatenate([piece[kind] for piece in pieces], axis=1) for kind in pieces[0]}


def rate_log_likelihood(
    problem: Problem, thetas: np.ndarray, data: DataSets, profiled: bool = True
) -> np.ndarray:
    """Poisson log likelihood of the number of events up to a constant, (n_sets, n_thetas)."""
    one_cell = {name: np.zeros(len(events), int) for name, events in problem.samples().items()}
    density = Density(np.zeros((len(thetas), 1)), one_cell)
    return log_likelihoods(density, data, problem, thetas, profiled)["rate_and_shape"]
