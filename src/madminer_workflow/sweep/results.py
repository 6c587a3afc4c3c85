"""How trials ended: one file each, which is all that a sweep needs to go on where it stopped."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from madminer_workflow.errors import InputError
from madminer_workflow.files import natural_order, read_struct, write_json
from madminer_workflow.sweep.plan import Values


class TrialResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a trial with some ``values`` of settings ended.

    ``loss`` is None if it failed, and otherwise the mean of the ``losses`` of the ensemble's
    members; it is ``believed`` if all diagnostics that decide pass. ``reason`` says what is wrong.
    """

    number: int
    values: Values
    loss: float | None
    believed: bool
    reason: str
    seconds: float
    losses: tuple[float, ...] = ()
    seconds_training: float | None = None


def write_result(workdir: Path, result: TrialResult) -> None:
    """Keep how a trial ended."""
    file = workdir / "trials" / f"{result.number}.json"
    write_json(file, msgspec.to_builtins(result))


def read_results(workdir: Path) -> dict[int, TrialResult]:
    """How the trials ended that have, by their number."""
    files = sorted((workdir / "trials").glob("*.json"), key=natural_order)
    return {_number(file): read_struct(file, "sweep", TrialResult) for file in files}


def _number(file: Path) -> int:
    if not file.stem.isdigit():
        raise InputError(f"{file}: is not the result of a trial, whose name is a number")
    return int(file.stem)


def with_loss(results: Iterable[TrialResult]) -> list[tuple[TrialResult, float]]:
    """The trials that did not fail, with their losses."""
    return [(result, result.loss) for result in results if result.loss is not None]


def lowest_loss(results: Iterable[TrialResult]) -> float | None:
    """The lowest loss that is believed, if any is."""
    return min((loss for result, loss in with_loss(results) if result.believed), default=None)


def ranked(results: Iterable[TrialResult]) -> list[TrialResult]:
    """The trials that have a loss: believed ones first, then by loss."""
    order = sorted(with_loss(results), key=lambda known: (not known[0].believed, known[1]))
    return [result for result, _ in order]
