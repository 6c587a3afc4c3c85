"""Manifests: valid for several versions of Kubernetes, as the steps want them; inputs of Jobs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from werkzeug.test import Client

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.cli import main
from madminer_workflow.errors import InputError
from madminer_workflow.graph import STEPS
from madminer_workflow.kubernetes.config_map import config_map, items, write
from madminer_workflow.kubernetes.project import LABEL, MAIN, write_project
from tests.support.kube_server.api import Cluster, serving, write_kubeconfig
from tests.support.kube_server.volumes import lay_out
from tests.support.paths import DATA, REPOSITORY
from tests.support.reana_server import releases

# It needs a jsonschema that yadage does not allow, and is therefore installed beside everything.
VALIDATOR = (
    *("kubernetes-validate==1.37.0", "jsonschema==4.26.0", "referencing==0.37.0"),
    *("rpds-py==2026.9.1", "jsonschema-specifications==2025.9.1", "importlib-resources==7.1.0"),
)
VERSIONS = ["1.29", "1.33", "1.37"]
MANIFESTS = ["kube/pv.yml", "kube/pvc.yml", "kube/input_configmap.yml"]
APP = "madminer-workflow"
TEMPLATE = "mlflow/kubernetes_job_template.yaml"


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the validator and the schemas of all versions."""
    directory = tmp_path_factory.mktemp("validator")
    problem = releases.install(directory, *VALIDATOR)
    if problem:
        pytest.skip(f"pip cannot install kubernetes-validate: {problem}")
    return directory


