"""The Dockerfiles and the script that builds them; the images themselves: test_containers.py."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import madminer_workflow
from tests.support.paths import REPOSITORY

IMAGES = ["madminer", "madminer-physics", "madminer-ml"]
FOLDERS = {image: REPOSITORY / "docker-images" / f"docker-{image}" for image in IMAGES}
FETCH = FOLDERS["madminer-physics"] / "downloads/fetch"


def instructions(image: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, in their order, with continued lines joined."""
    text = (FOLDERS[image] / "Dockerfile").read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(word.upper(), " ".join(rest.split())) for word, rest in lines]


def defaults(image: str) -> dict[str, str]:
    """The build arguments that have a default."""
    found = (value.partition("=") for word, value in instructions(image) if word == "ARG")
    return {name: default for name, _, default in found if default}


def test_steps_use_the_images_that_are_here():
    used = set()
    for file in ("physics.yml", "ml.yml"):
        steps = yaml.safe_load((REPOSITORY / "steps" / file).read_text())
        used |= {step["environment"]["image"] for step in steps.values()}
    assert used == {f"madminer-workflow/{image}" for image in IMAGES}
    assert {path.name for path in (REPOSITORY / "docker-images").iterdir()} == {
        path.name for path in FOLDERS.values()
    }


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_user_of_group_0(image: str):
    final = instructions(image)
    final = final[max(i for i, (word, _) in enumerate(final) if word == "FROM") :]
    assert [value for word, value in final if word == "USER"][-1] == "1000:0"
    assert not {"ENTRYPOINT", "VOLUME", "SHELL"} & {word for word, _ in final}


@pytest.mark.parametrize("image", IMAGES)
def test_versions_and_labels(image: str):
    assert defaults(image)["VERSION"] == madminer_workflow.__version__
    [labels] = [value for word, value in instructions(image) if word == "LABEL"]
    expected = {
        "title": f"madminer-workflow/{image}",
        "version": "${VERSION}",
        "revision": "${REVISION}",
        "licenses": "MIT",
        "authors": "The madminer-workflow authors",
        "base.name": "${PYTHON_IMAGE}" if image == "madminer" else "${MADMINER_IMAGE}",
    }
    for name, value in expected.items():
        assert f'org.opencontainers.image.{name}="{value}"' in labels


@pytest.mark.parametrize("image", IMAGES)
def test_what_images_are_made_from_is_pinned(image: str):
    arguments = defaults(image)
    bases = [value.split()[0] for word, value in instructions(image) if word == "FROM"]
    for base in bases:
        for name, default in arguments.items():
            base = base.replace("${" + name + "}", default)
        base = base.replace("${VERSION}", arguments["VERSION"])
        _, _, tag = base.partition(":")
        assert re.match(r"\d+\.\d+", tag), base
    commands = " && ".join(value for word, value in instructions(image) if word == "RUN")
    installations = re.findall(r"(?:PIP_CONSTRAINT=\S+ )?pip install[^&|]*", commands)
    assert installations
    for command in installations:
        pinned = "constraints" in command or "==" in command or command.rstrip().endswith(" .")
        assert pinned, command


def test_the_programs_are_built_with_the_python_that_runs_them():
    assert defaults("madminer-physics")["PYTHON_IMAGE"] == defaults("madminer")["PYTHON_IMAGE"]


def test_downloads_have_an_address_and_a_checksum():
    arguments = defaults("madminer-physics")
    commands = " ".join(value for _, value in instructions("madminer-physics"))
    fetched = re.findall(r'\./fetch (\S+) "\$(\w+)" "\$(\w+)"', commands)
    assert [(url, checksum) for _, url, checksum in fetched] == [
        ("DELPHES_URL", "DELPHES_SHA256"),
        ("LHAPDF_URL", "LHAPDF_SHA256"),
        ("NNPDF23_URL", "NNPDF23_SHA256"),
        ("PDF4LHC15_URL", "PDF4LHC15_SHA256"),
        ("MADGRAPH_URL", "MADGRAPH_SHA256"),
    ]
    for name, url, _ in fetched:
        assert arguments[url].replace("{", "").replace("}", "").endswith(name)
    for checksum in ("DELPHES_SHA256", "LHAPDF_SHA256"):
        assert re.fullmatch(r"[0-9a-f]{64}", arguments[checksum])
    assert not re.search(r"\b(curl|wget|git clone)\b", commands)


def fetch(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FETCH), *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True)


def test_fetch_takes_a_file_that_is_there(tmp_path: Path):
    (tmp_path / "release.tar.gz").write_bytes(b"content")
    checksum = hashlib.sha256(b"content").hexdigest()
    finished = fetch(tmp_path, "release.tar.gz", "http://127.0.0.1:9/nowhere", checksum)
    assert (finished.returncode, finished.stdout) == (0, "")


