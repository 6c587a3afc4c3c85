"""Pulls, constraints and impacts of nuisance parameters, against MINUIT and the information."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import iminuit
import numpy as np
import pytest

from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.report.uncertainties import profiling_impact
from madminer_workflow.statistics import closed_form, information
from madminer_workflow.statistics.baselines import truth
from madminer_workflow.statistics.binning import bin_indices, binned_density
from madminer_workflow.statistics.events import draw, union
from madminer_workflow.statistics.fits import climb
from madminer_workflow.statistics.likelihood import DataSets, expected_data, log_likelihoods
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.nuisance import varied_rates
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.pulls import joint_fit, joint_fit_on_grid
from madminer_workflow.statistics.results import JointFit
from madminer_workflow.statistics.toys import draw_toys, drawn_at, multiplicities
from tests.statistics.test_shifted import EDGES as EDGES_OF_SHIFTED
from tests.statistics.test_shifted import EVENTS, events_of
from tests.statistics.test_varied import uncertain_problem
from tests.support.chain import Physics
from tests.support.known_process import KnownProcess, problem_of
from tests.support.uncertain_process import UncertainProcess

EDGES = np.array([40.0, 80.0, 140.0])


@dataclass(frozen=True)
class Posed:
    """Counts of a histogram of tiny_systematics, in the project's and in an independent form.

    ``minus_log_likelihood`` takes the parameter and the nuisance parameters.
    """

    problem: Problem
    model: closed_form.Model
    data: DataSets
    minus_log_likelihood: Callable[[Sequence[float]], float]


@pytest.fixture(scope="module")
def posed(uncertain: Physics) -> Posed:
    """One toy far from the truth, with auxiliary measurements that are not 0."""
    sample, setup = read_sample(uncertain.combined), read_setup(uncertain.combined)
    events, theta = union(sample, setup), np.array([2.0])
    problem = Problem(setup, events, events, events, theta, theta, theta, luminosity=1e5, seed=1)
    values = sample.observations[:, sample.observables.index("pt_j1")]
    bins = bin_indices(values[:, None], [EDGES])
    rates = varied_rates(events, bins, len(EDGES) + 1)
    density = binned_density(rates, {"train": bins, "test": bins}, setup)
    toy = draw_toys(problem, np.array([4.0]), 1, np.random.default_rng(5))
    data = DataSets("test", toy.multiplicities, np.array([[0.8, -1.1, 0.3]]))

    # From here on with nothing but the weights of the file.
    places = np.digitize(values, EDGES)
    counts = np.bincount(places, toy.multiplicities.toarray()[0], len(EDGES) + 1)
    nominal = sample.weights * sample.shares[:, None]
    reference = sample.weights[:, setup.benchmark_names.index("sm")]
    x1, x2, x3 = setup.benchmarks[:, 0]

    def summed(factors: np.ndarray) -> np.ndarray:
        return np.array([np.bincount(places, column * factors) for column in nominal.T])

    def varied(name: str) -> np.ndarray:
        column = sample.nuisance_weights[:, setup.nuisance_benchmarks.index(name)]
        return summed(column / reference)

    at_zero = summed(np.ones(len(values)))
    ups = [varied(one.positive) for one in setup.nuisance]
    downs = [None if one.negative is None else varied(one.negative) for one in setup.nuisance]

    def minus_log_likelihood(point: Sequence[float]) -> float:
        theta, nus = point[0], point[1:]
        lagrange = np.array(
            [
                (theta - x2) * (theta - x3) / ((x1 - x2) * (x1 - x3)),
                (theta - x1) * (theta - x3) / ((x2 - x1) * (x2 - x3)),
                (theta - x1) * (theta - x2) / ((x3 - x1) * (x3 - x2)),
            ]
        )
        before = lagrange @ at_zero
        after = before.copy()
        for nu, up, down in zip(nus, ups, downs, strict=True):
            high = lagrange @ up / before
            # A parabola of the logarithm through -1, 0 and 1, or a line through 0 and 1.
            low = 1.0 / high if down is None else lagrange @ down / before
            after *= high ** (0.5 * nu * (nu + 1.0)) * low ** (0.5 * nu * (nu - 1.0))
        after *= 1e5
        constraint = np.sum((np.array(nus) - data.auxiliary[0]) ** 2)
        return float(np.sum(after - counts * np.log(after)) + 0.5 * constraint)

    return Posed(
        problem, closed_form.Model(density, problem, "rate_and_shape"), data, minus_log_likelihood
    )


def fitted(model: closed_form.Model, data: DataSets) -> JointFit:
    axes = [np.linspace(-20.0, 20.0, 3)] * len(model.problem.setup.parameters)
    grid = Grid(model.problem.setup.parameters, axes)
    found = joint_fit(model, closed_form.maximum(model, data, [0.6827], grid), data)
    assert found is not None
    return found


def test_pulls_and_impacts_are_those_of_minuit(posed: Posed) -> None:
    """With a likelihood that is written without the project's code."""
    found = fitted(posed.model, posed.data)

    def minuit(**fixed: float) -> iminuit.Minuit:
        names = ["theta", "n0", "n1", "n2"]
        start = dict.fromkeys(names, 0.0) | {"theta": found.best_fit[0] + 0.1} | fixed
        fit = iminuit.Minuit(posed.minus_log_likelihood, list(start.values()), name=names)
        fit.errordef, fit.strategy, fit.tol = 0.5, 2, 1e-4
        for name in fixed:
            fit.fixed[name] = True
        fit.migrad()
        fit.hesse()
        assert fit.valid
        return fit

    best = minuit()
    covariance = best.covariance
    assert covariance is not None
    sigma = best.errors["theta"]
    assert found.best_fit[0] == pytest.approx(best.values["theta"], abs=1e-3 * sigma)
    assert found.error[0] == pytest.approx(sigma, rel=1e-3)
    np.testing.assert_allclose(found.correlation, covariance.correlation(), atol=1e-3)
    best.minos("n0", "n1", "n2")
    for i, nuisance in enumerate(found.nuisance):
        name, measured = f"n{i}", posed.data.auxiliary[0, i]
        assert nuisance.pull == pytest.approx(best.values[name] - measured, abs=1e-3)
        assert nuisance.error == pytest.approx(best.errors[name], rel=1e-3)
        minos = best.merrors[name]
        np.testing.assert_allclose(nuisance.profile_error, (-minos.lower, minos.upper), rtol=1e-3)
        shifts = nuisance.impact["CWL2"]
        for ours, size in ((shifts.postfit, best.errors[name]), (shifts.prefit, 1.0)):
            moved = [
                minuit(**{name: best.values[name] + side * size}).values["theta"]
                for side in (-1.0, 1.0)
            ]
            np.testing.assert_allclose(ours, np.array(moved) - best.values["theta"], atol=1e-3)
    largest = max(found.nuisance, key=lambda one: np.abs(one.impact["CWL2"].postfit).max())
    assert found.ranking["CWL2"][0] == largest.name
    assert abs(largest.pull or 0.0) > 0.1, "a test with pulls"


