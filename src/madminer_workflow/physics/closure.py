"""Closure: cross-sections that must agree if event weights and morphing are right.

Two families of checks, for every signal process:

- *reweighting*, after all cuts: the cross-section at a benchmark from the events drawn there,
  against the one that the events of all other benchmarks predict with their weights;
- *morphing*, before cuts: the cross-section at a parameter point that is not in the morphing
  basis, integrated directly by the generator, against the morphed weights of all events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from madminer_workflow.madminer_file import Sample, Setup
from madminer_workflow.physics.generate import HELD_OUT, held_out_point

MAX_PULL = 5.0
"""With about ten checks a run, chance exceeds 5 standard deviations once in 200 000 runs."""

Estimate = tuple[float, float]


def check_closure(
    generation: dict[str, Any],
    tasks: Sequence[dict[str, Any]],
    cross_sections: dict[str, dict[str, Estimate]],
    sample: Sample,
    setup: Setup,
) -> dict[str, Any]:
    """All checks as JSON: what, theta, predicted and direct [value, error] in pb, pull, closes."""
    checks = [
        *reweighting_checks(tasks, cross_sections, sample, setup),
        *morphing_checks(generation, tasks, cross_sections, setup),
    ]
    return {"max_pull": MAX_PULL, "checks": checks}


def compare(what: str, theta: Sequence[float], predicted: Estimate, direct: Estimate) -> dict:
    """One check: the pull is the difference over both errors in quadrature."""
    error = float(np.hypot(predicted[1], direct[1]))
    pull = (predicted[0] - direct[0]) / error
    return {
        "what": what,
        "theta": [float(value) for value in theta],
        "predicted": [float(value) for value in predicted],
        "direct": [float(value) for value in direct],
        "pull": float(pull),
        "closes": bool(abs(pull) <= MAX_PULL),
    }


def reweighting_checks(
    tasks: Sequence[dict[str, Any]],
    cross_sections: dict[str, dict[str, Estimate]],
    sample: Sample,
    setup: Setup,
) -> list[dict[str, Any]]:
    """Every sampling benchmark against the union of all other samples, after all cuts.

    Signal processes are summed, as they are in the analysis.
    """
    generated = generated_events(tasks, setup)
    sampled = np.flatnonzero(generated)
    if len(sampled) < 2:
        return []
    signals = {task["process"] for task in tasks if not task["is_background"]}
    integration = [
        relative_error([cross_sections[process][setup.benchmark_names[b]] for process in signals])
        for b in range(len(setup.benchmark_names))
    ]
    checks = []
    for b in sampled:
        others = [s for s in sampled if s != b]
        shares = generated[others] / generated[others].sum()
        predictions = [from_sample(sample, s, b, generated[s], integration[s]) for s in others]
        predicted = float(shares @ [value for value, _ in predictions])
        error = float(np.sqrt(np.square(shares) @ [variance for _, variance in predictions]))
        direct, variance = from_sample(sample, b, b, generated[b], integration[b])
        checks.append(
            compare(
                f"{setup.benchmark_names[b]}, reweighted from the other samples",
                setup.benchmarks[b],
                (predicted, error),
                (direct, float(np.sqrt(variance))),
            )
        )
    return checks


def generated_events(tasks: Sequence[dict[str, Any]], setup: Setup) -> np.ndarray:
    """Number of signal events generated at each benchmark, shape (n_benchmarks,)."""
    counts = np.zeros(len(setup.benchmark_names))
    for task in tasks:
        if not task["is_background"]:
            counts[setup.benchmark_names.index(task["sampling_benchmark"])] += task["n_events"]
    return counts


def relative_error(estimates: Sequence[Estimate]) -> float:
    """The relative error of a sum of independent estimates."""
    total = sum(value for value, _ in estimates)
    return float(np.sqrt(sum(error**2 for _, error in estimates)) / total)


def from_sample(
    sample: Sample, sampled: int, target: int, generated: float, integration: float
) -> tuple[float, float]:
    """Cross-section at benchmark ``target`` from events drawn at ``sampled``, and its variance.

    The variance is that of a sum over a fixed number of generated events, of which those that
    fail the cuts count as zeros, plus that of the sample's normalisation, known to the relative
    error ``integration``.
    """
    weights = sample.weights[sample.sampling_ids == sampled, target]
    total = weights.sum()
    statistical = max(np.square(weights).sum() - total**2 / generated, 0.0)
    return float(total), float(statistical + (integration * total) ** 2)


def morphing_checks(
    generation: dict[str, Any],
    tasks: Sequence[dict[str, Any]],
    cross_sections: dict[str, dict[str, Estimate]],
    setup: Setup,
) -> list[dict[str, Any]]:
    """The held-out point of every signal process, before cuts."""
    point = held_out_point(generation)
    theta = np.array([point[name] for name in setup.parameters])
    coefficients = setup.morphing_weights(theta)
    checks = []
    for process in generation["processes"]:
        if process["is_background"]:
            continue
        predicted = morphed_from_all(
            [task for task in tasks if task["process"] == process["name"]], coefficients
        )
        value, error = cross_sections[process["name"]][HELD_OUT]
        k_factor = process["k_factor"]
        checks.append(
            compare(
                f"{process['name']} at a point outside the basis, morphed from all events",
                theta,
                predicted,
                (k_factor * value, k_factor * error),
            )
        )
    return checks


def morphed_from_all(tasks: Sequence[dict[str, Any]], coefficients: np.ndarray) -> Estimate:
    """The morphed cross-section and its error from the union of a process's samples."""
    sums = coefficients @ np.sum([task["sum_weights"] for task in tasks], axis=0)
    squares = np.sum([task["sum_weights_squared"] for task in tasks], axis=0)
    n = sum(task["n_events"] for task in tasks)
    variance = coefficients @ squares @ coefficients - sums**2 / n
    return float(sums), float(np.sqrt(max(variance, 0.0)))
