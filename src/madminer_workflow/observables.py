"""MadMiner's expression language, parsed against a whitelist and evaluated array at a time.

Observables, cuts, efficiencies and parameter transforms are expressions such as
``j[0].deltaphi(j[1]) * (-1. + 2. * float(j[0].eta > j[1].eta))``. MadMiner hands them to Python's
``eval`` once an event; here they are parsed once (Python's own grammar, through :mod:`ast`), every
construct is checked against the tables below, and what is accepted becomes a tree of closures that
work on all events at once. No user text is ever executed.

An expression is *undefined* for an event where MadMiner's evaluation would fail: it needs an object
that is not there (``j[1]`` with one jet), leaves the domain of a function or divides by zero, also
within a property (the rapidity of a vanishing momentum).
(MadMiner treats a division by zero as undefined for Python's floats only, gives infinity for
numpy's, and crashes on ``sqrt(-1)``; here all three are undefined.) ``and``, ``or``, chained
comparisons and ``x if c else y`` are undefined only where Python would have looked at the missing
object. Truth values count as 0 and 1 in arithmetic, as in Python (numpy's, which MadMiner often
gets, do not).

Compiling imports nothing heavy; awkward is imported when particles are evaluated.
"""

from __future__ import annotations

import ast
import difflib
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from madminer_workflow.errors import InputError

_Result = tuple[Any, Any]  # value, undefined
_Run = Callable[[Mapping[str, Any]], _Result]

#: Lists of particles, each sorted by descending pT, except p and p_truth (in the file's order).
PARTICLE_LISTS = ("p", "p_truth", "e", "mu", "tau", "ta", "l", "v", "a", "j")
#: Single momenta: missing transverse momentum, sum of all visible particles, and both together.
MOMENTA = ("met", "visible", "all")
#: Numbers that describe the event, as MadMiner's LHE reader provides them.
EVENT_VARIABLES = ("n_particles", "scale", "alpha_qed", "alpha_qcd")

_PARTICLE_ATTRIBUTES = {
    "charge": "charge",
    "pdgid": "pdgid",
    "pdg_id": "pdgid",
    "spin": "spin",
    "tau_tag": "tau_tag",
    "b_tag": "b_tag",
    "t_tag": "t_tag",
}
_MOMENTUM_ATTRIBUTES = frozenset(
    [
        "pt",
        "pt2",
        "px",
        "py",
        "pz",
        "p",
        "p2",
        "E",
        "e",
        "energy",
        "E2",
        "e2",
        "energy2",
        "M",
        "m",
        "mass",
        "M2",
        "m2",
        "mass2",
        "Et",
        "et",
        "transverse_energy",
        "Et2",
        "et2",
        "Mt",
        "mt",
        "transverse_mass",
        "Mt2",
        "mt2",
        "eta",
        "pseudorapidity",
        "phi",
        "theta",
        "costheta",
        "cottheta",
        "rapidity",
        "beta",
        "gamma",
        "x",
        "y",
        "z",
        "t",
        "tau",
        "t2",
        "tau2",
        "rho",
        "rho2",
        "mag",
        "mag2",
    ]
)
_NUMBER_METHODS = frozenset(
    [
        "deltaphi",
        "deltaeta",
        "deltaR",
        "deltaR2",
        "deltaangle",
        "deltaRapidityPhi",
        "deltaRapidityPhi2",
        "dot",
    ]
)
_MOMENTUM_METHODS = frozenset({"boost_p4", "boostCM_of", "boostCM_of_p4"})