def many_events(n_parameters: int) -> tuple[Problem, np.ndarray, closed_form.Model]:
    """A histogram that knows its process exactly, and so many events that all is Gaussian."""
    problem = uncertain_problem(n_parameters, 4000)
    everything = problem.everything
    problem = replace(
        problem, train=everything, test=everything, luminosity=1e4 * problem.luminosity
    )
    bins = bin_indices(everything.x, [np.array([-1.0, 0.0, 1.0])] * 2)
    density = binned_density(
        varied_rates(everything, bins, 16), {"train": bins, "test": bins}, problem.setup
    )
    return problem, bins, closed_form.Model(density, problem, "rate_and_shape")


def test_impacts_are_those_of_the_information_in_the_gaussian_limit() -> None:
    """C_theta,nu / sqrt(C_nu,nu), with C the inverse of the information and the constraints."""
    problem, bins, model = many_events(2)
    found = fitted(model, expected_data(problem))
    [counts] = [
        information.histogram(problem.everything, bins, 16, np.zeros(2), problem.luminosity, 1)
    ]
    full = counts.estimate + np.diag([0.0, 0.0, 1.0, 1.0])
    covariance = np.linalg.inv(full)
    errors = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(found.error, errors[:2], rtol=1e-3)
    np.testing.assert_allclose(found.correlation, covariance / np.outer(errors, errors), atol=1e-3)
    for i, nuisance in enumerate(found.nuisance):
        assert nuisance.pull == pytest.approx(0.0, abs=1e-4)
        assert nuisance.error == pytest.approx(errors[2 + i], rel=1e-3)
        for k, name in enumerate(problem.setup.parameters):
            impact = covariance[k, 2 + i] / errors[2 + i]
            low, high = nuisance.impact[name].postfit
            assert 0.5 * (high - low) == pytest.approx(impact, abs=2e-3 * errors[k])
            # The luminosity moves by a whole sigma, which is not infinitesimal.
            np.testing.assert_allclose([-low, high], impact, rtol=0.05, atol=2e-3 * errors[k])


