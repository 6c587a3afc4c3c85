"""What a run was, as the entities of a Provenance Run Crate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from madminer_workflow import graph
from madminer_workflow.provenance.crate import PARAMETER, RUN, SOFTWARE, file_id
from madminer_workflow.provenance.entities import (
    CONTEXT,
    CRATE,
    METADATA,
    PROFILES,
    Document,
    Entity,
    Reference,
    to,
)

LANGUAGE, ENGINE, IMAGE = "#yadage", "#yadage-engine", "#image"
COMPLETED = "http://schema.org/CompletedActionStatus"
NO_LICENCE = "No licence is given: all rights remain with the author of this run."
MAIN_RESULTS = (
    "ml/plotting/report.html",
    "ml/plotting/results.json",
    "physics/combine/combined_delphes.h5",
)
"""The products that the workflow is run for."""

FORMATS = {
    ".gz": "application/gzip",
    ".h5": "application/x-hdf5",
    ".html": "text/html",
    ".json": "application/json",
    ".npz": "application/zip",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
"""Media types of files by their suffixes."""


@dataclass(frozen=True)
class Times:
    """When something began and ended, in ISO 8601; "" for what nobody has noted."""

    began: str = ""
    ended: str = ""


@dataclass(frozen=True)
class StepRun:
    """One step: its ``name`` in the run, that of the ``step``, its command, and what it used.

    ``uses`` are paths in the crate, ``made`` has the SHA-256 of every file by its path.
    """

    name: str
    step: str
    command: str
    uses: Sequence[str]
    made: Mapping[str, str]
    times: Times = Times()


@dataclass(frozen=True)
class Run:
    """A run of a workflow: the SHA-256 of files by their paths in the crate, and what was asked.

    ``workflow`` is the path of the workflow file that was run, ``workflow_files`` are all of them.
    ``given`` are files, ``parameters`` all that was given, as text, files by their path.
    """

    title: str
    command: str
    workflow: str
    workflow_files: Mapping[str, str]
    given: Mapping[str, str]
    parameters: Mapping[str, str]
    seed: int
    steps: Sequence[StepRun]
    versions: Mapping[str, str]
    environment: Mapping[str, str]
    engine_version: str
    machine: str
    image: str = ""
    times: Times = field(default_factory=Times)


def document(run: Run) -> Document:
    """The RO-Crate of a run, the same for the same run."""
    return Document(list(CONTEXT), list(_entities(run)))


def _entities(run: Run) -> Iterator[Entity]:
    files = {**run.workflow_files, **run.given}
    for step in run.steps:
        files |= step.made
    parameters = [*_parameters(run, files)]
    yield Entity(
        id=METADATA,
        type="CreativeWork",
        about=Reference("./"),
        conforms_to=to([CRATE, list(PROFILES)[-1]]),
    )
    yield _root(run, files)
    for profile, name in PROFILES.items():
        version = profile.rpartition("/")[2]
        yield Entity(id=profile, type="CreativeWork", name=name, version=version)
    yield from _workflow(run)
    yield from _actions(run, files)
    yield from parameters
    yield from _software(run)
    examples = {path: e.id for e in parameters for path in _examples(e) if path in files}
    for path, sha256 in sorted(files.items()):
        if path == run.workflow:
            continue
        example = examples.get(path)
        yield Entity(
            id=file_id(path),
            type="File",
            name=PurePosixPath(path).name,
            sha256=sha256,
            encoding_format=FORMATS.get(PurePosixPath(path).suffix.lower()),
            example_of_work=Reference(example) if example else None,
        )


def _root(run: Run, files: Mapping[str, str]) -> Entity:
    actions = [RUN, "#orchestration", *(_action(step) for step in run.steps)]
    return Entity(
        id="./",
        type="Dataset",
        name=run.title,
        description="A run of madminer-workflow: its inputs, steps and results",
        conforms_to=to(list(PROFILES)),
        date_published=run.times.ended,
        license=NO_LICENCE,
        main_entity=Reference(file_id(run.workflow)),
        has_part=to([file_id(path) for path in sorted(files)]),
        mentions=to(actions),
    )


def _workflow(run: Run) -> Iterator[Entity]:
    ran = {step.step for step in run.steps}
    names = sorted(ran, key=lambda name: (list(graph.STEPS).index(name), name))
    inputs, outputs = _inputs(run), _outputs(run)
    yield Entity(
        id=file_id(run.workflow),
        type=["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        name=PurePosixPath(run.workflow).name,
        sha256=run.workflow_files[run.workflow],
        encoding_format=FORMATS[".yml"],
        programming_language=Reference(LANGUAGE),
        version=run.versions.get("madminer-workflow"),
        has_part=to([f"#tool/{name}" for name in names]),
        input=to([f"{PARAMETER}{name}" for name in inputs]),
        output=to([f"{PARAMETER}{name}" for name in outputs]),
        step=to([f"#step/{name}" for name in names]),
    )
    yield Entity(
        id=LANGUAGE, type="ComputerLanguage", name="yadage", url="https://yadage.readthedocs.io"
    )
    for position, name in enumerate(names):
        yield Entity(
            id=f"#step/{name}",
            type="HowToStep",
            name=name,
            position=position,
            work_example=Reference(f"#tool/{name}"),
        )
        yield Entity(
            id=f"#tool/{name}",
            type="SoftwareApplication",
            name=f"madminer-workflow {name}",
            description=graph.STEPS[name].help.splitlines()[0] if name in graph.STEPS else None,
            software_version=run.versions.get("madminer-workflow"),
            software_requirements=Reference(SOFTWARE),
        )


def _actions(run: Run, files: Mapping[str, str]) -> Iterator[Entity]:
    given = [file_id(path) for path in sorted(run.given)]
    results = [file_id(path) for path in MAIN_RESULTS if path in files]
    image = Reference(IMAGE) if run.image else None
    yield Entity(
        id=RUN,
        type="CreateAction",
        name=run.title,
        description=run.command,
        instrument=Reference(file_id(run.workflow)),
        object=to([*given, *(_value(name) for name in _values(run))]),
        result=to(results),
        start_time=run.times.began or None,
        end_time=run.times.ended or None,
        action_status=COMPLETED,
        container_image=image,
        environment=to([f"#variable/{name}" for name in run.environment]),
    )
    for name, text in run.environment.items():
        yield Entity(id=f"#variable/{name}", type="PropertyValue", name=name, value=text)
    yield Entity(
        id="#orchestration",
        type="OrganizeAction",
        name="yadage runs the workflow",
        instrument=Reference(ENGINE),
        object=to([_control(step) for step in run.steps]),
        result=Reference(RUN),
    )
    for step in run.steps:
        yield Entity(
            id=_control(step),
            type="ControlAction",
            name=f"yadage runs {step.name}",
            instrument=Reference(f"#step/{step.step}"),
            object=Reference(_action(step)),
        )
        yield Entity(
            id=_action(step),
            type="CreateAction",
            name=step.name,
            description=step.command,
            instrument=Reference(f"#tool/{step.step}"),
            object=to([file_id(path) for path in step.uses]),
            result=to([file_id(path) for path in sorted(step.made)]),
            start_time=step.times.began or None,
            end_time=step.times.ended or None,
            action_status=COMPLETED,
            container_image=image,
        )


def _inputs(run: Run) -> list[str]:
    """The parameters that were given."""
    return [name for name, value in run.parameters.items() if value]


def _outputs(run: Run) -> list[str]:
    made = {path for step in run.steps for path in step.made}
    return [PurePosixPath(path).stem for path in MAIN_RESULTS if path in made]


def _values(run: Run) -> dict[str, str | int]:
    """What was given that is no file; the seed is in the analysis file."""
    given = {name: run.parameters[name] for name in _inputs(run)}
    return {n: v for n, v in given.items() if v not in run.given} | {"seed": run.seed}


def _parameters(run: Run, files: Mapping[str, str]) -> Iterator[Entity]:
    values = _values(run)
    for name in _inputs(run):
        path = run.parameters[name]
        yield Entity(
            id=f"{PARAMETER}{name}",
            type="FormalParameter",
            name=name,
            additional_type="Text" if name in values else "File",
            work_example=Reference(_value(name) if name in values else file_id(path)),
        )
    for path in MAIN_RESULTS:
        if path in files and (name := PurePosixPath(path).stem) in _outputs(run):
            yield Entity(
                id=f"{PARAMETER}{name}",
                type="FormalParameter",
                name=name,
                additional_type="File",
                work_example=Reference(file_id(path)),
            )
    for name, value in values.items():
        yield Entity(
            id=_value(name),
            type="PropertyValue",
            name=name,
            value=value,
            example_of_work=None if name == "seed" else Reference(f"{PARAMETER}{name}"),
        )


def _software(run: Run) -> Iterator[Entity]:
    others = {name: v for name, v in run.versions.items() if name != "madminer-workflow"}
    yield Entity(
        id=SOFTWARE,
        type="SoftwareApplication",
        name="madminer-workflow",
        software_version=run.versions.get("madminer-workflow"),
        operating_system=run.machine,
        software_requirements=to([f"#software/{name}" for name in others]),
    )
    for name, version in others.items():
        yield Entity(
            id=f"#software/{name}",
            type="SoftwareApplication",
            name=name,
            software_version=version,
        )
    yield Entity(
        id=ENGINE, type="SoftwareApplication", name="yadage", software_version=run.engine_version
    )
    if run.image:
        image, _, tag = run.image.partition(":")
        yield Entity(
            id=IMAGE,
            type="ContainerImage",
            name=image,
            tag=tag or None,
            additional_type="https://w3id.org/ro/terms/workflow-run#DockerImage",
        )


def _examples(parameter: Entity) -> list[str]:
    example = parameter.work_example
    return [example.id] if isinstance(example, Reference) else []


def _value(name: str) -> str:
    return f"#value/{name}"


def _action(step: StepRun) -> str:
    return f"{RUN}/{file_id(step.name)}"


def _control(step: StepRun) -> str:
    return f"#control/{file_id(step.name)}"
