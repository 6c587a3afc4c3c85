"""Whether intervals hold the truth as often as they say, in toys.

The fraction of toys below a threshold fluctuates by sqrt(level (1 - level) / n_toys). Toys are
drawn from the test events, which are few and off from nature themselves: that moves best fits, with
a variance, relative to that of the data, of r = N / n for N expected and n effective test events.
Intervals do not have that error, and need not have it: real data do not come from these events.
With k degrees of freedom, q then follows a noncentral distribution, of noncentrality r k on
average, with a standard deviation of r sqrt(2 k) from one simulation to the next. With F_k the
chi-squared distribution, coverage falls by (F_k - F_(k+2)) / 2 per unit of noncentrality.

What the training events are off by is not allowed for. Intervals that have this error hold the
truth as often as they say in the mean over simulations; where the one that there is lets them down,
more events are the cure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from madminer_workflow.statistics.checks import allowance, make, say
from madminer_workflow.statistics.quantiles import chi2_probability, chi2_quantile
from madminer_workflow.statistics.results import Check, Limits, Thresholds, ToySummary

TOLERANCE = 0.02
"""At 95 %, an interval that is 7 % too short; at 68.3 %, one that is 4 % too short."""

KIND_WORDS = {"shape": "shape", "rate_and_shape": "rate and shape"}


@dataclass(frozen=True)
class Covered:
    """The coverage of one interval, ``what``, at a ``level``; ``allowed`` is the least that passes.

    ``dof`` are its degrees of freedom, ``kind`` is that of the likelihood.
    """

    what: str
    kind: str
    level: float
    dof: int
    value: float
    error: float
    allowed: float

    @property
    def excess(self) -> float:
        """The relative variance missing in q: with it, the coverage would be nominal."""
        reached = chi2_quantile(min(max(self.value, 1e-6), 1.0 - 1e-6), self.dof)
        return chi2_quantile(self.level, self.dof) / reached - 1.0


def coverage_check(
    toys: ToySummary,
    limits: Mapping[str, Limits],
    noise: Mapping[str, float],
    n_simulated: int,
) -> Check:
    """Whether every interval, joint and of each parameter, covers at every point of ``toys``.

    ``limits`` are the expected ones by kind, whose errors say what the simulation of
    ``n_simulated`` events is worth; ``noise`` are N / n of the test events at the points.
    """
    found = list(_all(toys, noise))
    worst = min(found, key=lambda one: (one.value - one.allowed) / max(one.error, 1e-12))
    failing = [one for one in found if one.value < one.allowed]
    few = allowance(number_of_intervals(toys))
    sentence = (
        f"Of {toys.n_toys} toys, {percentage(worst.value)} ± {percentage(worst.error)} % are "
        f"within {worst.what} at {percentage(worst.level)} % from {KIND_WORDS[worst.kind]}"
    )
    if failing:
        more = len(failing) - 1
        sentence += (
            f", and the coverage of {more} more of {len(found)} is too small" if more else ""
        )
        sentence += f". {remedy(worst, limits[worst.kind], n_simulated)}"
    else:
        sentence += ", the smallest coverage relative to its threshold."
    return make(
        "coverage of toys",
        worst.value - worst.level,
        worst.error,
        not failing,
        expected=f"at least −{TOLERANCE} within {few:.1f} standard errors, with an allowance for "
        "toys from few test events",
        meaning="coverage of the intervals in toys minus their confidence level, for the worst "
        "interval: joint and for each parameter, with and without the rate, at every "
        "level and point",
        reason="an interval with a coverage of 93 % instead of 95 % is 7 % too short; an "
        "interval with too large a coverage is conservative",
        proves="its intervals have the stated coverage in toys",
        sentence=sentence,
    )


def _all(toys: ToySummary, noise: Mapping[str, float]) -> Iterator[Covered]:
    few = allowance(number_of_intervals(toys))
    for point in toys.points:
        for kind, joint in point.kinds.items():
            n_parameters = len(joint.parameters)
            where = "" if len(toys.points) == 1 else f" at {point.name}"
            regions: list[tuple[str, int, Thresholds]] = [
                (f"the interval of {name}{where}", 1, one) for name, one in joint.parameters.items()
            ]
            if n_parameters > 1:
                regions.append((f"the joint region{where}", n_parameters, joint))
            for what, dof, thresholds in regions:
                for level, estimate in thresholds.coverage.items():
                    nominal = float(level)
                    lost, spread = fluctuations(nominal, dof, noise[point.name])
                    of_toys = np.sqrt(nominal * (1.0 - nominal) / toys.n_toys)
                    allowed = nominal - TOLERANCE - lost
                    allowed -= few * float(np.hypot(of_toys, spread))
                    value = -np.inf if estimate.value is None else estimate.value
                    error = np.nan if estimate.error is None else estimate.error
                    yield Covered(what, kind, nominal, dof, value, error, allowed)


def number_of_intervals(toys: ToySummary) -> int:
    """Whose coverage is known."""
    kinds = [joint for point in toys.points for joint in point.kinds.values()]
    return sum(
        len(joint.coverage) * (len(joint.parameters) + (len(joint.parameters) > 1))
        for joint in kinds
    )


def fluctuations(level: float, dof: int, noise: float) -> tuple[float, float]:
    """How much too small the coverage of a perfect interval is on average, and its deviation.

    ``noise`` is the relative variance of the test events.
    """
    threshold = chi2_quantile(level, dof)
    inside, more = (float(chi2_probability(np.array(threshold), k)) for k in (dof, dof + 2))
    slope = 0.5 * (inside - more)
    return slope * dof * noise, slope * float(np.sqrt(2.0 * dof)) * noise


def simulated_share(limits: Limits) -> float:
    """The largest relative variance that the simulation adds to a parameter; 0 if not known."""
    shares = [0.0]
    for errors in (limits.errors or {}).values():
        if errors.statistical:
            of_both = (errors.simulation or 0.0) ** 2 + (errors.training or 0.0) ** 2
            shares.append(of_both / errors.statistical**2)
    return max(shares)


def remedy(worst: Covered, limits: Limits, n_simulated: int) -> str:
    """Whether more simulated events would mend it, and how many."""
    if limits.errors is None:
        return "For this method, it is not known whether more simulated events would help."
    share = simulated_share(limits)
    # One fluctuation of the simulation, at most three standard deviations of it.
    largest = share * (1.0 + 3.0 * np.sqrt(2.0 / worst.dof))
    tolerable = Covered(
        worst.what, worst.kind, worst.level, worst.dof, worst.level - TOLERANCE, 0.0, 0.0
    ).excess
    if worst.excess <= largest:
        factor = worst.excess / tolerable
        return (
            f"The simulation's error, {say(100.0 * share)} % of the data's variance, can explain "
            f"this: with {say(factor)} times as many simulated events, about "
            f"{say(factor * n_simulated)}, the coverage would be acceptable."
        )
    return (
        f"More simulated events would not help: their error is {say(100.0 * share)} % of the "
        f"data's variance, but {say(100.0 * worst.excess)} % are missing. Use the critical "
        "values from toys, or look for a bias of the model."
    )


def percentage(value: float) -> str:
    """Without its sign."""
    return say(100.0 * value)
