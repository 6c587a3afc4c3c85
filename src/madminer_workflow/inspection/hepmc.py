"""HepMC files, versions 2 and 3, as text: events and their weights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.hepmc_files import events, read_start
from madminer_workflow.inspection.summary import Summary, Sums


def inspect(path: Path) -> Summary:
    """Read all events of a file; InputError if it is damaged or does not end."""
    start = read_start(path)
    sums = Sums(len(start.weights))
    last = start.first
    for event in events(start):
        sums.add(np.array([event.weights]))
        last = event
    version = re.search(rb"HepMC::Version (\S+)", start.header)
    facts = {"version": version[1].decode(errors="replace") if version else "unknown"}
    if last.cross_section is not None:
        value, error = last.cross_section
        facts["cross-section"] = f"{value:.6g} ± {error:.2g} pb (of the last event)"
    return Summary(
        file=str(path),
        format=f"HepMC{start.version} as text",
        events=sums.n_events,
        facts=facts,
        weights=tuple(sums.weight(i, name, None) for i, name in enumerate(start.weights)),
        suggestion=_suggestion(path, start.weights, last.cross_section is not None),
    )


def _suggestion(path: Path, weights: tuple[str, ...], has_cross_section: bool) -> str:
    """A process of these events: nothing says which points their weights are for."""
    lines = [
        "processes:",
        "  - name: signal",
        "    generator: files",
        f"    files: {{sm: ['{path.name}']}}  # drawn at the benchmark sm",
    ]
    if not has_cross_section:
        lines.append(
            "    cross_section: {sm: 1.0}  # replace by the cross-section of all generated "
            "events, in pb"
        )
    lines.append(f"    # for the weights of other benchmarks: {', '.join(weights[:20])}")
    lines.append("detector: {delphes_card: delphes_card_CMS.tcl}")
    return "\n".join(lines) + "\n"
