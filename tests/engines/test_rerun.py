"""Runs leave a record, from which they are repeated: same bytes, or a word on what differs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from madminer_workflow.cli import main
from madminer_workflow.engines.record import Recording
from madminer_workflow.files import checksum, read_json
from madminer_workflow.provenance.entities import METADATA
from tests.support.chain import analysis_file, observed_events, tiny
from tests.support.finished import finished_tiny
from tests.support.paths import DATA, REPOSITORY

AUDIT_PYTHON = REPOSITORY / ".venv-audit/bin/python"
SECRET = "s3cr3t-of-the-server"


@dataclass
class Finished:
    """How a command ended."""

    exit_code: int
    text: str


def command(*words: object) -> Finished:
    finished = CliRunner().invoke(main, [*map(str, words)])
    assert "Traceback" not in finished.output
    return Finished(finished.exit_code, finished.output)


@pytest.fixture(scope="module")
def whole(warm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory of a run of all; tests work on copies of it."""
    return finished_tiny(tmp_path_factory)[0]


@pytest.fixture(scope="module")
def learned(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the learning part alone, with files in many places and something to keep secret."""
    folder = tmp_path_factory.mktemp("learned")
    for name in ("study/analysis", "cards", "models", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "cards/proc_card.dat").write_text("generate p p > h j j\n")
    model = folder / "elsewhere/MyModel"
    (model / "inside").mkdir(parents=True)
    (model / "__pycache__").mkdir()
    for name in ("__init__.py", "particles.py", "inside/couplings.py", "__pycache__/x.pyc"):
        (model / name).write_text(f"# {name}\n")
    (folder / "models/MyModel").symlink_to(model)
    process = {
        "name": "signal",
        "generator": "madgraph",
        "proc_card": "../../cards/proc_card.dat",
        "ufo_model": "../../models/MyModel",
        "events": {"sm": 10},
    }
    ml = tiny("ml") | {"methods": [tiny("ml")["methods"][0]]}
    analysis_file(folder / "study/analysis/mine.YML", processes=[process], ml=ml)
    observed_events(folder / "data/events.h5")
    shutil.copy(whole / "physics/combine/combined_delphes.h5", folder / "data/combined.h5")
    with contextlib.chdir(folder / "study"):
        finished = command(
            *("run", "analysis/mine.YML", "--part", "ml", "--workdir", "../runs/learned"),
            *("--data", "../data/combined.h5", "--observed", "../data/events.h5"),
            *("--tracking-uri", f"http://somebody:{SECRET}@127.0.0.1:9/"),
        )
    assert finished.exit_code == 0, finished.text
    return folder / "runs/learned"


@pytest.fixture(scope="module")
def repeated(learned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory of that run, repeated from its packed record."""
    folder = tmp_path_factory.mktemp("repeated")
    for name in ("once.zip", "twice.zip"):
        packed = command("crate", learned, "--output", folder / name)
        assert packed.exit_code == 0, packed.text
    assert checksum(folder / "once.zip") == checksum(folder / "twice.zip")
    with contextlib.chdir(folder):
        again = command("rerun", "once.zip")
    assert again.exit_code == 0, again.text
    assert "Reproduced: all" in again.text
    return folder / "runs/once-rerun"


@pytest.mark.slow
def test_a_whole_run_is_repeated(whole: Path, tmp_path: Path):
    again = command("rerun", whole, "--workdir", tmp_path / "again")
    assert again.exit_code == 0, again.text
    assert "Reproduced: all" in again.text


@pytest.mark.slow
def test_files_in_many_places_are_kept_and_found_again(learned: Path, repeated: Path):
    kept = {str(p.relative_to(learned)) for p in (learned / "_crate").rglob("*") if p.is_file()}
    assert {name for name in kept if "workflow" not in name} == {
        "_crate/inputs/study/analysis/mine.YML",
        "_crate/inputs/cards/proc_card.dat",
        *(
            f"_crate/inputs/models/MyModel/{name}"
            for name in ("__init__.py", "particles.py", "inside/couplings.py")
        ),
        "_crate/data/combined.h5",
        "_crate/observed/events.h5",
    }
    for name in ("results.json", "report.html"):
        name = f"ml/plotting/{name}"
        assert checksum(repeated / name) == checksum(learned / name)
    observed = read_json(repeated / "ml/plotting/results.json")["observed"]
    assert (observed["source"], observed["events"]) == ("events.h5", 3)


def test_the_record_says_what_was_computed_by_what_from_what(whole: Path):
    entities = {e["@id"]: e for e in read_json(whole / METADATA)["@graph"]}
    import numpy

    assert entities["#software/numpy"]["softwareVersion"] == numpy.__version__
    assert entities["#value/seed"]["value"] == 1
    run = entities["#run"]
    assert run["description"].startswith("madminer-workflow run _crate/inputs/input.yml --part all")
    assert {"@id": "ml/plotting/results.json"} in run["result"]
    combine = entities["#run/physics/combine"]
    assert {"@id": "physics/delphes_0/delphes_data.h5"} in combine["object"]
    assert combine["description"].startswith("madminer-workflow combine --config physics/configure")
    assert combine["startTime"] <= combine["endTime"] <= run["endTime"]
    made = [r["@id"] for id, e in entities.items() if id.startswith("#run/") for r in many(e)]
    assert len(made) == len(set(made)) > 50
    for name in made:
        assert entities[name]["sha256"] == checksum(whole / name), name


def many(entity: dict) -> list[dict]:
    return entity["result"] if isinstance(entity["result"], list) else [entity["result"]]


def test_no_secret_and_no_path_of_the_machine_is_in_the_record(whole: Path, learned: Path):
    for workdir in (whole, learned):
        text = (workdir / METADATA).read_text()
        assert SECRET not in text
        assert str(workdir.parents[1]) not in text
        assert "tracking" not in text


def test_a_run_that_computes_nothing_leaves_the_record_as_it_is(whole: Path, tmp_path: Path):
    workdir = shutil.copytree(whole, tmp_path / "workdir")
    again = command(
        *("run", DATA / "tiny", "--workdir", workdir, "--njobs", 2, "--ntrainsamples", 2)
    )
    assert again.exit_code == 0, again.text
    assert (workdir / METADATA).read_bytes() == (whole / METADATA).read_bytes()


def test_what_changes_while_it_is_used_gets_no_record(whole: Path, tmp_path: Path):
    workdir = shutil.copytree(whole, tmp_path / "workdir")
    analysis = shutil.copytree(DATA / "tiny", tmp_path / "analysis")
    parameters = {"inputfile": analysis / "input.yml", "njobs": 1, "ntrainsamples": 1}
    recording = Recording("all", "workflow.yml", parameters, workdir)
    (analysis / "input.yml").write_text("another: analysis\n")
    warnings: list[str] = []
    recording.write([], None, warnings.append)  # type: ignore[arg-type]
    assert not (workdir / METADATA).exists()
    assert "input.yml changed while it was in use" in warnings[0]


def test_what_is_no_file_keeps_nobody_waiting(learned: Path, tmp_path: Path):
    model = tmp_path / "model"
    (model / "inside").mkdir(parents=True)
    os.mkfifo(model / "pipe")
    (model / "inside/around").symlink_to(model)
    (model / "file.py").touch()
    process = {
        "name": "x",
        "generator": "madgraph",
        "ufo_model": "model",
        "proc_card": "model/pipe",
    }
    analysis = analysis_file(tmp_path / "input.yml", processes=[process])
    recording = Recording("ml", "workflows/ml.yml", {"inputfile": analysis}, tmp_path)
    assert {path.name for path in recording.given.values()} == {"input.yml", "file.py"}


def flip(file: Path, place: int = -1) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    # Not into the file that a cache or another test has a link to.
    file.unlink()
    file.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    [
        "_crate/inputs/cards/proc_card.dat",
        "_crate/inputs/models/MyModel/inside/couplings.py",
        "_crate/observed/events.h5",
        "_crate/data/combined.h5",
        "_crate/workflow/steps/ml.yml",
        "ml/plotting/results.json",
    ],
)
def test_a_flipped_byte_is_named(learned: Path, tmp_path: Path, name: str):
    workdir = shutil.copytree(learned, tmp_path / "learned")
    flip(workdir / name)
    for words in (
        ("rerun", workdir, "--workdir", tmp_path / "again"),
        ("crate", workdir, "--output", tmp_path / "packed.zip"),
    ):
        refused = command(*words)
        assert refused.exit_code == 2
        assert f"{name}: is not the file that was recorded" in refused.text
    assert not (tmp_path / "again").exists() and not (tmp_path / "packed.zip").exists()


