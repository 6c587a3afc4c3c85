"""Calls: of functions of numbers, of ``len``, and of the methods of particles."""

from __future__ import annotations

import ast

from madminer_workflow.expressions.compiler import Compiler
from madminer_workflow.expressions.errors import did_you_mean
from madminer_workflow.expressions.evaluation import Code, logic, numbers
from madminer_workflow.expressions.evaluation import particles as evaluation
from madminer_workflow.expressions.functions import (
    BINARY_FUNCTIONS,
    EXTREMA,
    FUNCTIONS,
    ROUNDINGS,
    UNARY_FUNCTIONS,
)
from madminer_workflow.expressions.rules.particles import method


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
    if len(node.args) != 1 or (particles := compiler.compile(node.args[0])).kind != "list":
        raise compiler.error(node, "'len' takes one list of particles", "for example len(j)")
    return evaluation.length(particles)


def _function(compiler: Compiler, node: ast.Call, name: str) -> Code:
    _check_count(compiler, node, name)
    arguments = [compiler.number(argument) for argument in node.args]
    if name in EXTREMA:
        return numbers.extremum(EXTREMA[name], arguments)
    if name in ROUNDINGS:
        return numbers.whole(ROUNDINGS[name], arguments[0])
    if name == "bool":
        return logic.truth(arguments[0])
    return numbers.apply((UNARY_FUNCTIONS | BINARY_FUNCTIONS)[name], arguments)


def _check_count(compiler: Compiler, node: ast.Call, name: str) -> None:
    count = 2 if name in BINARY_FUNCTIONS else 1
    if name in EXTREMA:
        if len(node.args) < 2:
            raise compiler.error(node, f"'{name}' takes two or more numbers")
    elif len(node.args) != count:
        raise compiler.error(node, f"'{name}' takes {count} argument{'s' if count > 1 else ''}")
