"""Arithmetic, comparisons, logic and conditions."""

from __future__ import annotations

import ast

from madminer_workflow.expressions.compiler import Compiler
from madminer_workflow.expressions.evaluation import Code, logic, numbers
from madminer_workflow.expressions.evaluation.particles import combine
from madminer_workflow.expressions.functions import COMPARISONS, OPERATORS
from madminer_workflow.expressions.syntax import describe


def arithmetic(compiler: Compiler, node: ast.BinOp) -> Code:
    """``a + b`` and its like, of two numbers; momenta can be added and subtracted."""
    if type(node.op) not in OPERATORS:
        hint = "write 'and', 'or', 'not'" if isinstance(node.op, ast.BitAnd | ast.BitOr) else ""
        raise compiler.error(node, f"{describe(node.op)} is not part of the language", hint)
    left, right = compiler.compile(node.left), compiler.compile(node.right)
    symbol, operator = OPERATORS[type(node.op)]
    if left.kind == right.kind == "particle" and symbol in {"+", "-"}:
        return combine(left, right, subtract=symbol == "-")
    for code, operand in ((left, node.left), (right, node.right)):
        compiler.need_number(code, operand, f"'{ast.unparse(operand)}' (beside {symbol})")
    if symbol in {"+", "-", "*"}:
        return numbers.apply_anywhere(operator, left, right)
    return numbers.apply(operator, [left, right])


def sign_or_not(compiler: Compiler, node: ast.UnaryOp) -> Code:
    """``-a``, ``+a``, ``not a``."""
    if isinstance(node.op, ast.Invert):
        raise compiler.error(node, "'~' is not part of the language", "write 'not'")
    operand = compiler.number(node.operand)
    if isinstance(node.op, ast.Not):
        return logic.truth(operand, negate=True)
    return numbers.signed(-1.0 if isinstance(node.op, ast.USub) else 1.0, operand)


def and_or(compiler: Compiler, node: ast.BoolOp) -> Code:
    """``a and b``, ``a or b``."""
    operands = [compiler.number(value) for value in node.values]
    return logic.and_or(operands, conjunction=isinstance(node.op, ast.And))


def comparison(compiler: Compiler, node: ast.Compare) -> Code:
    """``a < b`` and its like, also chained."""
    for operator in node.ops:
        if type(operator) not in COMPARISONS:
            raise compiler.error(node, f"{describe(operator)} is not part of the language")
    operands = [compiler.number(value) for value in (node.left, *node.comparators)]
    return logic.chain([COMPARISONS[type(operator)] for operator in node.ops], operands)


def conditional(compiler: Compiler, node: ast.IfExp) -> Code:
    """``a if test else b``."""
    test, yes, no = (compiler.number(part) for part in (node.test, node.body, node.orelse))
    return logic.conditional(test, yes, no)
