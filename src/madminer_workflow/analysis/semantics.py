"""The meaning of the analysis file: names that must exist, expressions, ranges, the morphing basis.

Checks run on the file with its defaults, and only on those entries that the schema accepts: what is
reported there already is not reported again.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from madminer_workflow.analysis import methods, physics
from madminer_workflow.analysis.labels import known_to_mathtext, undrawable, without_glyph
from madminer_workflow.analysis.morphing import MOST_TERMS, morphing_components
from madminer_workflow.analysis.problems import Finding, KeyPath, show
from madminer_workflow.analysis.sound import (
    Sound,
    complete,
    duplicates,
    expression,
    interval,
    known,
    point,
)
from madminer_workflow.analysis.systematics import ONE_SIDED_SHIFTS
from madminer_workflow.analysis.types import CLOSURE_POINT, NOMINAL, PRIOR
from madminer_workflow.expressions import EVENT_VARIABLES, PARTICLE_LISTS, compile_expression

#: MadMiner names the benchmarks that it adds to the morphing basis like this.
ADDED_BENCHMARK = "morphing_basis_vector_"
#: MadMiner names the benchmarks of nuisance parameters like this.
NUISANCE = "_nuisance_param_"
LEAST_LEVEL = 1e-6
"""Limits of confidence levels: toys cannot determine quantiles beyond them."""

PER_FB = 1000.0
"""So many /pb are one /fb."""
LEAST_LUMINOSITY, LARGEST_LUMINOSITY = 5000.0, 1e8
"""[1/pb] As they are given for analyses: 5 fb^-1 of the first years, 100 ab^-1 beyond all plans."""

_SPREAD = np.linspace(-1.0, 1.0, 1000)
"""Points of an interval, without its centre, where a transform may have a pole that nobody hits."""


def check(data: Any, structure: Iterable[Finding]) -> list[Finding]:
    """Return everything that is wrong with the meaning of ``data``.

    ``data`` has its defaults filled in; ``structure`` is what the schema check found.
    """
    sound = Sound(data, structure)
    theory = (_parameters, _benchmarks, _morphing, _basis, _transforms)
    events = (*physics.CHECKS, _expressions, _labels)
    inference = (*methods.CHECKS, _luminosity, _limits, _fisher)
    return [f for section in (*theory, *events, *inference) for f in section(sound)]


def _parameters(sound: Sound) -> Iterator[Finding]:
    yield from duplicates(sound, ("parameters",), "parameter_name")
    couplings: dict[tuple[str, int], str] = {}
    for path, parameter in sound.entries("parameters"):
        name, transform = parameter["parameter_name"], parameter["param_card_transform"]
        yield from interval((*path, "parameter_range"), parameter["parameter_range"])
        transform_path = (*path, "param_card_transform")
        yield from expression(transform_path, transform, names=["theta"], particles=False)
        coupling = (parameter["lha_block"], parameter["lha_id"])
        if couplings.setdefault(coupling, name) != name:
            message = f"{coupling[0]} {coupling[1]} is already parameter '{couplings[coupling]}'"
            yield Finding((*path, "lha_id"), message)


def _benchmarks(sound: Sound) -> Iterator[Finding]:
    if not sound.parameters:
        return
    ranges = {
        parameter["parameter_name"]: parameter["parameter_range"]
        for _, parameter in sound.entries("parameters")
    }
    for path, values in sound.entries("benchmarks"):
        if str(path[-1]).startswith(ADDED_BENCHMARK):
            message = (
                f"names with '{ADDED_BENCHMARK}' are reserved for benchmarks that MadMiner adds"
            )
            yield Finding(path, message)
        if NUISANCE in str(path[-1]):
            message = (
                f"names with '{NUISANCE}' are reserved for systematic uncertainties; rename it"
            )
            yield Finding(path, message)
        if path[-1] == CLOSURE_POINT:
            message = (
                f"'{CLOSURE_POINT}' is reserved for the point that tests the morphing; rename it"
            )
            yield Finding(path, message)
        yield from complete(path, values, sound)
        for name, value in values.items():
            low, high = ranges.get(name, (value, value))
            if low < high and not low <= value <= high:
                message = f"{value} is outside the parameter_range [{low}, {high}] of {name}"
                yield Finding((*path, name), message)


def _morphing(sound: Sound) -> Iterator[Finding]:
    """Check that powers go together, in not more terms than anybody can compute with."""
    parameters, morphing = sound.get("parameters"), sound.get("morphing")
    if parameters is None or morphing is None:
        return
    yield from _factors(sound)
    terms = sound.terms or 0
    if terms > MOST_TERMS:
        several = isinstance(morphing["max_overall_power"], list)
        message = (
            f"{len(parameters)} parameters have {'at least ' if several else ''}{terms} terms up "
            f"to this power; expected at most {MOST_TERMS}: lower this power, or the "
            "morphing_max_power of parameters"
        )
        yield Finding(("morphing", "max_overall_power"), message)


def _factors(sound: Sound) -> Iterator[Finding]:
    """Check that all powers are those of as many factors, and that a parameter has one."""
    overall = sound.get("morphing")["max_overall_power"]
    wanted = len(overall) if isinstance(overall, list) else None
    for path, parameter in sound.entries("parameters"):
        powers = parameter["morphing_max_power"]
        place = (*path, "morphing_max_power")
        if wanted is None and isinstance(powers, list):
            message = (
                f"expected one number, because morphing.max_overall_power is {overall}; for "
                "separate powers of several factors, such as production and decay, it must have "
                f"{len(powers)} numbers as well"
            )
            yield Finding(place, message)
        elif wanted is not None and (not isinstance(powers, list) or len(powers) != wanted):
            message = (
                f"expected {wanted} numbers, one for each factor of morphing.max_overall_power "
                f"{overall}, with 0 for a factor without the parameter; got {show(powers)}"
            )
            yield Finding(place, message)
        elif isinstance(powers, list) and not any(powers):
            message = f"expected a power above 0 in at least one factor, got {show(powers)}"
            yield Finding(place, message)


def _transforms(sound: Sound) -> Iterator[Finding]:
    """Check that parameters have a value in the card wherever one is needed.

    These are the benchmarks, the point in the inner half of the ranges that tests the morphing,
    and where benchmarks are too few the whole ranges, in which MadMiner adds some.
    """
    if [*_parameters(sound), *_morphing(sound)]:
        return
    benchmarks = sound.get("benchmarks") or {}
    share = 1.0 if len(benchmarks) < (sound.terms or 0) else 0.5
    for path, parameter in sound.entries("parameters"):
        low, high = parameter["parameter_range"]
        inside = 0.5 * (low + high) + 0.5 * share * (high - low) * _SPREAD
        name = parameter["parameter_name"]
        points = [point[name] for point in benchmarks.values() if name in point]
        text = parameter["param_card_transform"]
        if [*expression(path, text, names=["theta"], particles=False)]:
            continue
        transform = compile_expression(text, names=["theta"], particles=False)
        thetas = np.array([*points, *inside])
        wrong = ~np.isfinite(np.broadcast_to(transform({"theta": thetas}), thetas.shape))
        if wrong.any():
            theta = thetas[np.argmax(wrong)]
            where = "a benchmark" if np.argmax(wrong) < len(points) else "inside parameter_range"
            message = f"'{text}' has no finite value at theta = {theta:g}, {where}"
            yield Finding((*path, "param_card_transform"), message)


def _labels(sound: Sound) -> Iterator[Finding]:
    """Check that matplotlib can draw all labels."""
    for section, keys in (("parameters", ["latex"]), ("observables", ["latex", "unit"])):
        for path, entry in sound.entries(section):
            for key in keys:
                if why := undrawable(entry[key]):
                    message = f"matplotlib cannot draw {show(entry[key])}: {why}"
                    yield Finding((*path, key), message)
                elif lacking := without_glyph(known_to_mathtext(entry[key])):
                    message = (
                        f"the font used in plots has no {lacking}; a box will be drawn instead"
                    )
                    yield Finding((*path, key), message, warning=True)


def _basis(sound: Sound) -> Iterator[Finding]:
    """Check that benchmarks are linearly independent in the terms, or determine all of them."""
    parameters, morphing = sound.get("parameters"), sound.get("morphing")
    benchmarks = sound.get("benchmarks")
    if parameters is None or morphing is None or benchmarks is None:
        return
    if [*_parameters(sound), *_benchmarks(sound), *_morphing(sound)]:
        return
    scales = [max(abs(value) for value in entry["parameter_range"]) for entry in parameters]
    powers = [entry["morphing_max_power"] for entry in parameters]
    components = np.array(morphing_components(powers, morphing["max_overall_power"]))
    rows = {
        name: np.prod(
            (np.array([point[name] for name in sound.parameters]) / scales) ** components, axis=1
        )
        for name, point in benchmarks.items()
    }
    matrix = np.array(list(rows.values()))
    rank = np.linalg.matrix_rank(matrix)
    if len(rows) > len(components):
        yield from _surplus(benchmarks, rank, len(components), sound)
        return
    if rank == len(rows):
        return
    basis: list[np.ndarray] = []
    for name, row in rows.items():
        if np.linalg.matrix_rank(np.array([*basis, row])) == len(basis):
            message = (
                f"adds nothing to the morphing basis of {len(components)} terms: its weights "
                "follow from those of the preceding benchmarks; choose another point or leave "
                "it out"
            )
            yield Finding(("benchmarks", name), message)
        else:
            basis.append(row)


def _surplus(
    benchmarks: dict[str, dict[str, float]], rank: int, n_terms: int, sound: Sound
) -> Iterator[Finding]:
    """Check that more benchmarks than terms determine all terms, each at a point of its own."""
    at: dict[tuple[float, ...], str] = {}
    for name, values in benchmarks.items():
        other = at.setdefault(tuple(values[key] for key in sound.parameters), name)
        if other != name:
            yield Finding(("benchmarks", name), f"is the same point as '{other}'; leave one out")
    if rank < n_terms:
        message = (
            f"these {len(benchmarks)} points determine only {rank} of the {n_terms} terms of the "
            "squared matrix element, because too many of them share a line or a surface: move some"
        )
        yield Finding(("benchmarks",), message)


def _expressions(sound: Sound) -> Iterator[Finding]:
    yield from duplicates(sound, ("observables",), "name")
    for path, observable in sound.entries("observables"):
        name = observable["name"]
        # met, visible and all stay free: MadMiner's own analyses name an observable met.
        if keyword.iskeyword(name) or name in PARTICLE_LISTS or name in EVENT_VARIABLES:
            message = f"'{name}' is a reserved name in expressions; choose another name"
            yield Finding((*path, "name"), message)
        yield from expression((*path, "definition"), observable["definition"], columns=sound.tables)
        yield from interval((*path, "range"), observable["range"])
    for section in ("cuts", "efficiencies"):
        for path, entry in sound.entries(section) if sound.observables else ():
            text = entry["definition"]
            wrong = [
                *expression(
                    (*path, "definition"), text, names=sound.observables, columns=sound.tables
                )
            ]
            yield from wrong
            if section == "efficiencies" and not wrong:
                yield from _probability((*path, "definition"), text, sound)


def _probability(path: KeyPath, text: str, sound: Sound) -> Iterator[Finding]:
    """Check that an efficiency that depends on nothing is a probability."""
    compiled = compile_expression(text, sound.observables, columns=sound.tables)
    if not compiled.names and not 0.0 <= (value := compiled({})) <= 1.0:
        yield Finding(path, f"expected a probability, between 0 and 1, got {value:g}")


def _luminosity(sound: Sound) -> Iterator[Finding]:
    """Warn of a number that looks like one in other units than 1/pb."""
    path = ("ml", "luminosity")
    value = sound.get(*path)
    if value is not None and 0.0 < value < LEAST_LUMINOSITY:
        message = (
            f"{value:g} /pb is {value / PER_FB:g} fb^-1; if {value:g} fb^-1 is meant, write "
            f"{value * PER_FB:.15g}"
        )
        yield Finding(path, message, warning=True)
    elif value is not None and value > LARGEST_LUMINOSITY:
        message = (
            f"{value:g} /pb is {value / PER_FB:g} fb^-1, more than any planned collider will "
            "deliver"
        )
        yield Finding(path, message, warning=True)


def _limits(sound: Sound) -> Iterator[Finding]:
    truth, grid = ("ml", "limits", "theta_true"), ("ml", "limits", "grid")
    yield from point(truth, sound.get(*truth), sound)
    if sound.get(*grid) is not None:
        yield from complete(grid, sound.get(*grid), sound)
    for axis_path, axis in sound.entries(*grid):
        yield from interval((*axis_path, "range"), axis["range"])
    for level_path, level in sound.entries("ml", "limits", "confidence_levels"):
        if not LEAST_LEVEL <= level <= 1.0 - LEAST_LEVEL:
            message = f"expected a level from {LEAST_LEVEL:g} to {1.0 - LEAST_LEVEL:g}, got {level}"
            yield Finding(level_path, message)
    for toy_path, theta in sound.entries("ml", "limits", "toys", "points"):
        yield from point(toy_path, theta, sound)
    yield from _nature_of_toys(sound)


def _nature_of_toys(sound: Sound) -> Iterator[Finding]:
    """Check that nuisance parameters can be drawn from their priors if toys are to do so."""
    path = ("ml", "limits", "toys", "nuisance_parameters")
    systematics = sound.get("systematics")
    if sound.get(*path) != PRIOR or systematics is None:
        return
    if not systematics:
        message = f"there are no systematics to vary; expected {NOMINAL}, or entries in systematics"
        yield Finding(path, message)
    for _, entry in sound.entries("systematics"):
        if entry["effect"] in ONE_SIDED_SHIFTS:
            message = (
                f"{entry['systematic_name']} ({entry['effect']}) is known only at +1, but toys "
                f"need events on both sides; expected {NOMINAL}"
            )
            yield Finding(path, message)


def _fisher(sound: Sound) -> Iterator[Finding]:
    yield from point(("ml", "fisher", "theta"), sound.get("ml", "fisher", "theta"), sound)
    methods = sound.get("ml", "methods") or []
    names = [method["name"] for method in methods]
    size = len(sound.parameters)
    for path, matrix in sound.entries("ml", "fisher", "published"):
        yield from known(path, "method", str(path[-1]), names)
        if size and [len(row) for row in matrix] != [size] * size:
            message = f"expected a {size} × {size} matrix, one row for each parameter"
            yield Finding(path, message)
