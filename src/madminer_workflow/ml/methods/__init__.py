"""Inference methods, one module a family, all with the same functions.

A method module has

- ``draw(events, settings, rng) -> dict[str, array]``: the training set of one member;
- ``train(arrays, settings, directory, seed, on_epoch) -> dict``: fit one member, save it into
  ``directory``, return its losses by epoch, after telling each to ``on_epoch``, if given;
- ``outputs(directory, problem, thetas) -> dict[str, array]``: what one member says of the events;
  evaluating takes the mean over members of every array;
- ``density(outputs, problem, settings, thetas, directory) -> Density``: how probable observations
  are at ``thetas``, from the outputs of a member or their mean;
- ``information(directories, problem) -> Information``: the Fisher information;
- ``diagnostics(directories, problem) -> list[Check]``: whether it may be believed;
- ``per_event(directories, problem) -> dict[str, array]``: the output on the test events.

``directories`` are those of the members of an ensemble, whose mean output counts.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

OnEpoch = Callable[[int, dict[str, float | None]], None]
"""Is told the number of an epoch, from 1, and its losses and learning rate."""

FAMILIES = {
    "histogram": ["histogram"],
    "score": ["sally", "sallino"],
    "ratio": ["alice", "alices", "carl", "rolr", "cascal", "rascal"],
    "density": ["scandal", "nde"],
}


def get(method: str) -> ModuleType:
    """The module of the family that ``method`` belongs to."""
    family = next(name for name, methods in FAMILIES.items() if method in methods)
    return import_module(f"{__name__}.{family}")
