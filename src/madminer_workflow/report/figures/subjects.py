"""Whose limits figures draw: methods, the parton-level ceiling and the rate alone, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from madminer_workflow.report.figures import style
from madminer_workflow.report.verdict import percent

SOLID = "-"
EXPECTED = (0, (4.5, 1.6))
"""Expected limits, where there are observed ones, which are solid."""

CEILING = (0, (7.0, 1.5, 1.2, 1.5))
RATE = (0, (1.0, 1.3))


@dataclass(frozen=True)
class Subject:
    """A method or baseline: its part of results.json, and its look."""

    own: dict[str, Any]
    label: str
    colour: str
    line: Any = SOLID
    width: float = 1.8
    alpha: float = 1.0

    @property
    def name(self) -> str:
        """Its name in results.json."""
        return self.own["name"]

    @property
    def look(self) -> dict[str, Any]:
        """Arguments of matplotlib's lines for what is expected."""
        return {
            "color": self.colour,
            "alpha": self.alpha,
            "linestyle": self.line,
            "linewidth": self.width,
        }

    @property
    def observed_look(self) -> dict[str, Any]:
        """Arguments of matplotlib's lines for what is observed."""
        return {**self.look, "linestyle": SOLID, "linewidth": self.width + 0.3}

    def observed(self, part: str, kind: str) -> dict[str, Any] | None:
        """What was observed in the form of ``part``: "limits" or "curves"."""
        key = "observed" if part == "limits" else "observed_curves"
        return self.own.get(key, {}).get(kind)


def subjects(content: dict[str, Any], kind: str) -> list[Subject]:
    """Methods in the analysis's order, then the baselines that have limits of this kind."""
    line = EXPECTED if content.get("observed") else SOLID
    found = [
        Subject(
            method,
            style.method_label(method),
            style.colour(content, method["name"]),
            line,
            alpha=style.opacity(method),
        )
        for method in content["methods"]
    ]
    baselines = content["baselines"]
    found.append(Subject(baselines["truth"], "parton-level ceiling", style.INK, CEILING, 1.4))
    if kind in baselines["rate"]["limits"]:
        found.append(Subject(baselines["rate"], "rate only", style.MUTED, RATE, 1.6))
    return found


def levels_of(content: dict[str, Any]) -> list[str]:
    """Confidence levels from the lowest to the highest."""
    return sorted(content["confidence_levels"], key=float)


def data_words(content: dict[str, Any]) -> str:
    """What the curves of a figure are: expected, or both."""
    return "Expected and observed" if content.get("observed") else "Expected"


def qualifiers(subject: Subject, kind: str, data: str) -> dict[str, Any]:
    """What tells a column of a table from the others."""
    own = {"Limits from": kind.replace("_", " "), "Data": data}
    if "believed" not in subject.own:
        return {"Method": subject.label, **own}
    believed = "yes" if subject.own["believed"] else "no"
    return {"Method": subject.name, **own, "Passes its checks": believed}


def level_words(level: str) -> str:
    """A confidence level as figures write it."""
    return f"{percent(level)} CL"
