"""The numbers behind the figures of checks, as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from madminer_workflow.report.figures.tables import Column, Table

Plotted = dict[str, Any]
"""The ``plot`` of a check."""

Columns = tuple[list[Column], list[Column]]
"""Independent and dependent ones."""


def tables(content: dict[str, Any], kind: str) -> list[Table]:
    """A table for each method with a check of this ``kind`` of plot."""
    title, columns = KINDS[kind]
    return [
        table(method["name"], check["plot"], kind, title, columns(check["plot"], content))
        for method in content["methods"]
        for check in method["checks"]
        if check.get("plot") and check["plot"]["kind"] == kind
    ]


def table(name: str, plot: Plotted, kind: str, title: str, columns: Columns) -> Table:
    """The table of one method."""
    independent, dependent = columns
    own = [
        Column(each.name, each.values, each.units, each.errors, {"Method": name})
        for each in dependent
    ]
    return Table(f"check_{kind}_{name}", f"{title} {name}.", independent, own)


def points(values: Sequence[Sequence[float]], content: dict[str, Any]) -> list[Column]:
    """Parameter points as a column for each parameter."""
    return [
        Column(name, [point[i] for point in values]) for i, name in enumerate(content["parameters"])
    ]


def closure(plot: Plotted, content: dict[str, Any]) -> Columns:
    """The mean ratio at every point."""
    mean = Column("Mean likelihood ratio", plot["mean"], errors={"statistics": plot["error"]})
    return points(plot["points"], content), [mean]


def reliability(plot: Plotted, content: dict[str, Any]) -> Columns:
    """Bins of all curves below each other."""
    rows = [
        (point, *values)
        for point, curve in zip(plot["points"], plot["curves"], strict=True)
        for values in zip(curve["predicted"], curve["true"], curve["error"], strict=True)
    ]
    every, predicted, true, errors = map(list, zip(*rows, strict=True))
    return (
        [*points(every, content), Column("Predicted fraction", predicted)],
        [Column("True fraction", true, errors={"statistics": errors})],
    )


def reweighting(plot: Plotted, content: dict[str, Any]) -> Columns:
    """Every observable."""
    return [Column("Observable", plot["observables"])], [
        Column("Largest difference", plot["difference"], errors={"statistics": plot["error"]}),
        Column("Largest difference allowed", plot["allowed"]),
    ]


def sizes(plot: Plotted, content: dict[str, Any]) -> Columns:
    """Every parameter point, by its name."""
    return [Column("Point", plot["points"])], [
        Column("Effective simulated events", plot["size"]),
        Column("Needed", [plot["needed"]] * len(plot["points"])),
    ]


def ensemble(plot: Plotted, content: dict[str, Any]) -> Columns:
    """The intervals of the ensemble and of its members, 1, 2, ..., below each other."""
    rows = [
        (parameter, who, low, high)
        for parameter, own, members in zip(
            plot["parameters"], plot["intervals"], plot["members"], strict=True
        )
        for who, (low, high) in [("ensemble", own), *enumerate(members, 1)]
    ]
    parameters, who, low, high = map(list, zip(*rows, strict=True))
    return [Column("Parameter", parameters), Column("Member", [str(each) for each in who])], [
        Column("Lower edge", low),
        Column("Upper edge", high),
    ]


def extrapolation(plot: Plotted, content: dict[str, Any]) -> Columns:
    """Prior and confidence region along every parameter."""
    edges = [
        Column(f"{side} end of the {what}", [pair[i] for pair in plot[key]])
        for key, what in (("prior", "prior"), ("region", "confidence region"))
        for i, side in enumerate(("Lower", "Upper"))
    ]
    return [Column("Parameter", content["parameters"])], edges


def bins(plot: Plotted, content: dict[str, Any]) -> Columns:
    """Every bin that counts."""
    numbers = list(range(1, len(plot["size"]) + 1))
    return [Column("Bin", numbers)], [Column("Effective simulated events", plot["size"])]


KINDS: dict[str, tuple[str, Callable[[Plotted, dict[str, Any]], Columns]]] = {
    "closure": ("Mean of the likelihood ratio over events of the denominator, from", closure),
    "reliability": ("True against predicted fraction of the denominator, from", reliability),
    "reweighting": ("Distributions of observables against reweighted ones, from", reweighting),
    "sizes": ("Effective numbers of simulated events for the limits of", sizes),
    "ensemble": ("Intervals of the members of", ensemble),
    "extrapolation": ("Where the prior and the confidence region lie, for", extrapolation),
    "bins": ("Effective numbers of simulated events in the bins of", bins),
}
"""By kind of plot: what is shown of whom, and its columns."""
