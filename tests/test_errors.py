"""What is said about packages that are not installed."""

from __future__ import annotations

import pytest

from madminer_workflow.cli.commands import Commands
from madminer_workflow.errors import EXTRAS, not_installed


@pytest.mark.parametrize("package", EXTRAS)
def test_a_missing_package_is_named_with_its_extra(package: str):
    message = str(not_installed(ModuleNotFoundError("No module", name=f"{package}.part")))
    assert f"madminer-workflow[{EXTRAS[package]}]" in message


def test_any_other_is_a_mistake_of_ours():
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        not_installed(ModuleNotFoundError("nothing", name="nothing"))


def test_a_command_says_it_in_a_line(capsys: pytest.CaptureFixture[str]):
    group = Commands("test")

    @group.command()
    def search() -> None:
        raise ModuleNotFoundError("No module named 'optuna'", name="optuna")

    with pytest.raises(SystemExit) as ended:
        group.main(["search"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: optuna is not installed: pip install") and "EXTRA=sweep" in said