_UNARY_FUNCTIONS: dict[str, Callable[..., Any]] = {
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
_BINARY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "arctan2": np.arctan2,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "pow": np.power,
}
_FUNCTIONS = frozenset(
    [*_UNARY_FUNCTIONS, *_BINARY_FUNCTIONS, "bool", "int", "len", "max", "min", "round"]
)
_OPERATORS: dict[type[ast.operator], tuple[str, Callable[..., Any]]] = {
    ast.Add: ("+", np.add),
    ast.Sub: ("-", np.subtract),
    ast.Mult: ("*", np.multiply),
    ast.Div: ("/", np.true_divide),
    ast.FloorDiv: ("//", np.floor_divide),
    ast.Mod: ("%", np.mod),
    ast.Pow: ("**", np.power),
}
_COMPARISONS: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}

#: What people write for what the language calls otherwise; edit distance cannot find these.
_SYNONYMS = {
    "jet": "j",
    "jets": "j",
    "photon": "a",
    "photons": "a",
    "gamma": "a",
    "y": "a",
    "electron": "e",
    "electrons": "e",
    "muon": "mu",
    "muons": "mu",
    "m": "mu",
    "taus": "tau",
    "lepton": "l",
    "leptons": "l",
    "lep": "l",
    "neutrino": "v",
    "neutrinos": "v",
    "nu": "v",
    "particle": "p",
    "particles": "p",
    "mpt": "met",
    "missing_et": "met",
    "id": "pdgid",
    "pid": "pdgid",
    "dr": "deltaR",
    "delta_r": "deltaR",
    "dphi": "deltaphi",
    "delta_phi": "deltaphi",
    "deta": "deltaeta",
    "delta_eta": "deltaeta",
    "ln": "log",
}

_MAX_LENGTH = 4096
_MAX_DEPTH = 100


class ExpressionError(InputError):
    """An expression that the language does not accept.

    ``problem`` says what is wrong, ``column`` (from 1) where, ``hint`` what to write instead (may
    be empty); ``message`` joins them in one line.
    """

    def __init__(self, text: str, column: int, problem: str, hint: str = ""):
        """Describe the problem at `column` (from 1) of `text`."""
        self.text, self.column, self.problem, self.hint = text, column, problem, hint
        shown = text if len(text) <= 100 else text[:97] + "..."
        self.message = f"{problem} (column {column} of '{shown}')" + (f"; {hint}" if hint else "")
        super().__init__(self.message)


@dataclass(frozen=True)
class Expression:
    """A compiled expression; `names` are the particles, momenta and scalars that it uses."""

    text: str
    names: frozenset[str]
    _run: _Run = field(repr=False, compare=False)

    def evaluate(self, variables: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the values (float64) and whether each is undefined (bool), of one shape.

        `variables` holds floats or arrays (n_events,) for scalar names, awkward arrays of vector's
        Momentum4D records for particles: (n_events, var) for lists, (n_events,) for momenta.
        An expression that uses no array gives 0-dimensional results. Values where the expression is
        undefined have no meaning. Raises InputError if a variable that it uses is missing.
        """
        missing = sorted(self.names - variables.keys())
        if missing:
            raise InputError(
                f"'{self.text}' uses {', '.join(missing)}, which these events do not provide"
            )
        with np.errstate(all="ignore"):
            value, undefined = self._run(variables)
        value, undefined = np.broadcast_arrays(_real(value), undefined)
        return value, undefined

    def __call__(self, variables: Mapping[str, Any]) -> Any:
        """Return the values, NaN where undefined: a float if all variables are floats."""
        value, undefined = self.evaluate(variables)
        result = np.where(undefined, np.nan, value)
        return result if result.ndim else float(result)


def compile_expression(text: str, names: Iterable[str] = (), particles: bool = True) -> Expression:
    """Check `text` against the language and compile it.

    `names` are further scalar names (observables, for cuts and efficiencies; `theta` for a
    parameter transform) and take precedence over particles of the same name, as in MadMiner. With
    `particles=False` only these, numbers and functions of numbers are known.

    Raises ExpressionError.
    """
    if not isinstance(text, str):
        raise ExpressionError(str(text), 1, "an expression must be text", "put it in quotes")
    source = "".join(" " if character.isspace() else character for character in text)
    compiler = _Compiler(text, source, frozenset(names), particles)
    code = compiler.compile(_parse(text, source))
    compiler.need_number(code, None, "the expression")
    return Expression(text, frozenset(compiler.used), code.run)


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return which of the `known` names was probably meant by `name`, if any comes close."""
    candidates = sorted(known)
    same_letters = [candidate for candidate in candidates if candidate.lower() == name.lower()]
    if same_letters:
        return same_letters[0]
    synonym = _SYNONYMS.get(name.lower())
    if synonym in candidates:
        return synonym
    return next(iter(difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)), None)


