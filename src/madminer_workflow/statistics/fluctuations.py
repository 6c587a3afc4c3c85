"""How far a density, made from a finite simulation, may be off: independent directions.

The cross-sections of cells are sums of the weights of simulated events. With the events in groups
at random, K of them, S_g the sum of one group and S that of all, the covariance of sums is

    sum_g F_g F_g^T,   F_g = sqrt(K / (K - 1)) (S_g - S / K),

whose mean over all ways to make groups is that of a bootstrap with weights from Poisson's law,
sum_i w_i w_i^T, to a relative precision of sqrt(2 / K) (the method of random groups: K. Wolter,
Introduction to Variance Estimation, 2007). A bootstrap has the same precision with as many replicas
and K times the work. Where it is known how many events were drawn in each sample, groups have equal
numbers of these, and the covariance is that of samples of fixed sizes. Sums of the same events, of
cells, of everything, at other values of nuisance parameters, are in the same groups: their
fluctuations go together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from madminer_workflow.large_arrays import pieces, release
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.nuisance import varied_rates
from madminer_workflow.statistics.problem import Problem

MOST_GROUPS, FEWEST_GROUPS = 200, 50
"""Variances are known to 10 % with the first, to 20 % with the second."""

STREAM = 16
"""Of random numbers, so that the groups are independent of everything else."""

LARGEST_ARRAY = 5_000_000
"""Numbers in the fluctuations of cells: 40 MB."""

SIMULATION, TRAINING = "simulation", "training"
"""Sources of fluctuations: other events, or other trainings on the same events."""


@dataclass(frozen=True)
class Fluctuations:
    """Fluctuations by one standard deviation along each of independent directions.

    ``cells`` (n_cells, n_variations, n_directions, n_monomials) are those of the coefficients of
    cells, with those at other values of nuisance parameters where the density has ``varied`` ones;
    None for cells that do not fluctuate. ``norm`` (n_directions, n_monomials) are those of the
    integral, ``totals`` (n_variations, n_directions, n_monomials) of the cross-section, None if it
    does not fluctuate.
    """

    cells: np.ndarray | None
    norm: np.ndarray
    totals: np.ndarray | None

    def __len__(self) -> int:
        """Number of directions."""
        return len(self.norm)


def groups(n_events: int, n_groups: int, seed: int) -> np.ndarray:
    """The group of each event, (n_events,): the first of more events are in the same."""
    rng = np.random.default_rng([seed, STREAM])
    return (rng.random(n_events) * n_groups).astype(int)


def groups_of(events: Events, n_groups: int, seed: int) -> np.ndarray:
    """The group of each event, (n_events,), equal numbers of each sample that was drawn.

    How many are drawn does not fluctuate, nor what they add up to before cuts. Those that fail the
    cuts are members, too, so that numbers of those that pass fluctuate as they have to.
    """
    if events.drawn_from is None or events.n_drawn is None:
        return groups(len(events), n_groups, seed)
    rng = np.random.default_rng([seed, STREAM])
    group, start = np.empty(len(events), dtype=int), 0
    for sample, n_drawn in enumerate(events.n_drawn.tolist()):
        passed = np.flatnonzero(events.drawn_from == sample)
        group[passed] = (start + rng.permutation(n_drawn)[: len(passed)]) % n_groups
        start += n_drawn
    return group


def number_of_groups(size: int) -> int:
    """As many as there is room for, if each has ``size`` numbers."""
    return int(np.clip(LARGEST_ARRAY // max(size, 1), FEWEST_GROUPS, MOST_GROUPS))


def directions(sums: np.ndarray) -> np.ndarray:
    """Fluctuations of the sum over groups of ``sums`` (..., n_groups, n), along each of these."""
    n = sums.shape[-2]
    return np.sqrt(n / (n - 1.0)) * (sums - sums.mean(axis=-2, keepdims=True))


def of_counts(
    problem: Problem, cells: np.ndarray, size: int, shifted: Mapping[str, np.ndarray]
) -> Fluctuations:
    """Those of ``size`` cells that the training events fill, and of the rate, which all make.

    ``cells`` and ``shifted`` are as for ``nuisance.varied_rates``. An event that fills a cell and
    counts for the rate is in the same group in both. Cells without events do not fluctuate: their
    rates are the same at all values of nuisance parameters (``binning.binned_density``), even where
    shifted events would fill them.
    """
    train, morphing = problem.train, problem.setup.morphing_matrix
    n_variations = 1 + 2 * len(problem.setup.nuisance)
    n_groups = number_of_groups(size * n_variations * morphing.shape[1])
    group = groups_of(problem.everything, n_groups, problem.seed)
    of_train = group[: len(train)]
    moved = {
        name: n_groups * one + of_train[train.shifted[name].partners(len(train))]
        for name, one in shifted.items()
    }
    rates = varied_rates(train, n_groups * cells + of_train, size * n_groups, moved)
    rates = rates.reshape(size, n_groups, n_variations, -1)
    rates[~rates[:, :, 0].any(axis=(1, 2))] = 0.0
    fluctuating = directions((rates @ morphing).swapaxes(1, 2))
    return Fluctuations(
        fluctuating,
        fluctuating[:, 0].sum(axis=0),
        of_totals(problem, group, n_groups),
    )


def of_totals(problem: Problem, group: np.ndarray, n_groups: int) -> np.ndarray:
    """Those of the cross-section of all events, which are in groups (n_events,).

    (n_variations, n_groups, n_monomials).
    """
    events = problem.everything
    moved = {name: group[one.partners(len(events))] for name, one in events.shifted.items()}
    sums = varied_rates(events, group, n_groups, moved) @ problem.setup.morphing_matrix
    return directions(sums.swapaxes(0, 1))


def of_norm(problem: Problem, densities: Callable[[slice], np.ndarray]) -> Fluctuations:
    """Those of the integral of a density of single events, and of the rate.

    The former is the sum over training events of what ``densities`` gives for some of them,
    (n, n_monomials), which they are learned from; the density itself is taken as it is.
    """
    group = groups_of(problem.everything, MOST_GROUPS, problem.seed)
    sums: np.ndarray | float = 0.0
    for rows in pieces(len(problem.train)):
        some = densities(rows)
        places = group[rows], np.arange(len(some))
        members = sparse.csr_array((np.ones(len(some)), places), (MOST_GROUPS, len(some)))
        sums = sums + members @ some
    norm = directions(np.asarray(sums))
    return Fluctuations(None, norm, of_totals(problem, group, MOST_GROUPS))


def of_members(coefficients: Sequence[np.ndarray], norms: Sequence[np.ndarray]) -> Fluctuations:
    """Those of the mean of members of an ensemble, at least two.

    Of ``coefficients``, each (n_cells, n_monomials), and ``norms``, each (n_monomials,).
    """
    cells = np.empty((len(coefficients[0]), len(norms), len(norms[0])))
    for rows in pieces(len(cells)):
        cells[rows] = _deviations([one[rows] for one in coefficients])
        for one in coefficients:
            release(one)
    return Fluctuations(cells[:, None], _deviations(norms), None)


def _deviations(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Of members' ``rows`` (..., n) from their mean, as those of a mean, (..., n_members, n)."""
    n = len(rows)
    apart = np.stack(rows, axis=-2) - np.mean(rows, axis=0)[..., None, :]
    return apart / np.sqrt(n * (n - 1.0))
