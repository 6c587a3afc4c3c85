"""Which values a trial tries: Optuna's sampler, with no state but what the past trials were.

A trial's values follow from its number, the seed of the search and the trials before it. So a sweep
that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from madminer_workflow.seeds import derive_seed
from madminer_workflow.sweep.plan import Axis, Values

# Optuna is imported only where trials are proposed.
if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS = 4
"""Significant digits of the numbers that are tried: more would only be hard to read."""

Past = tuple[Values, float]
"""A trial that has ended: its values and its loss, infinite if it failed."""


def propose(
    space: Sequence[Axis], seed: int, number: int, past: Sequence[Past], pending: Sequence[Values]
) -> Values:
    """The values that trial ``number`` is to try.

    ``past`` are trials that have ended, in their order, and ``pending`` the values of those that
    run at the same time: the tree-structured Parzen estimator keeps away from them.
    """
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {axis.key: _distribution(axis) for axis in space}
    with warnings.catch_warnings():
        # Staying away from pending trials is an option that Optuna calls experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=derive_seed(seed, "trial", number), constant_liar=True
        )
    study = optuna.create_study(sampler=sampler)
    for values, loss in past:
        params = _params(space, values)
        study.add_trial(create_trial(params=params, distributions=distributions, value=loss))
    for values in pending:
        params = _params(space, values)
        study.add_trial(
            create_trial(params=params, distributions=distributions, state=TrialState.RUNNING)
        )
    return _values(space, study.ask(distributions).params)


def _distribution(axis: Axis) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if axis.choices:
        return CategoricalDistribution([json.dumps(choice) for choice in axis.choices])
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _params(space: Sequence[Axis], values: Values) -> dict[str, Any]:
    """Values as Optuna has them, whose choices are text."""
    return {
        axis.key: json.dumps(values[axis.key]) if axis.choices else values[axis.key]
        for axis in space
    }


def _values(space: Sequence[Axis], params: Mapping[str, Any]) -> Values:
    values: Values = {}
    for axis in space:
        value = params[axis.key]
        if axis.choices:
            values[axis.key] = json.loads(value)
        elif axis.whole:
            values[axis.key] = value
        else:
            rounded = float(f"{value:.{DIGITS}g}")
            values[axis.key] = min(max(rounded, axis.low), axis.high)
    return values


def past_of(records: Sequence[Mapping[str, Any]]) -> list[Past]:
    """What ``propose`` wants to know of the records of trials."""
    return [
        (record["values"], math.inf if record["loss"] is None else record["loss"])
        for record in records
    ]