@pytest.mark.parametrize("which", [0, 1])
def test_impacts_are_the_growth_of_the_profiled_information(which: int) -> None:
    """Of an uncertainty alone: impact^2 is what profiling adds to sigma^2 of the parameter."""
    problem, bins, model = many_events(1)
    events = problem.everything
    setup = replace(problem.setup, nuisance=[problem.setup.nuisance[which]])
    alone = replace(
        events,
        setup=setup,
        slopes=events.slopes[:, [which]],
        curvatures=events.curvatures[:, [which]],
    )
    problem = replace(problem, setup=setup, everything=alone, train=alone, test=alone)
    density = replace(model.density, varied=model.density.varied[:, [which, 2 + which]])
    [nuisance] = fitted(
        replace(model, problem=problem, density=density), expected_data(problem)
    ).nuisance
    counts = information.histogram(alone, bins, 16, np.zeros(1), problem.luminosity, 1)
    found = information.information([counts], 1)
    assert found.profiled is not None
    growth = profiling_impact(found.matrix, found.profiled.matrix, found.profiled.full, setup)
    [grown], [sigma] = (
        growth.single[setup.nuisance[0].systematic],
        information.standard_deviations(found.matrix),
    )
    assert grown is not None and sigma is not None
    expected = sigma * np.sqrt((1.0 + grown) ** 2 - 1.0)
    np.testing.assert_allclose(np.abs(nuisance.impact["p0"].postfit), expected, rtol=5e-3)


