"""The meaning of the analysis file: names that must exist, expressions, ranges, the morphing basis.

Checks run on the file with its defaults, and only on those entries that the schema accepts: what is
reported there already is not reported again.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from madminer_workflow.analysis.problems import Finding, KeyPath, show, unknown
from madminer_workflow.observables import (
    EVENT_VARIABLES,
    PARTICLE_LISTS,
    ExpressionError,
    compile_expression,
)

#: Couplings (lha_block, lha_id) that the squared matrix element of a built-in process depends on.
BUILTIN_COUPLINGS = {"wbf_haa": {("dim6", 2), ("dim6", 5)}}
#: Names of particles in ``detector.smearing``.
SMEARED_PARTICLES = ("e", "mu", "tau", "l", "v", "j", "a")
#: MadMiner names the benchmarks that it adds to the morphing basis like this.
ADDED_BENCHMARK = "morphing_basis_vector_"
#: The generators integrate a point of this name to check the morphing.
CLOSURE_POINT = "closure"


class _Sound:
    """The part of the analysis that is structurally sound."""

    def __init__(self, data: Any, findings: Iterable[Finding]):
        self.data = data
        self.misfits = {finding.path for finding in findings if not finding.harmless}
        # A misfit makes everything that contains it unsound.
        self.broken = {path[:n] for path in self.misfits for n in range(len(path) + 1)}
        self.parameters = self._names("parameters", "parameter_name")
        self.observables = self._names("observables", "name")
        self.benchmarks = list(self._mapping("benchmarks"))

    def get(self, *path: str | int) -> Any:
        """The value at ``path``, or None if it is absent or unsound."""
        if path in self.broken:
            return None
        value = self.data
        for key in path:
            inside = isinstance(value, dict) if isinstance(key, str) else isinstance(value, list)
            if not inside or (isinstance(value, dict) and key not in value):
                return None
            value = value[key]
        return value

    def entries(self, *path: str | int) -> Iterator[tuple[KeyPath, Any]]:
        """The sound entries of a list or mapping, with their paths."""
        value = self.data
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        keys: Iterable[str | int] = ()
        if path in self.misfits:
            return
        if isinstance(value, dict):
            keys = value
        elif isinstance(value, list):
            keys = range(len(value))
        for key in keys:
            entry = (*path, key)
            if entry not in self.broken:
                yield entry, value[key]

    def _names(self, section: str, key: str) -> list[str]:
        """The names of a section's entries; none if they are not all there, valid and different.

        Every use of a misspelt name would otherwise be reported where the name is right.
        """
        found = self.data.get(section) if isinstance(self.data, dict) else None
        entries = found if isinstance(found, list) else []
        names = [
            entry[key]
            for i, entry in enumerate(entries)
            if isinstance(entry, dict) and key in entry and (section, i, key) not in self.broken
        ]
        return names if len(set(names)) == len(entries) else []

    def _mapping(self, section: str) -> dict[str, Any]:
        found = self.data.get(section) if isinstance(self.data, dict) else None
        return found if isinstance(found, dict) else {}


def check(data: Any, structure: Iterable[Finding]) -> list[Finding]:
    """Return everything that is wrong with the meaning of ``data``.

    ``data`` has its defaults filled in; ``structure`` is what the schema check found.
    """
    sound = _Sound(data, structure)
    checks = (_parameters, _benchmarks, _basis, _processes, _smearing, _expressions, _methods)
    return [f for section in (*checks, _limits, _fisher) for f in section(sound)]


def morphing_components(max_powers: list[int], max_overall_power: int) -> list[tuple[int, ...]]:
    """Return the powers of the parameters in each term of the squared matrix element.

    These are MadMiner's components (``PhysicsMorpher.find_components``), in its order.
    """
    if not max_powers:
        return [()]
    return [
        (power, *rest)
        for power in range(min(max_powers[0], max_overall_power) + 1)
        for rest in morphing_components(max_powers[1:], max_overall_power - power)
    ]


def _duplicates(sound: _Sound, section: KeyPath, key: str) -> Iterator[Finding]:
    seen: set[Any] = set()
    for path, entry in sound.entries(*section):
        if entry[key] in seen:
            yield Finding((*path, key), f"{show(entry[key])} is used by an earlier entry")
        seen.add(entry[key])


def _interval(path: KeyPath, interval: list[float] | None) -> Iterator[Finding]:
    if interval is not None and not interval[0] < interval[1]:
        low, high = interval
        yield Finding(path, f"expected [lower, upper], got [{low}, {high}]")


def _expression(path: KeyPath, text: str, **language: Any) -> Iterator[Finding]:
    try:
        compile_expression(text, **language)
    except ExpressionError as error:
        yield Finding(path, " ".join(str(error).split()))


def _complete(path: KeyPath, given: Mapping[str, Any], parameters: list[str]) -> Iterator[Finding]:
    """Check that a mapping has exactly the parameters as keys."""
    for name in given:
        if name not in parameters:
            yield Finding((*path, name), unknown("parameter", name, parameters))
    for name in parameters:
        if name not in given:
            yield Finding(path, f"parameter '{name}' is missing")


def _known(path: KeyPath, what: str, name: str, known: list[str]) -> Iterator[Finding]:
    if known and name not in known:
        yield Finding(path, unknown(what, name, known))


def _point(path: KeyPath, theta: Any, sound: _Sound) -> Iterator[Finding]:
    """Check the name of a benchmark; ``theta_ref``, which may be its default, is checked once."""
    if isinstance(theta, str) and theta != sound.get("ml", "theta_ref"):
        yield from _known(path, "benchmark", theta, sound.benchmarks)


def _parameters(sound: _Sound) -> Iterator[Finding]:
    yield from _duplicates(sound, ("parameters",), "parameter_name")
    couplings: dict[tuple[str, int], str] = {}
    for path, parameter in sound.entries("parameters"):
        name, transform = parameter["parameter_name"], parameter["param_card_transform"]
        yield from _interval((*path, "parameter_range"), parameter["parameter_range"])
        transform_path = (*path, "param_card_transform")
        yield from _expression(transform_path, transform, names=["theta"], particles=False)
        coupling = (parameter["lha_block"], parameter["lha_id"])
        if couplings.setdefault(coupling, name) != name:
            message = f"{coupling[0]} {coupling[1]} is parameter '{couplings[coupling]}' already"
            yield Finding((*path, "lha_id"), message)


def _benchmarks(sound: _Sound) -> Iterator[Finding]:
    if not sound.parameters:
        return
    ranges = {
        parameter["parameter_name"]: parameter["parameter_range"]
        for _, parameter in sound.entries("parameters")
    }
    for path, values in sound.entries("benchmarks"):
        if str(path[-1]).startswith(ADDED_BENCHMARK):
            message = f"names with '{ADDED_BENCHMARK}' are kept for benchmarks that MadMiner adds"
            yield Finding(path, message)
        if path[-1] == CLOSURE_POINT:
            message = f"'{CLOSURE_POINT}' is kept for the point that tests the morphing; rename it"
            yield Finding(path, message)
        yield from _complete(path, values, sound.parameters)
        for name, value in values.items():
            low, high = ranges.get(name, (value, value))
            if low < high and not low <= value <= high:
                message = f"{value} is outside the parameter_range [{low}, {high}] of {name}"
                yield Finding((*path, name), message)


def _basis(sound: _Sound) -> Iterator[Finding]:
    """Check that the benchmarks of the morphing basis are linearly independent in its terms."""
    parameters, morphing = sound.get("parameters"), sound.get("morphing")
    benchmarks = sound.get("benchmarks")
    if parameters is None or morphing is None or benchmarks is None:
        return
    if [*_parameters(sound), *_benchmarks(sound)]:
        return
    scales = [max(abs(value) for value in entry["parameter_range"]) for entry in parameters]
    powers = [entry["morphing_max_power"] for entry in parameters]
    components = np.array(morphing_components(powers, morphing["max_overall_power"]))
    basis: list[np.ndarray] = []
    for name in benchmarks:
        point = np.array([benchmarks[name][parameter] for parameter in sound.parameters])
        row = np.prod((point / scales) ** components, axis=1)
        if np.linalg.matrix_rank(np.array([*basis, row])) == len(basis):
            message = (
                f"adds nothing to the morphing basis of {len(components)} terms: its weights follow"
                " from those of the benchmarks before it; choose another point or leave it out"
            )
            yield Finding(("benchmarks", name), message)
        else:
            basis.append(row)


def _processes(sound: _Sound) -> Iterator[Finding]:
    yield from _duplicates(sound, ("processes",), "name")
    for path, process in sound.entries("processes"):
        for name in process["events"]:
            yield from _known((*path, "events", name), "benchmark", name, sound.benchmarks)
        if process["is_background"]:
            if len(process["events"]) > 1:
                message = "a background does not depend on the benchmark: name one only"
                yield Finding((*path, "events"), message)
            continue
        couplings = BUILTIN_COUPLINGS[process["process"]]
        for parameter_path, parameter in sound.entries("parameters"):
            coupling = (parameter["lha_block"], parameter["lha_id"])
            if coupling not in couplings:
                allowed = ", ".join(f"{block} {number}" for block, number in sorted(couplings))
                message = (
                    f"{coupling[0]} {coupling[1]} is no coupling of the process "
                    f"'{process['process']}' (expected one of {allowed})"
                )
                yield Finding((*parameter_path, "lha_id"), message)
    processes = sound.get("processes")
    if processes and all(process["is_background"] for process in processes):
        message = "expected at least one process that is no background"
        yield Finding(("processes",), message)


def _smearing(sound: _Sound) -> Iterator[Finding]:
    for path, smearing in sound.entries("detector", "smearing"):
        for i, particle in enumerate(smearing["particles"] or ()):
            if isinstance(particle, str) and particle not in SMEARED_PARTICLES:
                message = unknown("particle", particle, SMEARED_PARTICLES, " or a PDG id")
                yield Finding((*path, "particles", i), message)
        missing = [
            None in (smearing[f"{quantity}_resolution_abs"], smearing[f"{quantity}_resolution_rel"])
            for quantity in ("energy", "pt")
        ]
        if all(missing):
            message = "energy and pt cannot both be null: each is computed from the other"
            yield Finding(path, message)


def _expressions(sound: _Sound) -> Iterator[Finding]:
    yield from _duplicates(sound, ("observables",), "name")
    for path, observable in sound.entries("observables"):
        name = observable["name"]
        # met, visible and all stay free: MadMiner's own analyses name an observable met.
        if keyword.iskeyword(name) or name in PARTICLE_LISTS or name in EVENT_VARIABLES:
            message = f"'{name}' has a meaning in expressions; choose another name"
            yield Finding((*path, "name"), message)
        yield from _expression((*path, "definition"), observable["definition"])
        yield from _interval((*path, "range"), observable["range"])
    for section in ("cuts", "efficiencies"):
        for path, entry in sound.entries(section) if sound.observables else ():
            text = entry["definition"]
            yield from _expression((*path, "definition"), text, names=sound.observables)


def _methods(sound: _Sound) -> Iterator[Finding]:
    reference = sound.get("ml", "theta_ref")
    if reference is not None:
        yield from _known(("ml", "theta_ref"), "benchmark", reference, sound.benchmarks)
    yield from _duplicates(sound, ("ml", "methods"), "name")
    for path, method in sound.entries("ml", "methods"):
        for key in ("theta", "theta1"):
            yield from _point((*path, key), method.get(key), sound)
        for key in ("observables", "features"):
            for i, name in enumerate(method.get(key) or ()):
                yield from _known((*path, key, i), "observable", name, sound.observables)
        if set(method.get("observables", ())) <= set(sound.observables):
            yield from _bins((*path, "bins"), method)
        if "theta0" in method:
            yield from _priors((*path, "theta0", "priors"), method, sound)


def _bins(path: KeyPath, method: dict[str, Any]) -> Iterator[Finding]:
    for name, bins in method.get("bins", {}).items():
        yield from _known((*path, name), "axis", name, method["observables"])
        if isinstance(bins, list) and sorted(set(bins)) != bins:
            yield Finding((*path, name), "expected edges that increase from each to the next")


def _priors(path: KeyPath, method: dict[str, Any], sound: _Sound) -> Iterator[Finding]:
    priors = method["theta0"]["priors"]
    if sound.parameters:
        yield from _complete(path, priors, sound.parameters)
    for name, prior in priors.items():
        if prior["prior"] == "flat" and not prior["min"] < prior["max"]:
            message = f"expected min < max, got {prior['min']} and {prior['max']}"
            yield Finding((*path, name), message)
    for grid_path, axis in sound.entries("ml", "limits", "grid"):
        name = grid_path[-1]
        low, high = _trained(priors[name]) if name in priors else (-np.inf, np.inf)
        if low <= high and (axis["range"][0] < low or axis["range"][1] > high):
            message = (
                f"{axis['range']} goes beyond where method '{method['name']}' is trained, "
                f"[{low:g}, {high:g}] (3 standard deviations or the ends of its prior)"
            )
            yield Finding((*grid_path, "range"), message, warning=True)


def _trained(prior: dict[str, Any]) -> tuple[float, float]:
    if prior["prior"] == "flat":
        return prior["min"], prior["max"]
    return prior["mean"] - 3 * prior["std"], prior["mean"] + 3 * prior["std"]


def _limits(sound: _Sound) -> Iterator[Finding]:
    path: KeyPath = ("ml", "limits", "theta_true")
    truth = sound.get(*path)
    yield from _point(path, truth, sound)
    if isinstance(truth, dict) and sound.parameters:
        yield from _complete(path, truth, sound.parameters)
    grid = sound.get("ml", "limits", "grid")
    if grid is not None and sound.parameters:
        yield from _complete(("ml", "limits", "grid"), grid, sound.parameters)
    for axis_path, axis in sound.entries("ml", "limits", "grid"):
        yield from _interval((*axis_path, "range"), axis["range"])


def _fisher(sound: _Sound) -> Iterator[Finding]:
    yield from _point(("ml", "fisher", "theta"), sound.get("ml", "fisher", "theta"), sound)
    methods = sound.get("ml", "methods") or []
    names = [method["name"] for method in methods]
    size = len(sound.parameters)
    for path, matrix in sound.entries("ml", "fisher", "published"):
        yield from _known(path, "method", str(path[-1]), names)
        if size and [len(row) for row in matrix] != [size] * size:
            message = f"expected a {size} × {size} matrix, one row for each parameter"
            yield Finding(path, message)
