"""Registered models: what is registered, what the alias names, and loading elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as metadata_version
from pathlib import Path
from typing import Any

import mlflow
import msgspec
import numpy as np
import pandas as pd
import pytest
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model

from madminer_workflow.files import checksum, write_json
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.ml import networks
from madminer_workflow.ml.evaluating import evaluating
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import polynomial, score
from madminer_workflow.ml.sampling import sampling
from madminer_workflow.ml.training import training
from madminer_workflow.products.results import read_results
from madminer_workflow.statistics.events import Events, union
from madminer_workflow.statistics.results import Check
from madminer_workflow.tracking import registry
from madminer_workflow.tracking.journal import AnyEntry, Journal, ProposedModel, entries
from madminer_workflow.tracking.products import describe
from madminer_workflow.tracking.upload import sync
from tests.support import learning
from tests.support.chain import TINY_SYSTEMATICS, Physics

LOAD = """
import json, sys
import mlflow, pandas
for line in sys.stdin:
    uri, model, events, result = json.loads(line)
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model(model)
    events = pandas.read_pickle(events) if events else model.input_example
    model.predict(events).to_pickle(result)
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A process in another directory that only knows of registered models what MLflow tells it."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOAD],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.communicate()


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path) -> str:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture(scope="module")
def models(toy_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Two members of a score, a ratio and a histogram, the second first."""
    directory = tmp_path_factory.mktemp("models")
    chosen = {
        "sally": learning.settings("sally", features=["x1", "x0"]),
        "alices": learning.settings("alices"),
        "polynomial": learning.settings("polynomial"),
        "counts": learning.settings("histogram", name="counts"),
    }
    return {
        name: [learning.model(toy_file, settings, directory, member) for member in (1, 0)]
        for name, settings in chosen.items()
    }


@pytest.fixture(scope="module")
def evaluated(
    toy_file: Path, models: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """The arguments of evaluating, which has been done, by method."""
    found = {}
    for name, members in models.items():
        directory = tmp_path_factory.mktemp(name)
        evaluation = directory / "evaluation.json"
        write_json(evaluation, learning.EVALUATION)
        evaluating(evaluation, toy_file, members, directory)
        found[name] = {
            "evaluation": evaluation,
            "data": toy_file,
            "models": tuple(members),
            "output": directory,
        }
    return found


def record(spool: Path, arguments: dict[str, Any], **changes: Any) -> Path:
    """The record of evaluating in a directory, with ``changes`` of what it says of the model."""
    journal = Journal.begin(spool, ["evaluating"])
    describe("evaluating", arguments, journal)
    journal.end("FINISHED")
    lines = entries(journal.file)
    tags = changes.pop("tags", {})
    journal.file.write_bytes(
        b"".join(msgspec.json.encode(altered(entry, changes, tags)) + b"\n" for entry in lines)
    )
    return journal.file


def altered(entry: AnyEntry, changes: dict[str, Any], tags: dict[str, str]) -> AnyEntry:
    """An entry of a record; if it is the model's, with ``changes`` and more ``tags``."""
    if not isinstance(entry, ProposedModel):
        return entry
    return msgspec.structs.replace(entry, **changes, tags={**entry.tags, **tags})


def predictions(
    elsewhere: subprocess.Popen[str],
    uri: str,
    model: str,
    directory: Path,
    events: pd.DataFrame | None,
) -> np.ndarray:
    """What a registered model gives ``elsewhere``."""
    result = directory / "out.pkl"
    if events is not None:
        events.to_pickle(directory / "in.pkl")
    given = "" if events is None else str(directory / "in.pkl")
    assert elsewhere.stdin and elsewhere.stdout
    print(json.dumps([uri, model, given, str(result)]), file=elsewhere.stdin, flush=True)
    assert elsewhere.stdout.readline() == "done\n"
    return pd.read_pickle(result)


def saved(version: ModelVersion) -> Model:
    """What MLflow keeps of a version."""
    return Model.load(version.source.removeprefix("file://"))


def toy_events(file: Path) -> Events:
    return union(read_sample(file), read_setup(file)).part(0.8, 0.81)


def unpacked(archives: list[Path], directory: Path) -> list[Member]:
    return [learning.opened(file, directory / str(i)) for i, file in enumerate(archives)]


def table_of(events: Events) -> pd.DataFrame:
    return pd.DataFrame(events.x, columns=events.observables)


def test_a_score_gives_the_same_numbers_elsewhere(
    elsewhere: subprocess.Popen[str],
    toy_file: Path,
    evaluated: dict[str, Any],
    models: dict[str, list[Path]],
    uri: str,
    tmp_path: Path,
) -> None:
    spool = tmp_path / "work" / "tracking"
    record(spool, evaluated["sally"])
    assert sync(tmp_path / "work", uri) == (1, 0)
    shutil.rmtree(tmp_path / "work")
    part = toy_events(toy_file)
    found = predictions(elsewhere, uri, "models:/toy-sally/1", tmp_path, table_of(part))
    assert list(found) == ["score_CWL2", "score_CPWL2"]
    members = unpacked(models["sally"], tmp_path)
    expected = [score.all_scores([member], part) for member in members]
    assert not np.array_equal(*expected)
    np.testing.assert_array_equal(found, np.mean(expected, axis=0))


def test_a_ratio_gives_the_same_numbers_elsewhere(
    elsewhere: subprocess.Popen[str],
    toy_file: Path,
    evaluated: dict[str, Any],
    models: dict[str, list[Path]],
    uri: str,
    tmp_path: Path,
) -> None:
    record(tmp_path / "tracking", evaluated["alices"])
    sync(tmp_path, uri)
    part = toy_events(toy_file)
    theta = np.array([0.4, -0.3])
    table = table_of(part)
    table["theta_CWL2"], table["theta_CPWL2"] = theta
    # The order of columns has no meaning.
    table = table[table.columns[::-1]]
    found = predictions(elsewhere, uri, "models:/toy-alices/1", tmp_path, table)
    members = unpacked(models["alices"], tmp_path)
    expected = [
        networks.evaluate(member.network, member.inputs(part), theta[None, :])[0][0]
        for member in members
    ]
    np.testing.assert_array_equal(found["log_r"], np.mean(expected, axis=0))


def test_a_polynomial_gives_the_same_numbers_elsewhere(
    elsewhere: subprocess.Popen[str],
    toy_file: Path,
    evaluated: dict[str, Any],
    models: dict[str, list[Path]],
    uri: str,
    tmp_path: Path,
) -> None:
    record(tmp_path / "tracking", evaluated["polynomial"])
    sync(tmp_path, uri)
    part, theta = toy_events(toy_file), np.array([0.4, -0.3])
    table = table_of(part)
    table["theta_CWL2"], table["theta_CPWL2"] = theta
    found = predictions(elsewhere, uri, "models:/toy-polynomial/1", tmp_path, table)
    members = unpacked(models["polynomial"], tmp_path)
    thetas = np.tile(theta, (len(part), 1))
    expected = [polynomial.log_ratios(member, part.x, thetas) for member in members]
    np.testing.assert_allclose(found["log_r"], np.mean(expected, axis=0), rtol=1e-12)


def test_signature_example_and_tags(
    elsewhere: subprocess.Popen[str],
    toy_file: Path,
    evaluated: dict[str, Any],
    uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def installed(name: str) -> str:
        if name == "mlflow":
            # The images have mlflow-skinny.
            raise PackageNotFoundError(name)
        return metadata_version(name)

    monkeypatch.setattr(registry, "version", installed)
    record(tmp_path / "tracking", evaluated["alices"])
    sync(tmp_path, uri)
    client = mlflow.MlflowClient(uri)
    [version] = client.search_model_versions("name = 'toy-alices'")
    info = saved(version)
    assert info.signature.inputs.input_names() == ["x0", "x1", "theta_CWL2", "theta_CPWL2"]
    assert info.signature.outputs.input_names() == ["log_r"]
    assert not list(Path(version.source.removeprefix("file://")).rglob("*.pkl"))
    found = predictions(elsewhere, uri, "models:/toy-alices/1", tmp_path, None)
    assert found.shape == (5, 1) and np.all(np.isfinite(found))
    assert version.tags["madminer.data_sha256"] == checksum(toy_file)
    assert len(version.tags["madminer.config_sha256"]) == 64
    assert version.tags["madminer.members"] == "2"
    archive = evaluated["alices"]["output"] / "Results.tar.gz"
    results = read_results(archive).summary
    assert version.tags["madminer.believed"] == ("yes" if results.believed else "no")
    assert version.description == registry.verdict(results.checks)
    run = client.get_run(version.run_id)
    assert run.info.run_name == "evaluating" and run.info.status == "FINISHED"


def test_a_histogram_is_not_registered(evaluated: dict[str, Any], uri: str, tmp_path: Path) -> None:
    record(tmp_path / "tracking", evaluated["counts"])
    assert sync(tmp_path, uri) == (1, 0)
    assert not mlflow.MlflowClient(uri).search_registered_models()


def test_the_alias_names_the_latest_that_is_believed(
    evaluated: dict[str, Any], uri: str, tmp_path: Path
) -> None:
    client = mlflow.MlflowClient(uri)

    def state(name: str, believed: bool, time: int) -> dict[str, int]:
        """The alias after another version, in a work directory of its own."""
        changes = {"believed": believed, "time": time, "tags": {registry.CONTENT_TAG: name}}
        record(tmp_path / name / "tracking", evaluated["sally"], **changes)
        sync(tmp_path / name, uri)
        aliases = client.get_registered_model("toy-sally").aliases
        return {alias: int(number) for alias, number in aliases.items()}

    assert state("a", False, 10) == {}
    assert state("b", True, 20) == {"believed": 2}
    assert state("c", False, 30) == {"believed": 2}
    assert state("d", True, 40) == {"believed": 4}
    # One that was evaluated earlier, and uploaded late.
    assert state("e", True, 35) == {"believed": 4}
    # The same model once more is no new version.
    assert state("d2", True, 50) == {"believed": 6}
    record(tmp_path / "again" / "tracking", evaluated["sally"], tags={registry.CONTENT_TAG: "d2"})
    sync(tmp_path / "again", uri)
    assert len(client.search_model_versions("name = 'toy-sally'")) == 6


def test_the_verdict_is_about_the_checks_that_decide() -> None:
    def check(name: str, passed: bool, concerns: str | None = None) -> Check:
        words = dict.fromkeys(("expected", "meaning", "reason", "sentence", "proves"), "")
        return Check(name=name, value=0.0, error=0.0, passed=passed, concerns=concerns, **words)

    good = check("closure", True)
    bad = check("mean of the score", False)
    other = check("nuisance", False, "profiling")
    assert registry.verdict([good, other]) == "Passes all checks."
    assert registry.verdict([good, bad, other]) == "Fails: mean of the score."


def test_a_score_with_nuisance_parameters(
    elsewhere: subprocess.Popen[str], uncertain: Physics, uri: str, tmp_path: Path
) -> None:
    sampling(TINY_SYSTEMATICS, uncertain.combined, 1, tmp_path / "sampling")
    method = tmp_path / "sampling/methods/sally"
    training(method / "Samples_sally_0.npz", tmp_path / "model")
    model = tmp_path / "model/Model.tar.gz"
    output = tmp_path / "out"
    evaluating(method / "evaluation.json", uncertain.combined, [model], output)
    arguments = {
        "evaluation": method / "evaluation.json",
        "data": uncertain.combined,
        "models": (model,),
        "output": output,
    }
    record(tmp_path / "tracking", arguments)
    sync(tmp_path, uri)
    client = mlflow.MlflowClient(uri)
    [registered] = client.search_registered_models()
    [version] = client.search_model_versions(f"name = '{registered.name}'")
    names = saved(version).signature.outputs.input_names()
    events = union(read_sample(uncertain.combined), read_setup(uncertain.combined))
    setup = events.setup
    assert names == [f"score_{n}" for n in (*setup.parameters, *(e.name for e in setup.nuisance))]
    part = events.part(0.0, 0.1)
    model_uri = f"models:/{registered.name}/1"
    found = predictions(elsewhere, uri, model_uri, tmp_path, table_of(part))
    assert list(found) == names
    expected = score.all_scores([learning.opened(model, tmp_path / "unpacked")], part)
    np.testing.assert_array_equal(found, expected)
