"""make audit and make sbom: what is found, what is told, and that nothing passes unseen."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import DATA, REPOSITORY
from tests.whole.test_repository import REGISTRIES

AUDIT, SBOM = REPOSITORY / "scripts/audit", REPOSITORY / "scripts/sbom"
ADVISORIES = DATA / "advisories"
TOOLS = REPOSITORY / ".venv-audit/bin/python"
NO_TOOLS = "the tools are not installed: make setup EXTRA=audit"


def environment(folder: Path, *packages: tuple[str, str]) -> Path:
    """A virtual environment of nothing but what importlib.metadata reads."""
    site = folder / "lib/python3.11/site-packages"
    for name, version in packages:
        information = site / f"{name.replace('-', '_')}-{version}.dist-info"
        information.mkdir(parents=True)
        text = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
        (information / "METADATA").write_text(text)
    return folder


def audit(
    tmp_path: Path, *packages: tuple[str, str], accepted: str = "", **options: object
) -> subprocess.CompletedProcess[str]:
    """Audit an environment with these packages, against our own advisories if not others."""
    (tmp_path / "accepted.toml").write_text(accepted)
    options = {"advisories": ADVISORIES} | options
    words = [str(word) for n, v in options.items() if v for word in (f"--{n}", v)]
    place = environment(tmp_path / "environment", *packages)
    return subprocess.run(
        [
            *(sys.executable, AUDIT, "--environment", place),
            *("--accepted", tmp_path / "accepted.toml", *words),
        ],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("name", "version", "found"),
    [
        ("some-library", "1.4.1", "TEST-2020-1"),
        ("Some.Library", "0.1", "TEST-2020-1"),
        ("some-library", "1.4.1+build", "TEST-2020-1"),
        ("some-library", "2.9", "TEST-2020-1"),
        ("some-library", "1.4.2", ""),
        ("some-library", "1.10", ""),
        ("some-library", "2.10", ""),
        ("other-library", "3.1.0", "TEST-2020-2"),
        ("other-library", "1.0", "TEST-2020-2"),
        ("other-library", "1.0.1", ""),
        ("third-library", "1.0", ""),
    ],
)
def test_old_versions_are_found(tmp_path: Path, name: str, version: str, found: str):
    finished = audit(tmp_path, (name, version))
    assert finished.returncode == bool(found), finished.stdout + finished.stderr
    assert found in finished.stdout
    assert "1 of 1 packages audited" in finished.stdout
    assert "3 advisories, the newest of 2020-03-01" in finished.stdout
    assert "is not audited" in finished.stderr


def test_what_is_pinned_is_audited_for_every_python(tmp_path: Path):
    pins = tmp_path / "pins.txt"
    pins.write_text(
        'some-library==3.0; python_version >= "3.14"\n'
        'some-library==1.0; python_version < "3.14"  # old\n'
    )
    finished = audit(tmp_path, ("third-library", "1"), pins=pins)
    assert finished.returncode == 1
    assert "some-library 1.0: TEST-2020-1, TEST-CVE-1: Old versions" in finished.stdout
    assert f"(fixed in 1.4.2, 2.10); in {pins}" in finished.stdout
    pins.write_text("some-library>=1.0\n")
    (tmp_path / "again").mkdir()
    refused = audit(tmp_path / "again", ("third-library", "1"), pins=pins)
    assert refused.returncode == 2
    assert f"{pins}:1: some-library>=1.0: expected NAME==VERSION" in refused.stderr


def test_what_is_accepted_has_a_reason(tmp_path: Path):
    text = '[[accepted]]\nid = "TEST-CVE-1"\nreason = "{}"\n'
    finished = audit(tmp_path, ("some-library", "1.0"), accepted=text.format("It is not called"))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "accepted: It is not called" in finished.stdout
    for wrong in (text.format(" "), "accepted = 3\n", "[[accepted]]\nid = 'x'\n", "[["):
        shutil.rmtree(tmp_path / "environment")
        refused = audit(tmp_path, ("some-library", "1.0"), accepted=wrong)
        assert (refused.returncode, refused.stderr.startswith("error: ")) == (2, True)
        assert "accepted.toml" in refused.stderr and "Traceback" not in refused.stderr


def test_what_is_accepted_for_nothing_is_told(tmp_path: Path):
    text = '[[accepted]]\nid = "TEST-CVE-1"\nreason = "It was old"\n'
    finished = audit(tmp_path, ("some-library", "3.0"), accepted=text)
    assert finished.returncode == 0
    assert "TEST-CVE-1 is accepted, but was not found: remove it" in finished.stderr


def test_an_export_is_a_zip_file(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in ADVISORIES.iterdir():
            archive.write(file, file.name)
    finished = audit(tmp_path, ("some-library", "1.0"), advisories=tmp_path / "all.zip")
    assert finished.returncode == 1
    assert "TEST-2020-1" in finished.stdout


@pytest.mark.parametrize("content", [None, "", "no zip", "{"])
def test_without_advisories_nothing_passes(tmp_path: Path, content: str | None):
    place = tmp_path / "advisories"
    if content == "{":
        place.mkdir()
        (place / "broken.json").write_text(content)
    elif content == "":
        place.mkdir()
    elif content:
        place.write_text(content)
    finished = audit(tmp_path, ("some-library", "3.0"), advisories=place)
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: ") and "Traceback" not in finished.stderr


def test_an_advisory_about_no_version_is_no_pass(tmp_path: Path):
    record = {"id": "X", "affected": [{"package": {"ecosystem": "PyPI", "name": "some-library"}}]}
    (tmp_path / "advisories").mkdir()
    (tmp_path / "advisories/x.json").write_text(json.dumps(record))
    finished = audit(tmp_path, ("some-library", "3.0"), advisories=tmp_path / "advisories")
    assert finished.returncode == 2
    assert "not audited: some-library 3.0 (X does not say which versions" in finished.stderr


# Stands for pip-audit, and says what a test wants.
STAND_IN = """
import pathlib, sys
given = pathlib.Path(sys.argv[sys.argv.index("--requirement") + 1]).read_text()
with open({calls!r}, "a") as calls:
    calls.write(given + "-")
