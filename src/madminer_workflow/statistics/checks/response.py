"""Whether what a density responds to nuisance parameters is what simulated events do.

The density of the observables at nu_i = +1 or -1 over that at 0, u(x), is a ratio like any other:
events at 0, weighted with it, are those at +1 or -1. As responses are small, so are the mistakes
that matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from madminer_workflow.statistics.checks import allowance, make, say
from madminer_workflow.statistics.checks.reweighting import (
    TOLERANCE,
    largest_difference,
    supremum_allowance,
)
from madminer_workflow.statistics.checks.score import CALIBRATION, worst_slope
from madminer_workflow.statistics.results import Check
from madminer_workflow.statistics.weights import normalised, weighted_mean

MEAN = 0.01

SHARE = 0.25
"""Of the effect itself: what is left out by as much makes a profiled interval wrong by less."""

SMALLEST = 0.002
"""A difference that thousands of events do not show."""

CLAIM = 0.1
"""Of the information in the constraint: what shapes claim beyond it has to be calibrated."""


@dataclass(frozen=True)
class Variation:
    """What one variation multiplies the densities of events with: as estimated and in truth.

    ``ratios`` are u(x), ``factors`` those of the events themselves, whose mean is 1, both
    (n_events,).
    """

    ratios: np.ndarray
    factors: np.ndarray


def response_checks(
    variations: Mapping[str, Variation],
    weights: np.ndarray,
    x: np.ndarray,
    observables: Sequence[str],
    n_events: float,
) -> list[Check]:
    """Checks of all variations, by name, with ``n_events`` expected; none without any.

    ``weights`` (n_events,) are those of the events at nu = 0, ``x`` (n_events, n_observables).
    """
    if not variations:
        return []
    return [
        _closure(variations, weights),
        _reweighting(variations, weights, x, observables),
        *_calibration(variations, weights, n_events),
    ]


def _closure(variations: Mapping[str, Variation], weights: np.ndarray) -> Check:
    means = np.array([weighted_mean(one.ratios, weights) for one in variations.values()])
    few = allowance(len(means))
    worst = int(np.argmax(np.abs(means[:, 0] - 1.0) - few * means[:, 1]))
    value, error = means[worst]
    return make(
        "closure of the response",
        value,
        error,
        abs(value - 1.0) <= MEAN + few * error,
        expected=f"1 within {MEAN} and {few:.1f} standard errors",
        meaning="mean over events of the density with a nuisance parameter at +1 or −1 over that "
        "at 0, at the worst of all; it is 1 for true densities",
        reason="the number of events is known for itself: what is added to it here moves the "
        "nuisance parameter, with a hundred events and a mean of 1.01 by one standard deviation of "
        "its prior",
        proves="its densities at other nuisance parameters are normalised",
        sentence=f"The density with {list(variations)[worst]} has the integral "
        f"{say(value, error)}, where it should have 1.",
    )


def _reweighting(
    variations: Mapping[str, Variation],
    weights: np.ndarray,
    x: np.ndarray,
    observables: Sequence[str],
) -> Check:
    p = normalised(weights)
    rows = []
    for one in variations.values():
        q, truth = normalised(p * one.ratios), normalised(p * one.factors)
        effect = max(largest_difference(column, p, truth)[0] for column in x.T)
        tolerance = min(TOLERANCE, max(SHARE * effect, SMALLEST))
        rows += [(*largest_difference(column, q, truth), tolerance) for column in x.T]
    differences, errors, tolerances = np.array(rows).T
    few = supremum_allowance(len(rows))
    worst = int(np.argmax(differences - tolerances - few * errors))
    value, error = differences[worst], errors[worst]
    name, observable = divmod(worst, x.shape[1])
    where = f"{observables[observable]} with {list(variations)[name]}"
    passed = value <= tolerances[worst] + few * error
    return make(
        "reweighting to nuisance parameters",
        value,
        error,
        passed,
        expected=f"0 within {SHARE:.0%} of the largest effect on any observable, at least "
        f"{SMALLEST}, and {few:.1f} standard errors",
        meaning="largest difference between the cumulative distribution of an observable with a "
        "nuisance parameter at +1 or −1 and that of events at 0 reweighted to it with the "
        "estimated density, worst observable of all",
        reason="a response that is missed leaves intervals too short, one that does not exist "
        "makes data constrain a nuisance parameter that they know nothing of",
        proves="they reproduce every observable at other nuisance parameters",
        sentence=f"Events reweighted to other nuisance parameters miss {where}: "
        f"{100.0 * value:.2g} % of them are in the wrong place."
        if not passed
        else f"Events reweighted to other nuisance parameters reproduce every observable, {where} "
        f"worst: {say(100.0 * value)} % of the events are in the wrong place.",
    )


def _calibration(
    variations: Mapping[str, Variation], weights: np.ndarray, n_events: float
) -> list[Check]:
    """Of those that claim to constrain nuisance parameters; the mean of events is left out."""
    p = normalised(weights)
    ratios, factors = (
        np.stack([values - p @ values for values in columns], axis=1)
        for columns in (
            [one.ratios for one in variations.values()],
            [one.factors for one in variations.values()],
        )
    )
    claiming = n_events * (p @ np.square(ratios)) > CLAIM
    if not claiming.any():
        return []
    value, error, passed, few = worst_slope(ratios[:, claiming], factors[:, claiming], weights)
    low, high = CALIBRATION
    return [
        make(
            "calibration of the response",
            value,
            error,
            passed,
            expected=f"{low} to {high} within {few:.1f} standard errors",
            meaning="slope of what nuisance parameters at +1 or −1 multiply the weights of events "
            "with on the same of the estimated density, worst of those that data could constrain; "
            "below 1 the density claims to know more of them than it does",
            reason="data constrain a nuisance parameter by as much as its response, so that a "
            "slope outside of these bounds makes a profiled interval wrong by up to as much",
            proves="what it knows of nuisance parameters is calibrated",
            sentence="What nuisance parameters do to events rises by "
            f"{say(value, error)} per unit of what is estimated, where it should by 1.",
        )
    ]
