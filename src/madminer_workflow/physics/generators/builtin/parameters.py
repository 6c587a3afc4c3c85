"""From the parameters of an analysis to the coefficients that a built-in process knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from madminer_workflow.analysis.types import Parameter
from madminer_workflow.errors import InputError
from madminer_workflow.expressions import compile_expression


def coefficients(
    known: Mapping[tuple[str, int], str],
    parameters: Sequence[Parameter],
    benchmarks: Mapping[str, Mapping[str, float]],
) -> np.ndarray:
    """Values (n_benchmarks, n_known) of the ``known`` (lha_block, lha_id) at every benchmark.

    Parameters that the analysis does not have are zero. Raises InputError for parameters that
    the process does not know, that share a place in the card, or whose ``param_card_transform``
    has no finite value at a benchmark.
    """
    places = _places(known, parameters)
    values = np.zeros((len(benchmarks), len(known)))
    for parameter, place in zip(parameters, places, strict=True):
        name, text = parameter.parameter_name, parameter.param_card_transform
        transform = compile_expression(text, names=["theta"], particles=False)
        for row, (benchmark, theta) in enumerate(benchmarks.items()):
            values[row, place] = transform({"theta": theta[name]})
            if not np.isfinite(values[row, place]):
                raise InputError(
                    f"parameters.{name}.param_card_transform: '{text}' has no finite value at "
                    f"benchmark {benchmark} (theta = {theta[name]})"
                )
    return values


def _places(known: Mapping[tuple[str, int], str], parameters: Sequence[Parameter]) -> list[int]:
    keys = [(parameter.lha_block.lower(), parameter.lha_id) for parameter in parameters]
    for parameter, key in zip(parameters, keys, strict=True):
        name = parameter.parameter_name
        if key not in known:
            listed = ", ".join(f"{block} {i} = {text}" for (block, i), text in known.items())
            raise InputError(
                f"parameters.{name}: this process does not depend on "
                f"{parameter.lha_block} {parameter.lha_id}; it knows {listed}"
            )
        if keys.count(key) > 1:
            raise InputError(f"parameters.{name}: another parameter is {key[0]} {key[1]} as well")
    return [list(known).index(key) for key in keys]
