"""Methods that say how probable single events are: likelihood ratios and densities.

What is called log ratio here is log r(x | theta, reference) of an estimator of the ratio, and
log p(x | theta) of one of the density.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from madminer_workflow.analysis.types import Parameterized, Ratio
from madminer_workflow.large_arrays import by_rows
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods.drawing import prior_spread
from madminer_workflow.ml.methods.family import Arrays
from madminer_workflow.statistics.checks.families import ratio_checks
from madminer_workflow.statistics.fluctuations import Fluctuations
from madminer_workflow.statistics.information import Information, from_scores
from madminer_workflow.statistics.likelihood import Density
from madminer_workflow.statistics.observed import Observed
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Check


def log_ratios(member: Member, events: Observed, thetas: np.ndarray) -> np.ndarray:
    """One member's log ratios, shape (n_thetas, n_events)."""
    from madminer_workflow.ml import networks

    def some(rows: slice) -> np.ndarray:
        return networks.at_all_points(member.network, member.inputs(events, rows), thetas).T

    return member.numbers("log ratios", by_rows(len(events), len(thetas), some).T)


def mean_log_ratios(members: Sequence[Member], events: Observed, thetas: np.ndarray) -> np.ndarray:
    """The ensemble's log ratios: the mean of ``log_ratios``."""
    what = f"log ratios at {thetas.tolist()}"
    rows = [
        member.once(events, what, partial(log_ratios, member, events, thetas)) for member in members
    ]
    return np.mean(rows, axis=0)


def score(member: Member, events: Observed, theta: np.ndarray) -> np.ndarray:
    """One member's score at ``theta``: the gradient of the log ratio, (n_events, n_parameters)."""
    from madminer_workflow.ml import networks

    def some(rows: slice) -> np.ndarray:
        x = member.inputs(events, rows)
        return networks.evaluate(member.network, x, theta[None, :], score=True)[1][0]

    return by_rows(len(events), len(theta), some)


def scores(members: Sequence[Member], events: Observed, theta: np.ndarray) -> np.ndarray:
    """Mean score at ``theta``, (n_events, n_parameters)."""
    what = f"score at {theta.tolist()}"
    rows = [member.once(events, what, partial(score, member, events, theta)) for member in members]
    return np.mean(rows, axis=0)


def outputs(member: Member, problem: Problem, thetas: np.ndarray) -> Arrays:
    """Log ratios of test and observed events, each (n_thetas, n_events)."""
    return {
        name: log_ratios(member, events, thetas)
        for name, events in problem.samples().items()
        if name != "train"
    }


def closed_form(members: Sequence[Member], problem: Problem) -> None:
    """None: networks take the parameters as inputs."""


def fluctuations(members: Sequence[Member], problem: Problem) -> dict[str, Fluctuations]:
    """Nothing: how other simulated events would have trained the networks is not known."""
    return {}


def of_events(log_p: Mapping[str, np.ndarray]) -> Density:
    """The density of events that are cells of their own, by sample, each (n_thetas, n_events)."""
    sizes = [values.shape[1] for values in log_p.values()]
    ends = np.cumsum(sizes)
    cells = {name: np.arange(end - n, end) for name, end, n in zip(log_p, ends, sizes, strict=True)}
    return Density(np.concatenate(list(log_p.values()), axis=1), cells)


def information(members: Sequence[Member], problem: Problem) -> Information:
    """Fisher information from the test events: the covariance of the score.

    The mean score is 0 for a normalised density; that of a ratio vanishes when it is normalised.
    """
    return of_scores(fisher_scores(members, problem), problem)


def fisher_scores(members: Sequence[Member], problem: Problem) -> np.ndarray:
    """The score at the Fisher point of every test event, (n_events, n_parameters)."""
    return scores(members, problem.test, problem.fisher_theta)


def of_scores(estimated: np.ndarray, problem: Problem) -> Information:
    """Information from the test events' scores (n_events, n_parameters), less their mean."""
    theta = problem.fisher_theta
    weights = problem.test.weights_at(theta)
    return from_scores(
        estimated - weights @ estimated / weights.sum(),
        problem.test,
        theta,
        problem.luminosity,
        problem.everything,
        problem.seed,
        problem.rate_information,
    )


def diagnostics(members: Sequence[Member], problem: Problem) -> list[Check]:
    """Checks of the ratio along every axis of the prior and of its score at the reference."""
    theta1, thetas = typical_points(members[0], problem)
    return ratio_checks(
        ratios_to(theta1, members, problem.test, thetas),
        scores(members, problem.test, theta1),
        problem.test,
        theta1,
        thetas,
    )


def ratios_to(
    theta1: np.ndarray, members: Sequence[Member], events: Observed, thetas: np.ndarray
) -> np.ndarray:
    """The ensemble's log r(x | thetas, theta1) of events, (n_thetas, n_events)."""
    log_r = mean_log_ratios(members, events, thetas)
    if isinstance(members[0].note.settings, Ratio):
        return log_r
    return log_r - mean_log_ratios(members, events, theta1[None, :])


def event_ratios(members: Sequence[Member], events: Observed, thetas: np.ndarray) -> np.ndarray:
    """The same to the reference, as the networks say it: (n_thetas, n_events)."""
    return ratios_to(members[0].reference, members, events, thetas)


def event_scores(
    members: Sequence[Member], events: Observed, theta: np.ndarray | None
) -> np.ndarray:
    """The score of events at a point, or at the reference, (n_events, n_parameters)."""
    return scores(members, events, members[0].reference if theta is None else theta)


def typical_points(member: Member, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The reference point, and the points one standard deviation of the prior away from it."""
    settings = member.settings(Parameterized)
    theta1 = problem.setup.theta(settings.reference)
    priors = settings.theta0.priors
    steps = np.diag([prior_spread(priors[name]) for name in problem.setup.parameters])
    return theta1, theta1 + np.concatenate([steps, -steps])


def per_event(members: Sequence[Member], problem: Problem) -> Arrays:
    """Log ratios at typical points and the score of every test event, and the events."""
    theta1, thetas = typical_points(members[0], problem)
    return {
        "theta_llr": thetas,
        "log_likelihood_ratio": ratios_to(theta1, members, problem.test, thetas),
        "score": scores(members, problem.test, theta1),
        **problem.test_set(),
    }
