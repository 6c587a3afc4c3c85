"""MadMiner's expression language, parsed against a whitelist and evaluated array at a time.

Observables, cuts, efficiencies and parameter transforms are expressions such as
``j[0].deltaphi(j[1]) * (-1. + 2. * float(j[0].eta > j[1].eta))``. MadMiner hands them to Python's
``eval`` once an event; here they are parsed once (Python's own grammar, through :mod:`ast`), every
construct is checked against the whitelist, and what is accepted becomes a tree of closures that
work on all events at once. No user text is ever executed.

An expression is *undefined* for an event where MadMiner's evaluation would fail: it needs an object
that is not there (``j[1]`` with one jet), leaves the domain of a function or divides by zero, also
within a property (the rapidity of a vanishing momentum).
(MadMiner treats a division by zero as undefined for Python's floats only, gives infinity for
numpy's, and crashes on ``sqrt(-1)``; here all three are undefined.) ``and``, ``or``, chained
comparisons and ``x if c else y`` are undefined only where Python would have looked at the missing
object. Truth values count as 0 and 1 in arithmetic, as in Python (numpy's, which MadMiner often
gets, do not).

The whitelist is ``language``. A text becomes a syntax tree in ``source``; the ``compiler`` walks it
with rules, which refuse or accept each piece; ``evaluation`` has what an accepted piece computes.

Compiling imports nothing heavy; awkward is imported when particles are evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from madminer_workflow.errors import InputError
from madminer_workflow.expressions.compiler import Compiler
from madminer_workflow.expressions.evaluation import Run, real
from madminer_workflow.expressions.language import EVENT_VARIABLES, MOMENTA, PARTICLE_LISTS
from madminer_workflow.expressions.source import ExpressionError, Source, nearest_name

__all__ = [
    "EVENT_VARIABLES",
    "MOMENTA",
    "PARTICLE_LISTS",
    "Expression",
    "ExpressionError",
    "compile_expression",
    "nearest_name",
]


@dataclass(frozen=True)
class Expression:
    """A compiled expression.

    `names` are the particles, momenta and scalars that it uses, `attributes` what it asks particles
    for beyond their momentum (charge, b_tag, ...). `senseless` says of the first piece that is
    undefined whatever the event, such as ``1 % 0``, that it is, if there is one. `scalars` and
    `lists` are the names of columns of tables, which are numbers or lists of them.
    """

    text: str
    names: frozenset[str]
    attributes: frozenset[str]
    senseless: ExpressionError | None = field(compare=False)
    _run: Run = field(repr=False, compare=False)
    scalars: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()

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


def compile_expression(
    text: str, names: Iterable[str] = (), particles: bool = True, columns: bool = False
) -> Expression:
    """Check `text` against the language and compile it.

    `names` are further scalar names (observables, for cuts and efficiencies; `theta` for a
    parameter transform) and take precedence over particles of the same name, as in MadMiner. With
    `particles=False` only these, numbers and functions of numbers are known. With `columns`, any
    other name is a column of a table: a number for each event, or used as in ``Jet_pt[0]`` and
    ``len(Jet_pt)`` a list of numbers.

    Raises ExpressionError.
    """
    if not isinstance(text, str):
        raise ExpressionError(str(text), 1, "an expression must be text", "put it in quotes")
    source = Source(text)
    compiler = Compiler(source, frozenset(names), particles, columns)
    code = compiler.need_number(compiler.compile(source.parse()), None, "the expression")
    source.need_plain_text()
    if both := sorted(compiler.scalars & compiler.lists):
        problem = f"'{both[0]}' is used as a number and as a list"
        raise source.error(None, problem, f"a column is one of them: {both[0]} or {both[0]}[0]")
    senseless = next(iter(compiler.senseless), None)
    return Expression(
        text,
        frozenset(compiler.used),
        frozenset(compiler.attributes),
        senseless,
        code.run,
        frozenset(compiler.scalars),
        frozenset(compiler.lists),
    )
