"""The images at work: steps in containers under plain yadage, as whoever runs them.

Needs docker or podman and the images (``make images``). Steps with a built-in generator need none
of the programs of the physics image: where it is not built, the base has its name meanwhile.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import madminer_workflow
from madminer_workflow.files import read_json
from tests.support.paths import DATA, NO_REANA, REANA_CLIENT, REPOSITORY

BIN = Path(sys.executable).parent
TAG = madminer_workflow.__version__
BASE, PHYSICS, ML = (
    f"madminer-workflow/{name}:{TAG}" for name in ("madminer", "madminer-physics", "madminer-ml")
)
# Neither the user of the images nor one that a system has.
ANYBODY = "54321:0"

pytestmark = pytest.mark.slow


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def engine() -> str:
    """Docker or podman, whichever has the images."""
    running = [name for name in ("docker", "podman") if shutil.which(name)]
    running = [name for name in running if run(name, "info").returncode == 0]
    if not running:
        pytest.skip("neither docker nor podman runs here")
    for name in running:
        if all(run(name, "image", "inspect", image).returncode == 0 for image in (BASE, ML)):
            return name
    pytest.skip(f"{' and '.join(running)} have no images {BASE} and {ML}: make images")


@pytest.fixture(scope="module")
def physics(engine: str) -> Iterator[str]:
    """The image of the physics steps, or the base under its name."""
    missing = run(engine, "image", "inspect", PHYSICS).returncode != 0
    if missing:
        assert run(engine, "tag", BASE, PHYSICS).returncode == 0
    yield PHYSICS
    if missing:
        run(engine, "rmi", PHYSICS)


@pytest.fixture
def programs(engine: str) -> str:
    """The image of the physics steps with the programs in it."""
    found = run(engine, "image", "inspect", PHYSICS)
    if found.returncode or "MG5_DIR" not in found.stdout:
        pytest.skip(f"{engine} has no image {PHYSICS} with MadGraph and Delphes: make images")
    return PHYSICS


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder with the tiny analysis, that group 0 may only read."""
    folder = tmp_path / "analysis"
    shutil.copytree(DATA / "tiny", folder)
    make_read_only(folder)
    return folder


def make_read_only(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)


def change(inputs: Path, old: str, new: str) -> None:
    """Change the read-only analysis file."""
    file = inputs / "input.yml"
    text = file.read_text()
    assert old in text
    file.chmod(0o644)
    file.write_text(text.replace(old, new))
    file.chmod(0o444)


