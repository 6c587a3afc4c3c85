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

The whitelist is in ``names`` and ``functions``. A text becomes a syntax tree in ``syntax``; the
``compiler`` walks it with the ``rules``, which refuse or accept each piece; ``evaluation`` has what
an accepted piece computes; ``expression`` is the whole way.

Compiling imports nothing heavy; awkward is imported when particles are evaluated.
"""

from __future__ import annotations

from madminer_workflow.expressions.errors import ExpressionError, nearest_name
from madminer_workflow.expressions.expression import Expression, compile_expression
from madminer_workflow.expressions.names import EVENT_VARIABLES, MOMENTA, PARTICLE_LISTS

__all__ = [
    "EVENT_VARIABLES",
    "MOMENTA",
    "PARTICLE_LISTS",
    "Expression",
    "ExpressionError",
    "compile_expression",
    "nearest_name",
]
