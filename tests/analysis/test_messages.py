"""What people write who do not know better, and what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from madminer_workflow.cli import main
from tests.support.paths import REPOSITORY

WBF = (REPOSITORY / "inputs/wbf/input.yml").read_text()
QUOTED = "'(a[0] + a[1]).m > 122.0'"


def told(tmp_path: Path, old: str, new: str) -> tuple[int, str]:
    """Exit code and the line that validation has to say of the reference analysis with a change."""
    assert old in WBF
    file = tmp_path / "input.yml"
    file.write_text(WBF.replace(old, new, 1))
    result = CliRunner().invoke(main, ["validate", str(file)])
    [line] = result.stderr.splitlines()
    return result.exit_code, line


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  luminosity: ", "  lumi: ", "did you mean 'luminosity'?"),
        ("pt_j1 > 20.0", "pt_j1 > 20.0 && met > 3", "; write 'and' for '&&'"),
        ("pt_j1 > 20.0", "pt_j1 > 20.0 || met > 3", "; write 'or' for '||'"),
        (QUOTED, "'!(a[0].pt > 122.0)'", "; write 'not' for '!'"),
        (QUOTED, "'a[0].pt != 1 AND met > 3'", "; write 'and' for 'AND'"),
        (QUOTED, QUOTED.strip("'"), "(column 20); put expressions in quotes"),
    ],
)
def test_mistakes_of_people_who_know_other_languages(tmp_path: Path, old, new, words):
    code, line = told(tmp_path, old, new)
    assert code == 2
    assert line.endswith(words)


def test_a_luminosity_in_other_units(tmp_path: Path):
    code, line = told(tmp_path, "luminosity: 300000.0", "luminosity: 300")
    assert code == 0
    assert line.endswith("300 /pb is 0.3 fb^-1; if 300 fb^-1 is meant, write 300000")
    # The word stands once, in front.
    assert line.startswith("warning: ") and line.count("warning") == 1
    _, line = told(tmp_path, "luminosity: 300000.0", "luminosity: 3.0e+8")
    assert "300000 fb^-1, more than any planned collider" in line


def test_help_cuts_no_sentence_off():
    _, commands = CliRunner().invoke(main, ["--help"]).output.split("Commands:")
    assert "..." not in commands
