"""The whitelist of functions and operators, and numpy's function behind each."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

Function = Callable[..., Any]

UNARY_FUNCTIONS: dict[str, Function] = {
    "abs": np.abs,
    "acos": np.arccos,
    "arccos": np.arccos,
    "acosh": np.arccosh,
    "arccosh": np.arccosh,
    "asin": np.arcsin,
    "arcsin": np.arcsin,
    "asinh": np.arcsinh,
    "arcsinh": np.arcsinh,
    "atan": np.arctan,
    "arctan": np.arctan,
    "atanh": np.arctanh,
    "arctanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "exp": np.exp,
    "expm1": np.expm1,
    "float": np.positive,
    "floor": np.floor,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}
BINARY_FUNCTIONS: dict[str, Function] = {
    "arctan2": np.arctan2,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "pow": np.power,
}
#: Functions to a whole number.
ROUNDINGS: dict[str, Function] = {"int": np.trunc, "round": np.round}
#: Functions of two or more numbers, and when a later number replaces an earlier one.
EXTREMA: dict[str, Function] = {"max": np.greater, "min": np.less}

FUNCTIONS = frozenset(
    [*UNARY_FUNCTIONS, *BINARY_FUNCTIONS, *ROUNDINGS, *EXTREMA, "bool", "len"],
)

OPERATORS: dict[type[ast.operator], tuple[str, Function]] = {
    ast.Add: ("+", np.add),
    ast.Sub: ("-", np.subtract),
    ast.Mult: ("*", np.multiply),
    ast.Div: ("/", np.true_divide),
    ast.FloorDiv: ("//", np.floor_divide),
    ast.Mod: ("%", np.mod),
    ast.Pow: ("**", np.power),
}
COMPARISONS: dict[type[ast.cmpop], Function] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