def test_fetch_downloads_what_is_not(tmp_path: Path):
    source = tmp_path / "elsewhere"
    source.write_bytes(b"content")
    checksum = hashlib.sha256(b"content").hexdigest()
    finished = fetch(tmp_path, "release.tar.gz", source.as_uri(), checksum)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "release.tar.gz").read_bytes() == b"content"


@pytest.mark.parametrize("expected", ["0" * 64, ""])
def test_fetch_refuses_what_has_another_checksum_or_none(tmp_path: Path, expected: str):
    (tmp_path / "release.tar.gz").write_bytes(b"tampered")
    finished = fetch(tmp_path, "release.tar.gz", "http://127.0.0.1:9/nowhere", expected)
    assert finished.returncode == 1
    assert hashlib.sha256(b"tampered").hexdigest() in finished.stderr
    assert (expected or "nothing yet") in finished.stderr
    assert "Traceback" not in finished.stderr


def test_fetch_says_what_to_do_without_a_network(tmp_path: Path):
    finished = fetch(tmp_path, "release.tar.gz", "http://127.0.0.1:9/nowhere", "0" * 64)
    assert finished.returncode == 1
    assert "put it into downloads/" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert list(tmp_path.iterdir()) == []


ENGINE = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$1" in
images) echo REPOSITORY ;;
image)
    checksum=$(echo "$3" | sha256sum | cut -c -64)
    printf '[{"Id": "sha256:%s", "RepoDigests": [%s]}]' "$checksum" "$DIGESTS" ;;
