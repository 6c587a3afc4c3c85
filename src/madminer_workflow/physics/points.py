"""The parameter points at which processes are integrated."""

from __future__ import annotations

import numpy as np

from madminer_workflow.analysis.types import CLOSURE_POINT, Generation
from madminer_workflow.products.processes import Points
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.setup import Setup


def benchmark_values(setup: Setup) -> Points:
    """All benchmarks, those that complete the morphing basis included, by name."""
    return {
        name: dict(zip(setup.parameters, map(float, values), strict=True))
        for name, values in zip(setup.benchmark_names, setup.benchmarks, strict=True)
    }


def held_out_point(generation: Generation) -> dict[str, float]:
    """A random point in the inner half of the parameter ranges."""
    rng = np.random.default_rng(derive_seed(generation.seed, CLOSURE_POINT))
    point = {}
    for parameter in generation.parameters:
        low, high = parameter.parameter_range
        point[parameter.parameter_name] = float(
            0.5 * (low + high) + 0.25 * (high - low) * rng.uniform(-1.0, 1.0)
        )
    return point
