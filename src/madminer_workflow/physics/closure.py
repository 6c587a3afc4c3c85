"""Closure: cross-sections that must agree if event weights and morphing are right.

Three families of checks, for every signal process:

- *reweighting*, after all cuts: the cross-section at a benchmark from the events drawn there,
  against the one that the events of all other benchmarks predict with their weights;
- *morphing*, before cuts: the cross-section integrated directly by the generator, at every
  benchmark and at a point outside the morphing basis, against the morphed weights of all events;
- *surplus*, before cuts, event by event: the weights at a benchmark against those that the weights
  at all others predict, where benchmarks are more than terms of the cross-section.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
from msgspec import UNSET

from madminer_workflow.analysis.types import CLOSURE_POINT, Generation
from madminer_workflow.physics.points import held_out_point
from madminer_workflow.physics.tasks import block_size
from madminer_workflow.physics.weights import balanced_shares
from madminer_workflow.products.combined import (
    Closure,
    ClosureCheck,
    OddEvent,
    SurplusCheck,
    SurplusPoint,
)
from madminer_workflow.products.events import SampledProcess
from madminer_workflow.products.measured import Leftover, MeasuredTask
from madminer_workflow.products.processes import Estimate
from madminer_workflow.statistics.sample import Sample
from madminer_workflow.statistics.setup import Setup
from madminer_workflow.statistics.surplus import ROUNDING, Fit, relative_errors

MAX_PULL = 5.0
"""With about a dozen checks a run, chance exceeds 5 standard deviations once in 140 000 runs."""

MAX_DEVIATION = 0.01
"""Of weights from those that all other benchmarks predict, root mean squares: limits do not see it.
"""

LARGEST_SHARE = 0.05
"""Where one event makes more of a sum than this, neither its error nor its mean are to be trusted:
the events of other samples then hardly reach where the cross-section comes from."""


def check_closure(
    generation: Generation,
    tasks: Sequence[MeasuredTask],
    processes: Mapping[str, SampledProcess],
    sample: Sample,
    setup: Setup,
) -> Closure:
    """All checks. ``sample`` has the events of ``tasks`` in their order."""
    checks = [
        *reweighting_checks(tasks, processes, sample, setup),
        *morphing_checks(generation, tasks, processes, setup),
    ]
    surplus = tuple(surplus_checks(tasks, setup, block_size(generation)))
    return Closure(max_pull=MAX_PULL, checks=tuple(checks), surplus=surplus)


def compare(what: str, theta: np.ndarray, predicted: Estimate, direct: Estimate) -> ClosureCheck:
    """One check: the pull is the difference over both errors in quadrature."""
    error = float(np.hypot(predicted[1], direct[1]))
    pull = (predicted[0] - direct[0]) / error
    return ClosureCheck(
        what=what,
        theta=tuple(map(float, theta)),
        predicted=(float(predicted[0]), float(predicted[1])),
        direct=(float(direct[0]), float(direct[1])),
        pull=float(pull),
        closes=bool(abs(pull) <= MAX_PULL),
    )


def reweighting_checks(
    tasks: Sequence[MeasuredTask],
    processes: Mapping[str, SampledProcess],
    sample: Sample,
    setup: Setup,
) -> Iterator[ClosureCheck]:
    """Every sampling benchmark of every signal process against all other samples, after all cuts.

    ``sample`` has the events of ``tasks`` in their order. Estimates in which one event
    makes more than ``LARGEST_SHARE`` are not compared.
    """
    of_tasks = [task.passed for task in tasks]
    for name in dict.fromkeys(task.process for task in tasks if not task.is_background):
        events = processes[name].events
        if len(events) == 1:
            continue
        chosen = np.repeat([task.process == name for task in tasks], of_tasks)
        weights, ids = sample.weights[chosen], sample.sampling_ids[chosen]
        for target in events:
            others = {other: n for other, n in events.items() if other != target}
            predicted, direct = (
                from_samples(
                    weights, ids, target, msgspec.structs.replace(processes[name], events=n), setup
                )
                for n in (others, {target: events[target]})
            )
            if predicted and direct:
                what = f"{name} at {target}, reweighted from the other samples"
                yield compare(what, setup.theta(target), predicted, direct)


def from_samples(
    weights: np.ndarray,
    sampling_ids: np.ndarray,
    target: str,
    process: SampledProcess,
    setup: Setup,
) -> Estimate | None:
    """The cross-section at benchmark ``target`` from some samples of a process, and its error.

    ``weights`` (n_events, n_benchmarks) and ``sampling_ids`` (n_events,) are those of the events
    left after cuts; the ``events`` of ``process`` those that were drawn from the benchmarks to use.
    These samples are joined with the balance heuristic. The variance of each is that of a sum over
    a fixed number of drawn events, of which those that fail the cuts count as zeros, plus that of
    its normalisation. None if one event makes more than ``LARGEST_SHARE`` of the sum.
    """
    total = variance = largest = 0.0
    for name, n in process.events.items():
        drawn = weights[sampling_ids == setup.benchmark_names.index(name)]
        shares = balanced_shares(drawn, name, process, setup)
        values = shares * drawn[:, setup.benchmark_names.index(target)]
        value, error = process.cross_sections[name]
        total += values.sum()
        variance += max(np.square(values).sum() - values.sum() ** 2 / n, 0.0)
        variance += (error / value * values.sum()) ** 2
        largest = max(largest, values.max(initial=0.0))
    # Not "<=": without any event the error is not zero but unknown.
    return (float(total), float(np.sqrt(variance))) if largest < LARGEST_SHARE * total else None


def morphing_checks(
    generation: Generation,
    tasks: Sequence[MeasuredTask],
    processes: Mapping[str, SampledProcess],
    setup: Setup,
) -> Iterator[ClosureCheck]:
    """Every integrated benchmark and the held-out point of every signal process, before cuts."""
    held_out = held_out_point(generation)
    for process in generation.processes:
        if process.is_background:
            continue
        name, k_factor = process.name, process.k_factor
        cross_sections = processes[name].cross_sections
        drawn = [task for task in tasks if task.process == name]
        points = [(point, f"{name} at {point}, from all events") for point in setup.benchmark_names]
        points.append(
            (CLOSURE_POINT, f"{name} at a point outside the basis, morphed from all events")
        )
        for point, what in points:
            if point not in cross_sections:
                continue
            theta = setup.theta(held_out if point == CLOSURE_POINT else point)
            predicted = morphed_from_all(drawn, setup.morphing_weights(theta))
            value, error = cross_sections[point]
            yield compare(what, theta, predicted, (k_factor * value, k_factor * error))


LeftOver = tuple[MeasuredTask, Leftover]
"""The events of a task, and what their weights have that no polynomial has."""


def surplus_checks(
    tasks: Sequence[MeasuredTask], setup: Setup, size: int
) -> Iterator[SurplusCheck]:
    """Every signal process, where benchmarks are more than terms; blocks have ``size`` events."""
    of_processes: dict[str, list[LeftOver]] = {}
    for task in tasks:
        if task.leftover is not UNSET:
            of_processes.setdefault(task.process, []).append((task, task.leftover))
    fit = setup.surplus
    if fit is not None:
        for name, parts in of_processes.items():
            yield _surplus(name, parts, fit, setup, _odd_event(parts, size))


def _odd_event(parts: Sequence[LeftOver], size: int) -> OddEvent | None:
    """The worst event of all blocks of ``size``."""
    odd = [(left.worst, task) for task, left in parts if left.worst is not None]
    if not odd:
        return None
    worst, task = max(odd, key=lambda pair: pair[0].relative_error)
    return OddEvent(
        sampling_benchmark=task.sampling_benchmark,
        event=task.block * size + worst.event + 1,
        relative_error=worst.relative_error,
        suspects=worst.suspects,
    )


def _surplus(
    process: str, parts: Sequence[LeftOver], fit: Fit, setup: Setup, worst: OddEvent | None
) -> SurplusCheck:
    residuals = np.sum([left.squares for _, left in parts], axis=0)
    squares = np.sum([np.diag(task.sum_weights_squared) for task, _ in parts], axis=0)
    deviations = relative_errors(fit.deviation_squares(residuals), squares)
    errors = relative_errors(residuals, fit.error_squares(squares))
    closes = (deviations <= MAX_DEVIATION) | (errors <= ROUNDING)
    sums = np.sum([task.sum_weights for task, _ in parts], axis=0)
    predicted = sums - fit.deviations(sums)
    names = setup.benchmark_names
    return SurplusCheck(
        process=process,
        points=tuple(
            SurplusPoint(
                benchmark=names[i],
                predicted=float(predicted[i]),
                given=float(sums[i]),
                deviation=float(deviations[i]),
                relative_error=float(errors[i]),
                closes=bool(closes[i]),
            )
            for i in np.flatnonzero(fit.predicted)
        ),
        suspects=() if closes.all() else tuple(names[i] for i in fit.suspects(residuals, squares)),
        n_events=sum(task.n_events for task, _ in parts),
        off=sum(left.off for _, left in parts),
        worst=worst,
    )


def morphed_from_all(tasks: Sequence[MeasuredTask], coefficients: np.ndarray) -> Estimate:
    """The morphed cross-section and its error from the union of a process's samples."""
    sums = coefficients @ np.sum([task.sum_weights for task in tasks], axis=0)
    squares = np.sum([task.sum_weights_squared for task in tasks], axis=0)
    n = sum(task.n_events for task in tasks)
    variance = coefficients @ squares @ coefficients - sums**2 / n
    return float(sums), float(np.sqrt(max(variance, 0.0)))
