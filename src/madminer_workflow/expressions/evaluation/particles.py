"""Particles chosen, combined, and asked for numbers; awkward is imported here, when they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from madminer_workflow.expressions.evaluation import Code, Result, Run
from madminer_workflow.expressions.functions import Function
from madminer_workflow.expressions.names import PARTICLE_ATTRIBUTES


def length(particles: Code) -> Code:
    """How many particles a list has."""

    def run(variables: Mapping[str, Any]) -> Result:
        import awkward as ak

        return np.asarray(ak.num(particles.run(variables)[0], axis=1)), np.False_

    return Code("number", run)


def element(particles: Code, index: int) -> Code:
    """The particle at `index` of a list, from its end if negative; undefined if it is absent."""

    def run(variables: Mapping[str, Any]) -> Result:
        return _select(particles.run(variables)[0], index)

    def attribute(name: str) -> Run:
        def run_attribute(variables: Mapping[str, Any]) -> Result:
            chosen, absent = run(variables)
            return np.asarray(chosen[name]), absent

        return run_attribute

    attributes = {name: attribute(name) for name in set(PARTICLE_ATTRIBUTES.values())}
    return Code("particle", run, attributes)


def momentum_property(owner: Code, name: str) -> Code:
    """A number that belongs to a momentum, undefined where vector gives NaN."""

    def run(variables: Mapping[str, Any]) -> Result:
        momentum, undefined = owner.run(variables)
        value = np.asarray(getattr(momentum, name))
        return value, undefined | np.isnan(value)

    return Code("number", run)


def number_method(name: str, owner: Code, other: Code) -> Code:
    """A number that belongs to two momenta, undefined where vector gives NaN."""
    call = _pair(owner.run, other.run, lambda left, right: getattr(left, name)(right))

    def run(variables: Mapping[str, Any]) -> Result:
        result, undefined = call(variables)
        value = np.asarray(result)
        return value, undefined | np.isnan(value)

    return Code("number", run)


def momentum_method(name: str, owner: Code, other: Code) -> Code:
    """A particle with its momentum changed by another one."""
    run = _pair(owner.run, other.run, lambda left, right: getattr(left, name)(right))
    return Code("particle", run, owner.attributes)


def combine(left: Code, right: Code, subtract: bool) -> Code:
    """Sum or difference of momenta: charges follow, a tag of either tags both, the rest is lost."""

    def momenta(a: Any, b: Any) -> Any:
        return a.subtract(b) if subtract else a.add(b)

    combinations: dict[str, Function] = {"charge": np.subtract if subtract else np.add}
    combinations |= dict.fromkeys(("tau_tag", "b_tag", "t_tag"), np.logical_or)
    attributes = {
        name: _pair(left.attributes[name], right.attributes[name], combination)
        for name, combination in combinations.items()
        if name in left.attributes and name in right.attributes
    }
    return Code("particle", _pair(left.run, right.run, momenta), attributes)


def _pair(first: Run, second: Run, function: Callable[[Any, Any], Any]) -> Run:
    """Apply `function` to two results, undefined where either is."""

    def run(variables: Mapping[str, Any]) -> Result:
        (a, a_undefined), (b, b_undefined) = first(variables), second(variables)
        return function(a, b), a_undefined | b_undefined

    return run


def _select(momenta: Any, index: int) -> Result:
    """Return the index-th particle of every event, and where there is none."""
    import awkward as ak

    counts = np.asarray(ak.num(momenta, axis=1))
    present = counts > index if index >= 0 else counts >= -index
    flat = ak.flatten(momenta, axis=1)
    if len(flat) == 0:
        zeros = {name: np.zeros(len(counts)) for name in momenta.fields}
        return ak.zip(zeros, with_name="Momentum4D", behavior=momenta.behavior), ~present
    ends = np.cumsum(counts)
    position = (ends - counts if index >= 0 else ends) + index
    return flat[np.where(present, position, 0)], ~present
