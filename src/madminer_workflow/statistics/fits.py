"""Fits and intervals of smooth likelihoods, many at once, from values, gradients and Hessians.

Maxima are climbed by Newton's method with steps of limited length, negative curvatures taken as
positive ones (Dauphin et al., arXiv:1406.2572), from several starts: where interference and squares
cancel, likelihoods have second maxima. An interval's edge is where the profile likelihood has
dropped by the threshold; its slope is that of the likelihood, as the other parameters are at their
best (compare Venzon and Moolgavkar, J. R. Stat. Soc. C 37 (1988) 87, and MINOS).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from madminer_workflow.statistics.polynomial import Derivatives, Likelihoods
from madminer_workflow.statistics.results import Interval

STEPS = 60
PRECISION = 1e-7
"""Of log L: a hundredth of the square of what an edge is good for."""

LONGEST = 2.0
"""Length of a step in units of the parameters, as long as a standard deviation."""

ROUNDING = 1e-12
EDGE_PRECISION = 5e-3
"""In standard deviations, before the last of Newton's steps."""

WIDENINGS = 5
"""Times that thresholds are adapted to what is found at the edge; mostly two are enough."""

SAME_THRESHOLD = 1e-3
"""Relative: by half as much an interval may be off."""

SAME = 1e-2
"""Maxima as close as this, in units, are one."""

N_STARTS = 4
APART = 1.5
"""Distance of starts in units: nearer ones climb the same maximum."""

NEARLY = 10.0
"""Of log L, by which maxima of likelihoods that are nearly the same may differ."""

RADII = (1.0, 2.0, 3.5, 6.0, 10.0, 17.0, 28.0, 45.0)
"""Of candidates, in units."""

FRAMES = 2
"""Of orthogonal rays, beside the axes."""


class Likelihood(Protocol):
    """Likelihoods of data sets that can be climbed."""

    def __len__(self) -> int:
        """Number of data sets."""

    def at(self, thetas: np.ndarray, sets: np.ndarray) -> Derivatives:
        """Of the likelihood of ``sets`` (n,), each at its own of ``thetas`` (n, n_parameters)."""


@dataclass(frozen=True)
class Maxima:
    """The highest points that were found: ``thetas`` (..., n_parameters) and ``values`` (...)."""

    thetas: np.ndarray
    values: np.ndarray


def climb(
    likelihoods: Likelihood,
    sets: np.ndarray,
    starts: np.ndarray,
    units: np.ndarray,
    fixed: np.ndarray | None = None,
    precision: float = PRECISION,
    within: float = np.inf,
) -> tuple[np.ndarray, Derivatives]:
    """The maxima near ``starts`` (n, n_parameters) of the likelihoods of ``sets`` (n,).

    ``units`` (n_parameters,) are as long as standard deviations; parameters that are ``fixed``, (n,
    n_parameters), stay; ``precision`` is that of log L. Climbs that will not come ``within`` so
    much of the best of their set are given up. Returns the points and the derivatives there.
    """
    thetas = starts.copy()
    free = np.ones_like(thetas, dtype=bool) if fixed is None else ~fixed
    here = likelihoods.at(thetas, sets)
    damping = np.zeros(len(thetas))
    active = np.arange(len(thetas))
    best = np.full(int(sets.max(initial=-1)) + 1, -np.inf)
    for steps_left in range(STEPS, 0, -1):
        step, gain = _newton(here, units, free, damping, active)
        going = gain > precision
        if np.isfinite(within):
            np.maximum.at(best, sets, here.value)
            # Along a straight line a step gains twice what it does along a parabola to its top.
            reach = here.value[active] + 2.0 * steps_left * gain
            going &= reach > best[sets[active]] - within
        active, step = active[going], step[going]
        if not len(active):
            break
        there = likelihoods.at(thetas[active] + step, sets[active])
        higher = there.value >= here.value[active] - ROUNDING * np.abs(here.value[active])
        moved = active[higher]
        thetas[moved] += step[higher]
        here.put(moved, there.take(higher))
        damping[moved] *= 0.1
        damping[active[~higher]] = 10.0 * damping[active[~higher]] + 1.0
    return thetas, here


