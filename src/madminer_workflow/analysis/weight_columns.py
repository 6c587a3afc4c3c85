"""Which weight of an event file belongs to which benchmark.

A weight is chosen by what the analysis file says; else by its name; else by the parameter point
that the header declares for it: MadGraph's reweighting writes ``set param_card BLOCK NUMBER
VALUE``, our own files ``NAME = VALUE``. A name whose point is declared must be at that point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from madminer_workflow.analysis.lhe_files import XWGTUP, LHEStart
from madminer_workflow.analysis.types import Parameter
from madminer_workflow.errors import InputError

TOLERANCE = 1e-5
"""By how much values in parameter cards may differ, relative to the largest in the range."""

Points = Mapping[str, Mapping[str, float]]
"""Values of all parameters by the name of the point."""

CardPoint = tuple[float, ...]
"""The values of all parameters in a parameter card."""


EVERY = "*"
"""The key of `weights` for benchmarks without an entry."""
NAME = "{benchmark}"
"""Stands for the name of a benchmark there."""


def given_for(weights: Mapping[str, str | int], benchmark: str) -> str | int | None:
    """What `weights` of an analysis file says of a benchmark, if anything."""
    every = weights.get(EVERY)
    every = every.replace(NAME, benchmark) if isinstance(every, str) else every
    return weights.get(benchmark, every)


def columns(
    start: LHEStart,
    benchmarks: Points,
    parameters: Sequence[Parameter],
    given: Mapping[str, str | int],
    sampled: str,
) -> dict[str, str]:
    """The name of the weight at each of ``benchmarks``: the name in the file, or XWGTUP.

    Events were drawn from the benchmark ``sampled``, whose weight is XWGTUP unless one is its own.
    Raises InputError for benchmarks that have no weight, and for weights at other points.
    """
    declared = declared_points(start, parameters)
    chosen, missing = {}, []
    for name, values in benchmarks.items():
        wanted = tuple(p.card_value(values[p.parameter_name]) for p in parameters)
        if (weight := given_for(given, name)) is not None:
            chosen[name] = _given(start, name, weight)
            continue
        column = name if name in start.weights else None
        column = XWGTUP if column is None and name == sampled else column
        if column is None:
            there = (c for c, point in declared.items() if _same(point, wanted, parameters))
            column = next(there, None)
        elif column in declared and not _same(declared[column], wanted, parameters):
            raise InputError(_elsewhere(start, name, column, declared[column], wanted, parameters))
        if column is None:
            missing.append(name)
        else:
            chosen[name] = column
    if missing:
        raise InputError(
            f"{start.path}: no weights for {', '.join(missing)} ({_listed(start, declared)}); "
            "expected one for every benchmark: name it in `weights`, or reweight the events"
        )
    return chosen


def varied_columns(
    start: LHEStart, varied: Mapping[str, Mapping[str, str | int]]
) -> dict[str, str]:
    """The name of the weight of each variation, by its name; ``varied`` is by uncertainty.

    Raises InputError for weights that do not exist.
    """
    return {
        name: _given(start, f"the uncertainty {uncertainty}", weight)
        for uncertainty, weights in varied.items()
        for name, weight in weights.items()
    }


def declared_points(start: LHEStart, parameters: Sequence[Parameter]) -> dict[str, CardPoint]:
    """The points of those weights, XWGTUP included, that the header says one of."""
    points: dict[str, CardPoint] = {}
    original = start.couplings
    if original and all(parameter.coupling in original for parameter in parameters):
        points[XWGTUP] = tuple(original[parameter.coupling] for parameter in parameters)
    for name in start.weights:
        if (weight := start.declared.get(name)) is None:
            continue
        changes, assignments = weight.changes, weight.assignments
        card = {**original, **changes}
        if changes and all(parameter.coupling in card for parameter in parameters):
            points[name] = tuple(card[parameter.coupling] for parameter in parameters)
        elif all(parameter.parameter_name in assignments for parameter in parameters):
            points[name] = tuple(p.card_value(assignments[p.parameter_name]) for p in parameters)
    return points


def _given(start: LHEStart, benchmark: str, weight: str | int) -> str:
    if isinstance(weight, int):
        if 0 <= weight < len(start.weights):
            return start.weights[weight]
        raise InputError(
            f"{start.path}: there is no weight {weight} for {benchmark}: the file has "
            f"{len(start.weights)} weights, counted from 0; a name that is a number needs quotes"
        )
    if weight != XWGTUP and weight not in start.weights:
        raise InputError(
            f"{start.path}: no weight '{weight}' for {benchmark} (the file has "
            f"{', '.join(start.weights) or 'none'})"
        )
    return weight


def _same(one: CardPoint, other: CardPoint, parameters: Sequence[Parameter]) -> bool:
    scales = (max(abs(p.card_value(end)) for end in p.parameter_range) for p in parameters)
    return all(
        abs(a - b) <= TOLERANCE * max(scale, abs(a), abs(b))
        for a, b, scale in zip(one, other, scales, strict=True)
    )


def _elsewhere(
    start: LHEStart,
    benchmark: str,
    column: str,
    point: CardPoint,
    wanted: CardPoint,
    parameters: Sequence[Parameter],
) -> str:
    what = "its events were generated" if column == XWGTUP else f"its weight {column} is"
    return (
        f"{start.path}: {what} at {_words(point, parameters)} of the parameter card, but the "
        f"benchmark {benchmark} is at {_words(wanted, parameters)}; correct the benchmark or the "
        "param_card_transform, or name the weight in `weights`"
    )


def _words(point: CardPoint, parameters: Sequence[Parameter]) -> str:
    pairs = zip(parameters, point, strict=True)
    return ", ".join(f"{p.lha_block} {p.lha_id} = {value:.7g}" for p, value in pairs)


def _listed(start: LHEStart, declared: Mapping[str, CardPoint]) -> str:
    if not start.weights:
        return "the file has no named weights"
    shown = [
        f"{name} at ({', '.join(f'{value:.7g}' for value in declared[name])})"
        if name in declared
        else name
        for name in start.weights[:20]
    ]
    more = f" and {len(start.weights) - 20} more" if len(start.weights) > 20 else ""
    return f"the file has {', '.join(shown)}{more}"
