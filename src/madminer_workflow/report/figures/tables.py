"""The data of figures as tables that HEPData takes: YAML, one file a table, and their list.

Format: https://hepdata-submission.readthedocs.io, schema version 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from madminer_workflow.report.results import Report

SUBMISSION = "submission.yaml"
MAX_NAME = 64
"""Longest name of a table that HEPData takes."""

MISSING = "-"
"""What HEPData writes where there is no value."""

Error = float | tuple[float, float] | None
"""Symmetric, or (minus, plus) with the sign of the minus error; None for a value without one."""


class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes numbers in a column as one short line each, and never an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        """The same list twice is written twice: readers of tables know no aliases."""
        return True


@dataclass(frozen=True)
class Column:
    """A variable: numbers, texts, None where there is none, or (low, high) for bins.

    ``errors`` has a list as long as ``values`` for each kind of error; ``qualifiers`` say what
    distinguishes this column from the others, by a value or a (value, unit).
    """

    name: str
    values: Sequence[Any]
    units: str = ""
    errors: Mapping[str, Sequence[Error]] = field(default_factory=dict)
    qualifiers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Columns of one length under a name, which is also its file's; figures may share it."""

    name: str
    description: str
    independent: Sequence[Column]
    dependent: Sequence[Column]
    observables: Sequence[str] = ()

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}.yaml"


def columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Column]:
    """Rows of a table as columns."""
    values = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return [Column(name, column) for name, column in zip(names, values, strict=True)]


def spread(members: Sequence[Sequence[Any]], values: Sequence[Any]) -> list[Error]:
    """How far the lowest and the highest member (n_members, n_values) are from ``values``."""
    errors: list[Error] = []
    for value, of_members in zip(values, zip(*members, strict=True), strict=True):
        known = [one for one in of_members if one is not None]
        if value is None or not known:
            errors.append(None)
        else:
            # The ensemble's value may lie outside of what its members say.
            errors.append((min(min(known) - value, 0.0), max(max(known) - value, 0.0)))
    return errors


def write(
    tables: Iterable[tuple[Table, str]], report: Report, directory: Path
) -> dict[str, list[str]]:
    """Write all ``tables`` (with the figure that shows each) and the submission's list of them.

    Returns the names of the files of each figure.
    """
    directory.mkdir(parents=True, exist_ok=True)
    chosen: dict[str, Table] = {}
    figures: dict[str, list[str]] = {}
    files: dict[str, list[str]] = {}
    for table, figure in tables:
        chosen[table.name] = table
        figures.setdefault(table.name, []).append(figure)
        files.setdefault(figure, []).append(table.file)
    energy = report.setup.energy_tev
    common = {"SQRT(S)": (1000.0 * energy, "GeV")} if energy else {}
    common["LUMINOSITY"] = (report.setup.luminosity_fb, "fb$^{-1}$")
    comment = (
        f"{report.analysis.title}. Data behind the figures of the analysis "
        f"{report.analysis.name}, from madminer-workflow {report.version}."
    )
    documents: list[dict[str, Any]] = [{"comment": comment}]
    for number, table in enumerate(chosen.values(), 1):
        data = {
            "independent_variables": [variable(column) for column in table.independent],
            "dependent_variables": [
                {**variable(column), "qualifiers": qualifiers({**column.qualifiers, **common})}
                for column in table.dependent
            ],
        }
        (directory / table.file).write_text(dump([data]), encoding="utf-8")
        documents.append(listed(table, number, figures[table.name], energy))
    (directory / SUBMISSION).write_text(dump(documents), encoding="utf-8")
    return files


def listed(table: Table, number: int, figures: Sequence[str], energy: float | None) -> dict:
    """A table in the submission's list."""
    keywords = [
        {"name": "phrases", "values": ["simulation-based inference", "MadMiner"]},
        *([{"name": "observables", "values": list(table.observables)}] * bool(table.observables)),
        *([{"name": "cmenergies", "values": [1000.0 * energy]}] if energy else []),
    ]
    return {
        "name": f"Table {number}: {table.name}"[:MAX_NAME],
        "location": f"Figure {', '.join(figures)}"[:256],
        "description": table.description,
        "keywords": keywords,
        "data_file": table.file,
    }


def variable(column: Column) -> dict[str, Any]:
    """Header and values of a column."""
    header = {"name": column.name} | ({"units": column.units} if column.units else {})
    values = [cell(value) for value in column.values]
    for kind, errors in column.errors.items():
        for entry, error in zip(values, errors, strict=True):
            # HEPData takes no errors of zero.
            if error is not None and np.any(error):
                size = (
                    {"asymerror": {"minus": plain(error[0]), "plus": plain(error[1])}}
                    if isinstance(error, tuple)
                    else {"symerror": plain(error)}
                )
                entry.setdefault("errors", []).append({**size, "label": kind})
    return {"header": header, "values": values}


def cell(value: Any) -> dict[str, Any]:
    """One value; a bin where it is a pair."""
    if isinstance(value, tuple):
        return {"low": plain(value[0]), "high": plain(value[1])}
    return {"value": plain(value)}


def qualifiers(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Qualifiers in HEPData's form."""
    rows = []
    for name, value in values.items():
        value, units = value if isinstance(value, tuple) else (value, "")
        rows.append({"name": name, "value": plain(value)} | ({"units": units} if units else {}))
    return rows


def plain(value: Any) -> Any:
    """Python's own number or text; MISSING for what is none."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return MISSING
    return value


def dump(documents: Sequence[Any]) -> str:
    """Documents as YAML, lines of a column short, keys in the order given."""
    return yaml.dump_all(
        documents,
        Dumper=Dumper,
        default_flow_style=None,
        sort_keys=False,
        allow_unicode=True,
        width=1000,
        explicit_start=len(documents) > 1,
    )
