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
from madminer_workflow.statistics.checks.reweighting import TOLERANCE, supremum_allowance
from madminer_workflow.statistics.checks.score import CALIBRATION, worst_of
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
class Measured:
    """Events with observables ``x`` (n_events, n_observables) and ``weights`` (n_events,).

    ``ratios`` (n_events,) are the estimated u(x) of one variation. Each belongs to one of the
    events at nu = 0, ``partners`` (n_events,), itself there, with which it fluctuates.
    """

    x: np.ndarray
    weights: np.ndarray
    ratios: np.ndarray
    partners: np.ndarray

    @property
    def p(self) -> np.ndarray:
        """Normalised weights."""
        return normalised(self.weights)


@dataclass(frozen=True)
class Variation:
    """The simulated events at nu = 0, and the same ``varied``."""

    nominal: Measured
    varied: Measured

    def paired(self, of_nominal: np.ndarray, of_varied: np.ndarray) -> np.ndarray:
        """What each event contributes to a difference, from both of its measurements."""
        n = len(of_nominal)
        return np.bincount(self.varied.partners, of_varied, n) - of_nominal

    def difference(self, column: int, reweighted: bool) -> tuple[float, float]:
        """Largest difference of the distributions of an observable, and its error.

        That of varied events to that of nominal ones, or of these ``reweighted``.
        """
        nominal, varied = self.nominal, self.varied
        q = normalised(nominal.p * nominal.ratios) if reweighted else nominal.p
        x = np.concatenate([nominal.x[:, column], varied.x[:, column]])
        order = np.argsort(x, kind="stable")
        cumulative = np.cumsum(np.concatenate([-q, varied.p])[order])
        ends = np.flatnonzero(np.append(x[order][1:] != x[order][:-1], True))
        differences = np.abs(cumulative[ends])
        errors = []
        for place in (int(np.argmax(differences)), len(ends) // 2):
            at = x[order][ends[place]]
            below = nominal.x[:, column] <= at, varied.x[:, column] <= at
            shares = q @ below[0], varied.p @ below[1]
            each = self.paired(q * (below[0] - shares[0]), varied.p * (below[1] - shares[1]))
            errors.append(float(np.linalg.norm(each)))
        return float(differences.max()), max(errors)

    def slope(self) -> tuple[float, float]:
        """That of what simulated events do on the estimate, and its error."""
        nominal, varied = self.nominal, self.varied
        mean, square = weighted_moments(nominal.ratios, nominal.p)
        rise = varied.p @ varied.ratios - mean
        slope = rise / square
        of_nominal = nominal.p * (nominal.ratios - mean)
        of_nominal += slope * nominal.p * ((nominal.ratios - mean) ** 2 - square)
        each = self.paired(of_nominal, varied.p * (varied.ratios - varied.p @ varied.ratios))
        return float(slope), float(np.linalg.norm(each) / square)


def weighted_moments(values: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """Mean and variance with normalised weights."""
    mean = float(p @ values)
    return mean, float(p @ (values - mean) ** 2)


def response_checks(
    variations: Mapping[str, Variation], observables: Sequence[str], n_events: float
) -> list[Check]:
    """Checks of all variations, by name, with ``n_events`` expected; none without any."""
    if not variations:
        return []
    return [
        _closure(variations),
        _reweighting(variations, observables),
        *_calibration(variations, n_events),
    ]


def _closure(variations: Mapping[str, Variation]) -> Check:
    means = np.array(
        [weighted_mean(one.nominal.ratios, one.nominal.weights) for one in variations.values()]
    )
    few = allowance(len(means))
    worst = int(np.argmax(np.abs(means[:, 0] - 1.0) - few * means[:, 1]))
    value, error = means[worst]
    return make(
        "closure of the response",
        value,
        error,
        abs(value - 1.0) <= MEAN + few * error,
        expected=f"1 within {MEAN} and {few:.1f} standard errors",
        meaning="mean over events of the ratio of the density with a nuisance parameter at +1 "
        "or −1 to that at 0, for the worst one; it is 1 for true densities",
        reason="the number of events is known independently: any excess here shifts the "
        "nuisance parameter; for a hundred events, a mean of 1.01 shifts it by one "
        "standard deviation of its prior",
        proves="its densities at other nuisance parameters are normalised",
        sentence=f"The density with {list(variations)[worst]} has the integral "
        f"{say(value, error)} instead of 1.",
    )


def _reweighting(variations: Mapping[str, Variation], observables: Sequence[str]) -> Check:
    columns, rows = range(len(observables)), []
    for one in variations.values():
        effect = max(one.difference(column, reweighted=False)[0] for column in columns)
        tolerance = min(TOLERANCE, max(SHARE * effect, SMALLEST))
        rows += [(*one.difference(column, reweighted=True), tolerance) for column in columns]
    differences, errors, tolerances = np.array(rows).T
    few = supremum_allowance(len(rows))
    worst = int(np.argmax(differences - tolerances - few * errors))
    value, error = differences[worst], errors[worst]
    name, observable = divmod(worst, len(observables))
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
        "nuisance parameter at +1 or −1 and that of events at 0 reweighted with the "
        "estimated density, for the worst observable",
        reason="a missed response makes intervals too short; a spurious one makes data "
        "constrain a nuisance parameter to which they are insensitive",
        proves="they reproduce every observable at other nuisance parameters",
        sentence=f"Events reweighted to other nuisance parameters do not reproduce {where}: "
        f"{100.0 * value:.2g} % of them are misplaced."
        if not passed
        else "Events reweighted to other nuisance parameters reproduce every observable, with "
        f"{where} the worst: {say(100.0 * value)} % of the events are misplaced.",
    )


def _calibration(variations: Mapping[str, Variation], n_events: float) -> list[Check]:
    """Of those that claim to constrain nuisance parameters; the mean of events is left out."""
    slopes = np.array(
        [
            one.slope()
            for one in variations.values()
            if n_events * weighted_moments(one.nominal.ratios, one.nominal.p)[1] > CLAIM
        ]
    )
    if not len(slopes):
        return []
    value, error, passed, few = worst_of(slopes)
    low, high = CALIBRATION
    return [
        make(
            "calibration of the response",
            value,
            error,
            passed,
            expected=f"{low} to {high} within {few:.1f} standard errors",
            meaning="change of the mean estimated response between events with a nuisance "
            "parameter at 0 and at +1 or −1, divided by the change that the estimate "
            "claims, its variance; worst of those that data could constrain; below 1, "
            "the density claims more information on them than it has",
            reason="data constrain a nuisance parameter in proportion to its response, so a "
            "slope outside these bounds makes a profiled interval wrong by up to the "
            "same factor",
            proves="its response to nuisance parameters is calibrated",
            sentence=f"The effect of nuisance parameters on events is {say(value, error)} times "
            "the estimated one.",
        )
    ]
