"""What any method is measured against: the rate alone, and the truth of every event."""

from __future__ import annotations

import numpy as np

from madminer_workflow.statistics.likelihood import DataSets, Density, chunks, log_likelihoods
from madminer_workflow.statistics.problem import Problem


def truth_density(problem: Problem, thetas: np.ndarray) -> Density:
    """The density of partons with respect to ``theta_true``, as if they were observed: a ceiling.

    From the joint likelihood ratio of every test event.
    """
    events = problem.test
    reference = events.weights_at(problem.theta_true)
    ratios = problem.setup.morphing_weights(thetas) @ events.weights.T
    ratios = np.maximum(ratios, 1e-300) / np.maximum(reference, 1e-300)
    totals = events.cross_section(thetas) / reference.sum()
    return Density(
        log_p=np.log(ratios) - np.log(totals)[:, None],
        cells={"test": np.arange(len(events))},
        response=(events.slopes[None], events.curvatures[None]),
        measure=reference / reference.sum(),
    )


def truth_log_likelihoods(
    problem: Problem, thetas: np.ndarray, data: DataSets, profiled: bool = True
) -> dict[str, np.ndarray]:
    """The ceiling's log likelihoods by kind, (n_sets, n_thetas), of data made of test events."""
    # Profiling makes arrays with a number per event, parameter point and nuisance parameter.
    size = len(problem.test) * (1 + 4 * len(problem.setup.nuisance))
    pieces = [
        log_likelihoods(truth_density(problem, chunk), data, problem, chunk, profiled)
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
