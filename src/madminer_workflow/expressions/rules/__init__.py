"""What the language accepts: one rule for each type of syntax that is part of it."""

from __future__ import annotations

import ast

from madminer_workflow.expressions.compiler import Rule
from madminer_workflow.expressions.rules import calls, leaves, operators, particles

RULES: dict[type[ast.AST], Rule] = {
    ast.Constant: leaves.constant,
    ast.Name: leaves.name,
    ast.Subscript: particles.element,
    ast.Attribute: particles.attribute,
    ast.Call: calls.call,
    ast.BinOp: operators.arithmetic,
    ast.UnaryOp: operators.sign_or_not,
    ast.BoolOp: operators.and_or,
    ast.Compare: operators.comparison,
    ast.IfExp: operators.conditional,
}