def validate(validator: Path, version: str, *files: Path) -> subprocess.CompletedProcess[str]:
    options = ["--strict", "--kubernetes-version", version]
    return subprocess.run(
        [sys.executable, "-m", "kubernetes_validate", *options, *files],
        env={"PYTHONPATH": str(validator)},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The MLflow projects of all steps, made in a copy of what they are made from."""
    root = tmp_path_factory.mktemp("repository")
    for name in ("mlflow", "steps"):
        shutil.copytree(REPOSITORY / name, root / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return {
            step: root / write_project(step, DATA / "tiny", "registry:5000", f"{step}-1")
            for step in (MAIN, *STEPS)
        }


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_valid(validator: Path, projects: dict[str, Path], version: str):
    rights = ("kube/role.yml", "kube/service_account.yml")
    files = [REPOSITORY / name for name in (*MANIFESTS, *rights, TEMPLATE)]
    files += [project / "job_template.yaml" for project in projects.values()]
    checked = validate(validator, version, *files)
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count(f"against version {version}") >= len(files)


def test_the_validation_can_fail(validator: Path, tmp_path: Path):
    template = yaml.safe_load((REPOSITORY / TEMPLATE).read_text())
    template["spec"]["template"]["spec"]["securityContexts"] = {}
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(template))
    checked = validate(validator, VERSIONS[0], file)
    assert checked.returncode == 1 and "securityContexts" in checked.stdout


def resources(project: Path) -> dict:
    template = yaml.safe_load((project / "job_template.yaml").read_text())
    [container] = template["spec"]["template"]["spec"]["containers"]
    return container["resources"] | {
        "seconds": template["spec"]["template"]["spec"]["activeDeadlineSeconds"]
    }


@pytest.mark.parametrize("step", STEPS)
def test_a_job_has_the_image_and_the_resources_of_its_step(projects: dict[str, Path], step: str):
    for part in ("physics", "ml"):
        described = yaml.safe_load((REPOSITORY / f"steps/{part}.yml").read_text()).get(step)
        if described:
            break
    environment = described["environment"]
    name = environment["resources"][0]["$ref"].split("/")[-1]
    wanted = yaml.safe_load((REPOSITORY / "steps/resources.yml").read_text())[name]
    project = yaml.safe_load((projects[step] / "MLproject").read_text())
    image = f"registry:5000/{environment['image']}:{environment['imagetag']}"
    assert project["docker_env"] == {"image": image}
    own = yaml.safe_load((REPOSITORY / "mlflow/MLproject").read_text())["entry_points"][step]
    assert project["entry_points"] == {step: own}
    memory = wanted["kubernetes_memory_limit"]
    assert resources(projects[step]) == {
        "requests": {"cpu": wanted["kubernetes_cpu_request"], "memory": memory},
        "limits": {"cpu": wanted["kubernetes_cpu_limit"], "memory": memory},
        "seconds": wanted["kubernetes_job_timeout"],
    }
    if name == "medium":
        committed = yaml.safe_load((REPOSITORY / TEMPLATE).read_text())
        made = yaml.safe_load((projects[step] / "job_template.yaml").read_text())
        own = {LABEL: f"{step}-1", f"{APP}/step": step, f"{APP}/analysis": "tiny"}
        for metadata in (made["metadata"], made["spec"]["template"]["metadata"]):
            assert metadata["labels"] == {"app": APP} | own
            metadata["labels"] = {"app": APP}
        [source] = [
            volume["configMap"]
            for volume in made["spec"]["template"]["spec"]["volumes"]
            if "configMap" in volume
        ]
        assert source.pop("items") and source["name"] == f"{APP}-tiny"
        source["name"] = f"{APP}-wbf"
        assert made == committed
    config = json.loads((projects[step] / "kubernetes_config.json").read_text())
    assert config["repository-uri"] == "registry:5000/madminer-workflow/project"


def test_the_config_map_is_that_of_the_reference_analysis(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    write(Path("inputs/wbf"), tmp_path / "made.yml")
    assert (tmp_path / "made.yml").read_text() == Path("kube/input_configmap.yml").read_text()


def test_an_analysis_with_cards_is_the_same_in_the_container(tmp_path: Path):
    analysis = REPOSITORY / "inputs/wbf-madgraph"
    file = tmp_path / "map.yml"
    write(analysis, file)
    content = yaml.safe_load(file.read_text())
    assert "cards..pythia8_card.dat" in content["data"] and "README.md" not in content["data"]
    mounted = tmp_path / "analysis"
    lay_out(content, {"items": items(content), "defaultMode": 0o444}, mounted)
    assert read_analysis(mounted / "input.yml") == read_analysis(analysis / "input.yml")
    for card in (analysis / "cards").iterdir():
        if f"cards..{card.name}" in content["data"]:
            assert (mounted / "cards" / card.name).read_bytes() == card.read_bytes()


@pytest.fixture
def analysis(tmp_path: Path) -> Path:
    shutil.copytree(REPOSITORY / "inputs/wbf-madgraph", tmp_path / "analysis")
    return tmp_path / "analysis"


def mention(analysis: Path, card: str, content: bytes) -> None:
    """Make the analysis use another shower card."""
    (analysis / card).write_bytes(content)
    text = (analysis / "input.yml").read_text()
    (analysis / "input.yml").write_text(text.replace("cards/pythia8_card.dat", card))


def test_other_files_than_texts(analysis: Path):
    mention(analysis, "card.gz", b"\xff\x00")
    assert config_map(analysis)["binaryData"] == {"card.gz": "/wA="}


@pytest.mark.parametrize(
    ("card", "content", "problem"),
    [
        ("a card.dat", b"", "letters"),
        ("../card.dat", b"", "expected a file inside"),
        ("card.dat", bytes(2**20), "more than the 1048576 of a ConfigMap"),
    ],
)
def test_what_a_config_map_cannot_hold(analysis: Path, card: str, content: bytes, problem: str):
    mention(analysis, card, content)
    with pytest.raises(InputError, match=problem):
        config_map(analysis)


def test_no_analysis(tmp_path: Path):
    with pytest.raises(InputError, match=r"input\.yml: no such file"):
        config_map(tmp_path)


def root_again(job: dict) -> None:
    job["spec"]["template"]["spec"]["securityContext"]["runAsUser"] = 0


def privileges(job: dict) -> None:
    [container] = job["spec"]["template"]["spec"]["containers"]
    container["securityContext"]["allowPrivilegeEscalation"] = True


def another_claim(job: dict) -> None:
    job["spec"]["template"]["spec"]["volumes"][1]["persistentVolumeClaim"]["claimName"] = "other"


def another_file(job: dict) -> None:
    items = [{"key": "run_card.dat", "path": "run_card.dat"}]
    job["spec"]["template"]["spec"]["volumes"][0]["configMap"]["items"] = items


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (root_again, "runAsUser=0"),
        (privileges, "allowPrivilegeEscalation"),
        (another_claim, "PersistentVolumeClaim other not found"),
        (another_file, "non-existent config key: run_card.dat"),
    ],
)
def test_the_cluster_of_the_tests_refuses_what_would_not_run(tmp_path: Path, change, problem: str):
    (tmp_path / "srv/madminer-workflow").mkdir(parents=True)
    api = Client(Cluster(tmp_path))
    for name in MANIFESTS:
        body = yaml.safe_load((REPOSITORY / name).read_text())
        kind = f"{body['kind'].lower()}s"
        namespace = "" if body["kind"] == "PersistentVolume" else "namespaces/default/"
        assert api.post(f"/api/v1/{namespace}{kind}", json=body).status_code == 201
    job = yaml.safe_load((REPOSITORY / TEMPLATE).read_text())
    change(job)
    answer = api.post("/apis/batch/v1/namespaces/default/jobs", json=job)
    assert answer.status_code in (403, 404, 422) and problem in answer.json["message"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run", "shower", "--registry", "r"], "'shower' is not one of 'all', 'configure'"),
        (["run", "combine", "--registry", "r", "--parameters", "alpha"], "expected NAME=VALUE"),
        (["run", "combine", "--registry", "r"], "no Kubernetes cluster is configured"),
        (["run", "combine", "--parameters", "alpha=1"], "PARAMETERS: unknown alpha; expected"),
        (["apply"], "no Kubernetes cluster is configured"),
    ],
)
def test_the_command_line_says_what_is_missing(arguments: list[str], problem: str, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv("KUBECONFIG", "/none")
    finished = CliRunner().invoke(main, ["kubernetes", *arguments])
    assert finished.exit_code == 2 and problem in finished.output, finished.output


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"MLFLOW_TRACKING_URI": "sqlite:///runs.db"}, "expected a tracking server"),
        ({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, "does not answer"),
    ],
)
def test_jobs_need_a_server_to_report_to(tmp_path: Path, monkeypatch, variables, problem: str):
    with serving(Cluster(tmp_path)) as url:
        write_kubeconfig(tmp_path / "config", url)
        for name, value in (variables | {"KUBECONFIG": str(tmp_path / "config")}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(REPOSITORY)
        finished = CliRunner().invoke(main, ["kubernetes", "run", "combine"])
        assert finished.exit_code in (1, 2) and problem in finished.output, finished.output
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        finished = CliRunner().invoke(main, ["kubernetes", "run", "combine"])
        assert finished.exit_code == 2 and "REGISTRY is not set" in finished.output


def test_a_cluster_that_does_not_answer(tmp_path: Path, monkeypatch):
    write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    finished = CliRunner().invoke(main, ["kubernetes", "apply"])
    assert finished.exit_code == 1 and "the Kubernetes cluster does not answer" in finished.output