build) [ -n "$INTERRUPTED" ] || echo sha256:0 > "$3" ;;
esac
"""


def copied(tmp_path: Path) -> Path:
    """What scripts/images reads and writes, in a place of its own."""
    repository = tmp_path / "repository"
    for name in ("scripts", "docker-images"):
        shutil.copytree(REPOSITORY / name, repository / name)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, repository)
    return repository


def images(
    tmp_path: Path, *arguments: str, engines: tuple[str, ...] = ("podman",), **environment: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run scripts/images with stand-ins for ``engines``; what they were asked to do."""
    repository = copied(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    needed = ("bash", "dirname", "git", "grep", "mktemp", "rm", "sed", "sort")
    for program in (*needed, "cut", "env", "sha256sum"):
        (programs / program).symlink_to(shutil.which(program) or "")
    # Not the first python3 of PATH, which may be a script (pyenv's) that needs more than is here.
    (programs / "python3").symlink_to(Path(sys.executable).resolve())
    for engine in engines:
        (programs / engine).write_text(ENGINE)
        (programs / engine).chmod(0o755)
    calls = tmp_path / "calls"
    variables = {"PATH": str(programs), "CALLS": str(calls), "HOME": os.environ["HOME"]}
    finished = subprocess.run(
        [repository / "scripts/images", *arguments],
        env=variables | environment,
        capture_output=True,
        text=True,
    )
    return finished, calls.read_text().splitlines() if calls.exists() else []


def test_build_makes_the_base_first_and_checks_every_image(tmp_path: Path):
    finished, calls = images(tmp_path, "build", TORCH_BUILD="cu130", PIP_EXTRA_INDEX_URL="")
    assert finished.returncode == 0, finished.stderr
    version = madminer_workflow.__version__
    builds = [call for call in calls if call.startswith("build ")]
    for image, call in zip(IMAGES, builds, strict=True):
        assert f"--tag madminer-workflow/{image}:{version}" in call
        assert f"--build-arg VERSION={version}" in call
        assert re.search(r"--build-arg REVISION=([0-9a-f]{40}(-modified)?|unknown) ", call)
        assert ("TORCH_BUILD=cu130" in call) == (image == "madminer-ml")
        assert "PIP_EXTRA_INDEX_URL" not in call
        assert f"run --rm madminer-workflow/{image}:{version} smoke" in calls
    contexts = [".", "docker-images/docker-madminer-physics", "docker-images/docker-madminer-ml"]
    assert [call.split()[-1] for call in builds] == contexts


def test_what_an_image_was_built_from_is_recorded(tmp_path: Path):
    secret = {"PIP_EXTRA_INDEX_URL": "https://user:pa55word@packages.example"}
    finished, _ = images(tmp_path, "build", DIGESTS='"base@sha256:1"', **secret)
    assert finished.returncode == 0, finished.stderr
    folder = tmp_path / "repository/build/provenance"
    assert {file.name for file in folder.iterdir()} == {f"{i}.provenance.json" for i in IMAGES}
    text = (folder / "madminer.provenance.json").read_text()
    statement = json.loads(text)
    name = f"madminer-workflow/madminer:{madminer_workflow.__version__}"
    [subject] = statement["subject"]
    assert subject["name"] == name
    assert subject["digest"]["sha256"] == hashlib.sha256(f"{name}\n".encode()).hexdigest()
    built = statement["predicate"]["buildDefinition"]
    from_ = {each["name"]: each for each in built["resolvedDependencies"]}
    pins = hashlib.sha256((REPOSITORY / "constraints.txt").read_bytes()).hexdigest()
    assert from_["constraints.txt"]["digest"] == {"sha256": pins}
    assert from_[defaults("madminer")["PYTHON_IMAGE"]]["annotations"] == {
        "repoDigests": ["sha256:1"]
    }
    assert built["externalParameters"]["arguments"]["PIP_EXTRA_INDEX_URL"] == "given"
    assert "pa55word" not in text
    learning = json.loads((folder / "madminer-ml.provenance.json").read_text())
    assert name in str(learning["predicate"]["buildDefinition"]["resolvedDependencies"])


def test_the_base_is_pinned_to_what_a_registry_says(tmp_path: Path):
    digest = f"sha256:{'0123456789abcdef' * 4}"
    finished, calls = images(tmp_path, "pin", DIGESTS=f'"python@{digest}"')
    assert finished.returncode == 0, finished.stderr
    base = defaults("madminer")["PYTHON_IMAGE"].partition("@")[0]
    assert f"pull --quiet {base}" in calls
    for image in ("madminer", "madminer-physics"):
        text = (tmp_path / f"repository/docker-images/docker-{image}/Dockerfile").read_text()
        assert f"ARG PYTHON_IMAGE={base}@{digest}\n" in text


def test_a_base_without_a_digest_is_not_pinned(tmp_path: Path):
    finished, _ = images(tmp_path, "pin", DIGESTS="")
    assert finished.returncode == 1
    assert "it has no registry digest on this machine" in finished.stderr
    file = tmp_path / "repository/docker-images/docker-madminer/Dockerfile"
    assert file.read_text() == (FOLDERS["madminer"] / "Dockerfile").read_text()


def test_a_build_that_was_interrupted_is_none(tmp_path: Path):
    finished, calls = images(tmp_path, "build", INTERRUPTED="yes")
    assert finished.returncode == 1
    assert "madminer: podman stopped before it was built" in finished.stderr
    assert not [call for call in calls if call.startswith("run ")]


def test_docker_is_taken_where_it_runs(tmp_path: Path):
    finished, _ = images(tmp_path, "build", engines=("podman", "docker"), IMAGES="madminer")
    assert finished.returncode == 0
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "docker").write_text("#!/bin/sh\nexit 1\n")
    (broken / "docker").chmod(0o755)
    path = f"{broken}:{tmp_path / 'bin'}"
    (tmp_path / "bin/docker").unlink()
    found = subprocess.run(
        [tmp_path / "repository/scripts/images", "build"],
        env={"PATH": path, "CALLS": str(tmp_path / "podman"), "IMAGES": "madminer"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert "smoke" in (tmp_path / "podman").read_text()


def test_push_names_the_registry(tmp_path: Path):
    finished, calls = images(tmp_path, "push", "registry.example", IMAGES="madminer-ml")
    assert finished.returncode == 0, finished.stderr
    here = f"madminer-workflow/madminer-ml:{madminer_workflow.__version__}"
    assert calls[-2:] == [f"tag {here} registry.example/{here}", f"push registry.example/{here}"]


@pytest.mark.parametrize(
    ("program", "failing", "reason"),
    [
        ("apt-get", "install*", "podman and debootstrap cannot be installed"),
        ("podman", "info*", "podman does not work"),
        ("debootstrap", "*", "no base image can be made"),
        ("podman", "run*", "podman runs no containers"),
    ],
)
def test_ci_goes_on_where_containers_cannot_run(
    tmp_path: Path, program: str, failing: str, reason: str
):
    shutil.copytree(REPOSITORY / ".ci", tmp_path / ".ci")
    shutil.copytree(FOLDERS["madminer"], tmp_path / "docker-images/docker-madminer")
    programs = tmp_path / "bin"
    programs.mkdir()
    # No base image is here yet, and everything works but what is to fail.
    cases = {
        "apt-get": "",
        "podman": "image*) exit 1 ;;\nimport*) cat >/dev/null ;;",
        "debootstrap": '*) mkdir -p "$4/usr/local/bin" ;;',
    }
    cases[program] = f"{failing}) echo broken; exit 1 ;;\n{cases[program]}"
    for name, case in cases.items():
        (programs / name).write_text(f'#!/bin/sh\ncase "$*" in\n{case}\nesac\n')
        (programs / name).chmod(0o755)
    finished = subprocess.run(
        [tmp_path / ".ci/containers"],
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0
    assert finished.stderr.startswith("broken\n")
    assert reason in finished.stderr
    assert "the tests in containers will be skipped" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "engines", "problem"),
    [
        (("push", ""), ("podman",), "REGISTRY"),
        (("build",), (), "neither docker nor podman"),
        (("built",), ("podman",), "usage"),
    ],
)
def test_mistakes_are_explained(
    tmp_path: Path, arguments: tuple[str, ...], engines: tuple[str, ...], problem: str
):
    finished, calls = images(tmp_path, *arguments, engines=engines)
    assert finished.returncode == 2
    assert problem in finished.stderr
    assert [call for call in calls if not call.startswith("info")] == []
