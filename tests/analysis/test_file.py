"""A valid analysis file is completed with its defaults, and its documentation is complete."""

import ast
import importlib.util
import json
from pathlib import Path

import msgspec
import pytest

from madminer_workflow.analysis.cards import parts
from madminer_workflow.analysis.changes import plain
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.morphing import morphing_components
from madminer_workflow.analysis.reference import page
from madminer_workflow.analysis.schema import schema
from madminer_workflow.analysis.types import Analysis
from tests.support.paths import REPOSITORY

ROOT = REPOSITORY
FULL = ROOT / "tests/data/analysis/input.yml"
SHIPPED = sorted([*ROOT.glob("inputs/*/input.yml"), *ROOT.glob("tests/data/*/input.yml")])

MINIMAL = """
version: 1
name: minimal
parameters:
  - {parameter_name: c, lha_block: dim6, lha_id: 2, parameter_range: [-1, 1]}
benchmarks: {first: {c: 0}, second: {c: 1e-1}}
processes:
  - {name: p, generator: builtin, process: wbf_haa, events: {second: 1e2}}
observables: [{name: x, definition: 'j[0].pt'}, {name: y, definition: met.pt}]
ml:
  methods:
    - {method: histogram, observables: [x, y], bins: {y: [1, 2]}}
    - {method: sally}
    - method: rolr
      theta0: {priors: {c: {prior: flat, min: -1, max: 1}}}
  limits: {grid: {c: {range: [-1, 1]}}}
"""


@pytest.fixture
def minimal(tmp_path):
    file = tmp_path / "input.yml"
    file.write_text(MINIMAL)
    return plain(read_analysis(file))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_files_are_valid_json(path):
    # UFO models are not ours to ship: tests/physics/generators/test_wh_smeft.py is about that one.
    analysis = plain(read_analysis(path, cards="wh-smeft" not in path.parts))
    assert json.loads(json.dumps(analysis, allow_nan=False)) == analysis


def test_defaults_are_filled_in(minimal):
    assert minimal["seed"] == 1
    assert minimal["title"] == "minimal"
    assert minimal["cuts"] == minimal["efficiencies"] == []
    assert minimal["detector"]["smearing"] == []
    assert minimal["detector"]["met_noise"] == {"abs_": 0.0, "rel": 0.0}
    assert minimal["detector"]["delphes_card"] is None
    assert set(minimal["detector"]["acceptance"].values()) == {None}
    assert minimal["morphing"] == {"max_overall_power": 4, "n_trials": 100, "n_test_thetas": 100}
    assert minimal["parameters"][0]["param_card_transform"] == "theta"
    assert minimal["parameters"][0]["latex"] == "c"
    assert minimal["processes"][0]["run"]["ptj"] == 20.0
    assert minimal["observables"][0]["range"] is None
    assert minimal["ml"]["limits"]["grid"]["c"]["resolution"] == 25


def test_defaults_that_are_names(minimal):
    ml = minimal["ml"]
    histogram, sally, rolr = ml["methods"]
    assert ml["theta_ref"] == ml["limits"]["theta_true"] == ml["fisher"]["theta"] == "first"
    assert (histogram["name"], sally["name"], rolr["name"]) == ("histogram", "sally", "rolr")
    assert histogram["bins"] == {"x": 10, "y": [1.0, 2.0]}
    assert sally["theta"] == rolr["theta1"] == "first"


def test_methods_have_their_own_keys_only(minimal):
    histogram, sally, rolr = minimal["ml"]["methods"]
    assert set(histogram) == {"method", "name", "observables", "bins", "theta"}
    assert "theta0" not in sally and "theta1" not in sally and "theta" not in rolr
    assert "alpha" not in sally["training"] and "alpha" not in rolr["training"]
    assert rolr["theta0"] == {
        "n_thetas": 1000,
        "priors": {"c": {"prior": "flat", "min": -1.0, "max": 1.0}},
    }


def test_numbers_have_the_type_of_the_schema(minimal):
    assert type(minimal["benchmarks"]["first"]["c"]) is float
    assert minimal["benchmarks"]["second"]["c"] == 0.1
    assert minimal["processes"][0]["events"] == {"second": 100}
    assert type(minimal["processes"][0]["events"]["second"]) is int


def test_text_that_yaml_1_1_would_turn_into_something_else(tmp_path):
    file = tmp_path / "input.yml"
    file.write_text(MINIMAL.replace("name: minimal", "name: no\ntitle: 2023-01-01"))
    analysis = read_analysis(file)
    assert (analysis.name, analysis.title) == ("no", "2023-01-01")


def test_physics_does_not_depend_on_the_rest():
    analysis = read_analysis(FULL)
    changed = plain(analysis)
    changed["ml"]["methods"] = []
    changed["name"] = changed["title"] = "other"
    changed["parameters"][0]["latex"] = "c"
    changed["observables"][0].update(latex="x", unit="TeV", range=None)
    assert parts(msgspec.convert(changed, Analysis), FULL.parent) == parts(analysis, FULL.parent)


