"""The expression language: what it accepts and refuses, and that it means what MadMiner means."""

import math
import subprocess
import sys

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madminer_workflow.errors import InputError
from madminer_workflow.expressions import (
    EVENT_VARIABLES,
    MOMENTA,
    PARTICLE_LISTS,
    ExpressionError,
    compile_expression,
)
from madminer_workflow.expressions.reference import COLUMNS, CUTS, RECIPES, page
from madminer_workflow.physics.parton_level import build_objects, identified
from madminer_workflow.physics.smearing import smear
from tests.support.madminer_events import NO_NOISE, as_particles, madminer_objects, random_events
from tests.support.paths import REPOSITORY
from tests.support.properties import examples

MADMINER_UNDEFINED = (IndexError, TypeError, ZeroDivisionError, ValueError, OverflowError)


def madminer_value(text, variables):
    """MadMiner's evaluation of one event: Python's eval (the very thing we replace), or None."""
    try:
        return float(eval(text, dict(variables)))
    except MADMINER_UNDEFINED:
        return None


EVENTS = random_events(40, seed=1)


@pytest.fixture(scope="module")
def ours():
    particles = as_particles(EVENTS)
    rng = np.random.default_rng(0)
    return build_objects(
        identified(smear(particles, [], rng)), particles, NO_NOISE, np.zeros((2, len(particles)))
    )


@pytest.fixture(scope="module")
def theirs():
    return [madminer_objects(event) for event in EVENTS]


def assert_same(text, ours, theirs):
    values, undefined = compile_expression(text).evaluate(ours)
    values, undefined = (np.broadcast_to(x, len(theirs)) for x in (values, undefined))
    expected = [madminer_value(text, variables) for variables in theirs]
    assert undefined.tolist() == [value is None for value in expected], text
    wanted = [value for value in expected if value is not None]
    np.testing.assert_allclose(values[~undefined], wanted, rtol=1e-7, atol=1e-7, err_msg=text)


LISTS = [name for name in PARTICLE_LISTS if name != "ta"]
PROPERTIES = [
    *["pt", "eta", "phi", "e", "m", "px", "py", "pz", "p", "theta", "rapidity", "mass", "E"],
    *["pt2", "costheta", "beta", "gamma", "Et", "mt"],
]
lists = st.sampled_from(LISTS)
particles = st.one_of(
    st.builds(lambda name, i: f"{name}[{i}]", lists, st.integers(-3, 3)), st.just("met")
)
momenta = st.one_of(
    particles,
    st.builds(lambda a, i, b: f"({a}[{i}] + {b})", lists, st.integers(0, 1), particles),
)
methods = st.sampled_from(["deltaphi", "deltaR", "deltaeta", "dot", "deltaRapidityPhi"])
atoms = st.one_of(
    st.integers(0, 9).map(str),
    st.sampled_from(["True", "False", "pi", "0.5", "1e2"]),
    st.builds(lambda momentum, name: f"{momentum}.{name}", momenta, st.sampled_from(PROPERTIES)),
    st.builds(lambda a, method, b: f"{a}.{method}({b})", particles, methods, particles),
    st.builds(lambda name: f"len({name})", lists),
    # A difference may be spacelike: properties of one without a real value are a matter of taste.
    st.builds(
        lambda a, b, name: f"(met - {a}[0] + {b}[1]).{name}",
        lists,
        lists,
        st.sampled_from(["pt", "phi", "eta", "px", "e", "m"]),
    ),
    st.builds(
        lambda name, i, attribute: f"{name}[{i}].{attribute}",
        lists,
        st.integers(-2, 1),
        st.sampled_from(["charge", "pdgid", "b_tag", "t_tag", "tau_tag"]),
    ),
    st.builds(lambda a, b: f"({a}[0] + {b}[-1]).charge", lists, lists),
    st.just("p_truth[0].spin"),
)