def _newton(
    here: Derivatives,
    units: np.ndarray,
    free: np.ndarray,
    damping: np.ndarray,
    active: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Steps uphill (n, n_parameters), and by how much the likelihood would rise along them."""
    free = free[active]
    gradient = np.where(free, here.gradient[active] * units, 0.0)
    both = free[:, :, None] & free[:, None, :]
    curvature = np.where(both, -here.hessian[active] * units[:, None] * units, 0.0)
    values, vectors = np.linalg.eigh(curvature)
    along = np.einsum("nij,ni->nj", vectors, gradient)
    # Nowhere is the likelihood flatter than a millionth of what one unit is worth.
    stiffness = np.maximum(np.abs(values), 1e-6) + damping[:, None][active]
    scaled = along / stiffness
    length = np.linalg.norm(scaled, axis=1)
    scaled *= np.minimum(1.0, LONGEST / np.maximum(length, 1e-300))[:, None]
    gain = np.sum(scaled * along, axis=1) * 0.5
    step = np.einsum("nij,nj->ni", vectors, scaled) * units
    return np.where(free, step, 0.0), gain


def candidates(origin: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Points to look for maxima from, (1 + n_radii * n_rays, n_parameters): rays from ``origin``.

    Along the axes and evenly spread directions between them, at RADII, the smallest first.
    """
    n = len(origin)
    rng = np.random.default_rng(0)
    frames = [np.eye(n)]
    if n > 1:
        frames += [np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(FRAMES)]
    rays = np.concatenate([side * frame for frame in frames for side in (1.0, -1.0)])
    points = (np.array(RADII)[:, None, None] * rays).reshape(-1, n)
    return origin + units * np.concatenate([np.zeros((1, n)), points])


def starts(values: np.ndarray, points: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Indices of the highest of ``points`` (n_points, n_parameters) that lie APART.

    The points are those of ``candidates``, some of their parameters moved or not. Only those that
    are higher than their neighbours on the ray are worth a start: others climb to where these do.
    ``values`` are (n_sets, n_points), indices (n_sets, N_STARTS).
    """
    along = values[:, 1:].reshape(len(values), len(RADII), -1)
    inner = np.concatenate(
        [np.broadcast_to(values[:, :1, None], along[:, :1].shape), along], axis=1
    )
    outer = np.pad(along[:, 1:], ((0, 0), (0, 1), (0, 0)), constant_values=-np.inf)
    is_peak = (along >= inner[:, :-1]) & (along >= outer)
    left = values.copy()
    left[:, 1:][~is_peak.reshape(len(values), -1)] = -np.inf
    distances = np.linalg.norm((points[:, None] - points) / units, axis=2)
    chosen = []
    for _ in range(min(N_STARTS, len(points))):
        best = left.argmax(axis=1)
        chosen.append(best)
        left = np.where(distances[best] < APART, -np.inf, left)
    return np.stack(chosen, axis=1)


def maxima(
    likelihoods: Likelihood,
    values: np.ndarray,
    points: np.ndarray,
    units: np.ndarray,
    within: float = 0.0,
    rough: Likelihoods | None = None,
) -> Maxima:
    """The maxima of every likelihood that are found from the best of ``points``.

    ``values`` (n_sets, n_points) are those of the likelihoods at the points. Maxima are (n_sets,
    n_starts), highest first; those that are not ``within`` so much of the first may be none. For
    ``rough`` see ``approached``.
    """
    begin = points[starts(values, points, units)]
    kept = np.ones(begin.shape[:2], dtype=bool)
    if rough is not None:
        begin, kept = approached(rough, begin, units, np.empty(0, dtype=int))
    thetas, heights = _climbed(likelihoods, begin, kept, units, np.empty(0, dtype=int), within)
    order = np.argsort(-heights, axis=1, kind="stable")
    rows = np.arange(len(order))[:, None]
    return Maxima(thetas[rows, order], heights[rows, order])


def highest_near(
    likelihoods: Likelihood,
    fixed: np.ndarray,
    values: np.ndarray,
    points: np.ndarray,
    units: np.ndarray,
    best: np.ndarray,
    rough: Likelihoods | None = None,
) -> Maxima:
    """The highest point of every set's likelihood with the parameters ``fixed``, (n_sets, ...).

    It is looked for from the best of ``points`` (n_points, n_first), all with the same values of
    those parameters, where likelihoods have ``values`` (n_sets, n_points), and from the maxima
    ``best`` (n_sets, n_parameters) of all parameters, with those parameters moved to them. Those
    that points do not have, behind the others, begin as they are there. For ``rough`` see
    ``approached``.
    """
    n_first = points.shape[1]
    chosen = starts(values, points, units[:n_first])
    begin = np.repeat(best[:, None], 1 + chosen.shape[1], axis=1)
    begin[:, 1:, :n_first] = points[chosen]
    begin[:, :, fixed] = points[0, fixed]
    kept = np.ones(begin.shape[:2], dtype=bool)
    if rough is not None:
        begin[:, 1:], kept[:, 1:] = approached(rough, begin[:, 1:], units, fixed)
    thetas, heights = _climbed(likelihoods, begin, kept, units, fixed, 0.0)
    rows, highest = np.arange(len(heights)), heights.argmax(axis=1)
    return Maxima(thetas[rows, highest], heights[rows, highest])


def approached(
    rough: Likelihoods, begin: np.ndarray, units: np.ndarray, fixed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Starts from which a likelihood is nearly climbed, and which of them are worth it.

    From ``begin`` (n_sets, n_starts, n_parameters), with the parameters ``fixed``, likelihoods are
    climbed that cost less, ``rough`` ones of the first parameters, and nearly those in question.
    """
    n_first, begin = rough.n_parameters, begin.copy()
    kept = distinct(begin, np.ones(begin.shape[:2], dtype=bool), units)
    begin[..., :n_first], heights = _climbed(
        rough, begin[..., :n_first], kept, units[:n_first], fixed, NEARLY
    )
    order = np.argsort(-heights, axis=1, kind="stable")
    rows = np.arange(len(order))[:, None]
    begin, heights = begin[rows, order], heights[rows, order]
    return begin, heights > heights[:, :1] - NEARLY


def _climbed(
    likelihoods: Likelihood,
    begin: np.ndarray,
    kept: np.ndarray,
    units: np.ndarray,
    fixed: np.ndarray,
    within: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Where climbs from ``begin`` (n_sets, n_starts, n_parameters) end, and how high.

    From those that are ``kept`` (n_sets, n_starts) and ``distinct``; all others are infinitely low.
    """
    sets, places = np.nonzero(distinct(begin, kept, units))
    stay = np.zeros((len(sets), len(units)), dtype=bool)
    stay[:, fixed] = True
    thetas, heights = begin.copy(), np.full(begin.shape[:2], -np.inf)
    thetas[sets, places], found = climb(
        likelihoods, sets, begin[sets, places], units, stay, within=within
    )
    heights[sets, places] = found.value
    return thetas, heights


def distinct(begin: np.ndarray, kept: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Which of those that are ``kept`` are APART from those before them, (n_sets, n_starts)."""
    kept = kept.copy()
    for k in range(1, begin.shape[1]):
        distances = np.linalg.norm((begin[:, :k] - begin[:, k : k + 1]) / units, axis=2)
        kept[:, k] &= ~np.any(kept[:, :k] & (distances < APART), axis=1)
    return kept


@dataclass(frozen=True)
class Edges:
    """Where profile likelihoods have dropped: ``places`` (n,) of the parameter in question.

    ``points`` (n, n_parameters), with ``q`` (n,) there, are the last of the profile that were
    looked at: within EDGE_PRECISION of the places.
    """

    places: np.ndarray
    points: np.ndarray
    q: np.ndarray


def edges(
    likelihoods: Likelihood,
    sets: np.ndarray,
    peaks: np.ndarray,
    heights: np.ndarray,
    parameters: np.ndarray,
    thresholds: np.ndarray,
    sides: np.ndarray,
    ends: np.ndarray,
    units: np.ndarray,
) -> Edges:
    """Where profile likelihoods reach ``thresholds`` of q = 2 (height - log L), each (n,).

    From ``peaks`` (n, n_parameters) of likelihoods of ``sets``, whose q is below the threshold, in
    the direction of ``sides``, +1 or -1, of one of the ``parameters``; ``ends`` where q is below
    the threshold as far as these.
    """
    rows = np.arange(len(peaks))
    fixed = np.arange(peaks.shape[1]) == parameters[:, None]
    thetas, here = peaks.copy(), likelihoods.at(peaks, sets)
    scale = units[parameters]
    inside = peaks[rows, parameters]
    outside = np.full(len(rows), np.nan)
    places = inside + sides * scale * np.sqrt(thresholds)
    result = np.full(len(rows), np.nan)
    active = rows
    for _ in range(STEPS):
        at_end = (places - ends) * sides >= 0.0
        places = np.where(at_end, ends, places)
        start = along_profile(thetas, here, places, parameters, fixed)
        thetas[active], found = climb(
            likelihoods, sets[active], start[active], units, fixed[active]
        )
        here.put(active, found)
        q = np.maximum(2.0 * (heights - here.value), 0.0)
        distance = np.sqrt(q) - np.sqrt(thresholds)
        slope = -here.gradient[rows, parameters] / np.maximum(np.sqrt(q), 1e-6)
        inside = np.where(distance < 0.0, places, inside)
        outside = np.where(distance >= 0.0, places, outside)
        ended = at_end & (distance < 0.0)
        done = ended | (np.abs(distance) < EDGE_PRECISION)
        # The last of Newton's steps needs no likelihood any more.
        corrected = places - distance / np.where(slope * sides > 0.0, slope, np.inf)
        result[active] = np.where(done, np.where(ended, places, corrected), np.nan)[active]
        active = active[~done[active]]
        if not len(active):
            break
        places = _next(places, distance, slope, inside, outside, sides, scale)
    q = np.maximum(2.0 * (heights - here.value), 0.0)
    return Edges(np.where(np.isnan(result), places, result), thetas, q)


def along_profile(
    thetas: np.ndarray,
    here: Derivatives,
    places: np.ndarray,
    parameters: np.ndarray,
    fixed: np.ndarray,
) -> np.ndarray:
    """Where the profile passes at ``places``, from its slope: dtheta_o = -H_oo^-1 H_oi dtheta_i."""
    rows = np.arange(len(thetas))
    shift = places - thetas[rows, parameters]
    both = ~fixed[:, :, None] & ~fixed[:, None, :]
    others = np.where(both, here.hessian, 0.0) - np.eye(thetas.shape[1]) * fixed[:, None, :]
    mixed = np.where(fixed, 0.0, here.hessian[rows, parameters])
    start = thetas.copy()
    # Where the others are at no maximum the slope means nothing.
    capped = np.linalg.eigvalsh(others)[:, -1] < 0.0
    slopes = np.linalg.solve(others[capped], mixed[capped][:, :, None])[:, :, 0]
    start[capped] -= slopes * shift[capped, None]
    start[rows, parameters] = places
    return start


def _next(
    places: np.ndarray,
    distance: np.ndarray,
    slope: np.ndarray,
    inside: np.ndarray,
    outside: np.ndarray,
    sides: np.ndarray,
    scale: np.ndarray,
) -> np.ndarray:
    """Newton's step for sqrt(q), or half way where that leaves the bracket."""
    with np.errstate(divide="ignore", invalid="ignore"):
        step = -distance / slope
    longest = 2.0 * np.maximum(scale, np.abs(places - inside))
    step = np.where(np.isfinite(step) & (step * distance * sides < 0.0), step, sides * longest)
    proposed = places + np.clip(step, -longest, longest)
    bracketed = np.isfinite(outside)
    beyond = (proposed - inside) * sides <= 0.0
    beyond |= bracketed & ((outside - proposed) * sides <= 0.0)
    halfway = np.where(bracketed, 0.5 * (inside + outside), places + sides * longest)
    return np.where(beyond, halfway, proposed)


def intervals(
    likelihoods: Likelihood,
    best: Maxima,
    thresholds: Sequence[float],
    ranges: np.ndarray,
    units: np.ndarray,
    variance: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[list[list[Interval]]]:
    """Where the profile q of the first set stays below thresholds, by parameter and threshold.

    Of the first parameters, those with ``ranges`` (n_parameters, 2), which the intervals end at.
    Disjoint ones, lowest first: each part of the allowed region has a maximum of its own, one of
    ``best``. Where q itself has a ``variance`` v at points (n, n_parameters), it is q^2 / (q + v)
    that stays below: q below the threshold times 1 + v / q.
    """
    peaks, values = best.thetas[0], best.values[0]
    apart = np.linalg.norm((peaks[:, None] - peaks) / units, axis=2) > SAME
    distinct = [k for k in range(len(peaks)) if apart[k, :k].all()]
    drops = 2.0 * (values[0] - values)
    growth = np.ones(len(peaks)) if variance is None else 1.0 + _shares(variance(peaks), drops)
    rows = [
        (k, i, t, side)
        for t, threshold in enumerate(thresholds)
        for k in distinct
        if drops[k] < threshold * growth[k]
        for i in range(len(ranges))
        for side in (-1, 1)
    ]
    of_peak, parameters, of_threshold, sides = np.transpose(rows)
    starts_ = peaks[of_peak, parameters]
    ends = np.where(
        sides > 0,
        np.maximum(ranges[parameters, 1], starts_),
        np.minimum(ranges[parameters, 0], starts_),
    )
    asked = np.asarray(thresholds, dtype=float)[of_threshold]
    reached = asked * growth[of_peak]
    for _ in range(WIDENINGS):
        found = edges(
            likelihoods,
            np.zeros(len(rows), dtype=int),
            peaks[of_peak],
            np.full(len(rows), values[0]),
            parameters,
            reached,
            sides,
            ends,
            units,
        )
        if variance is None:
            break
        before, reached = reached, asked * (1.0 + _shares(variance(found.points), found.q))
        reached = np.maximum(reached, drops[of_peak] * (1.0 + ROUNDING))
        if np.all(np.abs(reached - before) < SAME_THRESHOLD * before):
            break
    result: list[list[list[Interval]]] = []
    for i, (low, high) in enumerate(ranges):
        result.append([])
        for t in range(len(thresholds)):
            pairs = found.places[(parameters == i) & (of_threshold == t)].reshape(-1, 2)
            result[-1].append(united(np.clip(pairs, low, high)))
    return result


def _shares(variance: np.ndarray, q: np.ndarray) -> np.ndarray:
    """v / q; 0 at the maximum, where both are."""
    return np.divide(variance, q, out=np.zeros_like(q), where=q > PRECISION)


def united(pairs: np.ndarray) -> list[Interval]:
    """The union of intervals (n, 2), those of no length left out, as disjoint ones."""
    result: list[Interval] = []
    for low, high in sorted(map(tuple, pairs.tolist())):
        if result and low <= result[-1][1]:
            result[-1] = (result[-1][0], max(high, result[-1][1]))
        elif low < high:
            result.append((low, high))
    return result
