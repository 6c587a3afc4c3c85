"""What is written for REANA: resource classes, specifications, checks in Gherkin."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yadageschemas
import yaml

from tests.support.paths import NO_REANA, REANA_CLIENT, REANA_CLIENT_95, REPOSITORY

pytest.importorskip("reana_commons", reason=NO_REANA)
from bravado_core.spec import Spec
from bravado_core.validate import validate_schema_object
from reana_commons.config import HTCONDOR_JOB_FLAVOURS
from reana_commons.job_utils import kubernetes_memory_to_bytes, validate_kubernetes_memory

from tests.support.reana_server.api import MAXIMUM_BUNDLE, MAXIMUM_RETENTION

CLASSES = yaml.safe_load((REPOSITORY / "steps/resources.yml").read_text())
BACKENDS = ["kubernetes", "htcondorcern", "slurmcern"]
SPECIFICATIONS = {
    name: yaml.safe_load((REPOSITORY / f"{name}.yaml").read_text())
    for name in ("reana", "reana-physics", "reana-ml")
}
STEPS = [
    *("configure", "generate", "pythia", "delphes", "combine"),
    *("sampling", "training", "evaluating", "toys", "plotting"),
]


def loaded(file: str) -> dict[str, Any]:
    """A workflow file as REANA loads it, from the root of the repository."""
    from yadage.workflow_loader import workflow

    return workflow(file, toplevel=str(REPOSITORY), schemadir=yadageschemas.schemadir)


def steps(stages: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for stage in stages:
        scheduler = stage["scheduler"]
        if "workflow" in scheduler:
            yield from steps(scheduler["workflow"]["stages"])
        else:
            yield stage["name"], scheduler["step"]


def test_every_step_has_the_resources_of_one_class():
    found = dict(steps(loaded("workflow.yml")["stages"]))
    assert list(found) == STEPS
    for name, step in found.items():
        [resources] = step["environment"]["resources"]
        assert resources == CLASSES[resources["class"]], name


def test_the_classes_are_what_the_job_controller_takes():
    text = (files("reana_commons") / "openapi_specifications/reana_job_controller.json").read_text()
    description = Spec(json.loads(text), config={"validate_swagger_spec": False})
    schema = description.spec_dict["definitions"]["JobRequest"]
    needed = dict.fromkeys(schema["required"], "x")
    for name, resources in CLASSES.items():
        assert resources["class"] == name
        assert resources.keys() - schema["properties"].keys() == {"class"}
        assert resources["compute_backend"] in BACKENDS
        assert validate_kubernetes_memory(resources["kubernetes_memory_limit"])
        validate_schema_object(description, schema, needed | resources)


def test_the_classes_grow_and_mean_the_same_time_everywhere():
    memory = [kubernetes_memory_to_bytes(c["kubernetes_memory_limit"]) for c in CLASSES.values()]
    assert memory == sorted(set(memory))
    for resources in CLASSES.values():
        seconds = resources["kubernetes_job_timeout"]
        assert HTCONDOR_JOB_FLAVOURS[resources["htcondor_max_runtime"]] == seconds
        assert int(resources["slurm_time"]) * 60 == seconds


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_the_client_accepts_the_specification(name: str):
    finished = subprocess.run(
        [REANA_CLIENT, "validate", "-f", f"{name}.yaml"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout
    assert finished.stdout.count("SUCCESS") >= 3
    # The client takes names that a step publishes for parameters of its command; see docs/reana.md.
    warnings = [line for line in finished.stdout.splitlines() if "WARNING" in line]
    assert all("is not defined in input parameters" in line for line in warnings)


GATHER = """
import json, os, sys
from reana_commons.specification_paths import gather_workspace_seed_members
members = gather_workspace_seed_members(sys.argv[1])[0]
print(json.dumps({name: os.path.getsize(path) for name, path in members.items()}))
"""


@pytest.mark.skipif(REANA_CLIENT_95 is None, reason="no client of REANA 0.95: make test-reana")
@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_the_bundle_of_the_new_client_has_all_files_and_is_small(name: str):
    python = Path(str(REANA_CLIENT_95)).with_name("python")
    command = [str(python), "-c", GATHER, f"{name}.yaml"]
    gathered = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert gathered.returncode == 0, gathered.stderr
    sizes = json.loads(gathered.stdout)
    specification = SPECIFICATIONS[name]
    inputs = specification["inputs"]
    assert {"reana.yaml", *inputs["files"], *specification["tests"]["files"]} <= sizes.keys()
    for folder in inputs["directories"]:
        assert any(file.startswith(f"{folder}/") for file in sizes)
    assert sum(sizes.values()) < MAXIMUM_BUNDLE / 100


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_the_files_of_a_specification_exist(name: str):
    specification = SPECIFICATIONS[name]
    inputs, file = specification["inputs"], specification["workflow"]["file"]
    assert file in inputs["files"]
    named = [*inputs["files"], *inputs["directories"], *specification["tests"]["files"]]
    assert all((REPOSITORY / path).exists() for path in named)
    stages = dict(steps(loaded(file)["stages"]))
    part = {"reana": STEPS, "reana-physics": STEPS[:5], "reana-ml": STEPS[5:]}
    assert list(stages) == part[name]


def test_the_parameters_are_those_of_the_workflow_files():
    reference = yaml.safe_load((REPOSITORY / "inputs/parameters.yml").read_text())
    whole = SPECIFICATIONS["reana"]["inputs"]["parameters"]
    assert whole.keys() == reference.keys()
    for specification in SPECIFICATIONS.values():
        parameters = dict(specification["inputs"]["parameters"])
        # Events to learn from may be too large for the bundle of REANA 0.95: uploaded alone.
        assert parameters.pop("data", None) not in specification["inputs"]["files"]
        assert parameters.items() <= whole.items()


def test_retention_spares_the_outputs():
    for specification in SPECIFICATIONS.values():
        outputs = specification["outputs"]
        inside = [f"{folder}/x" for folder in outputs.get("directories", [])]
        for pattern, days in specification["workspace"]["retention_days"].items():
            assert 0 < days < MAXIMUM_RETENTION
            assert not any(PurePosixPath(x).match(pattern) for x in [*outputs["files"], *inside])


def test_the_documentation_lists_the_classes():
    text = (REPOSITORY / "docs/reana.md").read_text()
    for name, resources in CLASSES.items():
        [row] = re.findall(rf"^\| {name} \|.*$", text, re.MULTILINE)
        own = [
            step
            for step, spec in steps(loaded("workflow.yml")["stages"])
            if spec["environment"]["resources"][0]["class"] == name
        ]
        assert all(step in row for step in own)
        assert resources["kubernetes_memory_limit"] in row
        assert f"{resources['kubernetes_job_timeout'] // 3600} h" in row
