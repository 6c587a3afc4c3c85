"""What the accepted pieces of an expression compute, for all events at once.

awkward is imported when particles are evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

import numpy as np

from madminer_workflow.expressions.language import PARTICLE_ATTRIBUTES, Function

#: A value for every event, and where it is undefined (bool); either may be one for all events.
Result = tuple[Any, Any]
#: Computes a result from the variables that ``Expression.evaluate`` is given.
Run = Callable[[Mapping[str, Any]], Result]


@dataclass(frozen=True)
class Code:
    """What an accepted piece of an expression gives, and how to compute it.

    `kind` is "number", "particle" (any four-momentum), "list", or "column", the `column` of a table
    that may be a number or a list of them. `attributes` computes what a particle has beyond its
    momentum: only what is used is ever computed.
    """

    kind: str
    run: Run
    attributes: Mapping[str, Run] = field(default_factory=dict)
    column: str = ""


def real(value: Any) -> Any:
    """Return numbers as float64: Python adds and compares booleans as numbers, numpy does not."""
    return np.asarray(value, dtype=np.float64)


def constant(value: Any) -> Code:
    """The same number for every event."""
    return Code("number", lambda variables: (value, np.False_))


def apply(function: Function, arguments: list[Code]) -> Code:
    """A function of numbers that may leave its domain: undefined where finite numbers give none."""

    def run(variables: Mapping[str, Any]) -> Result:
        values, undefined = _numbers(arguments, variables)
        result = function(*values)
        finite = np.logical_and.reduce(np.broadcast_arrays(*map(np.isfinite, values)))
        return result, undefined | (finite & ~np.isfinite(result))

    return Code("number", run)


def apply_anywhere(function: Function, *arguments: Code) -> Code:
    """A function of numbers that is defined for all: a result out of range is infinite."""

    def run(variables: Mapping[str, Any]) -> Result:
        values, undefined = _numbers(arguments, variables)
        return function(*values), undefined

    return Code("number", run)


def truth(operand: Code, negate: bool = False) -> Code:
    """Whether a number is not zero, or with `negate` whether it is."""
    return apply_anywhere(lambda value: (value != 0.0) != negate, operand)


def whole(rounding: Function, operand: Code) -> Code:
    """A number made whole, which Python refuses for infinity and NaN."""

    def run(variables: Mapping[str, Any]) -> Result:
        [value], undefined = _numbers([operand], variables)
        return rounding(value), undefined | ~np.isfinite(value)

    return Code("number", run)


def extremum(better: Function, arguments: list[Code]) -> Code:
    """Minimum or maximum by Python's rule, which keeps the earlier of two incomparable values."""

    def run(variables: Mapping[str, Any]) -> Result:
        [value, *others], undefined = _numbers(arguments, variables)
        for other in others:
            value = np.where(better(other, value), other, value)
        return value, undefined

    return Code("number", run)


def _numbers(arguments: Iterable[Code], variables: Mapping[str, Any]) -> tuple[list[Any], Any]:
    """The values of all arguments, and where one of them is undefined."""
    values, flags = zip(*[argument.run(variables) for argument in arguments], strict=True)
    return [real(value) for value in values], reduce(or_, flags)


def and_or(operands: list[Code], conjunction: bool) -> Code:
    """The operand that decides ``a and b and ...`` (`conjunction`) or ``a or b or ...``."""

    def run(variables: Mapping[str, Any]) -> Result:
        value, undefined = operands[0].run(variables)
        for operand in operands[1:]:
            goes_on = np.equal(real(value) != 0.0, conjunction)
            other, other_undefined = operand.run(variables)
            value = np.where(goes_on, other, value)
            undefined = undefined | (goes_on & other_undefined)
        return value, undefined

    return Code("number", run)