@dataclass(frozen=True)
class _Code:
    """What an accepted piece of an expression gives, and how to compute it.

    `kind` is "number", "particle" (any four-momentum) or "list". `attributes` computes what a
    particle has beyond its momentum: only what is used is ever computed.
    """

    kind: str
    run: _Run
    attributes: Mapping[str, _Run] = field(default_factory=dict)


def _parse(text: str, source: str) -> ast.expr:
    """Parse with Python's grammar, or say where it is not an expression."""
    if not source.strip():
        raise ExpressionError(text, 1, "the expression is empty")
    if len(source) > _MAX_LENGTH:
        raise ExpressionError(text, 1, f"longer than {_MAX_LENGTH} characters")
    if "#" in source:
        raise ExpressionError(text, source.index("#") + 1, "comments are not part of the language")
    indent = len(source) - len(source.lstrip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source[indent:], mode="eval").body
    except SyntaxError as error:
        column = min(indent + error.offset, len(source)) if error.offset else len(source)
        raise ExpressionError(text, column, f"not an expression: {error.msg}") from None
    except (ValueError, MemoryError, RecursionError):
        raise ExpressionError(
            text, 1, "not an expression: unreadable or too deeply nested"
        ) from None


def _real(value: Any) -> Any:
    """Return numbers as float64: Python adds and compares booleans as numbers, numpy does not."""
    return np.asarray(value, dtype=np.float64)


def _in_domain(function: Callable[..., Any], values: list[Any]) -> _Result:
    """Apply `function`, undefined where finite numbers give none."""
    arguments = [_real(value) for value in values]
    result = function(*arguments)
    finite = np.logical_and.reduce(np.broadcast_arrays(*[np.isfinite(a) for a in arguments]))
    return result, finite & ~np.isfinite(result)


def _any(flags: Iterable[Any]) -> Any:
    result: Any = np.False_
    for flag in flags:
        result = result | flag
    return result


def _apply(function: Callable[..., Any], arguments: list[_Code]) -> _Run:
    """Compute a function of numbers that may leave its domain."""

    def run(variables: Mapping[str, Any]) -> _Result:
        values, undefined = zip(*[argument.run(variables) for argument in arguments], strict=True)
        result, outside = _in_domain(function, list(values))
        return result, _any(undefined) | outside

    return run


def _extremum(better: Callable[..., Any], arguments: list[_Code]) -> _Run:
    """Compute min or max with Python's rule, which keeps the earlier of two incomparable values."""

    def run(variables: Mapping[str, Any]) -> _Result:
        value, undefined = arguments[0].run(variables)
        for argument in arguments[1:]:
            other, other_undefined = argument.run(variables)
            value = np.where(better(_real(other), _real(value)), other, value)
            undefined = undefined | other_undefined
        return value, undefined

    return run


def _select(momenta: Any, index: int) -> _Result:
    """Return the index-th particle of every event, and where there is none."""
    import awkward as ak

    counts = np.asarray(ak.num(momenta, axis=1))
    present = counts > index if index >= 0 else counts >= -index
    flat = ak.flatten(momenta, axis=1)
    if len(flat) == 0:
        zeros = {name: np.zeros(len(counts)) for name in momenta.fields}
        return ak.zip(zeros, with_name="Momentum4D", behavior=momenta.behavior), ~present
    ends = np.cumsum(counts)
    position = (ends - counts if index >= 0 else ends) + index
    return flat[np.where(present, position, 0)], ~present


