"""Whether a machine can do the trials of a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from madminer_workflow.analysis import cost
from madminer_workflow.analysis.machine import HINT, Machine, beyond
from madminer_workflow.analysis.problems import AnalysisError, Finding
from madminer_workflow.analysis.reading import read
from madminer_workflow.sweep.plan import Plan, Values


def require_affordable(file: Path, plan: Plan, machine: Machine) -> None:
    """Raise AnalysisError about the sweep ``file`` if trials need more than ``machine`` has.

    A trial costs what sampling, training and evaluating the one method do.
    """
    asked = cost.Plan(ntrainsamples=plan.ntrainsamples, part="ml")
    for key, values in _corners(plan):
        learning = replace(
            plan.analysis.ml,
            methods=(plan.method_of(values),),
            limits=replace(
                plan.analysis.ml.limits, toys=replace(plan.analysis.ml.limits.toys, n_toys=0)
            ),
        )
        whole = cost.estimate(replace(plan.analysis, ml=learning), asked)
        for _, words in beyond(whole, machine, max(1.0, plan.n_trials / plan.workers)):
            path = ("space", key) if key else ("n_trials",)
            raise AnalysisError([read(file).problem(Finding(path, f"in a trial {words}{HINT}"))])


def _corners(plan: Plan) -> Iterator[tuple[str, Values]]:
    """The settings of trials: those all start from, and each that is searched at its ends."""
    yield "", {}
    for axis in plan.space:
        for value in axis.choices or (axis.low, axis.high):
            yield axis.key, {axis.key: value}
