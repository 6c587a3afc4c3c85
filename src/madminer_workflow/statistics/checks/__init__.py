"""Whether a trained model can be trusted: checks that any perfect estimator passes.

Functions of plain arrays, one module per idea, each of which returns a ``results.Check``.

A tolerance is the deviation within which limits remain useful. Statistical fluctuations are allowed
on top of it, so that a perfect model fails one time in several hundred, however few the events.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.quantiles import gaussian_deviations
from madminer_workflow.statistics.results import AnyPlot, Check

CHANCE = 0.0027
"""How often a perfect model may fail a check: beyond three standard deviations of a Gaussian."""


def allowance(n: int) -> float:
    """Allowed standard errors for the worst of ``n`` numbers: 3 for one, more for several.

    Gaussian fluctuations then fail a perfect model with a probability of at most CHANCE
    (Bonferroni's inequality).
    """
    return gaussian_deviations(0.5 * CHANCE / n)


def say(value: float, error: float | None = None) -> str:
    """A number with its standard error, for use in a sentence."""
    if not np.isfinite(value):
        return "not a number"
    text = f"{value:.3g}" if error is None else f"{value:.3g} ± {error:.1g}"
    return text.replace("-", "−")


def make(
    name: str,
    value: float,
    error: float | None,
    passed: bool,
    *,
    expected: str,
    meaning: str,
    reason: str,
    proves: str,
    sentence: str,
    concerns: str | None = None,
    plot: AnyPlot | None = None,
) -> Check:
    """A check of a measured ``value``. NaN never passes."""
    return Check(
        name=name,
        value=plain(float(value)),
        error=None if error is None else plain(float(error)),
        passed=bool(passed and np.isfinite(value)),
        expected=expected,
        meaning=meaning,
        reason=reason,
        sentence=sentence,
        proves=proves,
        concerns=concerns,
        plot=plot,
    )


def deciding(checks: Sequence[Check]) -> list[Check]:
    """The checks that decide whether limits are trusted."""
    return [check for check in checks if check.concerns is None]


def failures(checks: Sequence[Check]) -> list[Check]:
    """The checks that fail."""
    return [check for check in checks if not check.passed]


def believed(checks: Sequence[Check]) -> bool:
    """Whether a method with these checks can be trusted."""
    return not failures(deciding(checks))


def reason(checks: Sequence[Check]) -> str:
    """Why a method can, or cannot, be trusted."""
    checks = deciding(checks)
    failed = failures(checks)
    n = len(checks)
    if failed:
        of_all = "its one check" if n == 1 else f"{len(failed)} of {n} checks"
        return f"Fails {of_all}. {' '.join(check.sentence for check in failed)}"
    all_of_them = "its one check" if n == 1 else f"all {n} checks"
    # What is not known proves nothing.
    proven = [check.proves for check in checks if check.value is not None]
    return f"Passes {all_of_them}: {listing(proven)}." if proven else f"Passes {all_of_them}."


def listing(items: Sequence[str]) -> str:
    """Items as an enumeration in a sentence."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
