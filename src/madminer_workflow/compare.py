"""Two finished runs side by side: their limits, and what was different about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from madminer_workflow.analysis.changes import plain
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.problems import show
from madminer_workflow.errors import InputError
from madminer_workflow.provenance.crate import Crate, read_crate
from madminer_workflow.report.headline import intervals
from madminer_workflow.report.results import MethodReport, Report, read_report
from madminer_workflow.report.verdict import percent

PARAMETERS = ("njobs", "ntrainsamples", "settings", "observed")
"""Of the workflow; others are files."""
_INPUTS = "_crate/"
ABSENT = "—"


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """Intervals of one parameter by one method in both runs; None where one has none."""

    method: str
    parameter: str
    data: str
    intervals: tuple[list[list[float]] | None, list[list[float]] | None]
    believed: tuple[bool | None, bool | None]
    words: tuple[str, str]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What two runs have in common and what not: pairs are those of the first and the second.

    ``limits`` are at ``confidence_level``, from rate and shape, or what the verdict goes by.
    ``settings`` are those of the analysis files that differ, ``inputs`` the files, by checksum;
    ``options`` of the command and ``versions`` differ, too.
    """

    runs: tuple[str, str]
    confidence_level: str
    limits: list[Limit]
    settings: dict[str, tuple[str, str]]
    options: dict[str, tuple[str, str]]
    inputs: dict[str, tuple[str, str]]
    versions: dict[str, tuple[str, str]]


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compare two work directories; InputError if one of them holds no finished run."""
    crates = read_crate(first), read_crate(second)
    reports = _report(first), _report(second)
    level = reports[0].verdict.confidence_level
    return Comparison(
        runs=(str(first), str(second)),
        confidence_level=level,
        limits=list(_limits(*reports, level)),
        settings=_different(*(dict(_settings(crate)) for crate in crates)),
        options=_different(
            *({n: crate.parameter(n).strip() for n in PARAMETERS} for crate in crates)
        ),
        inputs=_different(*map(_files, crates)),
        versions=_different(*(crate.versions for crate in crates)),
    )


def as_text(compared: Comparison) -> str:
    """Tables for a terminal."""
    head = ("", *compared.runs)
    limits = [
        (f"{row.method} {row.parameter}{'' if row.data == 'expected' else ' observed'}", *row.words)
        for row in compared.limits
    ]
    parts = [_table(f"limits {percent(compared.confidence_level)}", head, limits)]
    for title in ("settings", "options", "inputs", "versions"):
        rows = [(name, *pair) for name, pair in getattr(compared, title).items()]
        parts.append(_table(title, head, rows) if rows else f"{title}: no difference")
    return "\n\n".join(parts)


def _report(run: Path) -> Report:
    return read_report(run / "ml" / "plotting" / "results.json")


def _limits(first: Report, second: Report, level: str) -> Iterator[Limit]:
    methods = [{m.name: m for m in report.methods} for report in (first, second)]
    for data in ("expected", "observed"):
        for name in dict.fromkeys([*methods[0], *methods[1]]):
            for parameter in dict.fromkeys([*first.parameters, *second.parameters]):
                found = [
                    _intervals(m.get(name), report, parameter, data, level)
                    for m, report in zip(methods, (first, second), strict=True)
                ]
                if not any(ranges is not None for ranges, _, _ in found):
                    continue
                yield Limit(
                    method=name,
                    parameter=parameter,
                    data=data,
                    intervals=(found[0][0], found[1][0]),
                    believed=(found[0][1], found[1][1]),
                    words=(found[0][2], found[1][2]),
                )


def _intervals(
    method: MethodReport | None, report: Report, parameter: str, data: str, level: str
) -> tuple[list[list[float]] | None, bool | None, str]:
    """Intervals, whether they may be believed, and both in words."""
    if method is None or parameter not in report.parameters:
        return None, None, ABSENT
    limits = method.limits if data == "expected" else method.observed or {}
    kind = limits.get(report.verdict.kind)
    ranges = kind.intervals[parameter].get(level) if kind else None
    if ranges is None:
        return None, method.believed, ABSENT
    words = str(intervals(ranges, report.grid[parameter]))
    doubt = "" if method.believed else " (not trusted)"
    return [list(ends) for ends in ranges], method.believed, f"{words}{doubt}"


def _settings(crate: Crate) -> Iterator[tuple[str, str]]:
    """Every value of the analysis file with its defaults, by its key."""
    place = crate.parameter("inputfile")
    if not place:
        raise InputError(f"{crate.shown}: does not record which analysis file was run")
    yield from _flat("", plain(read_analysis(crate.file(place), cards=False)))


def _flat(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, below in value.items():
            yield from _flat(f"{key}.{name}" if key else str(name), below)
    elif isinstance(value, list) and any(isinstance(below, Mapping) for below in value):
        for number, below in enumerate(value):
            yield from _flat(f"{key}[{_name(below) or number}]", below)
    else:
        yield key, ", ".join(map(str, value)) if isinstance(value, list) else show(value)


def _name(entry: Any) -> str | None:
    if not isinstance(entry, Mapping):
        return None
    keys = ("name", "parameter_name", "systematic_name")
    return next((str(entry[key]) for key in keys if key in entry), None)


def _files(crate: Crate) -> dict[str, str]:
    """The beginning of the checksum of every file that the run was given, and of its workflow."""
    return {
        id.removeprefix(_INPUTS): hashed[:12]
        for id, hashed in crate.inputs.items()
        if id.startswith(_INPUTS) or "://" in id
    }


def _different(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = dict.fromkeys([*first, *second])
    pairs = {name: (first.get(name, ABSENT), second.get(name, ABSENT)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    table: list[tuple[str, ...]] = [(title, *head[1:]), *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
