"""The whitelist: names of objects, what a particle is asked for, functions and operators."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

Function = Callable[..., Any]

#: Lists of particles, each sorted by descending pT, except p and p_truth (in the file's order).
PARTICLE_LISTS = ("p", "p_truth", "e", "mu", "tau", "ta", "l", "v", "a", "j")
#: Single momenta: missing transverse momentum, sum of all visible particles, and both together.
MOMENTA = ("met", "visible", "all")
#: Numbers that describe the event, as MadMiner's LHE reader provides them.
EVENT_VARIABLES = ("n_particles", "scale", "alpha_qed", "alpha_qcd")

#: Properties of a particle beyond its momentum, and the field that holds each.
PARTICLE_ATTRIBUTES = {
    "charge": "charge",
    "pdgid": "pdgid",
    "pdg_id": "pdgid",
    "spin": "spin",
    "tau_tag": "tau_tag",
    "b_tag": "b_tag",
    "t_tag": "t_tag",
}
#: Properties of any momentum, as vector calls them.
MOMENTUM_ATTRIBUTES = frozenset(
    [
        *["px", "py", "pz", "x", "y", "z"],
        *["pt", "pt2", "rho", "rho2"],
        *["p", "p2", "mag", "mag2"],
        *["E", "e", "energy", "E2", "e2", "energy2", "t", "t2"],
        *["M", "m", "mass", "M2", "m2", "mass2", "tau", "tau2"],
        *["Et", "et", "transverse_energy", "Et2", "et2"],
        *["Mt", "mt", "transverse_mass", "Mt2", "mt2"],
        *["phi", "theta", "costheta", "cottheta", "eta", "pseudorapidity", "rapidity"],
        *["beta", "gamma"],
    ]
)

#: Methods of a momentum that take another one and give a number.
NUMBER_METHODS = frozenset(
    [
        *["deltaphi", "deltaeta", "deltaangle", "deltaR", "deltaR2"],
        *["deltaRapidityPhi", "deltaRapidityPhi2"],
        "dot",
    ]
)
#: Methods of a momentum that take another one and give a momentum.
MOMENTUM_METHODS = frozenset({"boost_p4", "boostCM_of", "boostCM_of_p4"})
METHODS = NUMBER_METHODS | MOMENTUM_METHODS

_INVERTIBLE = ("cos", "cosh", "sin", "sinh", "tan", "tanh")
#: By the names of Python and of numpy, which spell inverse functions differently.
UNARY_FUNCTIONS: dict[str, Function] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "exp": np.exp,
    "expm1": np.expm1,
    "float": np.positive,
    "floor": np.floor,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "sign": np.sign,
    "sqrt": np.sqrt,
    **{name: getattr(np, name) for name in _INVERTIBLE},
    **{f"a{name}": getattr(np, f"arc{name}") for name in _INVERTIBLE},
    **{f"arc{name}": getattr(np, f"arc{name}") for name in _INVERTIBLE},
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
