"""The events of a built-in process as an LHE file.

All of them share their particle content, so that one template formats many events at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow import __version__
from madminer_workflow.physics.generators.builtin.hard_process import HardProcess, Kinematics
from madminer_workflow.physics.generators.builtin.integrated import IntegratedProcess
from madminer_workflow.physics.generators.builtin.pdf import LHAPDF_ID, alpha_s
from madminer_workflow.physics.generators.lhe_writer import (
    Header,
    assignments,
    run_card_text,
    write_lhe,
)

CHUNK = 2000
"""Events formatted at once: enough to amortise the template, small enough for the cache."""


def write_events(
    path: Path,
    process: IntegratedProcess,
    hard: HardProcess,
    sampling_benchmark: str,
    kinematics: Kinematics,
    weights: np.ndarray,
) -> None:
    """Write events drawn from ``sampling_benchmark``, whose weight is XWGTUP, to an LHE file.

    ``weights`` (n_events, n_weights) [pb] go into ``<rwgt>``: those of the benchmarks, then those
    of the variations. They add up to the cross-section (``event_norm = sum``).
    """
    sampling = list(process.benchmarks).index(sampling_benchmark)
    columns = np.column_stack([weights[:, sampling], _columns(kinematics), weights])
    header = _header(process, sampling_benchmark, len(columns), float(columns[:, 0].max()))
    write_lhe(path, header, _texts(_template(process, hard), columns))


def _header(
    process: IntegratedProcess, sampling_benchmark: str, n_events: int, largest_weight: float
) -> Header:
    settings, channel = process.settings, process.channels[sampling_benchmark]
    card = {
        "lpp1": 1,
        "lpp2": 1,
        "pdlabel": "nn23lo1",
        "lhaid": LHAPDF_ID,
        "dynamical_scale_choice": -1,
        **msgspec.structs.asdict(settings),
        "nevents": n_events,
        "event_norm": "sum",
    }
    energies = f"{settings.ebeam1:.8e} {settings.ebeam2:.8e}"
    return Header(
        cards={"MGRunCard": run_card_text(card)},
        weights={name: assignments(point) for name, point in process.benchmarks.items()},
        # With the attributes that MadGraph writes and MadMiner reads.
        variations=[
            f"<weight id='{v.benchmark}' MUR='{v.mur}' MUF='{v.muf}' PDF='{LHAPDF_ID}'>"
            f"muR times {v.mur:g}, muF times {v.muf:g}</weight>"
            for v in process.variations
        ],
        beams=f"2212 2212 {energies} 0 0 {LHAPDF_ID} {LHAPDF_ID}",
        strategy=3,
        subprocesses=[(channel.cross_section, channel.error, largest_weight, 1)],
        generator=f"<generator name='madminer-workflow' version='{__version__}'>"
        "built-in generator</generator>",
    )


def _columns(kinematics: Kinematics) -> np.ndarray:
    """The numbers of each event that are no weights: scale, alpha_s, and its particles' lines."""
    momenta = kinematics.momenta[:, [1, 2, 3, 0]].transpose(2, 0, 1)
    lines = np.concatenate(
        [momenta, kinematics.masses[..., None], kinematics.helicities[..., None]], axis=-1
    )
    scales = kinematics.scales
    return np.column_stack([scales, alpha_s(scales), lines.reshape(len(scales), -1)])


def _texts(template: str, columns: np.ndarray) -> Iterator[str]:
    for start in range(0, len(columns), CHUNK):
        chunk = columns[start : start + CHUNK]
        yield (template * len(chunk)) % tuple(chunk.ravel().tolist())


def _template(process: IntegratedProcess, hard: HardProcess) -> str:
    lines = ["<event>", f" {len(hard.PARTICLES)} 1 %+.9e %.9e {hard.ALPHA_QED:.9e} %.9e"]
    for particle in hard.PARTICLES:
        integers = (particle.pdgid, particle.status, *particle.mothers, *particle.colours)
        numbers = " ".join(f"{number:4d}" for number in integers)
        lines.append(f" {numbers} %+.11e %+.11e %+.11e %.11e %.11e 0.0000e+00 %+.1f")
    lines.append("<rwgt>")
    names = [*process.benchmarks, *(variation.benchmark for variation in process.variations)]
    lines.extend(f"<wgt id='{name}'> %+.9e </wgt>" for name in names)
    lines.extend(["</rwgt>", "</event>", ""])
    return "\n".join(lines)
