"""How much of the information that the best method proves each method proves, in words too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from msgspec.structs import replace

from madminer_workflow.products.results import PROVEN_REPLICAS, Results
from madminer_workflow.report.results import InformationEfficiency, MethodReport
from madminer_workflow.statistics import efficiency
from madminer_workflow.statistics.information import Bootstrap
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Estimate, Shares

SURE = 3.0
NOTABLE_LOSS = 0.05
NOTABLE_CLAIM = 1.05


def with_efficiency(
    methods: Sequence[MethodReport], results: Sequence[Results], problem: Problem
) -> list[MethodReport]:
    """The methods, those compared with each other of whose proven information there are results."""
    proven = {
        result.summary.name: Bootstrap(
            np.array(result.summary.proven_information.matrix), result.arrays[PROVEN_REPLICAS]
        )
        for result in results
        if result.summary.proven_information is not None
    }
    if not proven:
        return list(methods)
    ceiling = efficiency.of_partons(problem)
    directions = efficiency.known_directions(list(proven.values()), ceiling)

    def share(found: Bootstrap, whole: Bootstrap) -> Shares:
        return efficiency.shares(found, whole, directions, problem.setup.parameters)

    of_partons = {name: share(found, ceiling) for name, found in proven.items()}
    best = max(proven, key=lambda name: of_partons[name].together.value or 0.0)
    return [
        replace(
            method,
            efficiency=InformationEfficiency(
                best=best,
                of_best=share(proven[method.name], proven[best]),
                of_partons=of_partons[method.name],
            ),
        )
        if method.name in proven
        else method
        for method in methods
    ]


def proven_words(method: MethodReport) -> str:
    """What share of the best method's information a method proves, or the best of the partons'."""
    assert method.efficiency is not None
    best = method.efficiency.best
    if method.name == best:
        share = percentage(method.efficiency.of_partons.together)
        return (
            f"Proven information: the largest of all methods, {share} of the parton-level "
            "information."
        )
    share = percentage(method.efficiency.of_best.together)
    return f"Proven information: {share} of the best method's ({best})."


def percentage(share: Estimate) -> str:
    """A share with its error, as "84 ± 1 %", with more digits where the error is below 1 %."""
    if share.value is None:
        return "–"
    value, error = 100.0 * share.value, 100.0 * (share.error or 0.0)
    if error < 0.005:
        return f"{value:.3g} %"
    digits = 0 if error >= 0.95 else 1 if error >= 0.095 else 2
    return f"{value:.{digits}f} ± {error:.{digits}f} %"


def losing(methods: Sequence[MethodReport]) -> list[tuple[MethodReport, float]]:
    """Methods that surely prove notably less than the best, and what share of it."""
    shares = [
        (method, method.efficiency.of_best.together)
        for method in methods
        if method.efficiency is not None
    ]
    return [
        (method, share.value)
        for method, share in shares
        if share.value is not None
        and share.value < 1.0 - NOTABLE_LOSS
        and share.value + SURE * (share.error or 0.0) < 1.0
    ]


def claims(method: MethodReport) -> Iterator[str]:
    """A remark if a method claims notably more than it proves."""
    if method.proven_information is None:
        return
    known = {
        name: share
        for name, share in method.proven_information.claimed.parameters.items()
        if share.value is not None and share.value - SURE * (share.error or 0.0) > 1.0
    }
    if not known:
        return
    name, share = max(known.items(), key=lambda item: item[1].value or 0.0)
    if share.value is not None and share.value > NOTABLE_CLAIM:
        yield (
            f"The information that it claims on {name} is {percentage(share)} of what it proves: "
            "near the reference point, its intervals are about "
            f"{100.0 - 100.0 / math.sqrt(share.value):.0f} % too short."
        )