def chain(comparisons: list[Function], operands: list[Code]) -> Code:
    """Whether each operand compares with the next, as in ``a < b <= c``."""

    def run(variables: Mapping[str, Any]) -> Result:
        left, undefined = operands[0].run(variables)
        result: Any = np.True_
        for compare, operand in zip(comparisons, operands[1:], strict=True):
            right, right_undefined = operand.run(variables)
            undefined = undefined | (result & right_undefined)
            result = result & compare(real(left), real(right))
            left = right
        return result, undefined

    return Code("number", run)


def conditional(test: Code, yes: Code, no: Code) -> Code:
    """One of two numbers, as in ``yes if test else no``."""

    def run(variables: Mapping[str, Any]) -> Result:
        condition, undefined = test.run(variables)
        (a, a_undefined), (b, b_undefined) = yes.run(variables), no.run(variables)
        chosen = real(condition) != 0.0
        value = np.where(chosen, real(a), real(b))
        return value, undefined | np.where(chosen, a_undefined, b_undefined)

    return Code("number", run)


def column(numbers: Code) -> Code:
    """The number of each event in a column of a table, undefined where it is NaN."""

    def run(variables: Mapping[str, Any]) -> Result:
        value = real(numbers.run(variables)[0])
        return value, np.isnan(value)

    return Code("number", run)


def entry(numbers: Code, index: int) -> Code:
    """The number at `index` of a column of lists; undefined if it is absent or NaN."""

    def run(variables: Mapping[str, Any]) -> Result:
        import awkward as ak

        lists = numbers.run(variables)[0]
        counts = np.asarray(ak.num(lists, axis=1))
        flat = real(ak.flatten(lists, axis=1))
        present, position = _places(counts, index)
        value = flat[np.where(present, position, 0)] if len(flat) else np.zeros(len(counts))
        return value, ~present | np.isnan(value)

    return Code("number", run)


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
        return getattr(momentum, name), undefined

    return _unless_nan(run)


def number_method(name: str, owner: Code, other: Code) -> Code:
    """A number that belongs to two momenta, undefined where vector gives NaN."""
    return _unless_nan(_asked(name, owner, other))


def momentum_method(name: str, owner: Code, other: Code) -> Code:
    """A particle with its momentum changed by another one."""
    return Code("particle", _asked(name, owner, other), owner.attributes)


def combine(left: Code, right: Code, subtract: bool) -> Code:
    """Sum or difference of momenta: charges follow, a tag of either tags both, the rest is lost."""
    combinations: dict[str, Function] = {"charge": np.subtract if subtract else np.add}
    combinations |= dict.fromkeys(("tau_tag", "b_tag", "t_tag"), np.logical_or)
    attributes = {
        name: _pair(left.attributes[name], right.attributes[name], combination)
        for name, combination in combinations.items()
        if name in left.attributes and name in right.attributes
    }
    momenta = _asked("subtract" if subtract else "add", left, right)
    return Code("particle", momenta, attributes)


def _unless_nan(run: Run) -> Code:
    def number(variables: Mapping[str, Any]) -> Result:
        result, undefined = run(variables)
        value = np.asarray(result)
        return value, undefined | np.isnan(value)

    return Code("number", number)


def _asked(name: str, owner: Code, other: Code) -> Run:
    """Call the method `name` of one momentum with another one."""
    return _pair(owner.run, other.run, lambda left, right: getattr(left, name)(right))


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
    present, position = _places(counts, index)
    flat = ak.flatten(momenta, axis=1)
    if len(flat) == 0:
        zeros = {name: np.zeros(len(counts)) for name in momenta.fields}
        return ak.zip(zeros, with_name="Momentum4D", behavior=momenta.behavior), ~present
    return flat[np.where(present, position, 0)], ~present


def _places(counts: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Which lists of these lengths have an entry at `index`, and its place among all of them."""
    ends = np.cumsum(counts)
    present = counts > index if index >= 0 else counts >= -index
    return present, (ends - counts if index >= 0 else ends) + index