@pytest.mark.parametrize(
    ("part", "keys", "value"),
    [
        (0, ["parameters", 0, "param_card_transform"], "2 * theta"),
        (0, ["benchmarks", "w", "CWL2"], 0.5),
        (0, ["morphing", "n_trials"], 7),
        (0, ["processes", 0, "events", "sm"], 7),
        (1, ["detector", "met_noise", "rel"], 0.5),
        (1, ["observables", 0, "definition"], "changed"),
        (1, ["cuts", 0, "definition"], "changed"),
        (1, ["efficiencies", 0, "default"], 0.5),
    ],
)
def test_each_setting_goes_to_the_step_that_uses_it(part, keys, value):
    analysis = read_analysis(FULL)
    changed = plain(analysis)
    *path, last = keys
    place = changed
    for key in path:
        place = place[key]
    place[last] = value
    before = parts(analysis, FULL.parent)
    after = parts(msgspec.convert(changed, Analysis), FULL.parent)
    assert before[part] != after[part]
    assert before[1 - part] == after[1 - part]


def test_morphing_components():
    six = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]
    assert morphing_components([2, 2], 2) == six
    assert len(morphing_components([2, 2], 4)) == 9
    assert morphing_components([2], 4) == [(0,), (1,), (2,)]


def described(part, path=""):
    """All keys of the schema, with whether they are required."""
    for key, child in part.get("properties", {}).items():
        required = key in part.get("required", ()) or child.get("x-required", False)
        yield f"{path}.{key}", child, required
        yield from described(child, f"{path}.{key}")
    for inner in ("items", "additionalProperties"):
        if isinstance(part.get(inner), dict):
            yield from described(part[inner], path)


def test_every_key_has_a_description_and_every_optional_one_a_default():
    keys = list(described(schema()))
    assert len(keys) > 80
    for name, part, required in keys:
        assert part.get("description", "").endswith("."), name
        assert required != ("default" in part or "x-default" in part), name


def test_every_default_is_valid():
    for name, part, _ in described(schema()):
        if "default" in part and "enum" in part:
            assert part["default"] in part["enum"], name


def test_the_reference_page_is_up_to_date():
    assert (ROOT / "docs" / "analysis-file.md").read_text() == page()


NOT_MADMINERS = ("unit", "range", "n_steps", "max_lr")


def function_defaults(file: str, name: str) -> dict[str, object]:
    """Defaults of a function of MadMiner's source, without the seconds that its import takes."""
    folder = Path(importlib.util.find_spec("madminer").submodule_search_locations[0])
    for node in ast.walk(ast.parse((folder / file).read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == name and node.args.defaults:
            arguments = node.args.args[-len(node.args.defaults) :]
            pairs = zip(arguments, node.args.defaults, strict=True)
            return {argument.arg: ast.literal_eval(value) for argument, value in pairs}
    raise AssertionError(f"{name} in {file}")


def defaults_at(*path: str) -> dict[str, object]:
    part = schema()
    for key in path:
        part = part["properties"][key] if key in part.get("properties", {}) else part[key]
    return {k: v["default"] for k, v in part["properties"].items() if "default" in v}


@pytest.mark.parametrize(
    ("file", "function", "path"),
    [
        ("ml/parameterized_ratio.py", "train", ("ml", "methods", "items", "training")),
        ("core/madminer.py", "set_morphing", ("morphing",)),
        ("lhe/lhe_reader.py", "set_met_noise", ("detector", "met_noise")),
        ("lhe/lhe_reader.py", "add_observable", ("observables", "items")),
        ("lhe/lhe_reader.py", "add_cut", ("cuts", "items")),
        ("lhe/lhe_reader.py", "add_efficiency", ("efficiencies", "items")),
    ],
)
def test_names_and_defaults_are_madminers(file, function, path):
    theirs, ours = function_defaults(file, function), defaults_at(*path)
    ours = {key: value for key, value in ours.items() if key not in NOT_MADMINERS}
    assert ours
    assert {key: theirs.get(key, "no such argument") for key in ours} == ours


def test_smearing_defaults_are_madminers():
    theirs = function_defaults("lhe/lhe_reader.py", "set_smearing")
    ours = defaults_at("detector", "smearing", "items")
    ours["pdgids"] = ours.pop("particles")
    assert ours == theirs


def test_network_defaults_are_madminers():
    theirs = {
        **function_defaults("ml/base.py", "__init__"),
        **function_defaults("ml/likelihood.py", "__init__"),
    }
    ours = defaults_at("ml", "methods", "items", "network")
    theirs["n_hidden"] = list(theirs["n_hidden"])
    assert ours == {key: theirs[key] for key in ours}
