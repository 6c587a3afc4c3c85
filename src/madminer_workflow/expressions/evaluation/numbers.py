"""Numbers computed from numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from madminer_workflow.expressions.evaluation import Code, Result
from madminer_workflow.expressions.functions import Function


def real(value: Any) -> Any:
    """Return numbers as float64: Python adds and compares booleans as numbers, numpy does not."""
    return np.asarray(value, dtype=np.float64)


def constant(value: Any) -> Code:
    """The same number for every event."""
    return Code("number", lambda variables: (value, np.False_))


def apply(function: Function, arguments: list[Code]) -> Code:
    """A function of numbers that may leave its domain."""

    def run(variables: Mapping[str, Any]) -> Result:
        values, undefined = zip(*[argument.run(variables) for argument in arguments], strict=True)
        result, outside = _in_domain(function, list(values))
        return result, _any(undefined) | outside

    return Code("number", run)


def apply_anywhere(function: Function, left: Code, right: Code) -> Code:
    """A function of two numbers that is defined for all: a result out of range is infinite."""

    def run(variables: Mapping[str, Any]) -> Result:
        (a, a_undefined), (b, b_undefined) = left.run(variables), right.run(variables)
        return function(real(a), real(b)), a_undefined | b_undefined

    return Code("number", run)


def signed(sign: float, operand: Code) -> Code:
    """A number times `sign`."""

    def run(variables: Mapping[str, Any]) -> Result:
        value, undefined = operand.run(variables)
        return sign * real(value), undefined

    return Code("number", run)


def whole(rounding: Function, operand: Code) -> Code:
    """A number made whole, which Python refuses for infinity and NaN."""

    def run(variables: Mapping[str, Any]) -> Result:
        value, undefined = operand.run(variables)
        return rounding(real(value)), undefined | ~np.isfinite(real(value))

    return Code("number", run)


def extremum(better: Function, arguments: list[Code]) -> Code:
    """Minimum or maximum by Python's rule, which keeps the earlier of two incomparable values."""

    def run(variables: Mapping[str, Any]) -> Result:
        value, undefined = arguments[0].run(variables)
        for argument in arguments[1:]:
            other, other_undefined = argument.run(variables)
            value = np.where(better(real(other), real(value)), other, value)
            undefined = undefined | other_undefined
        return value, undefined

    return Code("number", run)


def _in_domain(function: Function, values: list[Any]) -> Result:
    """Apply `function`, undefined where finite numbers give none."""
    arguments = [real(value) for value in values]
    result = function(*arguments)
    finite = np.logical_and.reduce(np.broadcast_arrays(*[np.isfinite(a) for a in arguments]))
    return result, finite & ~np.isfinite(result)


def _any(flags: Iterable[Any]) -> Any:
    result: Any = np.False_
    for flag in flags:
        result = result | flag
    return result