def test_a_flipped_byte_of_a_packed_record_is_named(learned: Path, tmp_path: Path):
    packed = tmp_path / "packed.zip"
    assert command("crate", learned, "--output", packed).exit_code == 0
    with zipfile.ZipFile(packed) as archive:
        places = {info.filename: info.header_offset for info in archive.infolist()}
        sizes = {info.filename: info.compress_size for info in archive.infolist()}
    for name in ("_crate/data/combined.h5", METADATA, "ml/plotting/report.html"):
        damaged = Path(shutil.copy(packed, tmp_path / "damaged.zip"))
        flip(damaged, places[name] + 30 + len(name) + 20 + sizes[name] // 2)
        refused = command("rerun", damaged, "--workdir", tmp_path / "again")
        assert refused.exit_code == 2, refused.text
        assert name in refused.text


def changed(workdir: Path, change: Callable[[dict[str, dict]], None]) -> None:
    """Change the entities of a record."""
    content = json.loads((workdir / METADATA).read_text())
    change({entity["@id"]: entity for entity in content["@graph"]})
    (workdir / METADATA).write_text(json.dumps(content))


def test_other_versions_are_named_and_can_be_allowed(learned: Path, tmp_path: Path):
    workdir = shutil.copytree(learned, tmp_path / "learned")
    changed(workdir, lambda e: e["#software/numpy"].update(softwareVersion="1.0"))
    refused = command("rerun", workdir, "--workdir", tmp_path / "again")
    assert refused.exit_code == 2
    assert "numpy: 1.0 was used" in refused.text and "--other-versions" in refused.text
    assert not (tmp_path / "again").exists()


def test_what_is_too_large_is_refused_as_by_run(learned: Path, tmp_path: Path):
    workdir = shutil.copytree(learned, tmp_path / "learned")
    file = "_crate/inputs/study/analysis/mine.YML"
    text = (workdir / file).read_text()
    assert text.count("resolution: 5") == 1
    (workdir / file).unlink()
    (workdir / file).write_text(text.replace("resolution: 5", "resolution: 1000000"))
    changed(workdir, lambda e: e[file].update(sha256=checksum(workdir / file)))
    refused = command("rerun", workdir, "--workdir", tmp_path / "again")
    assert refused.exit_code == 2, refused.text
    assert "--allow-large" in refused.text
    assert not (tmp_path / "again").exists()


@pytest.mark.slow
def test_what_comes_out_differently_is_named(learned: Path, repeated: Path, tmp_path: Path):
    workdir = shutil.copytree(learned, tmp_path / "learned")
    again = shutil.copytree(repeated, tmp_path / "again")
    name, missing = "ml/plotting/plots/data/submission.yaml", "ml/plotting/more.txt"

    def other(entities: dict[str, dict]) -> None:
        entities["#software/numpy"]["softwareVersion"] = "1.0"
        entities[name]["sha256"] = "0" * 64
        entities["#step/plotting"] |= {"@id": missing, "@type": "File", "sha256": "0" * 64}
        entities["#run/ml/plotting"]["result"].append({"@id": missing})

    # As if that file had been made elsewhere, and only its hash were here.
    (workdir / name).unlink()
    changed(workdir, other)
    # A rerun that was interrupted goes on where it was.
    shutil.copy(workdir / METADATA, again / "_rerun" / METADATA)
    differs = command("rerun", workdir, "--workdir", again, "--other-versions")
    assert differs.exit_code == 1, differs.text
    assert f"{name}: differs from the recorded file" in differs.text
    assert f"{missing}: is missing from the repeated run" in differs.text
    assert "warning: numpy: 1.0 was used" in differs.text


@pytest.mark.parametrize(
    ("id", "value"),
    [
        ("_crate/data/combined.h5", "../../outside.h5"),
        ("_crate/data/combined.h5", "%2e%2e/outside.h5"),
        ("_crate/data/combined.h5", "/etc/hostname"),
        ("_crate/data/combined.h5", "%2Fetc/hostname"),
        ("_crate/data/combined.h5", "a\\..\\b"),
        ("_crate/data/combined.h5", "http://127.0.0.1/x"),
    ],
)
def test_records_of_files_elsewhere_are_refused(learned: Path, tmp_path: Path, id: str, value: str):
    workdir = shutil.copytree(learned, tmp_path / "learned")
    changed(workdir, lambda e: e[id].update({"@id": value}))
    refused = command("rerun", workdir, "--workdir", tmp_path / "again")
    assert refused.exit_code == 2
    assert "expected the path of a file inside of the crate" in refused.text


def test_what_is_no_record_is_refused(learned: Path, tmp_path: Path):
    workdir = tmp_path / "learned"
    workdir.mkdir()
    contents = [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"@context": [], "@graph": []}',
        b'{"@context": [], "@graph": [{"@id": 3, "@type": "File"}]}',
        b'{"@context": [], "@graph": [{"@id": "x", "@type": "File", "sha256": "no"}]}',
    ]
    for content in contents:
        (workdir / METADATA).write_bytes(content)
        for words in (("crate", workdir), ("rerun", workdir)):
            refused = command(*words)
            assert refused.exit_code == 2, content[:80]
            assert METADATA in refused.text
    (workdir / METADATA).unlink()
    refused = command("rerun", workdir)
    assert refused.exit_code == 2 and "there is no record of a run" in refused.text


def test_a_folder_in_use_is_not_written_to(learned: Path, tmp_path: Path):
    (tmp_path / "again").mkdir()
    (tmp_path / "again/mine.txt").touch()
    refused = command("rerun", learned, "--workdir", tmp_path / "again")
    assert refused.exit_code == 2 and "is not empty" in refused.text
    refused = command("rerun", learned, "--workdir", learned)
    assert refused.exit_code == 2 and "is the crate itself" in refused.text


def test_the_record_is_a_provenance_run_crate(learned: Path):
    """What the profile's own validator says; structure is tested above in any case."""
    if not AUDIT_PYTHON.exists():
        pytest.skip("roc-validator is not installed: make setup EXTRA=audit")
    script = REPOSITORY / "tests/support/validate_crate.py"
    checked = subprocess.run(
        [AUDIT_PYTHON, script, learned, DATA / "ro-crate"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert int(checked.stdout.split()[-2]) > 50
