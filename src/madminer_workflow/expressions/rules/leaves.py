"""Numbers and names, which contain no other piece."""

from __future__ import annotations

import ast
import math

import numpy as np

from madminer_workflow.expressions.compiler import Compiler
from madminer_workflow.expressions.errors import did_you_mean
from madminer_workflow.expressions.evaluation import Code
from madminer_workflow.expressions.evaluation import numbers as evaluation
from madminer_workflow.expressions.functions import FUNCTIONS


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
    else:
        known = {*compiler.numbers, *compiler.particles, "pi"}
        raise compiler.error(node, f"unknown name '{name}'", did_you_mean(name, known))
    compiler.used.add(name)
    return Code(kind, lambda variables: (variables[name], np.False_))