# Comparisons become floats: numpy's booleans, which MadMiner gets, do not count as numbers.
TEMPLATES = [
    "({} + {})",
    "({} - {})",
    "({} * {})",
    "({}) / (2 + abs({}))",
    "float({} < {})",
    "float({} <= {})",
    "float({} > {})",
    "float({} >= {})",
    "float({} == {})",
    "float({} != {})",
    "({} and {})",
    "({} or {})",
    "float({} < {} <= {})",
    "float({} < {} and {} > {})",
    "({} if {} < {} or {} else {})",
    "({} if {} else {})",
    "max({}, {}, {})",
    "min({}, {})",
    "atan2({}, {})",
    "abs({})",
    "float({})",
    "int({})",
    "bool({})",
    "tanh({})",
    "sqrt(abs({}))",
    "(not {})",
    "(-{})",
]


@st.composite
def expressions(draw, depth=3):
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(atoms)
    template = draw(st.sampled_from(TEMPLATES))
    parts = [draw(expressions(depth=depth - 1)) for _ in range(template.count("{}"))]
    return template.format(*parts)


@examples(200)
@given(text=expressions())
def test_means_what_madminer_means(text, ours, theirs):
    assert_same(text, ours, theirs)


@pytest.mark.parametrize("name", LISTS)
def test_every_list_is_madminers(name, ours, theirs):
    assert_same(f"len({name})", ours, theirs)
    for i in (0, 1, -1):
        assert_same(f"{name}[{i}].e + 1000.0 * {name}[{i}].pdgid", ours, theirs)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("j[1].pt > 0", [None, 1.0]),
        ("len(j) > 1 and j[1].pt > 0", [0.0, 1.0]),
        ("len(j) == 1 or j[1].pt > 0", [1.0, 1.0]),
        ("j[1].pt > 0 or True", [None, 1.0]),
        ("j[1].pt if len(j) > 1 else -1", [-1.0, 5.0]),
        ("len(j) > 1 < j[1].pt", [0.0, 1.0]),
        ("1 < len(j) < j[1].pt", [0.0, 1.0]),
        ("1 / (len(j) - 1)", [None, 1.0]),
        ("len(j) % (len(j) - 1)", [None, 0.0]),
        ("sqrt(len(j) - 1.5)", [None, math.sqrt(0.5)]),
        ("log(len(j) - 1)", [None, 0.0]),
        ("exp(1000 * (2 - len(j)))", [None, 1.0]),
        ("(j[0].pt > 1) + (len(j) > 0)", [2.0, 2.0]),
        ("int(-1.5) // 2", [-1.0, -1.0]),
        ("(len(j) > 1) ** -1", [None, 1.0]),
        ("met.eta if False else 3", [3.0, 3.0]),
    ],
)
def test_undefined_only_where_python_would_look(text, expected):
    def jet(pt):
        return {"px": pt, "py": 0.0, "pz": 0.0, "e": pt, "spin": 0.0, "pdgid": 1}

    events = as_particles([[jet(10.0)], [jet(10.0), jet(5.0)]])
    rng = np.random.default_rng(0)
    values = compile_expression(text)(
        build_objects(
            identified(smear(events, [], rng)), events, NO_NOISE, np.zeros((2, len(events)))
        )
        | {"scale": np.ones(2)}
    )
    wanted = [math.nan if value is None else value for value in expected]
    np.testing.assert_allclose(np.broadcast_to(values, 2), wanted, equal_nan=True)


def test_absent_kind_of_particle_is_undefined_everywhere():
    events = as_particles([[], []])
    rng = np.random.default_rng(0)
    variables = build_objects(
        identified(smear(events, [], rng)), events, NO_NOISE, np.zeros((2, len(events)))
    )
    _, undefined = compile_expression("(j[0] + a[0]).m + j[0].charge").evaluate(variables)
    assert undefined.tolist() == [True, True]


