"""Les Houches event files, version 3.0 (hep-ph/0609017, arXiv:1405.1067), written fast.

All events of a file share their particle content, so one template formats many events at once.
The header carries what MadMiner's reader looks for: a run card that says how weights add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from madminer_workflow import __version__
from madminer_workflow.analysis.systematics import Variation
from madminer_workflow.files import atomic_path

CHUNK = 2000
"""Events formatted at once: enough to amortise the template, small enough for the cache."""


@dataclass(frozen=True)
class Particle:
    """What is the same for one particle of every event; ``mothers`` count from 1."""

    pdgid: int
    status: int
    mothers: tuple[int, int]
    colours: tuple[int, int]


@dataclass(frozen=True)
class Events:
    """Events of equal particle content.

    ``momenta`` (n_events, n_particles, 4) as px, py, pz, E and ``masses`` (n_events, n_particles)
    in GeV; ``helicities`` (n_events, n_particles); ``weights`` (n_events, n_weights) in pb, in the
    order of the run's benchmarks and then its variations; ``scales`` (n_events,) in GeV and
    ``alpha_s`` (n_events,).
    """

    momenta: np.ndarray
    masses: np.ndarray
    helicities: np.ndarray
    weights: np.ndarray
    scales: np.ndarray
    alpha_s: np.ndarray


@dataclass(frozen=True)
class Run:
    """What is the same for all events of a file.

    ``card`` are the run card's entries, ``benchmarks`` maps names to parameter values,
    ``variations`` are those of the scales, ``cross_section`` is value and error [pb] at the
    sampling benchmark.
    """

    particles: tuple[Particle, ...]
    card: Mapping[str, object]
    beam_energies: tuple[float, float]
    pdf_id: int
    alpha_qed: float
    benchmarks: Mapping[str, Mapping[str, float]]
    variations: Sequence[Variation]
    sampling_benchmark: str
    cross_section: tuple[float, float]


def write_lhe(path: Path, run: Run, events: Events) -> None:
    """Write ``events`` to ``path``, atomically.

    XWGTUP is the weight of the sampling benchmark; all weights are in ``<rwgt>``.
    Weights add up to the cross-section (``event_norm = sum``).
    """
    sampling = list(run.benchmarks).index(run.sampling_benchmark)
    largest_weight = float(events.weights[:, sampling].max())
    with atomic_path(path) as product, product.open("w", encoding="utf-8") as file:
        _write_header(file, run, len(events.weights), largest_weight)
        for text in _format(run, events, sampling):
            file.write(text)
        file.write("</LesHouchesEvents>\n")


def _write_header(file: TextIO, run: Run, n_events: int, largest_weight: float) -> None:
    card = {**run.card, "nevents": n_events, "event_norm": "sum"}
    entries = "\n".join(f"  {value} = {key}" for key, value in card.items())
    names = "\n".join(
        f"<weight id='{name}'>{_assignments(values)}</weight>"
        for name, values in run.benchmarks.items()
    )
    energies = " ".join(f"{energy:.8e}" for energy in run.beam_energies)
    value, error = run.cross_section
    # Weighting strategy 3, as in MadGraph's files: unweighted events of positive weight.
    file.write(
        f"""<LesHouchesEvents version="3.0">
<header>
<MGRunCard>
<![CDATA[
{entries}
]]>
</MGRunCard>
<initrwgt>
<weightgroup name='benchmarks' weight_name_strategy='includeIdInWeightName'>
{names}
</weightgroup>
{_scale_variations(run)}</initrwgt>
</header>
<init>
2212 2212 {energies} 0 0 {run.pdf_id} {run.pdf_id} 3 1
{value:.8e} {error:.8e} {largest_weight:.8e} 1
<generator name='madminer-workflow' version='{__version__}'>built-in generator</generator>
</init>
"""
    )


def _scale_variations(run: Run) -> str:
    """The group of these weights, with the attributes that MadGraph writes and MadMiner reads."""
    if not run.variations:
        return ""
    weights = "\n".join(
        f"<weight id='{v.benchmark}' MUR='{v.mur}' MUF='{v.muf}' PDF='{run.pdf_id}'>"
        f"muR times {v.mur:g}, muF times {v.muf:g}</weight>"
        for v in run.variations
    )
    return f"<weightgroup name='scale variation'>\n{weights}\n</weightgroup>\n"


def _assignments(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in values.items())


def _format(run: Run, events: Events, sampling: int) -> Iterator[str]:
    template = _event_template(run)
    n_events = len(events.weights)
    lines = np.concatenate(
        [events.momenta, events.masses[..., None], events.helicities[..., None]], axis=-1
    )
    columns = np.concatenate(
        [
            events.weights[:, [sampling]],
            events.scales[:, None],
            events.alpha_s[:, None],
            lines.reshape(n_events, -1),
            events.weights,
        ],
        axis=1,
    )
    for start in range(0, n_events, CHUNK):
        chunk = columns[start : start + CHUNK]
        yield (template * len(chunk)) % tuple(chunk.ravel().tolist())


def _event_template(run: Run) -> str:
    lines = ["<event>", f" {len(run.particles)} 1 %+.9e %.9e {run.alpha_qed:.9e} %.9e"]
    for particle in run.particles:
        integers = (particle.pdgid, particle.status, *particle.mothers, *particle.colours)
        numbers = " ".join(f"{number:4d}" for number in integers)
        lines.append(f" {numbers} %+.11e %+.11e %+.11e %.11e %.11e 0.0000e+00 %+.1f")
    lines.append("<rwgt>")
    names = [*run.benchmarks, *(variation.benchmark for variation in run.variations)]
    lines.extend(f"<wgt id='{name}'> %+.9e </wgt>" for name in names)
    lines.extend(["</rwgt>", "</event>", ""])
    return "\n".join(lines)
