"""Where information and limits, or two losses, seem not to agree, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import permutations

from madminer_workflow.report.comparison import KIND
from madminer_workflow.report.results import Baseline, MethodReport, Report
from madminer_workflow.statistics.checks import listing
from madminer_workflow.statistics.quantiles import chi2_quantile

NOTABLE = 1.05
"""Ratio of widths, below which nothing is said."""


def beside_sigma(
    subject: MethodReport | Baseline, position: int, name: str, level: str
) -> float | None:
    """Half the length of the expected interval of the parameter ``name`` over what σ makes of it.

    None without either, 1 for a likelihood that is a parabola. Nuisance parameters are profiled
    in both, or in none.
    """
    found = subject.limits[KIND].intervals[name][level] if KIND in subject.limits else []
    sigma = sigma_of(subject, position)
    if not found or not sigma:
        return None
    length = sum(high - low for low, high in found)
    return 0.5 * length / (sigma * math.sqrt(chi2_quantile(float(level), 1)))


def sigma_of(subject: MethodReport | Baseline, position: int) -> float | None:
    """The standard deviation that the information means, nuisance parameters profiled."""
    return (subject.fisher_information_profiled or subject.fisher_information).sigma[position]


def disagreements(report: Report) -> Iterator[str]:
    """For pairs of methods of which one has more information, but the longer intervals."""
    level = report.levels[-1]
    for i, name in enumerate(report.parameters):
        for one, other in permutations(report.methods, 2):
            sigmas = sigma_of(one, i), sigma_of(other, i)
            lengths = [length(method, name, level) for method in (one, other)]
            if not (all(sigmas) and all(lengths)):
                continue
            assert sigmas[0] and sigmas[1]
            if sigmas[1] / sigmas[0] > NOTABLE and lengths[0] / lengths[1] > NOTABLE:
                yield (
                    f"{one.name} has more information on {name} than {other.name} "
                    f"(σ {sigmas[0]:.3g} against {sigmas[1]:.3g}), but longer intervals "
                    f"({lengths[0]:.3g} against {lengths[1]:.3g}): it measures small "
                    "deviations better and large ones less well. For limits, the intervals count."
                )


def length(method: MethodReport, name: str, level: str) -> float:
    """Of the expected interval from rate and shape."""
    return sum(high - low for low, high in method.limits[KIND].intervals[name][level])


def on_losses(report: Report) -> str:
    """Why a validation loss is below that of training, where one is; how to read a rising one."""
    below = [
        method.name
        for method in report.methods
        if any(
            member.get("validation")
            and (member["validation"][-1] or math.inf) < (member["training"][-1] or -math.inf)
            for member in method.losses
        )
    ]
    validated = any(
        member.get("validation") for method in report.methods for member in method.losses
    )
    words = []
    if validated:
        words.append(
            "A validation loss that rises while the training loss falls indicates overfitting: "
            "train for fewer epochs, or with more events."
        )
    if below:
        words.append(
            f"The validation loss of {listing(below)} is below the training loss. This is not a "
            "mistake: the two are computed from different events, and a few events with large "
            "joint scores or ratios dominate both, so they differ by a constant. Besides, the "
            "training loss is an average over an epoch, during which it still falls. Only the "
            "trend of the validation loss matters."
        )
    return " ".join(words)
