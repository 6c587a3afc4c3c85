"""Where the workflow files are, and the analysis that comes with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from madminer_workflow import workflow_files as module
from madminer_workflow.errors import InputError
from madminer_workflow.workflow_files import workflow_files
from tests.support.paths import REPOSITORY


def test_in_a_clone_they_are_those_of_the_repository():
    if not Path(module.__file__).is_relative_to(REPOSITORY):
        pytest.skip("the package is not that of this repository")
    assert workflow_files() == REPOSITORY


def test_those_of_the_package_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("package", "clone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "workflow.yml").touch()
    monkeypatch.setattr(module, "PLACES", (tmp_path / "package", tmp_path / "clone"))
    assert workflow_files() == tmp_path / "package"


def test_without_them_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PLACES", (tmp_path / "package", tmp_path / "clone"))
    with pytest.raises(InputError, match="no such folder"):
        workflow_files()
