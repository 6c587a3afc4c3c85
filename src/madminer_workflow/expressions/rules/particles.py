"""Particles: chosen from a list, and asked for a property or compared with another."""

from __future__ import annotations

import ast

from madminer_workflow.expressions import names
from madminer_workflow.expressions.compiler import Compiler
from madminer_workflow.expressions.errors import did_you_mean, nearest_name
from madminer_workflow.expressions.evaluation import Code
from madminer_workflow.expressions.evaluation import particles as evaluation


def element(compiler: Compiler, node: ast.Subscript) -> Code:
    """``j[0]``, ``j[-1]``."""
    particles = compiler.compile(node.value)
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
    if name in names.PARTICLE_ATTRIBUTES:
        run = owner.attributes.get(names.PARTICLE_ATTRIBUTES[name])
        if run is None:
            what = ast.unparse(node.value)
            raise compiler.error(node, f"'{what}' has no {name}: not a particle")
        compiler.attributes.add(names.PARTICLE_ATTRIBUTES[name])
        return Code("number", run)
    if name in names.METHODS:
        raise compiler.error(node, f"'{name}' is a method", f"call it: .{name}(other particle)")
    if name not in names.MOMENTUM_ATTRIBUTES:
        nearest = nearest_name(name, {*names.MOMENTUM_ATTRIBUTES, *names.PARTICLE_ATTRIBUTES})
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
    if name not in names.METHODS:
        hint = did_you_mean(name, names.METHODS)
        if name in names.MOMENTUM_ATTRIBUTES or name in names.PARTICLE_ATTRIBUTES:
            hint = f"'{name}' is a property: leave out the parentheses"
        raise compiler.error(function, f"a particle has no method '{name}'", hint)
    if len(node.args) != 1:
        raise compiler.error(node, f"'{name}' takes one particle")
    other = compiler.compile(node.args[0])
    if other.kind != "particle":
        raise compiler.error(node.args[0], f"'{name}' takes a particle", "for example j[1]")
    if name in names.NUMBER_METHODS:
        return evaluation.number_method(name, owner, other)
    return evaluation.momentum_method(name, owner, other)


def _need_particle(compiler: Compiler, owner: Code, node: ast.Attribute, name: str) -> None:
    text = ast.unparse(node.value)
    if owner.kind == "list":
        hint = f"choose one: {text}[0].{name}"
        raise compiler.error(node, f"'{text}' is a list of particles", hint)
    if owner.kind == "number":
        shadows = text in compiler.names and text in compiler.particles
        hint = "here it is the observable of that name: use it as it is" if shadows else ""
        raise compiler.error(node, f"'{text}' is a number and has no '{name}'", hint)
