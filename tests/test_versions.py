"""The report names the versions that computed its numbers, whoever draws it later."""

from __future__ import annotations

import platform

import pytest

from madminer_workflow import versions as module
from madminer_workflow.versions import LEARNING, PACKAGES, REPORTING, joined, versions


def test_versions_of_what_is_installed():
    found = versions(["numpy", "nothing-of-this-name"])
    assert set(found) == {"python", "numpy"}
    assert found["python"] == platform.python_version()


def test_what_was_trained_before_an_upgrade_keeps_its_versions(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "version", lambda name: "1.0")
    trained = versions(LEARNING)
    monkeypatch.setattr(module, "version", lambda name: "2.0")
    named = joined([trained, trained, versions(REPORTING)])
    assert named == {
        "python": platform.python_version(),
        "madminer": "1.0",
        "torch": "1.0",
        "numpy": "1.0, 2.0",
        "scipy": "1.0, 2.0",
        "matplotlib": "2.0",
    }
    assert list(named) == ["python", *PACKAGES]
