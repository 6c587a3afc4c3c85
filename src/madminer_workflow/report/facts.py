"""What was measured, and with what: the first lines of the page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise

from madminer_workflow.analysis.library import LIBRARY
from madminer_workflow.analysis.types import (
    BuiltinProcess,
    FilesProcess,
    LabelledParameter,
    MadGraphProcess,
    Process,
    Smearing,
)
from madminer_workflow.errors import InputError
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.checks import listing
from madminer_workflow.statistics.results import Interval

GENERATED = re.compile(r"^\s*(?:generate|add\s+process)\s+(.+?)\s*(?:#.*)?$", re.MULTILINE)

PER_TEV2 = frozenset({"dim6"})
"""Blocks of parameter cards, of EWdim6, whose values are coefficients over Λ² in TeV⁻²."""


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """Names and words of what decides about limits."""
    setup = report.setup
    signals = [process for process in setup.processes if not process.is_background]
    backgrounds = [process for process in setup.processes if process.is_background]
    several = len(signals) > 1
    yield (
        "process" + "es" * several,
        "; ".join(
            f"{process.name}: {channel(process)}" if several else channel(process)
            for process in signals
        ),
    )
    yield "level", level(report)
    yield (
        "backgrounds",
        "; ".join(f"{process.name}: {channel(process)}" for process in backgrounds) or "none",
    )
    names = [uncertainty.name for uncertainty in report.systematics]
    yield "systematics", listing(names) if names else "none (statistical uncertainties only)"
    yield "observables", listing([observable.name for observable in setup.observables])
    energy = setup.energy_tev
    collisions = f" at √s = {energy:.4g} TeV" if energy else ""
    yield (
        "data",
        f"{setup.luminosity_fb:.4g} fb⁻¹{collisions}, {report.expected_events:.4g} expected events"
        + ("" if report.observed is None else f", {report.observed.events} observed"),
    )
    yield (
        "simulation",
        f"{setup.events.all} events after cuts: {setup.events.train} for training, "
        f"{setup.events.test} for limits",
    )


def channel(process: Process) -> str:
    """What collides and what comes out, and where its events are from."""
    match process:
        case BuiltinProcess():
            known = LIBRARY.get(process.process)
            return f"{known.description if known else process.process} (built in)"
        case MadGraphProcess():
            generated = GENERATED.findall(process.proc_card)
            return f"{'; '.join(generated) or process.proc_card} (MadGraph)"
        case FilesProcess():
            return "tables of events" if process.has_tables else "files of events"


def level(report: Report) -> str:
    """How far the simulation goes: partons, their smearing, a shower, a detector."""
    detector, processes = report.setup.detector, report.setup.processes
    if all(isinstance(one, FilesProcess) and one.has_tables for one in processes):
        return "observables from tables"
    if detector.delphes_card is not None:
        return f"detector level (Delphes, {detector.delphes_card})"
    words = "parton level, without parton shower"
    if any(process.pythia8_card for process in processes):
        words = "particle level (Pythia)"
    smeared = [objects(smearing) for smearing in detector.smearing]
    if detector.met_noise.abs_ or detector.met_noise.rel:
        smeared.append("missing momentum")
    return f"{words}; smeared: {listing(smeared)}" if smeared else f"{words}, without detector"


def objects(smearing: Smearing) -> str:
    """What is smeared."""
    if smearing.particles is None:
        return "everything"
    return ", ".join(map(str, smearing.particles))


def unit(parameter: LabelledParameter) -> str:
    """The unit of the values in the parameter card, as far as its block tells."""
    return "TeV⁻²" if parameter.lha_block.lower() in PER_TEV2 else ""


def is_scaled(parameter: LabelledParameter) -> bool:
    """Whether the parameter card has other values than the analysis."""
    return parameter.param_card_transform.replace(" ", "") not in ("theta", "(theta)")


def in_card(ranges: list[Interval], parameter: LabelledParameter) -> list[Interval]:
    """Intervals as values in the parameter card; none if one of them is no interval there.

    That is where the transform does not rise, or fall, throughout.
    """
    converted = []
    for low, high in ranges:
        steps = [low + k * (high - low) / 8.0 for k in range(9)]
        try:
            values = [parameter.card_value(step) for step in steps]
        except InputError:
            return []
        rises = [after > before for before, after in pairwise(values)]
        if high > low and len(set(rises)) > 1:
            return []
        ends = sorted((values[0], values[-1]))
        if not all(map(math.isfinite, ends)):
            return []
        converted.append((ends[0], ends[1]))
    return sorted(converted)
