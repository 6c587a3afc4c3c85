"""What scripts/setup does, with a stand-in for Python: places, choices and explanations."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

# A Python that suits; its environments hold a pip and a uv that write down what they are asked.
PYTHON = """#!/bin/bash
[ "$1" != -c ] || case "$2" in
*ensurepip*) exit 0 ;;
*"(3, 11)"*) exit "${TOO_OLD:-0}" ;;
*"(3, 13)"*) exit 0 ;;
*include*) echo /nowhere ;;
*) echo "$PACKAGES" ;;
esac
[ "$1" != -m ] || {
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    for name in pip uv; do cp "$TOOLS/$name" "$3/bin/$name"; done
}
"""
PIP = """#!/bin/bash
[ "$*" != "config list" ] || { echo "$PIP_SAYS"; exit; }
echo "pip $*" >> "$CALLS"
[ -z "${BROKEN:-}" ] || { echo "no such package"; exit 1; }
"""
UV = """#!/bin/bash
echo "uv $*" >> "$CALLS"
case "$*" in *--torch-backend*) [ -z "${NO_TORCH_INDEX:-}" ] || exit 1 ;; esac
[ -z "${NO_UV:-}" ]
"""


def setup(
    tmp_path: Path, extra: str = "core", folder: str = "clone", **environment: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run scripts/setup in a clone of nothing else; what was asked of pip and uv."""
    clone, tools, packages = tmp_path / folder, tmp_path / "tools", tmp_path / "packages"
    (clone / "scripts").mkdir(parents=True)
    shutil.copy(REPOSITORY / "scripts/setup", clone / "scripts")
    for name in ("bin", "include", "test"):
        (packages / "torch" / name).mkdir(parents=True)
    (packages / "torch/bin/torch_shm_manager").touch()
    (packages / "torch/bin/protoc").touch()
    tools.mkdir()
    for name, text in {"python3": PYTHON, "pip": PIP, "uv": UV}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    for name in ("bash", "cat", "cp", "dirname", "find", "grep", "mkdir", "mktemp", "rm", "touch"):
        (tools / name).symlink_to(shutil.which(name) or "")
    calls = tmp_path / "calls"
    variables = {
        "PATH": str(tools),
        "TOOLS": str(tools),
        "CALLS": str(calls),
        "PACKAGES": str(packages),
    }
    finished = subprocess.run(
        ["scripts/setup", extra, ".venv"],
        cwd=clone,
        env=variables | environment,
        capture_output=True,
        text=True,
    )
    return finished, calls.read_text().splitlines() if calls.exists() else []


def torch(calls: list[str]) -> list[str]:
    """How torch was installed: the program, and with what choice of its build."""
    asked = [call for call in calls if call.endswith("torch") or " torch --quiet" in call]
    words = [[word for word in call.split() if word.startswith("--torch-b")] for call in asked]
    dry = ["dry" if "--dry-run" in call else "" for call in asked]
    return [
        " ".join(filter(None, [call.split()[0], *chosen, tried]))
        for call, chosen, tried in zip(asked, words, dry, strict=True)
    ]


def test_without_other_wishes_uv_chooses_the_build_of_torch(tmp_path: Path):
    finished, calls = setup(tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert torch(calls) == ["uv --torch-backend=auto dry", "uv --torch-backend=auto"]
    assert any("--editable . " in call and call.startswith("uv ") for call in calls)
    assert (tmp_path / "clone/.venv/.ready-core").exists()
    left = sorted(path.name for path in (tmp_path / "packages/torch").rglob("*"))
    assert left == ["bin", "torch_shm_manager"]


def test_where_pytorchs_index_cannot_be_reached_torch_comes_from_the_usual_one(tmp_path: Path):
    finished, calls = setup(tmp_path, NO_TORCH_INDEX="yes")
    assert finished.returncode == 0, finished.stderr
    assert torch(calls) == ["uv --torch-backend=auto dry", "uv"]


@pytest.mark.parametrize("setting", ["global.find-links", ":env:.extra-index-url"])
def test_torch_comes_from_where_pip_was_told_to_look(tmp_path: Path, setting: str):
    finished, calls = setup(tmp_path, PIP_SAYS=f"{setting}='somewhere'")
    assert finished.returncode == 0, finished.stderr
    assert torch(calls) == ["pip"]
    assert any(call.startswith("uv pip install") and "--editable" in call for call in calls)


def test_all_comes_from_the_index_that_pip_was_told_to_use(tmp_path: Path):
    finished, calls = setup(tmp_path, PIP_SAYS="global.index-url='somewhere'")
    assert finished.returncode == 0, finished.stderr
    assert calls and not [call for call in calls if call.startswith("uv")]


def test_what_uv_cannot_do_pip_does(tmp_path: Path):
    finished, calls = setup(tmp_path, extra="mlflow", NO_UV="yes")
    assert finished.returncode == 0, finished.stderr
    assert "pip install --quiet --constraint constraints.txt --editable .[mlflow]" in calls
    assert not torch(calls)


@pytest.mark.parametrize(
    ("extra", "package"), [("audit", "pip-audit"), ("docs", "mkdocs-material")]
)
def test_what_is_no_part_of_an_analysis_has_its_environment(
    tmp_path: Path, extra: str, package: str
):
    (tmp_path / "clone/.venv").mkdir(parents=True)
    finished, calls = setup(tmp_path, extra=extra)
    assert finished.returncode == 0, finished.stderr
    assert f"Environment ready: .venv-{extra}" in finished.stdout
    [call] = [call for call in calls if package in call]
    assert call.startswith(f"uv pip install --constraint constraints-{extra}.txt")
    # The note is where make looks for it.
    assert (tmp_path / f"clone/.venv/.ready-{extra}").exists()


def test_a_failure_is_shown(tmp_path: Path):
    finished, _ = setup(tmp_path, BROKEN="yes")
    assert finished.returncode == 1
    assert "no such package" in finished.stderr
    assert "error: the environment could not be created" in finished.stderr
    assert not (tmp_path / "clone/.venv/.ready-core").exists()


def test_blanks_in_the_path_are_refused_before_anything_is_made(tmp_path: Path):
    finished, calls = setup(tmp_path, folder="my clone")
    assert (finished.returncode, calls) == (2, [])
    assert "my clone: yadage inserts paths into shell commands unquoted" in finished.stderr
    assert not (tmp_path / "my clone/.venv").exists()


def test_who_may_not_write_is_told_where_results_can_go(tmp_path: Path):
    # Nobody can make a folder where a file is, not even root.
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone/.venv").touch()
    finished, calls = setup(tmp_path)
    assert (finished.returncode, calls) == (2, [])
    assert "--workdir" in finished.stderr and "WORKDIR=" in finished.stderr


def test_an_old_python_is_refused(tmp_path: Path):
    finished, calls = setup(tmp_path, TOO_OLD="1")
    assert (finished.returncode, calls) == (2, [])
    assert "no Python 3.11 or newer was found" in finished.stderr


def test_reanas_client_is_told_to_need_a_compiler(tmp_path: Path):
    finished, calls = setup(tmp_path, extra="reana")
    assert (finished.returncode, calls) == (2, [])
    assert "sudo apt-get install gcc python3-dev" in finished.stderr
