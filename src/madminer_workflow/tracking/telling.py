"""One entry of a record in the words of MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from madminer_workflow.errors import InputError
from madminer_workflow.tracking import registry
from madminer_workflow.tracking.journal import (
    AnyEntry,
    Artifact,
    Dataset,
    Metrics,
    Params,
    ProposedModel,
    Tags,
)

# MLflow is imported by the uploader, if at all.
if TYPE_CHECKING:
    from mlflow import MlflowClient

    from madminer_workflow.tracking.record import Record

BATCH = 100
"""The most settings that MLflow takes at a time."""


def tell(client: MlflowClient, run_id: str, record: Record, entry: AnyEntry) -> None:
    """Tell MLflow an entry that is about the run alone."""
    from mlflow.entities import Metric, RunTag

    match entry:
        case Params(values=values):
            _params(client, run_id, values)
        case Tags(values=values):
            client.log_batch(run_id, tags=[RunTag(key, text) for key, text in values.items()])
        case Metrics(time=time, values=values, step=step):
            points = [Metric(key, number, time, step) for key, number in values.items()]
            client.log_batch(run_id, metrics=points)
        case Dataset():
            _dataset(client, run_id, entry)
        case Artifact():
            _artifact(client, run_id, record, entry)
        case ProposedModel():
            registry.register(client, run_id, record, entry)


def _params(client: MlflowClient, run_id: str, values: Mapping[str, str]) -> None:
    """Log settings; those that the run has already keep their values, as MLflow wants it."""
    from mlflow.entities import Param

    known = client.get_run(run_id).data.params
    new = [Param(key, value) for key, value in values.items() if key not in known]
    for first in range(0, len(new), BATCH):
        client.log_batch(run_id, params=new[first : first + BATCH])


def _dataset(client: MlflowClient, run_id: str, entry: Dataset) -> None:
    from mlflow import entities

    # MLflow keeps 36 characters of a digest: the whole one is in the profile.
    dataset = entities.Dataset(
        name=entry.name,
        digest=entry.digest[:36],
        source_type="local",
        source=json.dumps({"uri": entry.source}),
        profile=json.dumps({"sha256": entry.digest}),
    )
    use = entities.InputTag("mlflow.data.context", entry.use)
    client.log_inputs(run_id, [entities.DatasetInput(dataset, [use])])


def _artifact(client: MlflowClient, run_id: str, record: Record, entry: Artifact) -> None:
    kept = record.artifacts / entry.folder / entry.name
    if not kept.resolve().is_relative_to(record.artifacts.resolve()):
        raise InputError(
            f"{record.file}: {kept} is not one of its artifacts: it is in another folder"
        )
    if kept.is_dir():
        folder = (Path(entry.folder) / entry.name).as_posix()
        client.log_artifacts(run_id, str(kept), folder)
    elif kept.exists():
        client.log_artifact(run_id, str(kept), entry.folder or None)
