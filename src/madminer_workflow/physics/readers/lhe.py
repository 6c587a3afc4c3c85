"""Les Houches event files as arrays.

Weights are normalised as in MadMiner: with ``event_norm = average`` in the run card they are
divided by the run card's ``nevents``, otherwise they are taken to sum to the cross-section.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from madminer_workflow import archives
from madminer_workflow.analysis.lhe_files import declared_weights
from madminer_workflow.errors import InputError
from madminer_workflow.physics.momenta import register_momenta
from madminer_workflow.physics.readers.lhe_numbers import read_numbers
from madminer_workflow.physics.readers.lhe_text import (
    EVENT_LINE,
    FINAL,
    PARTICLE,
    EventError,
    EventTexts,
)
from madminer_workflow.physics.readers.lhe_weights import read_weights

LARGEST_NUMBER = 1e100
"""Of a weight, in whatever unit: products of two must remain numbers."""

LARGEST_MOMENTUM = 1e6
"""Of a particle [GeV]."""


@dataclass(frozen=True)
class LHEEvents:
    """The events of one file; weights are in pb and sum to the cross-section.

    `particles` (n, var) are the final-state particles in the file's order, vector's Momentum4D with
    fields px, py, pz, e [GeV], pdgid and spin. `weights` (n, len(weight_names)) are those asked
    for, or all of ``<rwgt>``; `event_weight` (n,) is the event's own (XWGTUP). `variables` (n,) are
    MadMiner's event variables: n_particles, scale, alpha_qed, alpha_qcd.
    """

    path: Path
    particles: Any
    weights: np.ndarray
    weight_names: tuple[str, ...]
    event_weight: np.ndarray
    variables: dict[str, np.ndarray]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.event_weight)


def read_lhe(
    path: Path, benchmarks: Sequence[str] | None = None, sampling_benchmark: str | None = None
) -> LHEEvents:
    """Read an LHE file, plain or compressed with gzip.

    With `benchmarks`, the weights are theirs, in this order; the event's own weight (XWGTUP) is
    that of `sampling_benchmark`, unless ``<rwgt>`` has a weight of this name.

    Raises InputError, naming file, event and line, if the file is missing, truncated, empty or
    malformed, if events differ in their weights, if a number is not finite, or if a benchmark has
    no weight.
    """
    data = read_bytes(path)
    try:
        texts = EventTexts(data)
        text = texts.split
    except EventError:
        line = 1 + data.count(b"\n", 0, data.rfind(b"<event"))
        raise InputError(
            f"{path}: truncated: the event that starts at line {line} does not end"
        ) from None
    if b"</LesHouchesEvents>" not in text.after:
        raise InputError(
            f"{path}: truncated, or not an LHE file: it does not end with </LesHouchesEvents>"
        )
    if not text.events:
        raise InputError(f"{path}: no events in this file")
    try:
        declared = declared_weights(text.before.decode(errors="replace"))
        events = read_events(path, texts, _normalisation(path, text.before), declared)
    except EventError as error:
        line = 1 + data.count(b"\n", 0, text.starts[error.number - 1])
        raise InputError(f"{path}: event {error.number} (line {line}): {error}") from None
    return events if benchmarks is None else _choose(events, benchmarks, sampling_benchmark)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, uncompressed; InputError if it is missing or damaged."""
    with archives.damages_named(path):
        return archives.decompressed(path)


def _choose(
    events: LHEEvents, benchmarks: Sequence[str], sampling_benchmark: str | None
) -> LHEEvents:
    """Arrange the weights as `benchmarks`."""
    columns = {} if sampling_benchmark is None else {sampling_benchmark: events.event_weight}
    columns |= dict(zip(events.weight_names, events.weights.T, strict=True))
    missing = [name for name in benchmarks if name not in columns]
    if missing:
        has = (
            f"only {', '.join(events.weight_names)}" if events.weight_names else "no weights at all"
        )
        raise InputError(
            f"{events.path}: no weights for {', '.join(missing)} (<rwgt> has {has}); expected one "
            "for every benchmark of the analysis. Was the reweighting run, and with this analysis?"
        )
    weights = np.stack([columns[name] for name in benchmarks], axis=1)
    return replace(events, weights=weights, weight_names=tuple(benchmarks))


