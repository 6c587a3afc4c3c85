"""The likelihood ratio of the observables as a polynomial in the parameters, learned once.

The cross-section of a simulated event is a known polynomial, dsigma(x, z | theta) = sum_k c_k(x, z)
m_k(theta); so is that of the observables, whose coefficients are the means E[c_k | x]. A network
learns them from all events with all their weights: no parameter points are drawn. Where the
cross-section is a squared amplitude, so is the network's (arXiv:2007.10356; arXiv:2211.02058), even
if single events have negative weights: their mean given x is positive. Interference alone and odd
powers are no squares; then the ratio has no bounds, and has to be positive where limits are set.
Ratio, score, information, limits and toys follow from the coefficients in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from madminer_workflow.analysis import types
from madminer_workflow.array_files import Checked, read_npz
from madminer_workflow.madminer_file import LARGEST_POWER
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods.family import Arrays, Losses, OnEpoch
from madminer_workflow.ml.methods.unbinned import of_scores
from madminer_workflow.ml.polynomial_network import PolynomialNetwork
from madminer_workflow.ml.polynomial_pool import make_pool
from madminer_workflow.statistics.checks.directions import seen_check
from madminer_workflow.statistics.checks.families import ratio_checks
from madminer_workflow.statistics.checks.positivity import positivity_checks
from madminer_workflow.statistics.checks.reach import EstimatedRatio
from madminer_workflow.statistics.events import Events, Observed
from madminer_workflow.statistics.information import Information
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.polynomial import PolynomialDensity, scores
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Check

MODEL = "polynomial.npz"
NORM = "norm.npz"

CHECKED = (0.5, 1.0)
"""Standard deviations of a single event from the reference that ratios are checked at."""


def draw(events: Events, settings: types.Polynomial, rng: np.random.Generator) -> Arrays:
    """All training events: observables and coefficients of their cross-sections.

    ``coefficients``, (n_events, n_monomials), are those of the monomials with ``powers``
    (n_monomials, n_parameters) of theta - ``origin``, which is the reference.
    """
    setup = events.setup
    monomials = Monomials(setup.components)
    origin = setup.theta(settings.theta)
    moved = monomials.moved(origin, np.ones_like(origin))
    in_theta = events.weights @ setup.morphing_matrix
    return {
        "x": events.columns(settings.inputs(events.observables)),
        "coefficients": np.linalg.solve(moved.T, in_theta.T).T,
        "powers": setup.components,
        "origin": origin,
    }


def train(
    arrays: Arrays,
    settings: types.Polynomial,
    directory: Path,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Losses:
    """Fit the network to all events and note the mean of its ratio over those of the reference."""
    from madminer_workflow.ml import polynomial_training

    monomials, coefficients = Monomials(arrays["powers"]), arrays["coefficients"]
    constant = monomials.powers.sum(axis=1) == 0
    rates = coefficients[:, constant][:, 0]
    pool = make_pool(coefficients, monomials, np.random.default_rng(seed))
    losses = polynomial_training.EpochLosses(len(arrays["x"]), settings.training, on_epoch)
    network = polynomial_training.train(
        arrays["x"],
        coefficients * np.prod(pool.units**monomials.powers, axis=1) / rates.mean(),
        monomials,
        arrays["origin"],
        pool,
        settings,
        seed,
        losses,
    )
    network.save(directory / MODEL)
    norm = rates @ network.coefficients(arrays["x"], monomials) / rates.sum()
    np.savez(directory / NORM, allow_pickle=False, powers=monomials.powers, coefficients=norm)
    return {"training": losses.means}


@lru_cache(maxsize=64)
def _load(member: Member) -> tuple[PolynomialNetwork, Monomials, np.ndarray]:
    """The network, and its norm as coefficients (n_monomials,) of monomials."""
    with member.reading(MODEL):
        inputs = member.note.settings.inputs(member.note.observables)
        sizes = {"inputs": len(inputs), "parameters": len(member.note.parameters)}
        network = PolynomialNetwork.load(member.directory / MODEL, Checked(**sizes))
    with member.reading(NORM):
        check, norm = Checked(**sizes), read_npz(member.directory / NORM)
        powers = check.of(norm, "powers", "monomials", "parameters", whole=True, least=0)
        if powers.max(initial=0) > LARGEST_POWER:
            raise ValueError("powers: are larger than any cross-section has")
        return network, Monomials(powers), check.of(norm, "coefficients", "monomials")


def log_ratios(member: Member, x: np.ndarray, thetas: np.ndarray) -> np.ndarray:
    """One member's normalised log ratio to the reference, (n_events,).

    Of inputs ``x`` (n_events, n_inputs), each at its own of ``thetas`` (n_events, n_parameters);
    minus infinity where the ratio is not positive.
    """
    network, monomials, norm = _load(member)
    values = monomials.values(thetas)
    forms = member.numbers("coefficients", network.coefficients(x, monomials))
    ratios = np.einsum("nk,nk->n", forms, values)
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(ratios, 0.0)) - np.log(values @ norm)


def coefficients(member: Member, events: Observed, monomials: Monomials) -> np.ndarray:
    """One member's ratio of every event to the reference, (n_events, n_monomials)."""
    network, *_ = _load(member)
    return member.once(
        events, "coefficients", lambda: network.coefficients(member.inputs(events), monomials)
    )


