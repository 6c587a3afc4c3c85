"""A model directory: the network or histogram of a member, and ``method.json`` about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.files import read_json, write_json
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.problem import Observation

METHOD = "method.json"


def write_model(directory: Path, content: dict[str, Any]) -> None:
    """Note settings, member, seed and losses of a trained model."""
    write_json(directory / METHOD, content)


def read_model(directory: Path) -> dict[str, Any]:
    """What ``write_model`` noted; InputError if the directory holds no model."""
    return read_json(directory / METHOD)


def model_settings(directory: Path) -> dict[str, Any]:
    """The method's settings in the analysis file."""
    return read_model(directory)["settings"]


def model_inputs(events: Events | Observation, settings: dict[str, Any]) -> np.ndarray:
    """The observables a method sees: its ``features``, or all, shape (n_events, n_features)."""
    return events.columns(settings["features"] or events.observables)


def reference(settings: dict[str, Any]) -> str:
    """The benchmark that a method is about: its denominator, or where it is learned or checked."""
    theta1 = settings.get("theta1")
    return theta1 if isinstance(theta1, str) else settings["theta"]
