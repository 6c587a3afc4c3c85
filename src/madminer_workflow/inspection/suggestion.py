"""The part of an analysis file that takes the events of an LHE file, to be pasted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.lhe_files import XWGTUP, LHEStart
from madminer_workflow.analysis.morphing import morphing_components

Points = Mapping[str, Mapping[tuple[str, int] | str, float]]

POWER = 2
"""Of each parameter in the squared matrix element, and of all together: one vertex."""


def suggest(
    file: Path,
    start: LHEStart,
    points: Points,
    drawn_from: str | None,
    particles: Mapping[str, int],
) -> str:
    """Parameters, benchmarks, the process and observables of ``particles``, their least numbers.

    ``points`` are those of weights, ``drawn_from`` is the weight that is XWGTUP. If nothing says
    which points these are, the process is a background.
    """
    sampled = _sampled(points, drawn_from)
    keys = list(next(iter(points.values()), {}))
    if not keys or sampled is None:
        return _background(file, start, particles)
    given = {sampled: points[drawn_from or XWGTUP]}
    given |= {name: point for name, point in points.items() if name not in (XWGTUP, drawn_from)}
    parameters = {key: _identifier(key) for key in keys}
    values = {name: list(point.values()) for name, point in given.items()}
    chosen, needed = _independent(values)
    if len(chosen) == needed:
        chosen += _elsewhere(values, chosen)
    lines = ["parameters:"]
    for number, key in enumerate(keys, 1):
        block, identity = key if isinstance(key, tuple) else ("unknown", number)
        largest = 1.1 * max(abs(point[key]) for point in given.values())
        lines += [
            f"  - parameter_name: {parameters[key]}",
            f"    lha_block: {block}",
            f"    lha_id: {identity}",
            f"    parameter_range: [{-largest:.4g}, {largest:.4g}]",
        ]
    lines += ["", "benchmarks:"]
    names = _different({name: _benchmark(name) for name in given})
    for name in chosen:
        pairs = ", ".join(f"{parameters[key]}: {given[name][key]!r}" for key in keys)
        lines.append(f"  {names[name]}: {{{pairs}}}")
    if len(chosen) < needed:
        lines.append(f"  # {needed - len(chosen)} more are needed: there are too few weights")
    left = [name for name in given if name not in chosen]
    if left:
        lines.append(f"  # left out, because they follow from the others: {', '.join(left)}")
    lines += ["", f"morphing: {{max_overall_power: {POWER}}}", "", "processes:"]
    lines += ["  - name: signal", "    generator: files"]
    lines.append(f"    files: {{{names[sampled]}: ['{file.name}']}}")
    renamed = [f"{names[n]}: '{n}'" for n in chosen if names[n] != n and n in start.weights]
    if renamed:
        lines.append(f"    weights: {{{', '.join(renamed)}}}")
    lines += ["", "observables:", *_observables(particles)]
    return "\n".join(lines) + "\n"


def _background(file: Path, start: LHEStart, particles: Mapping[str, int]) -> str:
    """A process that needs no weight but the events' own, and what would make it a signal."""
    lines = [
        "processes:",
        "  - name: background",
        "    generator: files",
        f"    files: {{sm: ['{file.name}']}}  # drawn at the benchmark sm",
        "    is_background: true",
    ]
    if start.cross_section is None:
        lines.append(
            "    cross_section: {sm: 1.0}  # replace by the cross-section of all generated "
            "events, in pb"
        )
    if start.weights:
        lines.append(
            "    # For a signal, remove is_background and add weights: {BENCHMARK: NAME}, one for "
            "every benchmark. The file does not give the parameter points of its weights."
        )
    observables = [*_observables(particles)]
    return "\n".join([*lines, *(["", "observables:", *observables] if observables else [])]) + "\n"


def _sampled(points: Points, drawn_from: str | None) -> str | None:
    """What the benchmark is called that the events were drawn from."""
    if drawn_from in points:
        return drawn_from
    if XWGTUP not in points:
        return None
    return "generated" if any(points[XWGTUP].values()) else "sm"


def _identifier(key: tuple[str, int] | str) -> str:
    return re.sub(r"\W", "_", key if isinstance(key, str) else f"{key[0]}_{key[1]}")


def _benchmark(name: str) -> str:
    """A name that an analysis file allows: those that MadMiner gives are kept for it."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", name.replace("morphing_basis_vector", "basis"))
    return f"w{name}" if name[:1].isdigit() or name == "closure" else name


def _different(names: Mapping[str, str]) -> dict[str, str]:
    """The same names, with a number where one comes twice."""
    taken: dict[str, str] = {}
    for name, wanted in names.items():
        number, new = 1, wanted
        while new in taken.values():
            number, new = number + 1, f"{wanted}_{number + 1}"
        taken[name] = new
    return taken


def _independent(points: Mapping[str, list[float]]) -> tuple[list[str], int]:
    """Points with independent squared matrix elements, in their order, and how many to have."""
    values = np.array(list(points.values()))
    scales = np.maximum(np.abs(values).max(axis=0), 1e-300)
    components = np.array(morphing_components([POWER] * values.shape[1], POWER))
    rows: list[np.ndarray] = []
    chosen = []
    for name, point in zip(points, values, strict=True):
        row = np.prod((point / scales) ** components, axis=1)
        if np.linalg.matrix_rank(np.array([*rows, row])) > len(rows):
            rows.append(row)
            chosen.append(name)
    return chosen, len(components)


def _elsewhere(points: Mapping[str, list[float]], chosen: Sequence[str]) -> list[str]:
    """Points where none of those ``chosen`` is, up to as many more: they test the morphing."""
    taken = {tuple(points[name]) for name in chosen}
    more: dict[tuple[float, ...], str] = {}
    for name, point in points.items():
        if tuple(point) not in taken:
            more.setdefault(tuple(point), name)
    return list(more.values())[: len(chosen)]


def _observables(particles: Mapping[str, int]) -> Iterator[str]:
    """Momenta of what every event has."""
    definitions: dict[str, str] = {}
    for name, number in particles.items():
        if name == "v":
            continue
        definitions |= {f"pt_{name}{i + 1}": f"{name}[{i}].pt" for i in range(min(number, 2))}
        if number >= 2:
            definitions[f"m_{name}{name}"] = f"({name}[0] + {name}[1]).m"
            definitions[f"delta_phi_{name}{name}"] = f"{name}[0].deltaphi({name}[1])"
    if particles.get("v"):
        definitions["pt_miss"] = "met.pt"
    for name, definition in definitions.items():
        yield f"  - {{name: {name}, definition: '{definition}', required: true}}"
