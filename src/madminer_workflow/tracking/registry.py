"""A method's ensemble in MLflow's registry of models.

Evaluating proposes it as the model ``<analysis>-<method>``. What is registered are the members'
archives and how to call them (``ml.registered``): nothing is pickled. The alias BELIEVED names the
latest version whose diagnostics pass.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from madminer_workflow import __version__
from madminer_workflow.analysis.types import Density, Parameterized, Polynomial
from madminer_workflow.files import checksum
from madminer_workflow.products.evaluation import read_evaluation
from madminer_workflow.products.model import ModelNote, note_in
from madminer_workflow.products.results import ARCHIVE as RESULTS
from madminer_workflow.products.results import read_results
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import Check
from madminer_workflow.tracking.journal import MODEL, Journal, ProposedModel

# MLflow is imported by the uploader, if at all.
if TYPE_CHECKING:
    from mlflow import MlflowClient

    from madminer_workflow.tracking.record import Record

BELIEVED = "believed"
LOADER = "madminer_workflow.ml.registered"
PER_POINT = (Parameterized, Polynomial)
"""Methods that say something of events at a parameter point."""
POINT = "theta_"
"""What the names of inputs that are parameters begin with."""
FOLDER = "model"
EXAMPLES = 5
TIME_TAG = "madminer.time"
CONTENT_TAG = "madminer.model_sha256"


def propose(
    evaluation: Path, models: Sequence[Path], data: Path, output: Path, journal: Journal
) -> None:
    """Note the ensemble of ``models`` for the registry, with what evaluating found in ``output``.

    A histogram is not registered: its likelihood is one of all events, not a function of each.
    """
    notes = {file: note_in(file) for file in models}
    # The order of the arguments has no meaning.
    models = sorted(models, key=lambda file: notes[file].member)
    first = notes[models[0]]
    settings = first.settings
    if not settings.trainable:
        return
    shared = read_evaluation(evaluation)
    results = read_results(output / RESULTS)
    believed = results.summary.believed
    example = _example(first, results.arrays)
    files = {f"member_{notes[file].member}.tar.gz": file for file in models}
    digests = {name: checksum(file) for name, file in files.items()}
    seeds = [notes[file].seed for file in models]
    config = {"evaluation": plain(shared), "settings": plain(settings), "seeds": seeds}
    proposed = ProposedModel(
        name=f"{shared.analysis}-{settings.name}",
        inputs=list(example),
        outputs=outputs_of(first),
        example=example,
        believed=believed,
        verdict=verdict(results.summary.checks),
        tags={
            "madminer.method": settings.method,
            "madminer.members": str(len(files)),
            "madminer.believed": "yes" if believed else "no",
            "madminer.config_sha256": _digest(config),
            "madminer.data_sha256": checksum(data),
            "madminer.version": __version__,
            CONTENT_TAG: _digest({"files": digests, "believed": believed}),
        },
    )
    journal.model(files, proposed)


def verdict(checks: Sequence[Check]) -> str:
    """Which of the checks that decide fail, in one sentence."""
    failed = [check.name for check in checks if not check.passed and check.concerns is None]
    return f"Fails: {', '.join(failed)}." if failed else "Passes all checks."


def _example(note: ModelNote, arrays: dict[str, np.ndarray]) -> dict[str, list[float | None]]:
    """The first test events as the model's inputs, by name."""
    x = arrays["x_test"][:EXAMPLES]
    inputs = note.settings.inputs(note.observables)
    example = {name: x[:, note.observables.index(name)].tolist() for name in inputs}
    if isinstance(note.settings, PER_POINT):
        points = np.resize(arrays["theta_llr"], (len(x), len(note.parameters)))
        columns = zip(note.parameters, points.T, strict=True)
        example |= {f"{POINT}{name}": column.tolist() for name, column in columns}
    return example


def outputs_of(note: ModelNote) -> list[str]:
    """The columns of what a model says of events."""
    if isinstance(note.settings, PER_POINT):
        return ["log_p" if isinstance(note.settings, Density) else "log_r"]
    nuisance = note.nuisance_parameters if note.settings.knows_nuisance else []
    return [f"score_{name}" for name in (*note.parameters, *nuisance)]


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def register(client: MlflowClient, run_id: str, record: Record, proposed: ProposedModel) -> None:
    """Register a proposed model, unless it is there, and let BELIEVED name it if it is."""
    name, tags = proposed.name, {**proposed.tags, TIME_TAG: str(proposed.time)}
    _registered_model(client, name)
    number = _known_version(client, name, tags[CONTENT_TAG])
    if number is None:
        with TemporaryDirectory() as scratch:
            model = Path(scratch) / FOLDER
            _save(record.artifacts / MODEL, proposed, model)
            client.log_artifacts(run_id, str(model), FOLDER)
        source = f"{client.get_run(run_id).info.artifact_uri}/{FOLDER}"
        made = client.create_model_version(
            name, source, run_id, tags=tags, description=proposed.verdict
        )
        number = made.version
    if proposed.believed and not _newer_is_believed(client, name, proposed.time):
        client.set_registered_model_alias(name, BELIEVED, str(number))


def _save(files: Path, proposed: ProposedModel, target: Path) -> None:
    """Write the model as MLflow keeps models."""
    import mlflow
    import mlflow.pyfunc
    import pandas
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    inputs, outputs = (
        Schema([ColSpec(DataType.double, column) for column in columns])
        for columns in (proposed.inputs, proposed.outputs)
    )
    packages = ("madminer", "torch", "numpy")
    mlflow.pyfunc.save_model(
        target,
        loader_module=LOADER,
        data_path=str(files),
        signature=ModelSignature(inputs, outputs),
        input_example=pandas.DataFrame(proposed.example),
        pip_requirements=[
            f"madminer-workflow=={__version__}",
            # Not by its metadata: images have a part of MLflow only, under another name.
            f"mlflow=={mlflow.__version__}",
            *(f"{package}=={version(package)}" for package in packages),
        ],
    )


def _registered_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _known_version(client: MlflowClient, name: str, digest: str) -> str | int | None:
    """The version that is this model already: an upload that broke off is not done twice."""
    same = f"name = '{name}' and tags.`{CONTENT_TAG}` = '{digest}'"
    versions = client.search_model_versions(same)
    return versions[0].version if versions else None


def _newer_is_believed(client: MlflowClient, name: str, time: int) -> bool:
    """Whether BELIEVED names a model that was evaluated after ``time``: records can come late."""
    number = client.get_registered_model(name).aliases.get(BELIEVED)
    if number is None:
        return False
    return int(client.get_model_version(name, number).tags.get(TIME_TAG, 0)) > time
