"""``run --dry-run``: which steps would run, and why; nothing is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from madminer_workflow.cli import main
from madminer_workflow.engines.made_from import MadeFrom, changes
from tests.support.finished import finished_tiny
from tests.support.paths import DATA

ANALYSIS = DATA / "tiny"


@pytest.fixture(scope="module")
def workdir(warm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished work directory of the tiny analysis, which no dry run changes."""
    return finished_tiny(tmp_path_factory)[0]


def state(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """What would show that anything was written."""
    stats = {path: path.lstat() for path in [folder, *folder.rglob("*")]}
    return {path: (s.st_ino, s.st_size, s.st_mtime_ns) for path, s in stats.items()}


def dry(analysis: Path, workdir: Path, *more: object) -> tuple[dict[str, list[str]], str]:
    """Number of jobs to run and why, by step, and the last line."""
    words = ["run", analysis, "--workdir", workdir, "--ntrainsamples", 2, "-n", *more]
    words += [] if "--njobs" in more else ["--njobs", 2]
    before = state(workdir)
    result = CliRunner().invoke(main, [*map(str, words)])
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert state(workdir) == before
    head, *lines, last = result.stdout.splitlines()
    at, disk, why = head.index("jobs") + 4, head.index("disk") + 4, head.index("why")
    table = {line.split()[0]: [line[at:disk].split("  ", 2), line[why:]] for line in lines}
    return {step: [" ".join(cells).split(" s ")[0], w] for step, (cells, w) in table.items()}, last


def to_run(told: dict[str, list[str]]) -> dict[str, str]:
    """The steps that are told to run, or that may."""
    numbers = {step: cells.strip().rsplit(" ", 1)[0].strip() for step, (cells, _) in told.items()}
    return {step: number for step, number in numbers.items() if number != "0"}


def test_nothing_to_do(workdir: Path):
    told, last = dry(ANALYSIS, workdir)
    assert to_run(told) == {}
    assert last == "Nothing would run: everything is up to date."


def test_a_cut_leaves_generated_events(workdir: Path, tmp_path: Path):
    text = (ANALYSIS / "input.yml").read_text()
    (tmp_path / "input.yml").write_text(text.replace("pt_j1 > 20", "pt_j1 > 25"))
    told, last = dry(tmp_path, workdir)
    assert to_run(told) == {
        "configure": "1",
        "delphes": "2",
        **dict.fromkeys(("combine", "sampling", "plotting"), "0 to 1"),
        "training": "0 to 5",
        "evaluating": "0 to 3",
    }
    assert told["configure"][1] == "input.yml changed"
    assert told["delphes"][1] == "physics/configure/reconstruction.json changed"
    assert told["training"][1] == "if products of sampling change"
    assert last.startswith("Estimated: at most about ")


def test_an_option_is_named(workdir: Path):
    told, _ = dry(ANALYSIS, workdir, "--njobs", 3)
    assert told["generate"][1] == "njobs 2 → 3"
    assert to_run(told)["pythia"] == "0 to 3"
    told, _ = dry(ANALYSIS, workdir, "--set", "sally.training.n_epochs=3")
    assert told["sampling"][1] == "set (none) → sally.training.n_epochs=3"
    assert "delphes" not in to_run(told)


def test_everything_is_to_run(workdir: Path, tmp_path: Path):
    told, last = dry(ANALYSIS, workdir, "--fresh")
    assert {why for _, why in told.values()} == {"--fresh"}
    assert len(to_run(told)) == len(told) == 9
    assert "at most" not in last
    (tmp_path / "other").mkdir()
    told, _ = dry(ANALYSIS, tmp_path / "other")
    assert {why for _, why in told.values()} == {"not run before"}


def test_a_product_that_is_gone(workdir: Path, tmp_path: Path):
    copy = shutil.copytree(workdir, tmp_path / "copy")
    key = (copy / "physics/pythia_1/_packtivity/key").read_text().strip()
    shutil.rmtree(copy / "_cache" / key)
    told, _ = dry(ANALYSIS, copy)
    assert to_run(told)["pythia"] == "1"
    assert told["pythia"][1] == "its product is missing from the cache, or damaged"
    # A work directory of before products said what they were made from.
    for file in copy.rglob("made_from.json"):
        file.unlink()
    told, _ = dry(ANALYSIS, copy, "--njobs", 3)
    assert told["generate"][1] == "one of its inputs has changed"


def made(**different: object) -> MadeFrom:
    plain = {
        "code": "1",
        "surroundings": {"numpy": "2.4", "torch": "2.13"},
        "programs": ["a"],
        "quotes": "",
        "words": ["madminer-workflow", "generate", "--njobs", "2", "--config", "/run/x/config.h5"],
        "content": ["madminer-workflow", "generate", "--njobs", "2", "--config", "aa"],
    }
    return MadeFrom(**{**plain, **different})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("different", "words"),
    [
        ({"code": "2"}, "code of this package changed"),
        ({"surroundings": {"numpy": "2.5", "torch": "2.13"}}, "numpy 2.4 → 2.5"),
        ({"programs": ["b"]}, "files of other programs changed"),
        ({"content": [*made().content[:-1], "bb"]}, "x/config.h5 changed"),
        ({"words": made().words[:4], "content": made().content[:4]}, "without config x/config.h5"),
        ({}, ""),
    ],
)
def test_what_has_changed_is_named(different: dict[str, object], words: str):
    assert changes(made(), made(**different), [Path("/run")]) == words
    assert (made().key == made(**different).key) == (not different)