def test_boost_to_the_rest_frame(ours):
    at_rest = compile_expression("(j[0] + j[1]).boostCM_of(j[0] + j[1]).p")(ours)
    assert np.count_nonzero(~np.isnan(at_rest)) > 3
    np.testing.assert_allclose(at_rest[~np.isnan(at_rest)], 0.0, atol=1e-9)


def test_parameter_transforms_take_floats_and_arrays():
    transform = compile_expression("16.52*theta", ["theta"], particles=False)
    assert transform({"theta": 0.3}) == 16.52 * 0.3
    assert isinstance(transform({"theta": 0.3}), float)
    np.testing.assert_array_equal(transform({"theta": np.array([0.0, 2.0])}), [0.0, 33.04])
    assert math.isnan(compile_expression("1/theta", ["theta"], particles=False)({"theta": 0.0}))
    with pytest.raises(ExpressionError, match="unknown name 'j'"):
        compile_expression("j[0].pt", ["theta"], particles=False)


@pytest.mark.parametrize(
    "text", ["9**9**9**9", "10**10**10", "1%0", "1//0", "2**100000*theta", "pow(9, pow(9, 99))"]
)
def test_huge_powers_cost_nothing(text):
    compiled = compile_expression(text, ["theta"], particles=False)
    assert math.isnan(compiled({"theta": 1.0}))
    assert compiled.senseless is not None and "is not a finite number" in str(compiled.senseless)


@pytest.mark.parametrize("text", ["1/3", "len(j)", "pi*2", "met.pt/0.5", "1 + 2", "1/met.pt"])
def test_what_may_be_a_number_makes_sense(text):
    assert compile_expression(text).senseless is None


def test_names_used_and_missing_variables():
    assert compile_expression("j[0].pt + scale").names == {"j", "scale"}
    with pytest.raises(InputError, match="uses scale"):
        compile_expression("scale")({})


def test_observables_hide_particles_of_their_name():
    assert compile_expression("met > 10", ["met"])({"met": 20.0}) == 1.0
    with pytest.raises(ExpressionError, match="the observable of that name"):
        compile_expression("met.pt > 10", ["met"])


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("jet[0].pt", 1, "did you mean 'j'"),
        ("j.pt", 3, "choose one: j[0].pt"),
        ("j[0]", 1, "a particle, not a number"),
        ("  j[0].pT", 8, "did you mean 'pt'"),
        ("met.pt()", 5, "leave out the parentheses"),
        ("j[0].deltaPhi(j[1])", 6, "did you mean 'deltaphi'"),
        ("j[0].deltaphi", 6, "call it"),
        ("j[0].deltaphi(1.0)", 15, "takes a particle"),
        ("np.sqrt(met.pt)", 1, "write sqrt"),
        ("squrt(met.pt)", 1, "did you mean 'sqrt'"),
        ("sqrt(1, 2)", 1, "takes 1 argument"),
        ("met.pt > 1 & met.pt < 3", 10, "write 'and'"),
        ("j[len(j)].pt", 3, "whole number"),
        ("j[0:2]", 3, "whole number"),
        ("j[1.0].pt", 3, "whole number"),
        ("(a[0] + a[1]).pdgid", 15, "not a particle"),
        ("met.charge", 5, "not a particle"),
        ("len(met)", 1, "one list"),
        ("not j", 5, "use len"),
        ("j[0] * 2", 1, "a particle, not a number"),
        ("j[0].pt >", 9, "not an expression"),
        ("'text'", 1, "not a number"),
        ("1j", 1, "not a number"),
        ("1e999", 1, "too large"),
        ("", 1, "empty"),
        ("met.pt # soft", 8, "comments"),
        ("1" + "+1" * 200, 1, "too deeply nested"),
        ("1" * 5000, 1, "longer than"),
        ("max(1)", 1, "two or more"),
        ("max(*j)", 1, "plain arguments"),
        ("lambda: 0", 1, "a lambda"),
        ("[p.pt for p in j][0]", 1, "a list comprehension"),
        ("π + met.e + foo", 1, "unknown name"),
        ("met.pt\u00a0+ 1", 7, "U+00A0 (no-break space) is not part of the language"),
        ("ｍet.pt", 1, "U+FF4D (fullwidth latin small letter m)"),
        ("\ufb01", 1, "unknown name"),
        ("met.pt\x0c", 7, "U+000C (a control character)"),
        ("met.pt\x00", 7, "not an expression"),
        ("-" * 150 + "1", 101, "too deeply nested"),
        ("(" * 2000 + "1", 201, "not an expression"),
        ("met.pt + \ud800", 1, "not an expression"),
    ],
)
def test_refusals_say_where_and_what(text, column, says):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert says in caught.value.message
    assert str(caught.value) == caught.value.message
    assert caught.value.column == column


