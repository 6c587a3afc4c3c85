"""Shells complete commands and options."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from madminer_workflow.cli import main

VARIABLE = "_MADMINER_WORKFLOW_COMPLETE"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_a_shell_reads(shell: str):
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0, result.output
    assert f"{VARIABLE}={shell}_complete" in result.stdout
    assert "madminer-workflow" in result.stdout


@pytest.mark.parametrize(
    ("words", "number", "expected"),
    [
        ("madminer-workflow comp", 1, {"compare", "completion"}),
        ("madminer-workflow new --fr", 2, {"--from"}),
        ("madminer-workflow new --from ", 3, {"wbf", "madgraph", "files"}),
    ],
)
def test_what_it_is_told(words: str, number: int, expected: set[str]):
    environment = {VARIABLE: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    result = CliRunner().invoke(main, [], prog_name="madminer-workflow", env=environment)
    assert result.exit_code == 0, result.output
    told = {line.partition(",")[2] for line in result.stdout.splitlines()}
    assert told == expected
