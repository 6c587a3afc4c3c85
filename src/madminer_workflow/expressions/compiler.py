"""The walk over the syntax tree of an expression: one rule for each type of syntax.

What has no rule is not in the language.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from madminer_workflow.expressions import evaluation
from madminer_workflow.expressions.evaluation import Code
from madminer_workflow.expressions.language import (
    BINARY_FUNCTIONS,
    COMPARISONS,
    EVENT_VARIABLES,
    EXTREMA,
    FUNCTIONS,
    METHODS,
    MOMENTA,
    MOMENTUM_ATTRIBUTES,
    NUMBER_METHODS,
    OPERATORS,
    PARTICLE_ATTRIBUTES,
    PARTICLE_LISTS,
    ROUNDINGS,
    UNARY_FUNCTIONS,
)
from madminer_workflow.expressions.source import (
    ExpressionError,
    Source,
    describe,
    did_you_mean,
    nearest_name,
)

_MAX_DEPTH = 100


class Compiler:
    """Turns the syntax of one expression into code; what has no rule is not in the language.

    `names` are the scalar names that the caller knows, `numbers` these and the event's,
    `particles` the kinds ("list", "particle") of the event's objects; `used` collects those that
    the expression mentions, `attributes` what it asks particles for beyond their momentum,
    `senseless` what is wrong with pieces that are undefined whatever the event. With `columns`, all
    other names are columns of a table; `scalars` and `lists` collect what these must be.
    """

    def __init__(
        self, source: Source, names: frozenset[str], particles: bool, columns: bool = False
    ):
        """Compile `source`; without `particles`, an event is not known."""
        self.error, self.names, self.columns = source.error, names, columns
        self.numbers = names.union(EVENT_VARIABLES if particles and not columns else ())
        self.particles: dict[str, str] = {}
        if particles:
            self.particles |= dict.fromkeys(PARTICLE_LISTS, "list")
            self.particles |= dict.fromkeys(MOMENTA, "particle")
        self.used: set[str] = set()
        self.attributes: set[str] = set()
        self.scalars: set[str] = set()
        self.lists: set[str] = set()
        self.senseless: list[ExpressionError] = []
        self._depth = 0

    def compile(self, node: ast.expr) -> Code:
        """Compile a piece of any kind."""
        rule = RULES.get(type(node))
        if rule is None:
            raise self.error(node, f"{describe(node)} is not part of the language")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self.error(node, "the expression is too deeply nested")
        used, self.used = self.used, set()
        code = rule(self, node)
        self._depth -= 1
        if not self.used and isinstance(node, ast.BinOp | ast.Call) and not self.senseless:
            self._evaluate(code, node)
        self.used |= used
        return code

    def _evaluate(self, code: Code, node: ast.expr) -> None:
        """Note if a piece that depends on nothing is no number."""
        with np.errstate(all="ignore"):
            value, undefined = code.run({})
        if np.any(undefined) or not np.all(np.isfinite(value)):
            what = f"'{ast.unparse(node)}' is not a finite number"
            self.senseless.append(self.error(node, what))

    def number(self, node: ast.expr) -> Code:
        """Compile a piece that must be a number."""
        code = self.compile(node)
        # What it is called matters for what is refused only, and takes longer than all else.
        return code if code.kind == "number" else self.need_number(code, node, _quoted(node))

    def need_number(self, code: Code, node: ast.AST | None, what: str) -> Code:
        """Return `code` if it is a number; raise an error about `what`, at `node`, if not."""
        if code.kind == "list":
            raise self.error(node, f"{what} is a list of particles, not a number", "use len(...)")
        if code.kind == "particle":
            hint = "choose a property, for example .pt"
            raise self.error(node, f"{what} is a particle, not a number", hint)
        if code.kind == "column":
            self.scalars.add(code.column)
            return evaluation.column(code)
        return code


def _quoted(node: ast.expr) -> str:
    return f"'{ast.unparse(node)}'"


def constant(compiler: Compiler, node: ast.Constant) -> Code:
    """``3``, ``0.5``, ``True``."""
    if not isinstance(node.value, bool | int | float):
        raise compiler.error(node, f"{node.value!r} is not a number")
    try:
        value = np.bool_(node.value) if isinstance(node.value, bool) else float(node.value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise compiler.error(node, "this number is too large")
    return evaluation.constant(value)


def name(compiler: Compiler, node: ast.Name) -> Code:
    """``j``, ``met``, ``scale``, ``pi``; the caller's scalar names hide all others."""
    name = node.id
    if name in compiler.numbers:
        kind = "number"
    elif name == "pi":
        return evaluation.constant(math.pi)
    elif name in compiler.particles:
        kind = compiler.particles[name]
    elif name in FUNCTIONS:
        raise compiler.error(node, f"'{name}' is a function", f"call it: {name}(...)")
    elif compiler.columns:
        kind = "column"
    else:
        known = {*compiler.numbers, *compiler.particles, "pi"}
        raise compiler.error(node, f"unknown name '{name}'", did_you_mean(name, known))
    compiler.used.add(name)
    column = name if kind == "column" else ""
    return Code(kind, lambda variables: (variables[name], np.False_), column=column)


