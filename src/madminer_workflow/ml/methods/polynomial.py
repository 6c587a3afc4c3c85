"""The likelihood ratio of the observables as a polynomial in the parameters, learned once.

The cross-section of a simulated event is a known polynomial, dsigma(x, z | theta) = sum_k c_k(x, z)
m_k(theta); so is that of the observables, whose coefficients are the means E[c_k | x]. A network
learns them from all events with all their weights: no parameter points are drawn. Where the
cross-section is a squared amplitude, so is the network's (arXiv:2007.10356; arXiv:2211.02058), even
if single events have negative weights: their mean given x is positive. Interference alone and odd
powers are no squares; then the ratio has no bounds, and has to be positive where limits are set.
Ratio, score, information, limits and toys follow from the coefficients in closed form. Where there
are nuisance parameters, a second network learns how the ratio responds to them
(``ml.polynomial_response``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from madminer_workflow.analysis import types
from madminer_workflow.array_files import Checked, read_npz
from madminer_workflow.errors import InputError
from madminer_workflow.large_arrays import ROWS, by_rows, release
from madminer_workflow.madminer_file import LARGEST_POWER
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods.family import Arrays, Losses, OnEpoch
from madminer_workflow.ml.methods.unbinned import of_scores
from madminer_workflow.ml.polynomial_network import PolynomialNetwork
from madminer_workflow.ml.polynomial_pool import make_pool
from madminer_workflow.ml.polynomial_response import ResponseNetwork
from madminer_workflow.statistics.checks.directions import seen_check
from madminer_workflow.statistics.checks.families import ratio_checks
from madminer_workflow.statistics.checks.positivity import positivity_checks
from madminer_workflow.statistics.checks.reach import EstimatedRatio
from madminer_workflow.statistics.checks.response import Measured, Variation, response_checks
from madminer_workflow.statistics.event_parts import event_response, with_parts
from madminer_workflow.statistics.events import Events, Observed
from madminer_workflow.statistics.fluctuations import (
    SIMULATION,
    TRAINING,
    Fluctuations,
    of_members,
    of_norm,
)
from madminer_workflow.statistics.information import Information
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.nuisance import (
    changing,
    known_factors,
    shifted_columns,
    varied_factors,
)
from madminer_workflow.statistics.polynomial import (
    IMPOSSIBLE,
    EventResponse,
    PolynomialDensity,
    scores,
)
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Check

MODEL = "polynomial.npz"
NORM = "norm.npz"
RESPONSE = "response.npz"
"""The last only where there are nuisance parameters."""

CHECKED = (0.5, 1.0)
"""Standard deviations of a single event from the reference that ratios are checked at."""


def draw(events: Events, settings: types.Polynomial, rng: np.random.Generator) -> Arrays:
    """All training events: observables and coefficients of their cross-sections.

    ``coefficients``, (n_events, n_monomials), are those of the monomials with ``powers``
    (n_monomials, n_parameters) of theta - ``origin``, which is the reference. Where there are
    nuisance parameters, they are multiplied by ``factors`` (n_events, 2 n_nuisance) at +1 and -1,
    or there are other events at variation k: ``x_k``, ``coefficients_k``, and the nominal events
    ``partners_k`` that they come with.
    """
    setup = events.setup
    monomials = Monomials(setup.components)
    origin = setup.theta(settings.theta)
    moved = monomials.moved(origin, np.ones_like(origin))

    def coefficients(weights: np.ndarray) -> np.ndarray:
        def some(rows: slice) -> np.ndarray:
            values = np.linalg.solve(moved.T, (weights[rows] @ setup.morphing_matrix).T).T
            release(weights)
            return values

        return by_rows(len(weights), len(monomials), some)

    inputs = settings.inputs(events.observables)
    arrays = {
        "x": events.columns(inputs),
        "coefficients": coefficients(events.weights),
        "powers": setup.components,
        "origin": origin,
    }
    if setup.nuisance:
        arrays["factors"] = known_factors(events)
    for k, benchmark, shifted in shifted_columns(events):
        require_defined(shifted, inputs, benchmark)
        arrays[f"x_{k}"] = shifted.columns(inputs)
        arrays[f"coefficients_{k}"] = coefficients(shifted.weights)
        arrays[f"partners_{k}"] = shifted.partners(len(events))
    return arrays


def require_defined(events: Observed, names: Sequence[str], benchmark: str) -> None:
    """Raise InputError if an observable that is learned from is not a finite number somewhere."""
    for name in names:
        undefined = int(np.sum(~np.isfinite(events.columns([name]))))
        if undefined:
            raise InputError(
                f"observable {name}: is undefined in {undefined} of {len(events)} events at "
                f"{benchmark}; give it a default or make it required"
            )


def train(
    arrays: Arrays,
    settings: types.Polynomial,
    directory: Path,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Losses:
    """Fit the network to all events and note the mean of its ratio over those of the reference."""
    from madminer_workflow.ml import polynomial_response_training, polynomial_training

    monomials, coefficients = Monomials(arrays["powers"]), arrays["coefficients"]
    constant = monomials.powers.sum(axis=1) == 0
    rates = np.array(coefficients[:, int(np.flatnonzero(constant)[0])])
    release(coefficients)
    pool = make_pool(coefficients, monomials, np.random.default_rng(seed))
    losses = polynomial_training.EpochLosses(len(arrays["x"]), settings.training, on_epoch)
    units = np.prod(pool.units**monomials.powers, axis=1)
    in_units = by_rows(
        len(coefficients),
        len(monomials),
        lambda rows: coefficients[rows] * units / rates.mean(),
    )
    network = polynomial_training.train(
        arrays["x"],
        in_units,
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
    if "factors" in arrays:
        factors = arrays["factors"]
        varied: dict[int, np.ndarray | polynomial_response_training.ShiftedEvents] = {
            int(k): factors[:, k - 1] for k in changing(factors, rates)
        }
        for k in range(1, 1 + factors.shape[1]):
            if f"x_{k}" in arrays:
                varied[k] = polynomial_response_training.ShiftedEvents(
                    arrays[f"x_{k}"],
                    arrays[f"coefficients_{k}"] * units / rates.mean(),
                    arrays[f"partners_{k}"],
                )
        polynomial_response_training.train(
            arrays["x"], in_units, varied, monomials, network, pool, seed
        ).save(directory / RESPONSE)
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


@lru_cache(maxsize=64)
def _load_response(member: Member) -> ResponseNetwork:
    network, monomials, _ = _load(member)
    check = Checked(
        inputs=len(member.note.settings.inputs(member.note.observables)),
        variations=2 * len(member.note.nuisance_parameters),
        monomials=len(monomials),
    )
    with member.reading(RESPONSE):
        return ResponseNetwork.load(member.directory / RESPONSE, network, check)


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


def varied_coefficients(member: Member, events: Observed, monomials: Monomials) -> np.ndarray:
    """The same with nuisance parameters at +1 or -1, (n_events, n_changing, n_monomials)."""
    response = _load_response(member)
    return member.once(
        events,
        "varied coefficients",
        lambda: response.coefficients(member.inputs(events), monomials),
    )


def closed_form(members: Sequence[Member], problem: Problem) -> PolynomialDensity:
    """The mean ratio of an ensemble to the reference; cells are test and observed events."""
    known = nominal(members, problem)
    if not problem.setup.nuisance:
        return known
    theta, rows = problem.theta_true, _mean_of_all(varied_coefficients, members, problem)
    networks = [_load_response(one) for one in members]
    norm, variations = np.mean([one.norm for one in networks], axis=0), networks[0].changing
    nothing = np.empty((0, *problem.setup.morphing_matrix.shape))
    known = replace(known, response=EventResponse(variations, rows, norm, nothing, nothing))
    of_reference = problem.test.weights_at(networks[0].ratio.origin)
    return with_parts(known, "test", of_reference, theta, problem)


def ratio(members: Sequence[Member], events: Observed) -> PolynomialDensity:
    """The mean ratio of an ensemble to the reference, nuisance parameters at 0, of any events.

    Every one of them is a cell.
    """
    _, monomials, _ = _load(members[0])
    rows = [coefficients(member, events, monomials) for member in members]
    norm = np.mean([_load(one)[2] for one in members], axis=0)
    cells = {"events": np.arange(len(events))}
    return PolynomialDensity(monomials, np.mean(rows, axis=0), norm, cells)


def event_ratios(members: Sequence[Member], events: Observed, thetas: np.ndarray) -> np.ndarray:
    """The logarithm of ``ratio``, normalised, (n_thetas, n_events); -inf where it is not above 0.

    So are those that limits are made from.
    """
    log_r = ratio(members, events).log_density(thetas)
    return np.where(log_r > 0.5 * IMPOSSIBLE, log_r, -np.inf)


def event_scores(
    members: Sequence[Member], events: Observed, theta: np.ndarray | None
) -> np.ndarray:
    """The score of the shape at a point, or at the reference, (n_events, n_parameters)."""
    known = ratio(members, events)
    return _shape_scores(
        known, known.coefficients, members[0].reference if theta is None else theta
    )


def nominal(members: Sequence[Member], problem: Problem) -> PolynomialDensity:
    """The same with nuisance parameters at 0."""
    cells, n_cells = {}, 0
    for name, events in problem.samples().items():
        if name != "train":
            cells[name] = np.arange(n_cells, n_cells + len(events))
            n_cells += len(events)
    return PolynomialDensity(
        Monomials(problem.setup.components),
        _mean_of_all(coefficients, members, problem),
        np.mean([_load(one)[2] for one in members], axis=0),
        cells,
    )


def _mean_of_all(
    of_member: Callable[[Member, Observed, Monomials], np.ndarray],
    members: Sequence[Member],
    problem: Problem,
) -> np.ndarray:
    """The mean over members of what each says of test and observed events."""
    monomials = Monomials(problem.setup.components)
    means = [
        _mean([of_member(member, events, monomials) for member in members])
        for name, events in problem.samples().items()
        if name != "train"
    ]
    return means[0] if len(means) == 1 else np.concatenate(means)


def _mean(rows: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over members of ``rows`` (n, ...) of each; those of a lone one themselves."""
    if len(rows) == 1:
        return rows[0]
    if rows[0].ndim > 2 or len(rows[0]) <= ROWS:
        return np.mean(rows, axis=0)
    n, width = rows[0].shape
    return by_rows(n, width, lambda some: np.mean([one[some] for one in rows], axis=0))


