"""The package as it is published: what is in it, and that it runs an analysis by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import madminer_workflow
from tests.support.paths import DATA, REPOSITORY

VERSION = madminer_workflow.__version__
WITHOUT_CHECKOUT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: str | Path, **options: object) -> str:
    finished = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, **options
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def tracked() -> set[str]:
    """The files of the repository, where that is known."""
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git clone")
    return {name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel that is built from it."""
    # Not `build`: the folder of that name would do.
    pytest.importorskip("build.env", reason="build is not installed: make setup EXTRA=release")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, REPOSITORY, env=WITHOUT_CHECKOUT)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    return distributions / f"madminer_workflow-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The programs of an environment with the wheel, and all else from where the tests run."""
    venv = tmp_path_factory.mktemp("environment") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin/python", "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", wheel, env=WITHOUT_CHECKOUT)
    found = run(venv / "bin/python", "-c", "import site; print(site.getsitepackages()[0])").strip()
    # After its own: this package is the wheel's.
    others = [path for path in sys.path if path.endswith("site-packages")]
    (Path(found) / "others.pth").write_text("\n".join(others))
    yield venv / "bin"


def test_the_source_distribution_is_complete(distributions: Path):
    archive = distributions / f"madminer_workflow-{VERSION}.tar.gz"
    with tarfile.open(archive) as content:
        names = {name.partition("/")[2] for name in content.getnames()}
    assert tracked() - names == set()


def test_the_wheel_holds_the_workflow_files(wheel: Path):
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
        data = {name: content.read(name) for name in names if "/data/" in name}
    shipped = {
        name
        for name in tracked()
        if name.startswith(("workflows/", "steps/", "inputs/wbf/", "inputs/files-example/"))
        or name in ("workflow.yml", "inputs/parameters.yml")
    }
    assert {name.partition("/data/")[2] for name in data} == shipped
    for name, text in data.items():
        assert (REPOSITORY / name.partition("/data/")[2]).read_bytes() == text
    package = {name.removeprefix("src/") for name in tracked() if name.startswith("src/")}
    assert package - names == set()
    assert {name.partition("/")[0] for name in names} == {
        "madminer_workflow",
        f"madminer_workflow-{VERSION}.dist-info",
    }


def test_its_description_is_right(distributions: Path):
    pytest.importorskip("twine", reason="twine is not installed: make setup EXTRA=release")
    run(sys.executable, "-m", "twine", "check", "--strict", *distributions.iterdir())


@pytest.mark.slow
def test_the_package_alone_validates_and_runs_the_analysis(installed: Path, tmp_path: Path):
    program = installed / "madminer-workflow"
    environment = WITHOUT_CHECKOUT | {"PATH": f"{installed}{os.pathsep}{os.environ['PATH']}"}
    here = {"cwd": tmp_path, "env": environment}
    for start in ("madgraph", "files"):
        run(program, "new", start, "--from", start, **here)
        assert f"{start}/input.yml: valid" in run(program, "validate", start, **here)
    run(program, "new", "mine", **here)
    assert "mine/input.yml: valid" in run(program, "validate", "mine/input.yml", **here)
    (tmp_path / "mine/input.yml").write_bytes((DATA / "tiny/input.yml").read_bytes())
    run(program, "run", "mine", "--part", "physics", "--njobs", "1", **here)
    assert (tmp_path / "runs/mine/physics/combine/combined_delphes.h5").is_file()
    places = "from madminer_workflow.workflow_files import workflow_files; print(workflow_files())"
    found = Path(run(installed / "python", "-c", places, **here).strip())
    assert found.is_relative_to(installed.parent)
