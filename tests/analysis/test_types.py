"""The types of an analysis have the keys of the schema, and lose nothing of a file."""

from __future__ import annotations

import json
import types
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from madminer_workflow.analysis.cards import parts
from madminer_workflow.analysis.file import examine, read_analysis
from madminer_workflow.analysis.reading import read
from madminer_workflow.analysis.schema import schema
from madminer_workflow.analysis.types import (
    Analysis,
    Method,
    Parameterized,
    Part,
    Ratio,
    Score,
    Trained,
)
from madminer_workflow.errors import InputError
from madminer_workflow.ml.methods import FAMILIES
from tests.support.paths import DATA, REPOSITORY

FILES = sorted(
    [
        *REPOSITORY.glob("inputs/*/input.yml"),
        REPOSITORY / "inputs/wbf-madgraph/background-only.yml",
        *DATA.glob("*/input.yml"),
    ]
)
EVERY_METHOD = typing.get_args(Method)


def text(data: Any) -> str:
    return json.dumps(msgspec.to_builtins(data), sort_keys=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_types_hold_all_of_a_file(path: Path) -> None:
    analysis = read_analysis(path, cards=False)
    data, _ = examine(read(path))
    assert text(analysis) == text(data)
    assert list(analysis.benchmarks) == list(data["benchmarks"])
    assert msgspec.convert(json.loads(text(analysis)), Analysis) == analysis


def variants() -> list[dict[str, Any]]:
    """Every method with every value of the settings that decide which others there are."""
    path = {"priors": {"CWL2": {"prior": "flat", "min": -1, "max": 1}}}
    entries: list[dict[str, Any]] = []
    for method in EVERY_METHOD:
        name = method.__struct_config__.tag
        entry: dict[str, Any] = {"method": name}
        if name == "histogram":
            entry |= {"observables": ["pt_j1"], "bins": {"pt_j1": [1, 2.5]}}
        if issubclass(method, Parameterized):
            entry["theta0"] = {"priors": {"CWL2": {"prior": "gaussian", "mean": 0, "std": 1}}}
        entries.append(entry)
        if issubclass(method, Ratio):
            estimators = schema_of("estimator")["enum"]
            entries += [{**entry, "estimator": estimator} for estimator in estimators]
            drawn = {**path, "n_thetas": 7}
            entries.append({**entry, "estimator": "doubly_parameterized", "theta1": drawn})
        if issubclass(method, Score):
            axis = "CWL2" if name == "sally" else "along"
            entries.append({**entry, "binning": {"bins": {axis: [0, 1]}}})
        if name == "polynomial":
            entries.append({**entry, "features": ["deta_jj"], "training": {"n_steps": 7}})
            entries.append({**entry, "n_estimators": 5})
        elif name != "histogram":
            sgd = {"optimizer": "sgd", "nesterov_momentum": None}
            entries.append({**entry, "features": ["deta_jj"], "training": sgd})
    return [{**entry, "name": f"m{i}"} for i, entry in enumerate(entries)]


def schema_of(key: str) -> dict[str, Any]:
    return schema()["properties"]["ml"]["properties"]["methods"]["items"]["properties"][key]


def test_types_hold_all_settings_of_every_method(tmp_path: Path) -> None:
    data = json.loads(text(read_analysis(DATA / "tiny1" / "input.yml")))
    data["ml"]["methods"] = variants()
    file = tmp_path / "input.yml"
    file.write_text(json.dumps(data))
    analysis = read_analysis(file)
    assert text(analysis) == text(examine(read(file))[0])
    for method in analysis.ml.methods:
        assert method.family in FAMILIES
        assert method.reference in analysis.benchmarks
        several = getattr(method, "n_estimators", None) or 3
        assert method.members(3) == (several if method.trainable else 1)
        assert method.of_member.members(3) == (3 if method.trainable else 1)
        assert set(method.inputs(analysis.observable_names)) <= set(analysis.observable_names)
        if isinstance(method, Parameterized):
            assert method.learns_score == (method.training.alpha is not None)


def test_types_are_those_of_the_schema() -> None:
    compare(schema(), Analysis, "", {})


def compare(part: dict[str, Any], kind: Any, path: str, chosen: dict[str, str]) -> None:
    """Check a part of the schema against a type: its keys, and the types of their values."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if isinstance(kind, types.UnionType):
        kinds = [one for one in typing.get_args(kind) if one is not types.NoneType]
        for one in kinds if len(kinds) == 1 else filter(is_part, kinds):
            tag = one.__struct_config__ if is_part(one) else None
            choice = {tag.tag_field: tag.tag} if tag and tag.tag_field else {}
            compare(part, one, path, {**chosen, **choice})
    elif is_part(kind):
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        required = {name for name, field in fields.items() if field.required}
        keys = {
            key: child
            for key, child in part["properties"].items()
            if possible(child, chosen) and key not in (kind.__struct_config__.tag_field, "defaults")
        }
        assert required <= keys.keys() <= fields.keys(), path
        for key, child in keys.items():
            compare(child, fields[key].type, f"{path}.{key}", chosen)
    elif typing.get_origin(kind) is tuple:
        compare(part["items"], typing.get_args(kind)[0], f"{path}[]", chosen)
    elif typing.get_origin(kind) is dict:
        compare(part["additionalProperties"], typing.get_args(kind)[1], f"{path}.*", chosen)
    else:
        name = {int: "integer", float: "number", str: "string", bool: "boolean"}[kind]
        assert name in part["type"], path


def is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Part)


def possible(child: dict[str, Any], chosen: dict[str, str]) -> bool:
    """Whether a key exists for some of the choices that are still open."""
    conditions = child.get("x-when", {}).items()
    return all(chosen.get(key, values[0]) in values for key, values in conditions)


def test_the_schema_says_which_method_has_which_key() -> None:
    """As people knew it before the types did."""
    neural = [
        method.__struct_config__.tag for method in EVERY_METHOD if issubclass(method, Trained)
    ]
    ratios = ["alice", "alices", "carl", "rolr", "cascal", "rascal"]
    network, training, binning = (
        schema_of(key)["properties"] for key in ("network", "training", "binning")
    )
    for part, methods in (
        (schema_of("bins"), ["histogram"]),
        (schema_of("n_samples"), neural),
        (schema_of("binning"), ["sally", "sallino"]),
        (schema_of("estimator"), ratios),
        (schema_of("theta0"), [*ratios, "scandal", "nde"]),
        (binning["kind"], ["sally"]),
        (network["dropout_prob"], ["sally", "sallino", *ratios]),
        (network["n_mades"], ["scandal", "nde"]),
        (training["alpha"], ["alices", "cascal", "rascal", "scandal"]),
        (training["scale_parameters"], [*ratios, "scandal", "nde"]),
    ):
        named = part["x-when"]["method"]
        assert [name for name in named if name in ["histogram", *neural]] == methods
    assert "x-when" not in schema_of("theta")
    assert "x-when" not in network["n_hidden"]
    assert set(schema_of("method")["enum"]) >= {"histogram", *neural}
    process = schema()["properties"]["processes"]["items"]["properties"]
    assert {"builtin", "madgraph"} <= set(process["generator"]["enum"])
    assert process["proc_card"]["x-when"] == {"generator": ["madgraph"]}
    assert "wbf_haa" in process["process"]["enum"]


def test_physics_gets_what_it_depends_on() -> None:
    for name in ("wbf", "wbf-estimators", "wbf-madgraph"):
        file = REPOSITORY / "inputs" / name / "input.yml"
        analysis = read_analysis(file)
        generation, reconstruction = parts(analysis, file.parent)
        fields = ("parameter_name", "lha_block", "lha_id", "morphing_max_power")
        fields += ("param_card_transform", "parameter_range")
        assert [msgspec.to_builtins(entry) for entry in generation.parameters] == [
            {key: getattr(entry, key) for key in fields} for entry in analysis.parameters
        ]
        assert [msgspec.to_builtins(entry) for entry in reconstruction.observables] == [
            {key: getattr(entry, key) for key in ("name", "definition", "required", "default")}
            for entry in analysis.observables
        ]
        for key in ("version", "seed", "benchmarks", "morphing"):
            assert getattr(generation, key) == getattr(analysis, key)
        of_objects = [entry.variation for entry in reconstruction.object_systematics]
        assert [*generation.systematics, *of_objects] == list(analysis.systematics)
        assert [p.name for p in generation.processes] == [p.name for p in analysis.processes]
        for key in ("seed", "cuts", "efficiencies"):
            assert getattr(reconstruction, key) == getattr(analysis, key)
        assert reconstruction.detector.smearing == analysis.detector.smearing


def test_the_estimators_are_compared_on_the_events_of_the_reference_analysis() -> None:
    files = [REPOSITORY / "inputs" / name / "input.yml" for name in ("wbf", "wbf-estimators")]
    reference, estimators = (parts(read_analysis(file), file.parent) for file in files)
    assert reference == estimators


def test_changes_count() -> None:
    file = DATA / "tiny" / "input.yml"
    analysis = read_analysis(file, changes=["sally.training.n_epochs=7"])
    sally = analysis.ml.by_name["sally"]
    assert isinstance(sally, Trained) and sally.training.n_epochs == 7
    assert msgspec.convert(json.loads(text(sally)), Method) == sally


def test_samples_serve_methods_that_differ_in_training_only() -> None:
    file = DATA / "tiny" / "input.yml"
    before = read_analysis(file).ml.by_name
    changes = ["sally.training.n_epochs=7", "sally.network.n_hidden=[3]", "ratio.n_samples=7"]
    after = read_analysis(file, changes=changes).ml.by_name
    assert {name: method.sampled_like(before[name]) for name, method in after.items()} == {
        "counts": True,
        "sally": True,
        "ratio": False,
    }
    assert not before["sally"].sampled_like(before["counts"])


def test_card_values() -> None:
    [parameter, *_] = read_analysis(DATA / "tiny" / "input.yml").parameters
    assert parameter.coupling == ("dim6", 2)
    shifted = msgspec.structs.replace(parameter, param_card_transform="1/theta + 1")
    assert shifted.card_value(0.5) == 3.0
    with pytest.raises(
        InputError, match=r"CWL2.param_card_transform: '1/theta \+ 1' has no finite"
    ):
        shifted.card_value(0.0)
