"""Whether observed data look like the simulation at the best fit of one method's ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from madminer_workflow.ml.member import Member
from madminer_workflow.ml.scan import closed_forms, scan
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.closed_form import Model
from madminer_workflow.statistics.fits import climb
from madminer_workflow.statistics.goodness.assess import goodness_of_fit
from madminer_workflow.statistics.goodness.fits import BestFits, Fit, fit_in_closed_form
from madminer_workflow.statistics.likelihood import KINDS, DataSets
from madminer_workflow.statistics.limits import Grid, peak
from madminer_workflow.statistics.polynomial import PolynomialDensity, scores
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.pulls import one_cell
from madminer_workflow.statistics.results import Goodness


def goodness_of_data(
    members: Sequence[Member], problem: Problem, grid: Grid, n_toys: int | None = None
) -> dict[str, Goodness] | None:
    """That of the observed data by kind of likelihood; None if there are none."""
    if problem.observed is None:
        return None
    known = closed_forms(members, problem, each=False)
    result = {}
    for kind in KINDS:
        if known:
            [density] = known
            fit: Fit = partial(fit_in_closed_form, density, problem, kind)
            of_events = scores_of(density, problem)
        else:
            fit, of_events = partial(fit_on_grid, members, problem, grid, kind), {}
        rng = np.random.default_rng(derive_seed(problem.seed, "goodness", kind))
        result[kind] = goodness_of_fit(problem, fit, of_events, rng, n_toys)
    return result


def scores_of(
    density: PolynomialDensity, problem: Problem
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The scores at ``theta_true`` of test and observed events, each (n_events,), by parameter."""
    of_cells = scores(density.coefficients, density.monomials, problem.theta_true)
    of_cells = np.nan_to_num(of_cells, nan=0.0, posinf=0.0, neginf=0.0)
    return {
        name: (column[density.cells["test"]], column[density.cells["observed"]])
        for name, column in zip(problem.setup.parameters, of_cells.T, strict=True)
    }


def fit_on_grid(
    members: Sequence[Member], problem: Problem, grid: Grid, kind: str, data: DataSets
) -> BestFits:
    """Best fits of a density that is known at the nodes of a grid.

    Nuisance parameters are where the number of events has them at these.
    """
    [found] = scan(members, problem, grid.thetas(), [data])
    _, thetas = peak(found[kind][0], grid.axes)
    if not problem.setup.nuisance or kind != "rate_and_shape":
        return BestFits(thetas, data.auxiliary)
    [rate] = Model(one_cell(problem), problem, kind).likelihoods(data)
    n = thetas.shape[1]
    start = np.hstack([thetas, data.auxiliary])
    fixed = np.zeros(start.shape, dtype=bool)
    fixed[:, :n] = True
    units = np.ones(start.shape[1])
    places, _ = climb(rate, np.arange(len(start)), start, units, fixed)
    return BestFits(thetas, places[:, n:])