def test_what_is_too_deep_for_some_pythons_is_for_all():
    with pytest.raises(ExpressionError, match="too deeply nested"):
        compile_expression("-" * 4000 + "1")


def test_columns_count_characters_not_bytes():
    with pytest.raises(ExpressionError) as caught:
        compile_expression("é[0] + foo")
    assert caught.value.column == 1
    with pytest.raises(ExpressionError) as caught:
        compile_expression("é + foo", ["é"])
    assert caught.value.column == 5


def test_text_is_required():
    with pytest.raises(ExpressionError, match="must be text"):
        compile_expression(7)


FRAGMENTS = [
    *PARTICLE_LISTS,
    *MOMENTA,
    *[
        "(",
        ")",
        "[",
        "]",
        ".",
        ",",
        "+",
        "-",
        "*",
        "/",
        "**",
        "<",
        ">",
        "==",
        "=",
        ":=",
        ":",
        "0",
        "1",
        "'a'",
        "and",
        "or",
        "not",
        "if",
        "else",
        "for",
        "in",
        "lambda",
    ],
    *[
        "__class__",
        "__mro__",
        "__subclasses__",
        "__import__",
        "__builtins__",
        "__globals__",
        "__dict__",
    ],
    *[
        "eval",
        "exec",
        "open",
        "getattr",
        "os",
        "sys",
        "numpy",
        "layout",
        "behavior",
        "pt",
        "m",
        "deltaphi",
        "len",
        "abs",
        "sqrt",
    ],
    "[0].pt",
    "[0]",
    "()",
    "().__class__",
    ".__class__",
    ".pt.__class__",
    ".deltaphi.__self__",
    "f'{j}'",
    " ",
]


@examples(400)
@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=8).map("".join))
def test_nothing_but_the_language_gets_through(text):
    try:
        expression = compile_expression(text)
    except ExpressionError:
        return
    assert expression.names <= {*PARTICLE_LISTS, *MOMENTA, *EVENT_VARIABLES}
    assert not any(word in text for word in ("__", "eval", "exec", "open", "layout", "behavior"))


def test_compiling_imports_nothing_heavy():
    code = (
        "import sys; from madminer_workflow.expressions import compile_expression;"
        "compile_expression('(j[0] + a[0]).m > 3');"
        "print({'awkward', 'vector', 'particle', 'torch', 'madminer'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


def test_the_reference_page_is_up_to_date():
    assert (REPOSITORY / "docs/expressions.md").read_text() == page()


@pytest.mark.parametrize("text", [text for _, text in (*RECIPES, *CUTS)])
def test_recipes_mean_what_madminer_means(text, ours, theirs):
    assert_same(text, ours, theirs)


@pytest.mark.parametrize("text", [text for _, text in COLUMNS])
def test_recipes_for_columns_give_numbers(text):
    columns = {"MET_pt": np.array([20.0, 30.0]), "Jet_pt": ak.Array([[50.0, 40.0], [30.0]])}
    assert np.all(np.isfinite(compile_expression(text, columns=True)(columns)))