def arithmetic(compiler: Compiler, node: ast.BinOp) -> Code:
    """``a + b`` and its like, of two numbers; momenta can be added and subtracted."""
    if type(node.op) not in OPERATORS:
        hint = "write 'and', 'or', 'not'" if isinstance(node.op, ast.BitAnd | ast.BitOr) else ""
        raise compiler.error(node, f"{describe(node.op)} is not part of the language", hint)
    left, right = compiler.compile(node.left), compiler.compile(node.right)
    symbol, operator = OPERATORS[type(node.op)]
    if left.kind == right.kind == "particle" and symbol in {"+", "-"}:
        return evaluation.combine(left, right, subtract=symbol == "-")
    left, right = (
        code
        if code.kind == "number"
        else compiler.need_number(code, operand, f"{_quoted(operand)} (beside {symbol})")
        for code, operand in ((left, node.left), (right, node.right))
    )
    if symbol in {"+", "-", "*"}:
        return evaluation.apply_anywhere(operator, left, right)
    return evaluation.apply(operator, [left, right])


def sign_or_not(compiler: Compiler, node: ast.UnaryOp) -> Code:
    """``-a``, ``+a``, ``not a``."""
    if isinstance(node.op, ast.Invert):
        raise compiler.error(node, "'~' is not part of the language", "write 'not'")
    operand = compiler.number(node.operand)
    if isinstance(node.op, ast.Not):
        return evaluation.truth(operand, negate=True)
    sign = np.negative if isinstance(node.op, ast.USub) else np.positive
    return evaluation.apply_anywhere(sign, operand)


def and_or(compiler: Compiler, node: ast.BoolOp) -> Code:
    """``a and b``, ``a or b``."""
    operands = [compiler.number(value) for value in node.values]
    return evaluation.and_or(operands, conjunction=isinstance(node.op, ast.And))


def comparison(compiler: Compiler, node: ast.Compare) -> Code:
    """``a < b`` and its like, also chained."""
    for operator in node.ops:
        if type(operator) not in COMPARISONS:
            raise compiler.error(node, f"{describe(operator)} is not part of the language")
    operands = [compiler.number(value) for value in (node.left, *node.comparators)]
    return evaluation.chain([COMPARISONS[type(operator)] for operator in node.ops], operands)


def conditional(compiler: Compiler, node: ast.IfExp) -> Code:
    """``a if test else b``."""
    test, yes, no = (compiler.number(part) for part in (node.test, node.body, node.orelse))
    return evaluation.conditional(test, yes, no)


def call(compiler: Compiler, node: ast.Call) -> Code:
    """``sqrt(a)``, ``len(j)``, ``j[0].deltaphi(j[1])``."""
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise compiler.error(node, "only plain arguments are accepted")
    if isinstance(node.func, ast.Attribute):
        return method(compiler, node, node.func)
    if not isinstance(node.func, ast.Name):
        raise compiler.error(node, f"'{ast.unparse(node.func)}' cannot be called")
    name = node.func.id
    if name not in FUNCTIONS:
        raise compiler.error(node, f"unknown function '{name}'", did_you_mean(name, FUNCTIONS))
    return _length(compiler, node) if name == "len" else _function(compiler, node, name)


def _length(compiler: Compiler, node: ast.Call) -> Code:
    listed = compiler.compile(node.args[0]) if len(node.args) == 1 else None
    if listed is None or listed.kind not in ("list", "column"):
        raise compiler.error(node, "'len' takes one list of particles", "for example len(j)")
    if listed.kind == "column":
        compiler.lists.add(listed.column)
    return evaluation.length(listed)


def _function(compiler: Compiler, node: ast.Call, name: str) -> Code:
    _check_count(compiler, node, name)
    arguments = [compiler.number(argument) for argument in node.args]
    if name in EXTREMA:
        return evaluation.extremum(EXTREMA[name], arguments)
    if name in ROUNDINGS:
        return evaluation.whole(ROUNDINGS[name], arguments[0])
    if name == "bool":
        return evaluation.truth(arguments[0])
    return evaluation.apply((UNARY_FUNCTIONS | BINARY_FUNCTIONS)[name], arguments)