def read_events(
    path: Path, texts: EventTexts, factor: float, declared: Collection[str] = ()
) -> LHEEvents:
    """The events in these texts, their weights times ``factor``; EventError for wrong ones.

    ``declared`` are the weights in the header of the file.
    """
    lines, particles = read_numbers(texts.lines, lambda: texts.bodies)
    variables = dict(zip(EVENT_LINE, lines, strict=True))
    weights, names = read_weights(texts, variables["n_particles"], declared)
    _need_finite(np.isfinite(lines).all(axis=0), "event line")
    _need_finite(np.isfinite(weights).all(axis=1), "weights")
    _need(np.abs(weights).max(axis=1, initial=0.0) < LARGEST_NUMBER, "weights too large")
    event = np.repeat(np.arange(len(weights)), variables["n_particles"].astype(int))
    final = particles[PARTICLE.index("status")] == FINAL
    event = event[final]
    columns = {name: row[final] for name, row in zip(PARTICLE, particles, strict=True)}
    _check_particles(columns, event, len(weights))
    fields = {name: columns[name] for name in ("px", "py", "pz", "e", "spin")}
    fields["pdgid"] = columns["pdgid"].astype(np.int64)
    register_momenta()
    sizes = np.bincount(event, minlength=len(weights))
    return LHEEvents(
        path=path,
        particles=ak.unflatten(ak.zip(fields, with_name="Momentum4D"), sizes),
        weights=weights * factor,
        weight_names=names,
        event_weight=variables["weight"] * factor,
        variables={
            name: variables[name] for name in ("n_particles", "scale", "alpha_qed", "alpha_qcd")
        },
    )


def _check_particles(columns: Mapping[str, np.ndarray], event: np.ndarray, n_events: int) -> None:
    """Raise EventError for particles that no event has; they are those of ``event``."""

    def has_none(wrong: np.ndarray) -> np.ndarray:
        return np.bincount(event[wrong], minlength=n_events) == 0

    is_finite = np.ones(len(event), dtype=bool)
    for values in columns.values():
        is_finite &= np.isfinite(values)
    _need_finite(has_none(~is_finite), "particles")
    is_heavy = np.zeros(len(event), dtype=bool)
    for name in ("px", "py", "pz", "e", "m"):
        is_heavy |= np.abs(columns[name]) > LARGEST_MOMENTUM
    _need(has_none(is_heavy), "a particle of more than a PeV")
    kinds = columns["pdgid"]
    is_odd = (kinds != np.rint(kinds)) | (np.abs(kinds) > 1e10)
    _need(has_none(is_odd), "a particle whose PDG id is not a whole number")


def _normalisation(path: Path, header: bytes) -> float:
    """Return what turns the file's weights into ones that sum to the cross-section."""
    card = re.search(r"<MGRunCard>(.*?)</MGRunCard>", header.decode(errors="replace"), re.DOTALL)
    settings = {}
    for line in card.group(1).splitlines() if card else []:
        value, separator, key = line.split("!")[0].partition("=")
        if separator:
            settings[key.strip()] = value.strip()
    if settings.get("event_norm") != "average":
        return 1.0
    try:
        return 1.0 / float(settings["nevents"])
    except (KeyError, ValueError, ZeroDivisionError):
        raise InputError(
            f"{path}: the run card says event_norm = average but not the number of events "
            "(nevents), without which the weights have no normalisation"
        ) from None


def _need(right: np.ndarray, what: str) -> None:
    if not right.all():
        raise EventError(int(np.argmin(right)) + 1, f"{what}, which no event has")


def _need_finite(finite: np.ndarray, what: str) -> None:
    if not finite.all():
        bad = int(np.sum(~finite))
        more = f"; {bad} such events in all" if bad > 1 else ""
        raise EventError(int(np.argmin(finite)) + 1, f"{what} with NaN or infinity{more}")