class _Compiler:
    """Turns syntax into code; whatever has no method here is not in the language."""

    def __init__(self, text: str, source: str, names: frozenset[str], particles: bool):
        self.text, self.source, self.names = text, source, names
        self.lists = PARTICLE_LISTS if particles else ()
        self.momenta = MOMENTA if particles else ()
        self.numbers = names.union(EVENT_VARIABLES if particles else ())
        self.used: set[str] = set()
        self.depth = 0

    def error(self, node: ast.AST | None, problem: str, hint: str = "") -> ExpressionError:
        indent = len(self.source) - len(self.source.lstrip())
        offset = getattr(node, "col_offset", 0)
        if isinstance(node, ast.Attribute) and node.end_col_offset is not None:
            offset = node.end_col_offset - len(node.attr.encode())
        before = self.source[indent:].encode()[:offset].decode(errors="replace")
        return ExpressionError(self.text, indent + len(before) + 1, problem, hint)

    def did_you_mean(self, name: str, known: Iterable[str]) -> str:
        known = sorted(known)
        nearest = nearest_name(name, known)
        return f"did you mean '{nearest}'?" if nearest else f"known are: {', '.join(known)}"

    def compile(self, node: ast.expr) -> _Code:
        handler = self.HANDLERS.get(type(node))
        if handler is None:
            raise self.error(node, f"{_describe(node)} is not part of the language")
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.error(node, "the expression is too deeply nested")
        code = handler(self, node)
        self.depth -= 1
        return code

    def need_number(self, code: _Code, node: ast.AST | None, what: str) -> _Code:
        if code.kind == "list":
            raise self.error(node, f"{what} is a list of particles, not a number", "use len(...)")
        if code.kind == "particle":
            hint = "choose a property, for example .pt"
            raise self.error(node, f"{what} is a particle, not a number", hint)
        return code

    def number(self, node: ast.expr) -> _Code:
        return self.need_number(self.compile(node), node, f"'{ast.unparse(node)}'")

    def constant(self, node: ast.Constant) -> _Code:
        if not isinstance(node.value, bool | int | float):
            raise self.error(node, f"{node.value!r} is not a number")
        try:
            value = np.bool_(node.value) if isinstance(node.value, bool) else float(node.value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise self.error(node, "this number is too large")
        return _Code("number", lambda variables: (value, np.False_))

    def name(self, node: ast.Name) -> _Code:
        name = node.id
        if name in self.numbers:
            kind = "number"
        elif name == "pi":
            return _Code("number", lambda variables: (math.pi, np.False_))
        elif name in self.lists:
            kind = "list"
        elif name in self.momenta:
            kind = "particle"
        elif name in _FUNCTIONS:
            raise self.error(node, f"'{name}' is a function", f"call it: {name}(...)")
        else:
            known = {*self.numbers, *self.lists, *self.momenta, "pi"}
            raise self.error(node, f"unknown name '{name}'", self.did_you_mean(name, known))
        self.used.add(name)
        return _Code(kind, lambda variables: (variables[name], np.False_))

    def element(self, node: ast.Subscript) -> _Code:
        particles = self.compile(node.value)
        if particles.kind != "list":
            raise self.error(node.value, f"'{ast.unparse(node.value)}' is not a list of particles")
        index = self.index(node.slice)

        def run(variables: Mapping[str, Any]) -> _Result:
            return _select(particles.run(variables)[0], index)

        def attribute(name: str) -> _Run:
            def run_attribute(variables: Mapping[str, Any]) -> _Result:
                chosen, absent = run(variables)
                return np.asarray(chosen[name]), absent

            return run_attribute

        attributes = {name: attribute(name) for name in set(_PARTICLE_ATTRIBUTES.values())}
        return _Code("particle", run, attributes)

    def index(self, node: ast.expr) -> int:
        sign, digits = 1, node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            sign, digits = -1, node.operand
        if not isinstance(digits, ast.Constant) or type(digits.value) is not int:
            raise self.error(node, "an index must be a whole number", "for example j[0] or j[-1]")
        if digits.value > 10**6:
            raise self.error(node, "this index is too large")
        return sign * digits.value

    def attribute(self, node: ast.Attribute) -> _Code:
        owner, name = self.compile(node.value), node.attr
        self.need_particle(owner, node, name)
        if name in _PARTICLE_ATTRIBUTES:
            run = owner.attributes.get(_PARTICLE_ATTRIBUTES[name])
            if run is None:
                raise self.error(node, f"'{ast.unparse(node.value)}' has no {name}: not a particle")
            return _Code("number", run)
        if name in _NUMBER_METHODS | _MOMENTUM_METHODS:
            raise self.error(node, f"'{name}' is a method", f"call it: .{name}(other particle)")
        if name not in _MOMENTUM_ATTRIBUTES:
            nearest = nearest_name(name, {*_MOMENTUM_ATTRIBUTES, *_PARTICLE_ATTRIBUTES})
            hint = f"did you mean '{nearest}'?" if nearest else "such as pt, eta, phi, e, m, charge"
            raise self.error(node, f"a particle has no property '{name}'", hint)

        def run_attribute(variables: Mapping[str, Any]) -> _Result:
            momentum, undefined = owner.run(variables)
            value = np.asarray(getattr(momentum, name))
            return value, undefined | np.isnan(value)

        return _Code("number", run_attribute)

    def need_particle(self, owner: _Code, node: ast.Attribute, name: str) -> None:
        text = ast.unparse(node.value)
        if owner.kind == "list":
            hint = f"choose one: {text}[0].{name}"
            raise self.error(node, f"'{text}' is a list of particles", hint)
        if owner.kind == "number":
            shadows = text in self.names and text in {*self.lists, *self.momenta}
            hint = "here it is the observable of that name: use it as it is" if shadows else ""
            raise self.error(node, f"'{text}' is a number and has no '{name}'", hint)

    def call(self, node: ast.Call) -> _Code:
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.error(node, "only plain arguments are accepted")
        if isinstance(node.func, ast.Attribute):
            return self.method(node, node.func)
        if isinstance(node.func, ast.Name):
            return self.function(node, node.func.id)
        raise self.error(node, f"'{ast.unparse(node.func)}' cannot be called")

    def method(self, node: ast.Call, function: ast.Attribute) -> _Code:
        name = function.attr
        if isinstance(function.value, ast.Name) and function.value.id in {"np", "numpy", "math"}:
            raise self.error(function.value, "modules are not needed", f"write {name}(...)")
        owner = self.compile(function.value)
        self.need_particle(owner, function, f"{name}(...)")
        if name not in _NUMBER_METHODS | _MOMENTUM_METHODS:
            hint = self.did_you_mean(name, _NUMBER_METHODS | _MOMENTUM_METHODS)
            if name in _MOMENTUM_ATTRIBUTES or name in _PARTICLE_ATTRIBUTES:
                hint = f"'{name}' is a property: leave out the parentheses"
            raise self.error(function, f"a particle has no method '{name}'", hint)
        if len(node.args) != 1:
            raise self.error(node, f"'{name}' takes one particle")
        other = self.compile(node.args[0])
        if other.kind != "particle":
            raise self.error(node.args[0], f"'{name}' takes a particle", "for example j[1]")

        def run(variables: Mapping[str, Any]) -> _Result:
            (left, left_undefined), (right, right_undefined) = (
                owner.run(variables),
                other.run(variables),
            )
            undefined = left_undefined | right_undefined
            result = getattr(left, name)(right)
            if name in _MOMENTUM_METHODS:
                return result, undefined
            value = np.asarray(result)
            return value, undefined | np.isnan(value)

        if name in _NUMBER_METHODS:
            return _Code("number", run)
        return _Code("particle", run, owner.attributes)

    def function(self, node: ast.Call, name: str) -> _Code:
        if name not in _FUNCTIONS:
            raise self.error(
                node, f"unknown function '{name}'", self.did_you_mean(name, _FUNCTIONS)
            )
        if name == "len":
            return self.length(node)
        count = 2 if name in _BINARY_FUNCTIONS else 1
        if name in ("min", "max"):
            if len(node.args) < 2:
                raise self.error(node, f"'{name}' takes two or more numbers")
        elif len(node.args) != count:
            raise self.error(node, f"'{name}' takes {count} argument{'s' if count > 1 else ''}")
        arguments = [self.number(argument) for argument in node.args]
        if name in ("min", "max"):
            return _Code("number", _extremum(np.less if name == "min" else np.greater, arguments))
        if name in ("int", "round"):
            return _Code("number", _integer(np.trunc if name == "int" else np.round, arguments[0]))
        if name == "bool":
            return _Code("number", _truth_of(arguments[0]))
        function = (_UNARY_FUNCTIONS | _BINARY_FUNCTIONS)[name]
        return _Code("number", _apply(function, arguments))

    def length(self, node: ast.Call) -> _Code:
        if len(node.args) != 1 or (particles := self.compile(node.args[0])).kind != "list":
            raise self.error(node, "'len' takes one list of particles", "for example len(j)")

        def run(variables: Mapping[str, Any]) -> _Result:
            import awkward as ak

            return np.asarray(ak.num(particles.run(variables)[0], axis=1)), np.False_

        return _Code("number", run)

    def arithmetic(self, node: ast.BinOp) -> _Code:
        if type(node.op) not in _OPERATORS:
            hint = "write 'and', 'or', 'not'" if isinstance(node.op, ast.BitAnd | ast.BitOr) else ""
            raise self.error(node, f"{_describe(node.op)} is not part of the language", hint)
        left, right = self.compile(node.left), self.compile(node.right)
        symbol, operator = _OPERATORS[type(node.op)]
        if left.kind == right.kind == "particle" and symbol in "+-":
            return _combine(left, right, subtract=symbol == "-")
        for code, operand in ((left, node.left), (right, node.right)):
            what = f"'{ast.unparse(operand)}' (beside {symbol})"
            self.need_number(code, operand, what)
        if symbol not in "+-*":
            return _Code("number", _apply(operator, [left, right]))

        def run(variables: Mapping[str, Any]) -> _Result:
            (a, a_undefined), (b, b_undefined) = left.run(variables), right.run(variables)
            return operator(_real(a), _real(b)), a_undefined | b_undefined

        return _Code("number", run)

    def sign_or_not(self, node: ast.UnaryOp) -> _Code:
        if isinstance(node.op, ast.Invert):
            raise self.error(node, "'~' is not part of the language", "write 'not'")
        operand = self.number(node.operand)
        if isinstance(node.op, ast.Not):
            return _Code("number", _truth_of(operand, negate=True))
        sign = -1.0 if isinstance(node.op, ast.USub) else 1.0

        def run(variables: Mapping[str, Any]) -> _Result:
            value, undefined = operand.run(variables)
            return sign * _real(value), undefined

        return _Code("number", run)

    def and_or(self, node: ast.BoolOp) -> _Code:
        operands = [self.number(value) for value in node.values]
        conjunction = isinstance(node.op, ast.And)

        def run(variables: Mapping[str, Any]) -> _Result:
            value, undefined = operands[0].run(variables)
            for operand in operands[1:]:
                goes_on = np.equal(_real(value) != 0.0, conjunction)
                other, other_undefined = operand.run(variables)
                value = np.where(goes_on, other, value)
                undefined = undefined | (goes_on & other_undefined)
            return value, undefined

        return _Code("number", run)

    def comparison(self, node: ast.Compare) -> _Code:
        for operator in node.ops:
            if type(operator) not in _COMPARISONS:
                raise self.error(node, f"{_describe(operator)} is not part of the language")
        operands = [self.number(value) for value in (node.left, *node.comparators)]
        comparisons = [_COMPARISONS[type(operator)] for operator in node.ops]

        def run(variables: Mapping[str, Any]) -> _Result:
            left, undefined = operands[0].run(variables)
            result: Any = np.True_
            for compare, operand in zip(comparisons, operands[1:], strict=True):
                right, right_undefined = operand.run(variables)
                undefined = undefined | (result & right_undefined)
                result = result & compare(_real(left), _real(right))
                left = right
            return result, undefined

        return _Code("number", run)

    def conditional(self, node: ast.IfExp) -> _Code:
        test, yes, no = (self.number(part) for part in (node.test, node.body, node.orelse))

        def run(variables: Mapping[str, Any]) -> _Result:
            condition, undefined = test.run(variables)
            (a, a_undefined), (b, b_undefined) = yes.run(variables), no.run(variables)
            chosen = _real(condition) != 0.0
            value = np.where(chosen, _real(a), _real(b))
            return value, undefined | np.where(chosen, a_undefined, b_undefined)

        return _Code("number", run)

    HANDLERS: ClassVar[dict[type[ast.AST], Callable[..., _Code]]] = {
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


def _truth_of(operand: _Code, negate: bool = False) -> _Run:
    def run(variables: Mapping[str, Any]) -> _Result:
        value, undefined = operand.run(variables)
        return (_real(value) != 0.0) != negate, undefined

    return run


def _integer(rounding: Callable[..., Any], operand: _Code) -> _Run:
    """Compute int or round, which Python refuses for infinity and NaN."""

    def run(variables: Mapping[str, Any]) -> _Result:
        value, undefined = operand.run(variables)
        return rounding(_real(value)), undefined | ~np.isfinite(_real(value))

    return run


def _combine(left: _Code, right: _Code, subtract: bool) -> _Code:
    """Add or subtract momenta: charges follow, a tag of either tags both, the rest is lost."""

    def pair(first: _Run, second: _Run, combine: Callable[[Any, Any], Any]) -> _Run:
        def run(variables: Mapping[str, Any]) -> _Result:
            (a, a_undefined), (b, b_undefined) = first(variables), second(variables)
            return combine(a, b), a_undefined | b_undefined

        return run

    def momenta(a: Any, b: Any) -> Any:
        return a.subtract(b) if subtract else a.add(b)

    combinations: dict[str, Callable[..., Any]] = {"charge": np.subtract if subtract else np.add}
    combinations |= dict.fromkeys(("tau_tag", "b_tag", "t_tag"), np.logical_or)
    attributes = {
        name: pair(left.attributes[name], right.attributes[name], combine)
        for name, combine in combinations.items()
        if name in left.attributes and name in right.attributes
    }
    return _Code("particle", pair(left.run, right.run, momenta), attributes)


def _describe(node: ast.AST) -> str:
    """Name a piece of Python for people."""
    words = {
        "Lambda": "a lambda",
        "ListComp": "a list comprehension",
        "GeneratorExp": "a generator",
        "JoinedStr": "a string",
        "List": "a list",
        "Tuple": "a tuple",
        "Dict": "a dictionary",
        "Set": "a set",
        "NamedExpr": "an assignment",
        "BitAnd": "'&'",
        "BitOr": "'|'",
        "BitXor": "'^'",
        "LShift": "'<<'",
        "RShift": "'>>'",
        "MatMult": "'@'",
        "Is": "'is'",
        "IsNot": "'is not'",
        "In": "'in'",
        "NotIn": "'not in'",
    }
    name = type(node).__name__
    return words.get(name, f"Python's '{name}'")
