"""Folders to start an analysis from."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from madminer_workflow.analysis.file import problems, read_analysis
from madminer_workflow.analysis.madgraph_cards import read_param_card
from madminer_workflow.cli import main
from madminer_workflow.cli.new import new
from madminer_workflow.errors import InputError
from madminer_workflow.scaffold import STARTS, new_analysis
from tests.support.paths import REPOSITORY


def test_a_new_analysis_is_the_reference_analysis(tmp_path: Path):
    new_analysis(tmp_path / "a/b")
    assert sorted(path.name for path in (tmp_path / "a/b").iterdir()) == ["input.yml", "sweep.yml"]
    here = read_analysis(tmp_path / "a/b/input.yml")
    assert here.name == "b"
    reference = read_analysis(REPOSITORY / "inputs/wbf/input.yml")
    assert msgspec.structs.replace(here, name="wbf") == reference


def test_nothing_is_overwritten(tmp_path: Path):
    (tmp_path / "input.yml").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        new_analysis(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        new_analysis(tmp_path / "input.yml")
    assert (tmp_path / "input.yml").read_text() == "mine"


def test_the_command_knows_all_starts():
    [option] = [p for p in new.params if p.name == "start"]
    assert list(option.type.choices) == list(STARTS)
    assert all(f"{name}: " in option.help for name in STARTS)


@pytest.mark.parametrize("start", STARTS)
def test_it_is_valid_and_its_sections_have_comments(tmp_path: Path, monkeypatch, start: str):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["new", "mine", "--from", start])
    assert result.exit_code == 0, result.output
    assert problems("mine/input.yml") == []
    lines = Path("mine/input.yml").read_text().splitlines()
    assert max(map(len, lines)) <= 120
    sections = [i for i, line in enumerate(lines) if line[:1].isalpha()]
    assert len(sections) >= 9
    assert all(lines[i - 1].startswith("#") for i in sections)
    assert "  # Integrated luminosity [1/pb]." in lines
    # Every command that is printed can be run as it stands.
    for line in result.output.splitlines()[1:]:
        _, command, *words = shlex.split(line)
        dry = ["--dry-run"] if command == "run" else []
        done = CliRunner().invoke(main, [command, *words, *dry])
        assert done.exit_code == 0, done.output
    assert not Path("runs").exists()


def test_names_that_an_analysis_cannot_have(tmp_path: Path):
    new_analysis(tmp_path / "my analysis")
    assert read_analysis(tmp_path / "my analysis/input.yml").name == "wbf"


def test_the_card_of_parameters_sets_all_that_the_analysis_does_not(tmp_path: Path):
    new_analysis(tmp_path / "mine", "madgraph")
    [parameter] = read_analysis(tmp_path / "mine/input.yml").parameters
    file = tmp_path / "mine/cards/param_card.dat"
    assert f"    {parameter.lha_id}  " not in file.read_text()
    read_param_card(file.read_text(), str(file))
