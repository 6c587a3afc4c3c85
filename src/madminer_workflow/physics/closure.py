"""Closure: cross-sections that must agree if event weights and morphing are right.

Two families of checks, for every signal process:

- *reweighting*, after all cuts: the cross-section at a benchmark from the events drawn there,
  against the one that the events of all other benchmarks predict with their weights;
- *morphing*, before cuts: the cross-section at a parameter point that is not in the morphing
  basis, integrated directly by the generator, against the morphed weights of all events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from madminer_workflow.madminer_file import Sample, Setup
from madminer_workflow.physics.generate import HELD_OUT, held_out_point

MAX_PULL = 5.0
"""With about ten checks a run, chance exceeds 5 standard deviations once in 200 000 runs."""

MAX_RELATIVE_ERROR = 0.3
"""About ten events: with fewer, their fluctuation is no longer normal, nor their error known."""

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


def compare(what: str, theta: np.ndarray, predicted: Estimate, direct: Estimate) -> dict:
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
    """Every sampling benchmark of every signal process against all other samples, after all cuts.

    ``sample`` has the events of ``tasks`` in their order. Estimates with a relative error above
    ``MAX_RELATIVE_ERROR`` are not compared.
    """
    processes = np.repeat([task["process"] for task in tasks], [task["passed"] for task in tasks])
    checks = []
    for process in dict.fromkeys(task["process"] for task in tasks if not task["is_background"]):
        generated = generated_events([task for task in tasks if task["process"] == process], setup)
        chosen = processes == process
        estimates = Estimates(
            weights=sample.weights[chosen],
            sampling_ids=sample.sampling_ids[chosen],
            generated=generated,
            integration=np.array(
                [np.divide(*cross_sections[process][name][::-1]) for name in setup.benchmark_names]
            ),
        )
        sampled = [int(b) for b in np.flatnonzero(generated)]
        for b in sampled if len(sampled) > 1 else []:
            predicted = estimates.at([s for s in sampled if s != b], b)
            direct = estimates.at([b], b)
            if all(error <= MAX_RELATIVE_ERROR * value for value, error in (predicted, direct)):
                what = f"{process} at {setup.benchmark_names[b]}, reweighted from the other samples"
                checks.append(compare(what, setup.benchmarks[b], predicted, direct))
    return checks


def generated_events(tasks: Sequence[dict[str, Any]], setup: Setup) -> np.ndarray:
    """Number of events generated at each benchmark, shape (n_benchmarks,)."""
    counts = np.zeros(len(setup.benchmark_names))
    for task in tasks:
        counts[setup.benchmark_names.index(task["sampling_benchmark"])] += task["n_events"]
    return counts


@dataclass(frozen=True)
class Estimates:
    """Cross-sections from the events of one process, (n_events, n_benchmarks) ``weights`` in pb.

    ``sampling_ids`` (n_events,) are the benchmarks they were drawn from, ``generated``
    (n_benchmarks,) the numbers of events drawn, ``integration`` (n_benchmarks,) the relative errors
    of the integrated cross-sections.
    """

    weights: np.ndarray
    sampling_ids: np.ndarray
    generated: np.ndarray
    integration: np.ndarray

    def at(self, samples: Sequence[int], target: int) -> Estimate:
        """The cross-section at benchmark ``target`` from the events of ``samples``, and its error.

        Samples count by their numbers of events. The variance of each is that of a sum over a fixed
        number of generated events, of which those that fail the cuts count as zeros, plus that of
        its normalisation.
        """
        total = variance = 0.0
        for s in samples:
            share = self.generated[s] / self.generated[samples].sum()
            weights = share * self.weights[self.sampling_ids == s, target]
            value = weights.sum()
            total += value
            variance += max(np.square(weights).sum() - value**2 / self.generated[s], 0.0)
            variance += (self.integration[s] * value) ** 2
        # Without any event the error is not zero but unknown.
        return float(total), float(np.sqrt(variance)) if total else np.inf


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
