"""Expressions as the rest of the program sees them: compiled once, evaluated on many events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from madminer_workflow.errors import InputError
from madminer_workflow.expressions.compiler import Compiler
from madminer_workflow.expressions.errors import ExpressionError
from madminer_workflow.expressions.evaluation import Run
from madminer_workflow.expressions.evaluation.numbers import real
from madminer_workflow.expressions.rules import RULES
from madminer_workflow.expressions.syntax import Source


@dataclass(frozen=True)
class Expression:
    """A compiled expression.

    `names` are the particles, momenta and scalars that it uses, `attributes` what it asks particles
    for beyond their momentum (charge, b_tag, ...).
    """

    text: str
    names: frozenset[str]
    attributes: frozenset[str]
    _run: Run = field(repr=False, compare=False)

    def evaluate(self, variables: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the values (float64) and whether each is undefined (bool), of one shape.

        `variables` holds floats or arrays (n_events,) for scalar names, awkward arrays of vector's
        Momentum4D records for particles: (n_events, var) for lists, (n_events,) for momenta.
        An expression that uses no array gives 0-dimensional results. Values where the expression is
        undefined have no meaning. Raises InputError if a variable that it uses is missing.
        """
        missing = sorted(self.names - variables.keys())
        if missing:
            raise InputError(
                f"'{self.text}' uses {', '.join(missing)}, which these events do not provide"
            )
        with np.errstate(all="ignore"):
            value, undefined = self._run(variables)
        value, undefined = np.broadcast_arrays(real(value), undefined)
        return value, undefined

    def __call__(self, variables: Mapping[str, Any]) -> Any:
        """Return the values, NaN where undefined: a float if all variables are floats."""
        value, undefined = self.evaluate(variables)
        result = np.where(undefined, np.nan, value)
        return result if result.ndim else float(result)


def compile_expression(text: str, names: Iterable[str] = (), particles: bool = True) -> Expression:
    """Check `text` against the language and compile it.

    `names` are further scalar names (observables, for cuts and efficiencies; `theta` for a
    parameter transform) and take precedence over particles of the same name, as in MadMiner. With
    `particles=False` only these, numbers and functions of numbers are known.

    Raises ExpressionError.
    """
    if not isinstance(text, str):
        raise ExpressionError(str(text), 1, "an expression must be text", "put it in quotes")
    source = Source(text)
    compiler = Compiler(source, RULES, frozenset(names), particles)
    code = compiler.compile(source.parse())
    compiler.need_number(code, None, "the expression")
    return Expression(text, frozenset(compiler.used), frozenset(compiler.attributes), code.run)
