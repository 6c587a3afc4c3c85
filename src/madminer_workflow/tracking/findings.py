"""What is found of methods, as numbers with names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import hypot

import msgspec

from madminer_workflow.products.results import Summary
from madminer_workflow.statistics.results import (
    Check,
    Estimate,
    FisherInformation,
    Goodness,
    Limits,
    ProvenInformation,
    ToySummary,
)


class ComparisonFindings(msgspec.Struct, frozen=True, kw_only=True):
    """The length of a method's intervals over that of the best."""

    together: Estimate


class MethodFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a method in the results of plotting, which have more."""

    name: str
    believed: bool
    fisher_information: FisherInformation
    proven_information: ProvenInformation | None = None
    comparison: ComparisonFindings | None = None
    limits: dict[str, Limits]
    observed: dict[str, Limits] | None = None
    goodness: dict[str, Goodness] | None = None
    toys: ToySummary | None = None
    checks: list[Check]
    diagnostics: list[list[Check]]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The method to use, if there is one."""

    recommended: str | None


class WorkflowFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of the results of plotting."""

    parameters: list[str]
    expected_events: float
    methods: list[MethodFindings]
    verdict: Verdict


def method_numbers(
    method: Summary | MethodFindings, parameters: Sequence[str]
) -> dict[str, float | None]:
    """Fisher information, limits, coverage and checks of one method.

    ``parameters`` are in the order of the rows of the matrix.
    """
    toys = method.toys if isinstance(method, MethodFindings) else None
    comparison = method.comparison if isinstance(method, MethodFindings) else None
    return {
        "believed": method.believed,
        **_information(method.fisher_information, parameters),
        **_proven(method.proven_information, parameters),
        **_sizes("limits", method.limits),
        **_sizes("observed", method.observed or {}),
        **_comparison(comparison),
        **_errors("errors", method.limits),
        **_errors("observed_errors", method.observed or {}),
        **_goodness(method.goodness or {}),
        **_coverage(toys),
        **_checks(method),
    }


def _information(fisher: FisherInformation, parameters: Sequence[str]) -> dict[str, float | None]:
    """The upper half of the matrix, with errors that statistics and ensemble add up to."""
    numbers: dict[str, float | None] = {}
    for i, first in enumerate(parameters):
        for j, second in enumerate(parameters[i:], start=i):
            name = f"{first}.{second}"
            errors = fisher.statistical_error[i][j], fisher.ensemble_spread[i][j]
            numbers[f"fisher/{name}"] = fisher.matrix[i][j]
            numbers[f"fisher_error/{name}"] = (
                None if None in errors else hypot(*(error or 0.0 for error in errors))
            )
    return numbers


def _proven(proven: ProvenInformation | None, parameters: Sequence[str]) -> dict[str, float | None]:
    """What is proven of each parameter, with its error, and what is claimed over it."""
    if proven is None:
        return {}
    numbers: dict[str, float | None] = {}
    for i, name in enumerate(parameters):
        numbers[f"proven/{name}"] = proven.matrix[i][i]
        numbers[f"proven_error/{name}"] = proven.error[i][i]
        numbers[f"claimed_over_proven/{name}"] = proven.claimed.parameters[name].value
    return numbers


def _sizes(name: str, limits: Mapping[str, Limits]) -> dict[str, float]:
    """Volumes and widths that limits of all kinds allow; their names begin with ``name``."""
    numbers = {}
    for kind, limit in limits.items():
        for level, volume in limit.allowed_volume.items():
            numbers[f"{name}/{kind}/{level}/volume"] = volume
        for parameter, intervals in limit.intervals.items():
            for level, edges in intervals.items():
                width = sum(high - low for low, high in edges)
                numbers[f"{name}/{kind}/{level}/width.{parameter}"] = width
    return numbers


def _comparison(comparison: ComparisonFindings | None) -> dict[str, float | None]:
    """How much longer intervals are than those of the method to use."""
    if comparison is None:
        return {}
    together = comparison.together
    return {"relative_length": together.value, "relative_length_error": together.error}


def _errors(name: str, limits: Mapping[str, Limits]) -> dict[str, float | None]:
    """What one standard deviation of each parameter is made of; names begin with ``name``."""
    return {
        f"{name}/{kind}/{source}.{parameter}": getattr(errors, source)
        for kind, limit in limits.items()
        for parameter, errors in (limit.errors or {}).items()
        for source in ("statistical", "simulation", "training")
    }


def _goodness(goodness: Mapping[str, Goodness]) -> dict[str, float]:
    """p-values of the observed data by kind: of all tests together, and of each."""
    numbers = {}
    for kind, found in goodness.items():
        numbers[f"goodness/{kind}/p_value"] = found.p_value
        for test in found.tests:
            numbers[f"goodness/{kind}/{test.about}/{_words(test.name)}"] = test.p_value
    return numbers


def _coverage(toys: ToySummary | None) -> dict[str, float | None]:
    """How often toys' limits hold the truth, at every point that they were drawn at."""
    numbers = {}
    for point in toys.points if toys else ():
        for kind, thresholds in point.kinds.items():
            for level, coverage in thresholds.coverage.items():
                name = f"toys/{_words(point.name)}/{kind}/{level}/coverage"
                numbers[name] = coverage.value
                numbers[f"{name}_error"] = coverage.error
    return numbers


def _checks(method: Summary | MethodFindings) -> dict[str, float | None]:
    return {
        f"check/{_words(check.name)}/{whose}": check.value
        for whose, checks in [("ensemble", method.checks), *enumerate(method.diagnostics)]
        for check in checks
    }


def _words(name: str) -> str:
    """A name of which MLflow accepts all characters."""
    return re.sub(r"[^\w .-]", "_", name)
