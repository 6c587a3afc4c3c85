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
    factors = np.hstack([np.ones((len(events), 1)), varied_factors(events)])
    rates = np.empty((*factors.shape, setup.morphing_matrix.shape[1]))
    for rows in pieces(len(events)):
        varied = factors[rows, :, None] * events.weights[rows, None]
        rates[rows] = np.ascontiguousarray(varied) @ setup.morphing_matrix
        release(events.weights)
    norm = rates[:, 0].sum(axis=0) / reference.sum()
    possible = reference != 0.0
    rates[possible] /= reference[possible, None, None]
    # What never happens does not depend on the parameters.
    rates[~possible] = norm
    return PolynomialDensity(
        Monomials(setup.components),
        rates[:, 0],
        norm,
        {"test": cells},
        rates[:, 1:],
        reference / reference.sum(),
    )


def truth_log_likelihoods(
    problem: Problem, thetas: np.ndarray, data: DataSets, profiled: bool = True
) -> dict[str, np.ndarray]:
    """The ceiling's log likelihoods by kind, (n_sets, n_thetas), of data made of test events."""
    known = truth(problem)
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
