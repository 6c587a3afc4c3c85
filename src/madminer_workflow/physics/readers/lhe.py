"""Les Houches event files as arrays.

Weights are normalised as in MadMiner: with ``event_norm = average`` in the run card they are
divided by the run card's ``nevents``, otherwise they are taken to sum to the cross-section.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from madminer_workflow import archives
from madminer_workflow.errors import InputError
from madminer_workflow.physics.momenta import register_momenta
from madminer_workflow.physics.readers.lhe_text import (
    EVENT_LINE,
    FINAL,
    PARTICLE_LINE,
    EventError,
    read_numbers,
    split_events,
    without_comments,
)

LARGEST_NUMBER = 1e100
"""Of a weight, in whatever unit: products of two must remain numbers."""

LARGEST_MOMENTUM = 1e6
"""Of a particle [GeV]."""

_WEIGHT = re.compile(rb"<wgt\s+id\s*=\s*(?:'([^']*)'|\"([^\"]*)\")\s*>([^<]*)</wgt>")


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
        text = split_events(data)
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
        events = read_events(path, text.events, _normalisation(path, text.before))
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


def read_events(path: Path, texts: Sequence[bytes], factor: float) -> LHEEvents:
    """The events with these texts, their weights times ``factor``; EventError for wrong ones."""
    bodies = list(map(without_comments, texts))
    lines, table = read_numbers(bodies)
    weights, ids = _read_weights(bodies)
    _need_finite(np.isfinite(lines).all(axis=1), "event line")
    _need_finite(np.isfinite(weights).all(axis=1), "weights")
    _need(np.abs(weights).max(axis=1, initial=0.0) < LARGEST_NUMBER, "weights too large")
    event = np.repeat(np.arange(len(lines)), lines[:, 0].astype(int))
    final = table[:, PARTICLE_LINE.index("status")] == FINAL
    table, event = table[final], event[final]
    bad = np.bincount(event[~np.isfinite(table).all(axis=1)], minlength=len(lines))
    _need_finite(bad == 0, "particles")
    columns = dict(zip(PARTICLE_LINE, table.T, strict=True))
    momenta = np.stack([np.abs(columns[name]) for name in ("px", "py", "pz", "e", "m")])
    kinds = columns["pdgid"]
    for what, wrong in (
        ("a particle of more than a PeV", np.any(momenta > LARGEST_MOMENTUM, axis=0)),
        (
            "a particle whose PDG id is no whole number",
            (kinds % 1.0 != 0.0) | (np.abs(kinds) > 1e10),
        ),
    ):
        _need(np.bincount(event[wrong], minlength=len(lines)) == 0, what)

    fields = {name: np.ascontiguousarray(columns[name]) for name in ("px", "py", "pz", "e", "spin")}
    fields["pdgid"] = columns["pdgid"].astype(np.int64)
    register_momenta()
    sizes = np.bincount(event, minlength=len(lines))
    variables = dict(zip(EVENT_LINE, lines.T, strict=True))
    return LHEEvents(
        path=path,
        particles=ak.unflatten(ak.zip(fields, with_name="Momentum4D"), sizes),
        weights=weights * factor,
        weight_names=tuple(name.decode(errors="replace") for name in ids),
        event_weight=variables["weight"] * factor,
        variables={
            name: variables[name] for name in ("n_particles", "scale", "alpha_qed", "alpha_qcd")
        },
    )


def _read_weights(events: Sequence[bytes]) -> tuple[np.ndarray, list[bytes]]:
    """The named weights (n_events, n_names) of all events, and their names."""
    values: list[float] = []
    names: list[bytes] | None = None
    for number, event in enumerate(events, 1):
        tags = _WEIGHT.findall(event)
        ids = [single or double for single, double, _ in tags]
        if len(tags) != event.count(b"<wgt"):
            raise EventError(number, "unreadable <wgt>; expected <wgt id='NAME'> NUMBER </wgt>")
        if names is None:
            names = ids
            if len(set(ids)) != len(ids):
                raise EventError(number, "two weights have the same id")
        elif ids != names:
            raise EventError(
                number,
                f"{len(ids)} weights ({_listed(ids)}) where the first event has "
                f"{len(names)} ({_listed(names)})",
            )
        try:
            values.extend([float(value) for _, _, value in tags])
        except ValueError as error:
            raise EventError(number, str(error)) from None
    return np.reshape(values, (len(events), len(names or ()))), names or []


def _listed(ids: list[bytes]) -> str:
    return ", ".join(name.decode(errors="replace") for name in ids) or "none"


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
        raise EventError(int(np.argmin(right)) + 1, f"{what}, as no event has")


def _need_finite(finite: np.ndarray, what: str) -> None:
    if not finite.all():
        bad = int(np.sum(~finite))
        more = f"; {bad} such events in all" if bad > 1 else ""
        raise EventError(int(np.argmin(finite)) + 1, f"{what} with NaN or infinity{more}")