def closed_form(members: Sequence[Member], problem: Problem) -> PolynomialDensity:
    """The mean ratio of an ensemble to the reference; cells are test and observed events."""
    monomials = Monomials(problem.setup.components)
    rows, cells, n_cells = [], {}, 0
    for name, events in problem.samples().items():
        if name != "train":
            rows.append(np.mean([coefficients(one, events, monomials) for one in members], axis=0))
            cells[name] = np.arange(n_cells, n_cells + len(events))
            n_cells += len(events)
    norm = np.mean([_load(one)[2] for one in members], axis=0)
    return PolynomialDensity(monomials, np.concatenate(rows), norm, cells)


def information(members: Sequence[Member], problem: Problem) -> Information:
    """Fisher information from the test events: the covariance of the score."""
    return of_scores(fisher_scores(members, problem), problem)


def fisher_scores(members: Sequence[Member], problem: Problem) -> np.ndarray:
    """The score at the Fisher point of every test event, (n_events, n_parameters)."""
    return _scores(members, problem, problem.fisher_theta)


def _scores(members: Sequence[Member], problem: Problem, theta: np.ndarray) -> np.ndarray:
    """The score of the shape at ``theta`` of every test event, (n_events, n_parameters)."""
    known = closed_form(members, problem)
    of_rate = scores(known.norm[None, :], known.monomials, theta)
    return scores(known.rows("test"), known.monomials, theta) - of_rate


def diagnostics(members: Sequence[Member], problem: Problem) -> list[Check]:
    """Checks of the ratio along every axis, of its score at the reference, and of its reach."""
    theta1, thetas = checked_points(members, problem)
    log_r = true_norm_ratios(members, problem, theta1, thetas)
    ratio = estimated_ratio(members, problem)
    return [
        *ratio_checks(log_r, _scores(members, problem, theta1), problem.test, theta1, thetas),
        seen_check(ratio),
        *([] if _load(members[0])[0].squared else positivity_checks(ratio)),
    ]


def estimated_ratio(members: Sequence[Member], problem: Problem) -> EstimatedRatio:
    """That of an ensemble for the test events."""
    known = closed_form(members, problem)
    return EstimatedRatio(known.rows("test"), known.norm, known.monomials, problem)


def checked_points(members: Sequence[Member], problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The reference, and points on either side of it along every parameter.

    Where ratios can be negative, far from the reference they are: those where limits end.
    """
    network, *_ = _load(members[0])
    axes = np.diag(network.units)
    if network.squared:
        steps = np.concatenate([length * axes for length in CHECKED])
        return network.origin, network.origin + np.concatenate([steps, -steps])
    points = estimated_ratio(members, problem).ends(np.concatenate([axes, -axes]))
    ended = np.isfinite(points).all(axis=1)
    return network.origin, points[ended] if ended.any() else problem.theta_true[None] + axes


def true_norm_ratios(
    members: Sequence[Member], problem: Problem, theta1: np.ndarray, thetas: np.ndarray
) -> np.ndarray:
    """Log ratios of the shape, (n_thetas, n_events), with the true rates rather than the mean's.

    Their mean over events of the reference shows whether what was learned is normalised.
    """
    known = closed_form(members, problem)
    rates = problem.everything.cross_section(np.vstack([theta1, thetas]))
    log_r = known.log_polynomials(thetas, "test")
    return log_r - np.log(rates[1:] / rates[0])[:, None]


def per_event(members: Sequence[Member], problem: Problem) -> Arrays:
    """Log ratios at the points of the checks and the score of every test event, and the events."""
    theta1, thetas = checked_points(members, problem)
    return {
        "theta_llr": thetas,
        "log_likelihood_ratio": true_norm_ratios(members, problem, theta1, thetas),
        "score": _scores(members, problem, theta1),
        **problem.test_set(),
    }