def test_events_whose_rate_alone_responds() -> None:
    """Against MINUIT: single events know the parameters, their number all of them."""
    problem = uncertain_problem(2, 4000)
    known = replace(truth(problem), varied=None)
    model = closed_form.Model(known, problem, "rate_and_shape")
    toy = draw_toys(problem, np.zeros(2), 1, np.random.default_rng(3))
    found = fitted(model, toy)
    times, events = toy.multiplicities.toarray()[0], problem.everything

    def minus_log_likelihood(point: Sequence[float]) -> float:
        theta, nu = np.array(point[:2]), np.array(point[2:])
        weights, p = events.weights_at(theta), problem.test.weights_at(theta)
        up, down = (
            weights @ np.exp(events.curvatures + side * events.slopes) for side in (1.0, -1.0)
        )
        nominal = weights.sum()
        logarithm = nu * np.log(up / nominal)
        # Of the second, only +1 is known.
        logarithm[0] = 0.5 * nu[0] * np.log(up / down)[0]
        logarithm[0] += 0.5 * nu[0] ** 2 * np.log(up * down / nominal**2)[0]
        expected = problem.luminosity * nominal * np.exp(logarithm.sum())
        shape = times[times > 0.0] @ np.log(p[times > 0.0] / p.sum())
        constraint = 0.5 * np.sum((nu - toy.auxiliary[0]) ** 2)
        return float(expected - times.sum() * np.log(expected) - shape + constraint)

    fit = iminuit.Minuit(minus_log_likelihood, np.zeros(4))
    fit.errordef, fit.strategy, fit.tol = 0.5, 2, 1e-4
    fit.migrad()
    fit.hesse()
    assert fit.valid and fit.covariance is not None
    values, errors = np.array(fit.values), np.array(fit.errors)
    np.testing.assert_allclose(found.best_fit, values[:2], atol=1e-3 * errors[:2].min())
    np.testing.assert_allclose(found.error, errors[:2], rtol=1e-3)
    pulls = [nuisance.pull for nuisance in found.nuisance]
    np.testing.assert_allclose(pulls, values[2:] - toy.auxiliary[0], atol=1e-3)
    np.testing.assert_allclose([one.error for one in found.nuisance], errors[2:], rtol=1e-3)
    np.testing.assert_allclose(found.correlation, fit.covariance.correlation(), atol=1e-3)


def test_fits_on_a_grid_are_those_of_the_polynomial() -> None:
    """Of a likelihood that is known both ways, whose rate alone responds."""
    problem = uncertain_problem(2, 4000)
    known = replace(truth(problem), varied=None)
    model = closed_form.Model(known, problem, "rate_and_shape")
    toy = draw_toys(problem, np.zeros(2), 1, np.random.default_rng(4))
    grid = Grid(problem.setup.parameters, [np.linspace(-0.8, 0.8, 33)] * 2)
    density = closed_form.density_at(known, problem.setup, grid.thetas())
    scanned = log_likelihoods(density, toy, problem, grid.thetas())
    shape, whole = scanned["shape"][0], scanned["rate_and_shape"][0]
    found, expected = joint_fit_on_grid(problem, toy, grid, shape, whole), fitted(model, toy)
    assert found is not None
    sigma = np.array(expected.error)
    np.testing.assert_allclose(found.best_fit, expected.best_fit, atol=0.02 * sigma.min())
    np.testing.assert_allclose(found.error, sigma, rtol=0.02)
    np.testing.assert_allclose(found.correlation, expected.correlation, atol=0.02)
    for ours, theirs in zip(found.nuisance, expected.nuisance, strict=True):
        assert ours.pull == pytest.approx(theirs.pull, abs=0.01)
        np.testing.assert_allclose(ours.profile_error, theirs.profile_error, rtol=0.01)
        for name, shifts in ours.impact.items():
            np.testing.assert_allclose(
                shifts.postfit, theirs.impact[name].postfit, atol=0.02 * sigma.min()
            )
    coarse = Grid(grid.parameters, [axis[[0, 16, 32]] for axis in grid.axes])
    nodes = np.ix_([0, 16, 32], [0, 16, 32])
    few = [values.reshape(grid.shape)[nodes].ravel() for values in (shape, whole)]
    assert joint_fit_on_grid(problem, toy, coarse, *few) is None, "nodes too far apart"
    at_edge = Grid(grid.parameters, [axis[17:] for axis in grid.axes])
    rest = [values.reshape(grid.shape)[17:, 17:].ravel() for values in (shape, whole)]
    assert joint_fit_on_grid(problem, toy, at_edge, *rest) is None, "beyond the grid"


