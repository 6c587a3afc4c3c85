"""What a run was, written and read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from madminer_workflow.engines.order import Order
from madminer_workflow.engines.rerun import Repetition, order_of
from madminer_workflow.errors import InputError
from madminer_workflow.files import write_json
from madminer_workflow.provenance.crate import Crate, read_crate
from madminer_workflow.provenance.description import Run, StepRun, Times, document
from madminer_workflow.provenance.entities import METADATA

HASH = {name: f"{n:064x}" for n, name in enumerate(("workflow", "input", "events", "made"))}
RUN = Run(
    title="A study of ä and 1 %",
    command="madminer-workflow run …",
    workflow="_crate/workflow/workflows/ml.yml",
    workflow_files={"_crate/workflow/workflows/ml.yml": HASH["workflow"]},
    given={
        "_crate/inputs/a/input 1%.yml": HASH["input"],
        "_crate/data/events.h5": HASH["events"],
    },
    parameters={
        "inputfile": "_crate/inputs/a/input 1%.yml",
        "data": "_crate/data/events.h5",
        "njobs": "",
        "ntrainsamples": "3",
        "settings": "sally.training.n_epochs=2 ratio.network.n_hidden=[8,8]",
        "observed": "CWL2=0.2,CPWL2=0",
    },
    seed=7,
    steps=[
        StepRun(
            name="ml/sampling",
            step="sampling",
            command="madminer-workflow sampling …",
            uses=["_crate/data/events.h5"],
            made={"ml/sampling/analysis.json": HASH["made"]},
            times=Times("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00"),
        )
    ],
    versions={"madminer-workflow": "1", "numpy": "2", "python": "CPython 3"},
    environment={"OMP_NUM_THREADS": "1"},
    engine_version="0.21",
    machine="x86_64",
    image="somebody/image:1.0@abc",
    times=Times("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:02+00:00"),
)


def written(folder: Path, run: Run) -> Crate:
    write_json(folder / METADATA, msgspec.to_builtins(document(run)))
    return read_crate(folder)


def test_what_was_written_is_read(tmp_path: Path):
    crate = written(tmp_path, RUN)
    assert crate.inputs == {
        "_crate/workflow/workflows/ml.yml": HASH["workflow"],
        "_crate/inputs/a/input%201%25.yml": HASH["input"],
        "_crate/data/events.h5": HASH["events"],
    }
    assert crate.file("_crate/inputs/a/input%201%25.yml").name == "input 1%.yml"
    assert crate.outputs == {"ml/sampling/analysis.json": HASH["made"]}
    assert crate.versions == {**RUN.versions, **RUN.environment, "machine": "x86_64"}
    assert order_of(crate, Repetition(tmp_path / "again", workers=2)) == Order(
        analysis=tmp_path / "_crate/inputs/a/input 1%.yml",
        workdir=tmp_path / "again",
        njobs=1,
        ntrainsamples=3,
        changes=["sally.training.n_epochs=2", "ratio.network.n_hidden=[8,8]"],
        observed="CWL2=0.2,CPWL2=0",
        part="ml",
        data=tmp_path / "_crate/data/events.h5",
        workers=2,
    )


def test_an_image_is_named(tmp_path: Path):
    entities = written(tmp_path, RUN).entities
    image = entities["#image"]
    assert (image.name, image.tag) == ("somebody/image", "1.0@abc")
    for action in ("#run", "#run/ml/sampling"):
        assert msgspec.to_builtins(entities[action])["containerImage"] == {"@id": "#image"}
    assert "#image" not in written(tmp_path, replace(RUN, image="")).entities


@pytest.mark.parametrize("number", ["0x10", "-1", "1e9", "٣", "9" * 20, "1;id", ""])
def test_numbers_are_numbers(tmp_path: Path, number: str):
    crate = written(tmp_path, replace(RUN, parameters={**RUN.parameters, "ntrainsamples": number}))
    with pytest.raises(InputError, match="ntrainsamples"):
        order_of(crate, Repetition(tmp_path / "again"))


def test_another_workflow_is_refused(tmp_path: Path):
    path = "_crate/workflow/other.yml"
    crate = written(tmp_path, replace(RUN, workflow=path, workflow_files={path: "0" * 64}))
    with pytest.raises(InputError, match="other\\.yml: is not a workflow of madminer-workflow"):
        order_of(crate, Repetition(tmp_path / "again"))


def test_names_that_a_terminal_would_obey_are_refused(tmp_path: Path):
    versions = {**RUN.versions, "numpy": "\x1b[2J"}
    with pytest.raises(InputError, match=r"'\\x1b\[2J': expected the name of a version"):
        written(tmp_path, replace(RUN, versions=versions))
