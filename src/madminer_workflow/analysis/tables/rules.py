"""What an analysis file may say of processes whose events are tables, before any file is read."""

from __future__ import annotations

from collections.abc import Iterator

from madminer_workflow.analysis.problems import Entry, Finding, KeyPath
from madminer_workflow.analysis.sound import Sound, expression, table_patterns
from madminer_workflow.analysis.systematics import OBJECT_EFFECTS
from madminer_workflow.analysis.weight_columns import EVERY, NAME

SEEN = ("delphes_card", "use_generator_truth", "smearing", "met_noise")
"""Settings of the detector for events that no detector has seen."""


def of_process(path: KeyPath, process: Entry, sound: Sound) -> Iterator[Finding]:
    """Check what is said of a process of files where some are tables."""
    kinds = table_patterns(process)
    if not sound.tables:
        if process["table"] is not None:
            yield Finding((*path, "table"), "its files are not tables; leave this out")
        for name, total in process["sum_of_weights"].items():
            if isinstance(total, str):
                message = "only ROOT files have histograms; expected a number"
                yield Finding((*path, "sum_of_weights", name), message)
        return
    others = [
        other
        for _, other in sound.entries("processes")
        if other["generator"] != "files" or not all(table_patterns(other))
    ]
    if any(kinds) and others:
        message = (
            f"reads tables, but '{others[0]['name']}' does not: observables cannot be defined for "
            "both; use tables for all processes"
        )
        yield Finding((*path, "files"), message)
    if not all(kinds):
        return
    if process["pythia8_card"] is not None:
        message = "the events in tables are already reconstructed; leave this out"
        yield Finding((*path, "pythia8_card"), message)
    for name, weight in process["weights"].items():
        key = (*path, "weights", name)
        if isinstance(weight, str):
            text = weight.replace(NAME, "w") if name == EVERY else weight
            yield from expression(key, text, particles=False, columns=True)
        else:
            yield Finding(key, "expected the name of a column, or an expression such as w[2]")
    for i, entry in sound.entries("systematics"):
        if entry["systematic_name"] in process["systematics"] and (
            entry["effect"] in OBJECT_EFFECTS or entry["effect"] == "met_scale"
        ):
            message = (
                f"the objects of the process '{process['name']}' are already reconstructed; "
                "remove this uncertainty from the systematics of the process"
            )
            yield Finding((*i, "effect"), message)


def of_detector(detector: Entry) -> Iterator[Finding]:
    """Check that no other detector is to see what is measured; an acceptance may be."""
    for key in SEEN:
        value = detector[key]
        if any(value.values()) if isinstance(value, dict) else value:
            message = "not used with tables, whose events are already reconstructed; leave it out"
            yield Finding(("detector", key), message)
