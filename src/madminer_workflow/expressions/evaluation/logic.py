"""Truth values, and what depends on them: undefined only where Python would have looked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from madminer_workflow.expressions.evaluation import Code, Result
from madminer_workflow.expressions.evaluation.numbers import real
from madminer_workflow.expressions.functions import Function


def truth(operand: Code, negate: bool = False) -> Code:
    """Whether a number is not zero, or with `negate` whether it is."""

    def run(variables: Mapping[str, Any]) -> Result:
        value, undefined = operand.run(variables)
        return (real(value) != 0.0) != negate, undefined

    return Code("number", run)


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