sys.stdout.write({answer!r})
sys.stderr.write({error!r})
sys.exit({code})
"""


def asked(tmp_path: Path, answer: str, error: str = "", code: int = 0) -> None:
    values = {"calls": str(tmp_path / "calls"), "answer": answer, "error": error, "code": code}
    (tmp_path / "pip_audit.py").write_text(STAND_IN.format(**values))


def test_a_service_is_asked_through_pip_audit(tmp_path: Path):
    vulnerability = {"id": "A-1", "aliases": ["B-2"], "fix_versions": ["2"], "description": "Bad"}
    answer = {
        "dependencies": [
            {"name": "some-library", "version": "1", "vulns": [vulnerability]},
            {"name": "torch", "skip_reason": "Dependency not found: torch (2)"},
        ]
    }
    asked(tmp_path, json.dumps(answer), code=1)
    packages = (("some-library", "1"), ("torch", "2+cpu"), ("madminer-workflow", "1"))
    finished = audit(tmp_path, *packages, advisories=None)
    assert (tmp_path / "calls").read_text() == "some-library==1\ntorch==2\n-"
    assert "some-library 1: A-1, B-2: Bad (fixed in 2)" in finished.stdout
    # What could not be audited outweighs what was found: it is no answer.
    assert finished.returncode == 2
    assert "error: not audited: torch 2 (Dependency not found" in finished.stderr
    assert "1 of 2 packages audited, 1 advisories that nobody has accepted" in finished.stdout


def test_a_service_that_cannot_be_reached_is_no_pass(tmp_path: Path):
    asked(tmp_path, "", "Traceback\nConnectionError: no route", 1)
    finished = audit(tmp_path, ("some-library", "3"), advisories=None)
    assert finished.returncode == 2
    assert "not audited: some-library 3 (pip-audit failed: ConnectionError" in finished.stderr


def test_accepted_advisories_of_the_project_have_reasons(tmp_path: Path):
    accepted = (REPOSITORY / "accepted-advisories.toml").read_text()
    finished = audit(tmp_path, ("third-library", "1"), accepted=accepted)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.slow
def test_an_image_that_does_not_run_is_told(tmp_path: Path):
    if not TOOLS.exists():
        pytest.skip(NO_TOOLS)
    (tmp_path / "podman").write_text(
        '#!/bin/sh\n[ "$1" != run ] || { echo broken >&2; exit 126; }\n'
    )
    (tmp_path / "podman").chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "ENGINE": "podman", "IMAGES": "madminer"}
    made = subprocess.run(
        [TOOLS, SBOM, sys.prefix, tmp_path / "bills"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    assert (made.returncode, made.stderr.count("\n")) == (1, 1), made.stderr
    assert "podman cannot run it: broken" in made.stderr


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bills of this environment, and of the images that are here."""
    if not TOOLS.exists():
        pytest.skip(NO_TOOLS)
    folder = tmp_path_factory.mktemp("bills")
    # The script itself compares what it writes with the schema of CycloneDX.
    made = subprocess.run([TOOLS, SBOM, sys.prefix, folder], capture_output=True, text=True)
    assert made.returncode == ("cannot run it" in made.stderr), made.stderr
    for image in ("madminer", "madminer-physics", "madminer-ml"):
        told = f"no bill of madminer-workflow/{image}:" in made.stderr
        assert told != (folder / f"{image}.cdx.json").exists()
    return folder