def _check_count(compiler: Compiler, node: ast.Call, name: str) -> None:
    count = 2 if name in BINARY_FUNCTIONS else 1
    if name in EXTREMA:
        if len(node.args) < 2:
            raise compiler.error(node, f"'{name}' takes two or more numbers")
    elif len(node.args) != count:
        raise compiler.error(node, f"'{name}' takes {count} argument{'s' if count > 1 else ''}")


def element(compiler: Compiler, node: ast.Subscript) -> Code:
    """``j[0]``, ``j[-1]``."""
    particles = compiler.compile(node.value)
    if particles.kind == "column":
        compiler.lists.add(particles.column)
        return evaluation.entry(particles, _index(compiler, node.slice))
    if particles.kind != "list":
        what = ast.unparse(node.value)
        raise compiler.error(node.value, f"'{what}' is not a list of particles")
    return evaluation.element(particles, _index(compiler, node.slice))


def _index(compiler: Compiler, node: ast.expr) -> int:
    sign, digits = 1, node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, digits = -1, node.operand
    if not isinstance(digits, ast.Constant) or type(digits.value) is not int:
        raise compiler.error(node, "an index must be a whole number", "for example j[0] or j[-1]")
    if digits.value > 10**6:
        raise compiler.error(node, "this index is too large")
    return sign * digits.value


def attribute(compiler: Compiler, node: ast.Attribute) -> Code:
    """``met.pt``, ``j[0].charge``."""
    owner, name = compiler.compile(node.value), node.attr
    _need_particle(compiler, owner, node, name)
    if name in PARTICLE_ATTRIBUTES:
        run = owner.attributes.get(PARTICLE_ATTRIBUTES[name])
        if run is None:
            what = ast.unparse(node.value)
            raise compiler.error(node, f"'{what}' has no {name}: not a particle")
        compiler.attributes.add(PARTICLE_ATTRIBUTES[name])
        return Code("number", run)
    if name in METHODS:
        raise compiler.error(node, f"'{name}' is a method", f"call it: .{name}(other particle)")
    if name not in MOMENTUM_ATTRIBUTES:
        nearest = nearest_name(name, {*MOMENTUM_ATTRIBUTES, *PARTICLE_ATTRIBUTES})
        hint = f"did you mean '{nearest}'?" if nearest else "such as pt, eta, phi, e, m, charge"
        raise compiler.error(node, f"a particle has no property '{name}'", hint)
    return evaluation.momentum_property(owner, name)


def method(compiler: Compiler, node: ast.Call, function: ast.Attribute) -> Code:
    """``j[0].deltaphi(j[1])``, where `function` is the part before the parentheses."""
    name = function.attr
    if isinstance(function.value, ast.Name) and function.value.id in {"np", "numpy", "math"}:
        raise compiler.error(function.value, "modules are not needed", f"write {name}(...)")
    owner = compiler.compile(function.value)
    _need_particle(compiler, owner, function, f"{name}(...)")
    if name not in METHODS:
        hint = did_you_mean(name, METHODS)
        if name in MOMENTUM_ATTRIBUTES or name in PARTICLE_ATTRIBUTES:
            hint = f"'{name}' is a property: leave out the parentheses"
        raise compiler.error(function, f"a particle has no method '{name}'", hint)
    if len(node.args) != 1:
        raise compiler.error(node, f"'{name}' takes one particle")
    other = compiler.compile(node.args[0])
    if other.kind != "particle":
        raise compiler.error(node.args[0], f"'{name}' takes a particle", "for example j[1]")
    if name in NUMBER_METHODS:
        return evaluation.number_method(name, owner, other)
    return evaluation.momentum_method(name, owner, other)


def _need_particle(compiler: Compiler, owner: Code, node: ast.Attribute, name: str) -> None:
    text = ast.unparse(node.value)
    if owner.kind == "list":
        hint = f"choose one: {text}[0].{name}"
        raise compiler.error(node, f"'{text}' is a list of particles", hint)
    if owner.kind == "column":
        hint = f"a dot in the name of a branch is written '_': {text}_{name}"
        raise compiler.error(node, f"'{text}' is a column and has no '{name}'", hint)
    if owner.kind == "number":
        shadows = text in compiler.names and text in compiler.particles
        hint = "here it is the observable of that name: use it as it is" if shadows else ""
        raise compiler.error(node, f"'{text}' is a number and has no '{name}'", hint)


#: A rule accepts a node of its type and says how to compute it, or raises ExpressionError.
RULES: dict[type[ast.AST], Callable[[Compiler, Any], Code]] = {
    ast.Constant: constant,
    ast.Name: name,
    ast.Subscript: element,
    ast.Attribute: attribute,
    ast.Call: call,
    ast.BinOp: arithmetic,
    ast.UnaryOp: sign_or_not,
    ast.BoolOp: and_or,
    ast.Compare: comparison,
    ast.IfExp: conditional,
}