@pytest.fixture
def docker(engine: str, tmp_path: Path) -> dict[str, str]:
    """The environment in which `docker` is the engine, and no other."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").symlink_to(shutil.which(engine) or "")
    return os.environ | {"PATH": os.pathsep.join([str(folder), os.environ["PATH"]])}


def documented_line(page: str, file: str) -> list[str]:
    """The words of the line in a page of docs/ that runs a workflow file, for containers."""
    text = (REPOSITORY / "docs" / page).read_text()
    [line] = re.findall(rf"^    (yadage-run workdir {file} (?:.*\\\n)*.*)$", text, re.MULTILINE)
    words = shlex.split(line.replace("\\\n", " "))
    if "--plugins" in words:
        option = words.index("--plugins")
        del words[option : option + 2]
    return words


def yadage_run(
    docker: dict[str, str],
    line: tuple[str, str],
    workdir: Path,
    inputs: Path,
    user: str = "1000:0",
    **parameters: str,
) -> subprocess.CompletedProcess[str]:
    """Run a documented line on the analysis in ``inputs``, steps as ``user``."""
    values = {
        "yadage-run": str(BIN / "yadage-run"),
        "workdir": str(workdir),
        "initdir=$PWD": f"initdir={inputs}",
    }
    words = [values.get(word, word) for word in documented_line(*line)]
    assert f"initdir={inputs}" in words
    # The last word about a parameter counts.
    parameters = {"inputfile": "input.yml", "njobs": "2", "ntrainsamples": "2", **parameters}
    words += [word for name, value in parameters.items() for word in ("-p", f"{name}={value}")]
    text = (REPOSITORY / "docs/containers.md").read_text()
    variables = dict(re.findall(r"^    export (PACKTIVITY_\w+)=\"?(.*?)\"?$", text, re.MULTILINE))
    assert variables["PACKTIVITY_DOCKER_CMD_MOD"] == "--user $(id -u):0"
    variables["PACKTIVITY_DOCKER_CMD_MOD"] = f"--user {user}"
    return run(*words, cwd=REPOSITORY, env=docker | variables, umask=0o002)


WHOLE = ("containers.md", "workflow.yml")
PHYSICS_PART = ("running.md", "physics.yml")
ML_PART = ("running.md", "ml.yml")


def steps(workdir: Path) -> list[Path]:
    """The folders of the steps."""
    return [
        path.parent
        for path in workdir.rglob("_packtivity")
        if list(path.glob("*.run.log")) and path.is_dir()
    ]


def counts(workdir: Path) -> dict[str, int]:
    """How many steps of each kind ran."""
    ran = [path.relative_to(workdir).as_posix() for path in steps(workdir)]
    kinds = [re.sub(r"_\d+(?=$|/)", "_n", step) for step in ran]
    return {kind: kinds.count(kind) for kind in kinds}


def owners(workdir: Path) -> set[str]:
    """Whose files the steps' products are; packtivity's own files are those of who runs it."""
    products = [
        path.stat()
        for step in steps(workdir)
        for path in step.rglob("*")
        if path.is_file() and "_packtivity" not in path.parts
    ]
    assert products
    return {f"{status.st_uid}:{status.st_gid}" for status in products}


PHYSICS_STEPS = {
    "physics/configure": 1,
    "physics/generate": 1,
    "physics/pythia_n": 2,
    "physics/delphes_n": 2,
    "physics/combine": 1,
}
# Two members of the two methods that learn, one of the histogram.
ML_STEPS = {
    "ml/sampling": 1,
    "ml/method_n/training_n": 5,
    "ml/method_n/evaluating": 3,
    "ml/plotting": 1,
}


@pytest.mark.parametrize("user", ["1000:0", ANYBODY, "54321:54321"])
@pytest.mark.parametrize("image", [BASE, ML])
def test_images_work_for_any_user(engine: str, image: str, user: str):
    finished = run(engine, "run", "--rm", "--user", user, image, "smoke")
    assert finished.returncode == 0, finished.stderr
    assert f"user: {user} " in finished.stdout
    assert f"madminer-workflow: {TAG}, MadMiner 0.9.6" in finished.stdout
    assert ("torch: " in finished.stdout) == (image == ML)


def test_the_check_can_fail(engine: str):
    finished = run(engine, "run", "--rm", "--env", "HOME=/", BASE, "smoke")
    assert finished.returncode == 1
    assert "10-user: FAILED" in finished.stderr
    assert "madminer-workflow: " in finished.stdout


@pytest.mark.parametrize("image", [BASE, ML])
def test_labels_and_user_of_an_image(engine: str, image: str):
    check_labels_and_user(engine, image)


def check_labels_and_user(engine: str, image: str) -> None:
    [content] = json.loads(run(engine, "image", "inspect", image).stdout)
    labels = content["Config"]["Labels"]
    assert content["Config"]["User"] == "1000:0"
    assert labels["org.opencontainers.image.title"] == image.partition(":")[0]
    assert labels["org.opencontainers.image.version"] == TAG
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert re.fullmatch(
        r"[0-9a-f]{40}(-modified)?|unknown", labels["org.opencontainers.image.revision"]
    )


def test_the_learning_image_is_small(engine: str):
    packages = run(engine, "run", "--rm", ML, "pip", "list", "--format=freeze").stdout
    versions = dict(line.split("==") for line in packages.split())
    assert versions["torch"].endswith("+cpu")
    assert not [name for name in versions if name.startswith(("nvidia", "triton"))]
    assert run(engine, "run", "--rm", ML, "pip", "check").returncode == 0


@pytest.mark.skipif(REANA_CLIENT is None, reason=NO_REANA)
def test_reana_client_accepts_the_environments(physics: str, docker: dict[str, str]):
    # Its question to a registry of images goes nowhere; the images here are what counts.
    nowhere = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    # The client wants a terminal for the containers that it starts.
    _, terminal = os.openpty()
    command = [REANA_CLIENT, "validate", "-f", "reana.yaml", "--environments"]
    finished = run(*command, cwd=REPOSITORY, env=docker | nowhere, stdin=terminal)
    os.close(terminal)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    for image in (BASE, PHYSICS, ML):
        assert f"SUCCESS: Environment image {image} has the correct format" in finished.stdout
        assert f"SUCCESS: Environment image {image} exists locally" in finished.stdout
    assert "UID" not in finished.stdout


def test_the_whole_workflow(physics: str, docker: dict[str, str], inputs: Path, tmp_path: Path):
    workdir = tmp_path / "workdir"
    content = (inputs / "input.yml").read_bytes()
    finished = yadage_run(docker, WHOLE, workdir, inputs)
    assert finished.returncode == 0, finished.stderr[-4000:]

    assert counts(workdir) == PHYSICS_STEPS | ML_STEPS
    results = read_json(workdir / "ml/plotting/results.json")
    assert [method["name"] for method in results["methods"]] == ["counts", "sally", "ratio"]
    closure = read_json(workdir / "physics/combine/closure.json")
    assert all(check["closes"] for check in closure["checks"])
    if os.getuid() == 0:
        assert owners(workdir) == {"1000:0"}
    assert (inputs / "input.yml").read_bytes() == content
    assert [path.name for path in inputs.iterdir()] == ["input.yml"]


def test_the_parts_alone_as_anybody(
    physics: str, docker: dict[str, str], inputs: Path, tmp_path: Path
):
    events, learning = tmp_path / "events", tmp_path / "learning"
    finished = yadage_run(docker, PHYSICS_PART, events, inputs, ANYBODY)
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert counts(events) == PHYSICS_STEPS

    inputs.chmod(0o755)
    shutil.copy(events / "physics/combine/combined_delphes.h5", inputs / "events.h5")
    make_read_only(inputs)
    finished = yadage_run(docker, ML_PART, learning, inputs, ANYBODY, data="events.h5")
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert counts(learning) == ML_STEPS
    assert (learning / "ml/plotting/report.html").is_file()
    if os.getuid() == 0:
        assert owners(events) == owners(learning) == {ANYBODY}


def test_a_whole_analysis_in_one_container(engine: str, inputs: Path, tmp_path: Path):
    tmp_path.chmod(0o777)
    options = ["--rm", "--user", ANYBODY, "--volume", f"{tmp_path}:{tmp_path}", "-w", tmp_path]
    command = ["madminer-workflow", "run", inputs.name, "--njobs", "2"]
    finished = run(engine, "run", *options, ML, *command)
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-4000:]
    assert (tmp_path / "runs/analysis/ml/plotting/report.html").is_file()


def test_a_container_cannot_write_to_the_inputs(engine: str, inputs: Path):
    options = ["--rm", "--user", ANYBODY, "--volume", f"{inputs}:{inputs}:rw"]
    for name in ("input.yml", "new"):
        finished = run(engine, "run", *options, BASE, "sh", "-c", f": >> {inputs / name}")
        assert finished.returncode != 0
        assert "denied" in finished.stderr


def test_a_failure_in_a_container_fails_the_workflow(
    physics: str, docker: dict[str, str], inputs: Path, tmp_path: Path
):
    # Accepted by configure; every event fails the cut, which combine finds out.
    change(inputs, "pt_j1 > 20.0", "pt_j1 > 1000000.0")
    workdir = tmp_path / "workdir"
    finished = yadage_run(docker, WHOLE, workdir, inputs)
    assert finished.returncode == 1
    assert "workflow finished but failed" in finished.stderr
    logs = {path.parents[1].name: path.read_text() for path in workdir.rglob("*.run.log")}
    [failed] = [step for step, log in logs.items() if "error: " in log.lower()]
    assert failed == "combine"
    assert "ml/sampling" not in counts(workdir)


def test_an_analysis_that_is_wrong_fails_the_workflow(
    physics: str, docker: dict[str, str], inputs: Path, tmp_path: Path
):
    change(inputs, "generator: builtin", "generator: builtins")
    workdir = tmp_path / "workdir"
    finished = yadage_run(docker, WHOLE, workdir, inputs)
    assert finished.returncode == 1
    [log] = workdir.rglob("*.run.log")
    assert log.parents[1].name == "configure"
    assert "builtin" in log.read_text() and "Traceback" not in log.read_text()


@pytest.mark.parametrize("user", ["1000:0", ANYBODY])
def test_the_programs_work_for_any_user(engine: str, programs: str, user: str):
    check_labels_and_user(engine, programs)
    finished = run(engine, "run", "--rm", "--user", user, programs, "smoke")
    assert finished.returncode == 0, finished.stderr
    for program in ("Delphes: ", "MadGraph: ", "Pythia: "):
        assert program in finished.stdout


def test_the_programs_make_events(
    engine: str, programs: str, docker: dict[str, str], tmp_path: Path
):
    """The signal with MadGraph, Pythia and Delphes, with few events, as anybody."""
    inputs = tmp_path / "analysis"
    shutil.copytree(REPOSITORY / "inputs/wbf-madgraph", inputs)
    content = yaml.safe_load((inputs / "input.yml").read_text())
    signal, _ = content["processes"]
    signal["events"] = dict.fromkeys(signal["events"], 200)
    content["processes"] = [signal]
    installed = run(engine, "run", "--rm", programs, "ls", "/opt/software").stdout
    content["systematics"] = [
        systematic
        for systematic in content["systematics"]
        if systematic["systematic_name"] in signal["systematics"]
        # An image may be built without it.
        and (systematic["effect"] not in ("scale", "pdf") or "lhapdf" in installed)
    ]
    signal["systematics"] = [entry["systematic_name"] for entry in content["systematics"]]
    (inputs / "input.yml").write_text(yaml.safe_dump(content, sort_keys=False))
    make_read_only(inputs)
    workdir = tmp_path / "workdir"
    finished = yadage_run(docker, PHYSICS_PART, workdir, inputs, ANYBODY)
    assert finished.returncode == 0, finished.stderr[-4000:]

    assert counts(workdir) == PHYSICS_STEPS
    cut_flow = read_json(workdir / "physics/combine/cutflow.json")
    assert [sample["generated"] for sample in cut_flow] == [200] * 5
    for sample in cut_flow:
        passed = {step["cut"]: step["passed"] for step in sample["steps"]}
        assert passed["shower"] == 200
        # The detector sees both photons in a third of the events, and a Higgs boson in them.
        assert passed["(a[0] + a[1]).m > 122.0"] > 60
        assert passed["(a[0] + a[1]).m < 128.0"] > 50
    closure = read_json(workdir / "physics/combine/closure.json")
    assert all(check["closes"] for check in closure["checks"])