def fluctuations(members: Sequence[Member], problem: Problem) -> dict[str, Fluctuations]:
    """Those of the norm and the rate, with the networks as they are, and between trainings.

    Other events would change what is learned, too. But a change of the ratio shifts sums over data
    and the norm alike, so that only the difference of both counts, which is of second order.
    """
    monomials = Monomials(problem.setup.components)
    train = problem.train
    at_reference = train.weights_at(_load(members[0])[0].origin)
    shares = at_reference / at_reference.sum()

    def densities(rows: slice) -> np.ndarray:
        of_members = [
            one.numbers(
                "coefficients", _load(one)[0].coefficients(one.inputs(train, rows), monomials)
            )
            for one in members
        ]
        return np.mean(of_members, axis=0) * shares[rows, None]

    found = {SIMULATION: of_norm(problem, densities)}
    if len(members) > 1:
        of_each = [nominal([member], problem) for member in members]
        found[TRAINING] = of_members(
            [one.coefficients for one in of_each], [one.norm for one in of_each]
        )
    return found


def information(members: Sequence[Member], problem: Problem) -> Information:
    """Fisher information from the test events: the covariance of the score.

    That of nuisance parameters is what their densities respond at the Fisher point.
    """
    of_theta = fisher_scores(members, problem)
    if not problem.setup.nuisance:
        return of_scores(of_theta, problem)
    known = closed_form(members, problem)
    of_nu, _ = event_response(known, "test", problem.fisher_theta, problem)
    return of_scores(np.hstack([of_theta, of_nu]), problem)


