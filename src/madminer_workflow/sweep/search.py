"""Which values a trial tries: Optuna's sampler, with no state but what the past trials were.

A trial's values follow from its number, the seed of the search and the trials before it. So a sweep
that was interrupted goes on as if it had not been. (A study in one of Optuna's storages does not:
the trial that was running stays so, and samplers keep the state of their random numbers in memory.)
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from madminer_workflow.seeds import derive_seed
from madminer_workflow.sweep.plan import Axis, Plan, Values
from madminer_workflow.sweep.results import TrialResult

# Optuna is imported only where trials are proposed.
if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS = 4
"""Significant digits of the numbers that are tried: more would only be hard to read."""


def batches(plan: Plan, results: Mapping[int, TrialResult]) -> Iterator[list[tuple[int, Values]]]:
    """Numbers and values of the trials to run, as many at a time as there are workers.

    ``results`` are to be completed from batch to batch. All trials of a batch are proposed from
    those before it, so that they do not depend on which of them ends first.
    """
    for first in range(0, plan.n_trials, plan.workers):
        numbers = range(first, min(first + plan.workers, plan.n_trials))
        if all(number in results for number in numbers):
            continue
        past = [results[number] for number in range(first)]
        pending: list[Values] = []
        batch: list[tuple[int, Values]] = []
        for number in numbers:
            if number in results:
                pending.append(results[number].values)
                continue
            pending.append(propose(plan.space, plan.seed, number, past, pending))
            batch.append((number, pending[-1]))
        yield batch


def propose(
    space: Sequence[Axis],
    seed: int,
    number: int,
    past: Sequence[TrialResult],
    pending: Sequence[Values],
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
    for trial in past:
        # A failure is as bad as can be.
        loss = math.inf if trial.loss is None else trial.loss
        params = _params(space, trial.values)
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
