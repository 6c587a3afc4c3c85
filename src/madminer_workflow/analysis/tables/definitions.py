"""What the expressions of an analysis of tables need of these, and the weights of its events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from madminer_workflow.analysis.tables import DELPHES, NANOAOD, Table, expression_name
from madminer_workflow.analysis.tables.histograms import bin_content
from madminer_workflow.analysis.tables.particles import columns_for
from madminer_workflow.analysis.types import Columns
from madminer_workflow.analysis.weight_columns import given_for
from madminer_workflow.errors import InputError
from madminer_workflow.expressions import Expression, compile_expression

XWGTUP = "XWGTUP"
_DEFAULTS = {DELPHES: ("Event_Weight[0]",), NANOAOD: ("genWeight",)}
"""The weights that events were drawn with, where nothing else is said."""


def columns_used(
    definitions: Iterable[str], selections: Iterable[str], names: Sequence[str]
) -> Columns:
    """What the ``definitions`` of the observables ``names``, and cuts and efficiencies, use."""
    observables = [compile_expression(text, columns=True) for text in definitions]
    conditions = [compile_expression(text, names, columns=True) for text in selections]
    expressions = [*observables, *conditions]
    columns = set[str]().union(*(one.scalars | one.lists for one in expressions))
    particles = set[str]().union(
        *(particles_in(one) for one in observables),
        *(particles_in(one, names) for one in conditions),
    )
    attributes = set[str]().union(*(one.attributes for one in expressions))
    return Columns(
        names=tuple(sorted(columns)),
        particles=tuple(sorted(particles)),
        attributes=tuple(sorted(attributes)),
    )


def particles_in(expression: Expression, names: Iterable[str] = ()) -> frozenset[str]:
    """The particles and momenta that an expression uses, where ``names`` are observables."""
    return expression.names - expression.scalars - expression.lists - frozenset(names)


def require(table: Table, expression: Expression, names: Iterable[str] = ()) -> None:
    """Raise InputError unless a table has what an expression uses; ``names`` are observables."""
    for name in sorted(expression.scalars | expression.lists):
        if name not in table.columns:
            raise table.unknown(name)
        is_list = table.columns[name].is_list
        if is_list and name in expression.scalars:
            raise InputError(
                f"{table.path}: '{name}' is a list of numbers; use one of them, {name}[0], or "
                f"their number, len({name})"
            )
        if not is_list and name in expression.lists:
            raise InputError(f"{table.path}: '{name}' is a single number, not a list; write {name}")
    columns_for(table, particles_in(expression, names), expression.attributes)


def weights_at(
    table: Table, benchmarks: Iterable[str], given: Mapping[str, str | int], sampled: str
) -> dict[str, Expression]:
    """The weight at each of ``benchmarks``, as expressions in columns.

    That is what is ``given``, or the column with the benchmark's name, or for the benchmark
    ``sampled`` that events were drawn from the one that the kind of file has for it. Raises
    InputError for benchmarks without one, and for columns that are not there.
    """
    chosen, missing = {}, []
    for name in benchmarks:
        text = given_for(given, name)
        texts = [*_candidates(table, name, sampled)] if text is None else [str(text)]
        if not texts:
            missing.append(name)
            continue
        chosen[name] = compile_expression(texts[0], particles=False, columns=True)
        try:
            require(table, chosen[name])
        except InputError as error:
            raise InputError(f"{error} (the weight of {name})") from None
    if missing:
        raise InputError(
            f"{table.path}: no weights for {', '.join(missing)}; expected one for every benchmark: "
            "a column with its name, or an expression in `weights`, such as w: rwgt_1 or "
            "w: genWeight*LHEReweightingWeight[3]"
        )
    return chosen


def variations_at(
    table: Table, varied: Mapping[str, Mapping[str, str | int]]
) -> dict[str, Expression]:
    """The weight of each variation, by its name, as an expression; ``varied`` is by uncertainty.

    Raises InputError for columns that do not exist, ExpressionError for what is no expression.
    """
    chosen = {}
    for uncertainty, weights in varied.items():
        for name, weight in weights.items():
            chosen[name] = compile_expression(str(weight), particles=False, columns=True)
            try:
                require(table, chosen[name])
            except InputError as error:
                raise InputError(f"{error} (a weight of the uncertainty {uncertainty})") from None
    return chosen


def _candidates(table: Table, benchmark: str, sampled: str) -> Iterator[str]:
    if expression_name(benchmark) in table.columns:
        yield expression_name(benchmark)
    if benchmark == sampled:
        for text in (*_DEFAULTS.get(table.kind, ()), XWGTUP):
            if text.partition("[")[0] in table.columns:
                yield text


def sum_before_cuts(table: Table, weight: Expression, given: float | str | None) -> float | None:
    """The sum of the weights of all events of a file before cuts, if it knows it.

    That is in the bin of a histogram if one is ``given``. Raises InputError if that is not there,
    or if the file knows it for another weight than the one events were drawn with.
    """
    if isinstance(given, str):
        return bin_content(table.path, given)
    if table.sum_of_weights is None or weight.text.strip() == "genWeight":
        return table.sum_of_weights
    raise InputError(
        f"{table.path}: Runs/genEventSumw is the sum of genWeight, but events were drawn with "
        f"{weight.text}; give sum_of_weights"
    )