def test_a_parameter_without_a_curvature_has_no_error() -> None:
    """Without interference the likelihood of expected data is flat at the reference point."""
    problem = uncertain_problem(1, 4000)
    events, setup = problem.everything, problem.setup
    mirrored = events.weights @ setup.morphing_weights(-setup.benchmarks).T
    events = replace(events, weights=0.5 * (events.weights + mirrored))
    problem = replace(problem, everything=events, train=events, test=events)
    bins = bin_indices(events.x[:, :1], [np.array([-1.0, 0.0, 1.0])])
    rates = varied_rates(events, bins, 4)
    density = binned_density(rates, {"train": bins, "test": bins}, setup)
    model = closed_form.Model(density, problem, "rate_and_shape")
    found = fitted(model, expected_data(problem))
    assert found.error == [None] and found.correlation[0] == [None] * 3
    for nuisance in found.nuisance:
        assert nuisance.error == pytest.approx(np.mean(nuisance.profile_error))
        # More events than expected are explained by the square of the parameter, fewer are not.
        low, high = np.abs(nuisance.impact["p0"].postfit)
        assert low > 0.1 and high < 1e-3


@dataclass(frozen=True)
class Experiment:
    """A histogram that is told how bins respond, how the rate does, and nothing."""

    told: closed_form.Model
    of_rate: closed_form.Model
    untold: closed_form.Model


def experiment(n_events: int = 20_000) -> Experiment:
    """An uncertainty of the shape that looks like the parameter, about as large as its error."""
    problem = uncertain_problem(1, n_events)
    events = problem.everything
    slopes = np.stack([0.25 * np.tanh(events.x[:, 0]), np.full(n_events, 0.05)], axis=1)
    events = replace(events, slopes=slopes, curvatures=np.zeros_like(slopes))
    problem = replace(problem, everything=events, train=events, test=events)
    bins = bin_indices(events.x[:, :1], [np.linspace(-1.5, 1.5, 7)])
    rates = varied_rates(events, bins, 8)
    density = binned_density(rates, {"train": bins, "test": bins}, problem.setup)
    nothing = np.zeros((n_events, 0))
    setup = replace(problem.setup, nuisance=[], nuisance_benchmarks=[])
    sure = replace(events, setup=setup, slopes=nothing, curvatures=nothing)
    ignorant = replace(problem, setup=setup, everything=sure, train=sure, test=sure)
    return Experiment(
        closed_form.Model(density, problem, "rate_and_shape"),
        closed_form.Model(replace(density, varied=None), problem, "rate_and_shape"),
        closed_form.Model(replace(density, varied=None), ignorant, "rate_and_shape"),
    )


def coverage_of(model: closed_form.Model, toys: DataSets) -> float:
    """The fraction of toys at 0 whose 68 % interval contains it."""
    n = len(model.problem.setup.nuisance)
    data = replace(toys, auxiliary=toys.auxiliary[:, :n])
    q, _ = closed_form.statistics(model.density, data, model.problem, np.zeros(1))[model.kind]
    return float(np.mean(q < 1.0))


def pulls_of(model: closed_form.Model, toys: DataSets, nu: np.ndarray) -> np.ndarray:
    """Best fit less nature over post-fit error, of the parameter, which is 0, and all others."""
    n, nature = len(nu), np.hstack([np.zeros((len(nu), 1)), nu])
    [likelihoods] = model.likelihoods(toys)
    places, here = climb(likelihoods, np.arange(n), nature, model.units(np.zeros(1)))
    errors = np.sqrt(np.diagonal(np.linalg.inv(-here.hessian), axis1=1, axis2=2))
    return (places - nature) / errors


@pytest.mark.parametrize("nature", ["nominal", "prior"])
def test_pulls_of_toys_have_mean_0_and_width_1(nature: str) -> None:
    """Best fit less the value in nature, in post-fit errors, of every nuisance parameter."""
    model = experiment(5000).told
    n_toys, rng = 400, np.random.default_rng(11)
    if nature == "nominal":
        toys, nu = draw_toys(model.problem, np.zeros(1), n_toys, rng), np.zeros((n_toys, 2))
    else:
        nu = rng.normal(size=(n_toys, 2))
        toys = DataSets("test", drawn_at(model.problem, np.zeros(1), nu, rng), np.zeros_like(nu))
    pulls = pulls_of(model, toys, nu)
    assert np.abs(pulls.mean(axis=0)).max() < 4.0 / np.sqrt(n_toys)
    assert np.abs(pulls.std(axis=0) - 1.0).max() < 4.0 / np.sqrt(2.0 * n_toys)


