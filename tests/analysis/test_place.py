"""The analysis file that is meant by the name of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from madminer_workflow.analysis.place import analysis_file, results_name, sweep_file
from madminer_workflow.cli import main
from madminer_workflow.errors import InputError
from tests.support.chain import TINY
from tests.support.paths import REPOSITORY


def test_a_folder_means_its_input_yml_or_its_only_analysis(tmp_path: Path):
    assert analysis_file(tmp_path) == tmp_path / "input.yml"
    (tmp_path / "sweep.yml").write_bytes((REPOSITORY / "inputs/wbf/sweep.yml").read_bytes())
    assert analysis_file(tmp_path) == tmp_path / "input.yml"
    (tmp_path / "mine.yml").write_bytes(TINY.read_bytes())
    assert analysis_file(tmp_path) == tmp_path / "mine.yml"
    (tmp_path / "other.yaml").write_bytes(TINY.read_bytes())
    with pytest.raises(InputError, match=r"several analysis files, mine\.yml, other\.yaml"):
        analysis_file(tmp_path)
    (tmp_path / "input.yml").touch()
    assert analysis_file(tmp_path) == tmp_path / "input.yml"
    assert analysis_file(tmp_path / "mine.yml") == tmp_path / "mine.yml"


def test_a_folder_means_its_sweep_yml_or_its_only_sweep_file(tmp_path: Path):
    text = (REPOSITORY / "inputs/wbf/sweep.yml").read_bytes()
    (tmp_path / "input.yml").write_bytes(TINY.read_bytes())
    assert sweep_file(tmp_path) == tmp_path / "sweep.yml"
    (tmp_path / "fast.yml").write_bytes(text)
    assert sweep_file(tmp_path) == tmp_path / "fast.yml"
    (tmp_path / "slow.yml").write_bytes(text)
    with pytest.raises(InputError, match=r"several sweep files, fast\.yml, slow\.yml"):
        sweep_file(tmp_path)
    (tmp_path / "sweep.yml").write_bytes(text)
    assert sweep_file(tmp_path) == tmp_path / "sweep.yml"


def test_files_of_one_folder_have_work_directories_of_their_own(tmp_path: Path):
    assert results_name(tmp_path / "a/input.yml") == "a"
    assert results_name(tmp_path / "a/background-only.yml") == "a-background-only"


@pytest.mark.parametrize("command", ["validate", "run", "configure"])
def test_commands_take_the_folder(tmp_path: Path, monkeypatch, command: str):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("here/mine.yml").write_bytes(TINY.read_bytes())
    words = {
        "validate": ["validate", "here"],
        "run": ["run", "here", "--dry-run"],
        "configure": ["configure", "--input", "here", "--output", "out"],
    }
    result = CliRunner().invoke(main, words[command])
    assert result.exit_code == 0, result.output
    Path("here/other.yml").write_bytes(TINY.read_bytes())
    result = CliRunner().invoke(main, words[command])
    assert result.exit_code == 2
    assert (
        "here: has several analysis files, mine.yml, other.yml; name one of them" in result.output
    )


def test_sweep_takes_the_folder(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("data.h5").touch()
    words = ["sweep", "here", "--data", "data.h5"]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, "here/sweep.yml" in result.output) == (2, True)
    Path("here/mine.yml").write_text("n_trials: many\n")
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, "here/mine.yml" in result.output) == (2, True)
