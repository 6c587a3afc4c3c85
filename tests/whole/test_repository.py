"""What holds for the repository as a whole: names, versions, pins, licence, scripts."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import madminer_workflow
from madminer_workflow.cli import main
from madminer_workflow.errors import EXTRAS
from tests.support.paths import REPOSITORY

# Which index, mirror or registry packages come from is the affair of whoever installs them. In
# parts, so that this file does not name them either.
REGISTRIES = [
    ("pypi", "org"),
    ("pypi", "python", "org"),
    ("pythonhosted", "org"),
    ("download", "pytorch", "org"),
    ("anaconda", "org"),
    ("npmjs", "org"),
    ("deb", "debian", "org"),
    ("docker", "io"),
    ("quay", "io"),
    ("ghcr", "io"),
]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
NO_STEPS = {
    *("new", "validate", "run", "step", "crate", "rerun", "export", "inspect"),
    *("track", "sweep", "kubernetes", "plot", "compare", "completion", "convert"),
}
STEPS = sorted(set(main.commands) - NO_STEPS)


def repository_files() -> list[Path]:
    """Everything in the repository or about to be added to it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git clone")
    paths = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def texts() -> dict[str, str]:
    """The content of every text file."""
    found = {}
    for path in repository_files():
        content = path.read_bytes()
        if b"\0" not in content[:4096] and path.suffix != ".gz":
            found[str(path.relative_to(REPOSITORY))] = content.decode(errors="replace")
    return found


def matches(pattern: str) -> list[str]:
    return [
        f"{name}: {match[0]}"
        for name, text in texts().items()
        for match in re.finditer(pattern, text)
    ]


def test_no_registry_is_named():
    hosts = "|".join(re.escape(".".join(parts)) for parts in REGISTRIES)
    assert re.search(hosts, ".".join(REGISTRIES[0]))
    assert matches(hosts) == []


def test_no_path_of_a_machine():
    pattern = r"(?<![\w.}/])/(?:root|work|home|Users)/\w"
    assert re.search(pattern, "in /" + "home/somebody")
    assert matches(pattern) == []


def project() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def test_one_version():
    version = madminer_workflow.__version__
    assert project()["version"] == version
    tagged = (
        ("steps/*.yml", r"imagetag: (\S+)"),
        ("docker-images/*/Dockerfile", r"ARG VERSION=(\S+)"),
    )
    for files, pattern in tagged:
        texts = [file.read_text() for file in REPOSITORY.glob(files)]
        assert {tag for text in texts for tag in re.findall(pattern, text)} == {version}, files
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert cited["version"] == version
    assert cited["license"] == project()["license"]
    images = matches(r"madminer-workflow/madminer[\w-]*:\d[\w.]*")
    assert len(images) >= 5
    assert {image.rpartition(":")[2] for image in images} == {version}, images
    newest = re.findall(r"^## (.*)$", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert newest.split()[0] == ("Unreleased" if ".dev" in version else version)


def stages(content: object) -> set[str]:
    """The names of all stages, at any depth."""
    if isinstance(content, list):
        return set().union(*map(stages, content))
    if not isinstance(content, dict):
        return set()
    own = {content["name"]} if "scheduler" in content else set()
    return own.union(*map(stages, content.values()))


@pytest.mark.parametrize("step", STEPS)
def test_a_step_has_one_name_everywhere(step: str):
    workflows = (REPOSITORY / "workflows").glob("*.yml")
    assert step in set().union(*(stages(yaml.safe_load(file.read_text())) for file in workflows))
    entries = (yaml.safe_load(file.read_text()) for file in (REPOSITORY / "steps").glob("*.yml"))
    assert step in set().union(*entries)
    package = REPOSITORY / "src/madminer_workflow"
    rooms = ("physics", "ml", "report")
    (part,) = [room for room in rooms if (package / room / f"{step}.py").is_file()]
    assert (REPOSITORY / f"tests/{part}/test_{step}.py").is_file()


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("extra", ["", *project()["optional-dependencies"]])
def test_every_dependency_is_pinned(extra: str, python: str):
    environment = {"python_version": python}
    alone = ("audit", "docs", "reana", "reana95")
    file = f"constraints-{extra}.txt" if extra in alone else "constraints.txt"
    pins = {}
    for line in (REPOSITORY / file).read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text:
            assert re.fullmatch(r"[\w.-]+==[\w.+!-]+(; .*)?", text), line
            pin = Requirement(text)
            if pin.marker is None or pin.marker.evaluate(environment):
                assert pins.setdefault(canonicalize_name(pin.name), pin) is pin, line
    wanted = project()["optional-dependencies"][extra] if extra else project()["dependencies"]
    for requirement in map(Requirement, wanted):
        if requirement.name == project()["name"]:
            assert requirement.extras <= project()["optional-dependencies"].keys()
        elif requirement.marker is None or requirement.marker.evaluate(environment):
            pin = pins.get(canonicalize_name(requirement.name))
            assert pin is not None, f"{requirement} is not pinned"
            [exact] = pin.specifier
            assert requirement.specifier.contains(exact.version, prereleases=True), requirement


@pytest.mark.parametrize("package", EXTRAS)
def test_what_is_missing_comes_with_the_extra_that_is_named(package: str):
    extra = project()["optional-dependencies"][EXTRAS[package]]
    assert package.replace("_", "-") in {Requirement(requirement).name for requirement in extra}


def test_the_licence_is_mit():
    text = (REPOSITORY / "LICENSE").read_text()
    assert text.startswith("MIT License\n")
    assert "Permission is hereby granted, free of charge" in text
    assert project()["license"] == "MIT"


def test_make_help_lists_every_target():
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    makefile = (REPOSITORY / "Makefile").read_text().replace("\\\n", " ")
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    targets = re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE)
    assert sorted(targets) == sorted(phony.split())
    assert [line.split()[0] for line in listed.splitlines()] == targets


def test_shell_scripts_parse():
    scripts = [path for path in repository_files() if re.match(rb"#!.*\bbash\b", first_line(path))]
    assert {path.name for path in scripts} >= {"setup", "run"}
    for script in scripts:
        subprocess.run(["bash", "-n", script], check=True)
        assert script.stat().st_mode & 0o111, f"{script} is not executable"


def first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline()