@pytest.mark.parametrize(("benchmark", "truth"), [("up", 1.0), ("down", -1.0)])
def test_a_shifted_energy_scale_is_fitted_back(benchmark: str, truth: float) -> None:
    """Toys of events as they are measured at nu = +1 or -1, migrations over the cut included."""
    events, n_toys, rng = events_of(), 400, np.random.default_rng(17)
    theta = np.zeros(1)
    problem = replace(problem_of(events, EVENTS), train=events, test=events)
    edges = [np.array(EDGES_OF_SHIFTED)]
    cells = {name: bin_indices(one.x[:, :1], edges) for name, one in events.shifted.items()}
    bins = bin_indices(events.x[:, :1], edges)
    rates = varied_rates(events, bins, 4, cells)
    density = binned_density(rates, {"test": bins, **cells}, problem.setup)
    model = closed_form.Model(density, problem, "rate_and_shape")
    weights = events.shifted[benchmark].weights_at(theta, problem.setup)
    sizes = rng.poisson(problem.luminosity * weights.sum(), n_toys)
    chosen = draw(weights, int(sizes.sum()), rng)
    nu = np.array([truth, 0.0])
    auxiliary = nu + rng.normal(size=(n_toys, 2))
    toys = DataSets(benchmark, multiplicities(chosen, sizes, len(weights)), auxiliary)
    pulls = pulls_of(model, toys, np.tile(nu, (n_toys, 1)))
    assert np.abs(pulls.mean(axis=0)).max() < 4.0 / np.sqrt(n_toys)
    assert np.abs(pulls.std(axis=0) - 1.0).max() < 4.0 / np.sqrt(2.0 * n_toys)


def test_toys_with_nuisance_parameters_from_priors_cover_unless_these_are_left_out() -> None:
    """With nature's nuisance parameters at 0, what is left out does not show."""
    models, n_toys = experiment(), 1000
    error = np.sqrt(0.6827 * 0.3173 / n_toys)
    found = {}
    for nature in ("nominal", "prior"):
        rng = np.random.default_rng(13)
        toys = draw_toys(models.told.problem, np.zeros(1), n_toys, rng, nature)
        found[nature] = [
            coverage_of(model, toys) for model in (models.told, models.of_rate, models.untold)
        ]
    np.testing.assert_allclose(found["nominal"], 0.6827, atol=4.0 * error)
    told, of_rate, untold = found["prior"]
    assert told == pytest.approx(0.6827, abs=4.0 * error)
    assert max(of_rate, untold) < 0.6827 - 10.0 * error


def test_single_events_that_respond_cover_toys_from_the_prior() -> None:
    """Of a density that is known exactly, with its response and with that of the rate alone."""
    process = UncertainProcess.of(KnownProcess.of(1), np.array([[0.35, 0.0]]), 0.0)
    problem = problem_of(process.events(12_000, seed=2), 300.0)
    problem = replace(problem, train=problem.everything, test=problem.everything)
    known, n_toys = process.density(problem), 400
    toys = draw_toys(problem, np.zeros(1), n_toys, np.random.default_rng(5), "prior")
    error = np.sqrt(0.6827 * 0.3173 / n_toys)
    told, of_rate = (
        coverage_of(closed_form.Model(density, problem, "rate_and_shape"), toys)
        for density in (known, replace(known, response=None))
    )
    assert told == pytest.approx(0.6827, abs=4.0 * error)
    assert of_rate < 0.6827 - 10.0 * error