def fisher_scores(members: Sequence[Member], problem: Problem) -> np.ndarray:
    """The score at the Fisher point of every test event, (n_events, n_parameters)."""
    return _scores(members, problem, problem.fisher_theta)


def _scores(members: Sequence[Member], problem: Problem, theta: np.ndarray) -> np.ndarray:
    """The score of the shape at ``theta`` of every test event, (n_events, n_parameters)."""
    known = nominal(members, problem)
    return _shape_scores(known, known.rows("test"), theta)


def _shape_scores(known: PolynomialDensity, rows: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Those of the coefficients ``rows`` of events, less that of the rate."""
    of_rate = scores(known.norm[None, :], known.monomials, theta)
    return scores(rows, known.monomials, theta) - of_rate


def diagnostics(members: Sequence[Member], problem: Problem) -> list[Check]:
    """Checks of the ratio along every axis, of its score at the reference, and of its reach."""
    theta1, thetas = checked_points(members, problem)
    log_r = true_norm_ratios(members, problem, theta1, thetas)
    ratio = estimated_ratio(members, problem)
    return [
        *ratio_checks(log_r, _scores(members, problem, theta1), problem.test, theta1, thetas),
        seen_check(ratio),
        *nuisance_checks(members, problem),
        *([] if _load(members[0])[0].squared else positivity_checks(ratio)),
    ]


def nuisance_checks(members: Sequence[Member], problem: Problem) -> list[Check]:
    """Checks of the response to nuisance parameters at the assumed truth; none without any."""
    nuisance, theta, events = problem.setup.nuisance, problem.theta_true, problem.test
    if not nuisance:
        return []
    names = [f"{one.name} = {side}" for side in ("+1", "−1") for one in nuisance]
    changing, weights = _load_response(members[0]).changing, events.weights_at(theta)
    moved = {k: shifted for k, _, shifted in shifted_columns(events)}
    ratios = _ratios(members, events, problem)
    factors, partners = varied_factors(events), np.arange(len(events))
    variations = {}
    for column, k in enumerate(changing):
        u = ratios[:, column]
        varied = Measured(events.x, weights * factors[:, k - 1], u, partners)
        if k in moved:
            shifted = moved[k]
            varied = Measured(
                shifted.x,
                shifted.weights_at(theta, problem.setup),
                _ratios(members, shifted, problem)[:, column],
                shifted.partners(len(events)),
            )
        nominal = Measured(events.x, weights, u, partners)
        variations[names[k - 1]] = Variation(nominal, varied)
    n_events = float(problem.expected_events(theta))
    return response_checks(variations, events.observables, n_events)


def _ratios(members: Sequence[Member], events: Observed, problem: Problem) -> np.ndarray:
    """The varied densities over the nominal one at the assumed truth, (n_events, n_changing)."""
    monomials = Monomials(problem.setup.components)
    at = monomials.values(problem.theta_true)

    def mean(of_member: Callable[[Member, Observed, Monomials], np.ndarray]) -> np.ndarray:
        return np.mean([of_member(one, events, monomials) @ at for one in members], axis=0)

    norm = np.mean([_load(one)[2] @ at for one in members])
    norms = np.mean([_load_response(one).norm @ at for one in members], axis=0)
    return (mean(varied_coefficients) / norms) / (mean(coefficients) / norm)[:, None]


def estimated_ratio(members: Sequence[Member], problem: Problem) -> EstimatedRatio:
    """That of an ensemble for the test events."""
    known = nominal(members, problem)
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
    known = nominal(members, problem)
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
