"""What is wrong with the tables of an analysis file, told by their columns and first events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.problems import Entry, Finding, KeyPath
from madminer_workflow.analysis.sound import Sound
from madminer_workflow.analysis.tables import Table, open_table
from madminer_workflow.analysis.tables.definitions import (
    require,
    sum_before_cuts,
    variations_at,
    weights_at,
)
from madminer_workflow.errors import InputError
from madminer_workflow.expressions import ExpressionError, compile_expression
from madminer_workflow.regular import what_else


def of_file(
    path: KeyPath,
    key: KeyPath,
    file: Path,
    sampled: str,
    process: Entry,
    varied: Mapping[str, Mapping[str, str | int]],
    sound: Sound,
) -> Iterator[Finding]:
    """Check a file at ``key`` of the process at ``path``: columns, weights, cross-section."""
    if other := what_else(file):
        yield Finding(key, f"{file} is {other}; expected a table of events")
        return
    try:
        table = open_table(file, process["table"])
    except InputError as error:
        yield Finding(key, str(error))
        return
    yield from _weights(path, key, table, sampled, process, sound)
    try:
        variations_at(table, varied)
    except (ExpressionError, InputError) as error:
        yield Finding((*path, "variations"), " ".join(str(error).split()))
    for section in ("observables", "cuts", "efficiencies"):
        names = [] if section == "observables" else sound.observables
        for place, entry in sound.entries(section):
            try:
                require(table, compile_expression(entry["definition"], names, columns=True), names)
            except ExpressionError:
                # It is reported already.
                continue
            except InputError as error:
                yield Finding((*place, "definition"), str(error))


def _weights(
    path: KeyPath, key: KeyPath, table: Table, sampled: str, process: Entry, sound: Sound
) -> Iterator[Finding]:
    names = [sampled] if process["is_background"] else sound.benchmarks
    try:
        weights = weights_at(table, names, process["weights"], sampled)
        given = process["sum_of_weights"].get(sampled)
        if sampled in weights and not isinstance(given, float | int):
            sum_before_cuts(table, weights[sampled], given)
    except ExpressionError:
        return
    except InputError as error:
        yield Finding(key, str(error))
    if sampled not in process["cross_section"]:
        message = (
            f"{table.path}: tables do not contain their cross-section: give the cross-section at "
            f"the benchmark {sampled}, before cuts, under `cross_section`"
        )
        yield Finding(key, message)


def negative(file: Path, sampled: str, process: Entry) -> float:
    """The share of negative weights in the sum of the first events' absolute ones."""
    table = open_table(file, process["table"])
    weight = weights_at(table, [sampled], process["weights"], sampled)[sampled]
    _, columns = next(table.chunks(sorted(weight.names)))
    values = np.nan_to_num(weight(columns))
    total = float(np.abs(values).sum())
    return float(-values[values < 0.0].sum()) / total if total > 0.0 else 0.0