@pytest.mark.slow
def test_a_bill_names_everything_with_its_licence(bills: Path, tmp_path: Path):
    import numpy

    text = (bills / "environment.cdx.json").read_text()
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert "serialNumber" not in bill and "timestamp" not in bill["metadata"]
    components = {component["name"]: component for component in bill["components"]}
    assert components["numpy"]["version"] == numpy.__version__
    assert "BSD-3-Clause" in json.dumps(components["numpy"]["licenses"])
    licensed = sum("licenses" in component for component in components.values())
    assert licensed > 0.9 * len(components)
    assert bill["metadata"]["component"]["name"] == "madminer-workflow"
    again = subprocess.run(
        [TOOLS, SBOM, sys.prefix, tmp_path], capture_output=True, env=os.environ | {"IMAGES": ""}
    )
    assert again.returncode == 0
    assert (tmp_path / "environment.cdx.json").read_text() == text


@pytest.mark.slow
def test_bills_name_no_place_and_no_registry(bills: Path):
    hosts = "|".join(re.escape(".".join(parts)) for parts in REGISTRIES)
    for file in bills.iterdir():
        text = file.read_text()
        assert not re.search(hosts, text)
        assert str(REPOSITORY) not in text and "file:" not in text


@pytest.mark.slow
def test_the_bill_of_an_image_has_packages_of_debian(bills: Path):
    if not (bills / "madminer.cdx.json").exists():
        pytest.skip("there is no image madminer here, or it does not run: make images")
    bill = json.loads((bills / "madminer.cdx.json").read_text())
    purls = {component.get("purl", "").partition("@")[0] for component in bill["components"]}
    assert {"pkg:deb/debian/libc6", "pkg:pypi/numpy", "pkg:pypi/madminer"} <= purls
    assert bill["metadata"]["component"]["type"] == "container"


def test_a_service_out_of_reach_really(tmp_path: Path):
    """pip-audit itself, where there is no network."""
    alone = ("unshare", "--map-root-user", "--net")
    if not TOOLS.exists():
        pytest.skip(NO_TOOLS)
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"]).returncode:
        pytest.skip("namespaces of the network cannot be made here")
    place = environment(tmp_path / "environment", ("some-library", "1"))
    finished = subprocess.run(
        [*alone, TOOLS, AUDIT, "--environment", place], capture_output=True, text=True
    )
    assert finished.returncode == 2
    assert "not audited: some-library 1" in finished.stderr
    assert "0 of 1 packages audited" in finished.stdout


def test_what_has_no_wheel_for_another_machine_is_told(tmp_path: Path):
    site = tmp_path / "venv/lib/python3.11/site-packages"
    for name, pure in (("compiled", "false"), ("pure", "true"), ("missing", "false")):
        folder = site / f"{name}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0+cpu\n")
        (folder / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: {pure}\n")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    file = wheels / "compiled-1.0-cp311-cp311-manylinux_2_28_aarch64.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(
            "compiled-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: compiled\nVersion: 1.0\n",
        )
        archive.writestr(
            "compiled-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-manylinux_2_28_aarch64\n",
        )
        archive.writestr("compiled-1.0.dist-info/RECORD", "")
    finished = subprocess.run(
        [sys.executable, REPOSITORY / "scripts/wheels", tmp_path / "venv", "aarch64", "3.11"],
        env=os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 1, finished.stderr
    assert finished.stdout.splitlines() == [
        "missing==1.0: no wheel for aarch64 and Python 3.11",
        "1 of 2 compiled packages have a wheel",
    ]
