"""The walk over the syntax tree of an expression: each piece is left to the rule for its kind."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from madminer_workflow.expressions.errors import ExpressionError
from madminer_workflow.expressions.evaluation import Code
from madminer_workflow.expressions.names import EVENT_VARIABLES, MOMENTA, PARTICLE_LISTS
from madminer_workflow.expressions.syntax import Source, describe

#: Accepts a node of one type and says how to compute it, or raises ExpressionError.
Rule = Callable[["Compiler", Any], Code]

_MAX_DEPTH = 100


class Compiler:
    """Turns the syntax of one expression into code; what has no rule is not in the language.

    `names` are the scalar names that the caller knows, `numbers` these and the event's,
    `particles` the kinds ("list", "particle") of the event's objects; `used` collects those that
    the expression mentions, `attributes` what it asks particles for beyond their momentum.
    """

    def __init__(
        self,
        source: Source,
        rules: Mapping[type[ast.AST], Rule],
        names: frozenset[str],
        particles: bool,
    ):
        """Compile `source` by `rules`; without `particles`, an event is not known."""
        self.source, self.rules, self.names = source, rules, names
        self.numbers = names.union(EVENT_VARIABLES if particles else ())
        self.particles: dict[str, str] = {}
        if particles:
            self.particles |= dict.fromkeys(PARTICLE_LISTS, "list")
            self.particles |= dict.fromkeys(MOMENTA, "particle")
        self.used: set[str] = set()
        self.attributes: set[str] = set()
        self._depth = 0

    def error(self, node: ast.AST | None, problem: str, hint: str = "") -> ExpressionError:
        """Return the error that puts `problem` at `node`, or at the whole expression if None."""
        return self.source.error(node, problem, hint)

    def compile(self, node: ast.expr) -> Code:
        """Compile a piece of any kind."""
        rule = self.rules.get(type(node))
        if rule is None:
            raise self.error(node, f"{describe(node)} is not part of the language")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self.error(node, "the expression is too deeply nested")
        code = rule(self, node)
        self._depth -= 1
        return code

    def number(self, node: ast.expr) -> Code:
        """Compile a piece that must be a number."""
        return self.need_number(self.compile(node), node, f"'{ast.unparse(node)}'")

    def need_number(self, code: Code, node: ast.AST | None, what: str) -> Code:
        """Return `code` if it is a number; raise an error about `what`, at `node`, if not."""
        if code.kind == "list":
            raise self.error(node, f"{what} is a list of particles, not a number", "use len(...)")
        if code.kind == "particle":
            hint = "choose a property, for example .pt"
            raise self.error(node, f"{what} is a particle, not a number", hint)
        return code
