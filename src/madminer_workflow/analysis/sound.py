"""The sound part of an analysis file, and the checks that every section needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from madminer_workflow.analysis.event_file_names import is_hepmc, is_table
from madminer_workflow.analysis.morphing import n_morphing_components
from madminer_workflow.analysis.problems import Entry, Finding, KeyPath, show, unknown
from madminer_workflow.expressions import ExpressionError, compile_expression


class Sound:
    """The part of the analysis that is structurally sound."""

    def __init__(self, data: Any, findings: Iterable[Finding]):
        """Mark what ``findings`` complain of, and all that contains it, as unsound."""
        self.data = data
        self.misfits = {finding.path for finding in findings if not finding.harmless}
        # A misfit makes everything that contains it unsound.
        self.broken = {path[:n] for path in self.misfits for n in range(len(path) + 1)}
        self.parameters = self._names("parameters", "parameter_name")
        self.observables = self._names("observables", "name")
        benchmarks = self._at("benchmarks")
        self.benchmarks = list(benchmarks) if isinstance(benchmarks, dict) else []

    @property
    def tables(self) -> bool:
        """Whether expressions name the columns of tables: some process has such files."""
        return any(
            kind
            for _, process in self.entries("processes")
            if process["generator"] == "files"
            for kind in table_patterns(process)
        )

    @property
    def terms(self) -> int | None:
        """How many terms the squared matrix element has; None if the file does not say it."""
        parameters, morphing = self.get("parameters"), self.get("morphing")
        if parameters is None or morphing is None:
            return None
        powers = [entry["morphing_max_power"] for entry in parameters]
        try:
            return n_morphing_components(powers, morphing["max_overall_power"])
        except ValueError:
            return None

    def get(self, *path: str) -> Any:
        """The value at ``path``, or None if it is absent or unsound."""
        return None if path in self.broken else self._at(*path)

    def entries(self, *path: str) -> Iterator[tuple[KeyPath, Any]]:
        """The sound entries of a list or mapping, with their paths."""
        value = None if path in self.misfits else self._at(*path)
        pairs = enumerate(value) if isinstance(value, list) else ()
        for key, entry in value.items() if isinstance(value, dict) else pairs:
            if (*path, key) not in self.broken:
                yield (*path, key), entry

    def _names(self, section: str, key: str) -> list[str]:
        """The names of a section's entries; none if they are not all there, valid and different.

        Every use of a misspelt name would otherwise be reported where the name is right.
        """
        value = self._at(section)
        entries = value if isinstance(value, list) else []
        names = [
            entry[key]
            for i, entry in enumerate(entries)
            if isinstance(entry, dict) and key in entry and (section, i, key) not in self.broken
        ]
        return names if len(set(names)) == len(entries) else []

    def _at(self, *path: str) -> Any:
        value = self.data
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value


def table_patterns(process: Entry) -> list[bool]:
    """Whether the files are tables that each pattern of a process of files names."""
    return [is_table(name) for names in process["files"].values() for name in names]


def has_hepmc(process: Entry) -> bool:
    """Whether a process has files with events after the shower."""
    return process["generator"] == "files" and any(
        is_hepmc(name) for names in process["files"].values() for name in names
    )


def duplicates(sound: Sound, section: tuple[str, ...], key: str) -> Iterator[Finding]:
    """Check that no two entries of a list have the same ``key``."""
    seen: set[Any] = set()
    for path, entry in sound.entries(*section):
        if entry[key] in seen:
            yield Finding((*path, key), f"{show(entry[key])} is used by an earlier entry")
        seen.add(entry[key])


def interval(path: KeyPath, ends: list[float] | None) -> Iterator[Finding]:
    """Check that the ends of an interval are in order."""
    if ends is not None and not ends[0] < ends[1]:
        low, high = ends
        yield Finding(path, f"expected [lower, upper], got [{low}, {high}]")


def expression(path: KeyPath, text: str, **language: Any) -> Iterator[Finding]:
    """Check that an expression compiles and no part of it is always undefined.

    ``language`` goes to ``compile_expression``.
    """
    try:
        wrong = compile_expression(text, **language).senseless
    except ExpressionError as error:
        wrong = error
    if wrong is not None:
        yield Finding(path, " ".join(str(wrong).split()))


def complete(path: KeyPath, given: Mapping[str, Any], sound: Sound) -> Iterator[Finding]:
    """Check that a mapping has exactly the parameters as keys, unless these are not known."""
    for name in given:
        yield from known((*path, name), "parameter", name, sound.parameters)
    for name in sound.parameters:
        if name not in given:
            yield Finding(path, f"parameter '{name}' is missing")


def known(path: KeyPath, what: str, name: str, names: list[str]) -> Iterator[Finding]:
    """Check that a name is one of ``names``, unless there are none to compare with."""
    if names and name not in names:
        yield Finding(path, unknown(what, name, names))


def point(path: KeyPath, theta: Any, sound: Sound) -> Iterator[Finding]:
    """Check a parameter point: the name of a benchmark, or one value per parameter.

    ``theta_ref``, which may be the default of others, is checked once.
    """
    if isinstance(theta, dict):
        yield from complete(path, theta, sound)
    elif isinstance(theta, str) and theta != sound.get("ml", "theta_ref"):
        yield from known(path, "benchmark", theta, sound.benchmarks)
