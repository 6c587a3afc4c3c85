"""What is kept of an integrated process: small, relocatable, the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from madminer_workflow.files import pack

_NEEDED = (
    "Cards/*_card.dat",
    "Cards/proc_card_mg5.dat",
    "Source/banner_header.txt",
    "Source/make_opts",
    "SubProcesses/*.mg",
    "SubProcesses/MGVersion.txt",
    "SubProcesses/proc_characteristics",
    "SubProcesses/procdef_mg5.dat",
    "SubProcesses/refine.sh",
    "SubProcesses/P*/madevent",
    "SubProcesses/P*/*.dat",
    "SubProcesses/P*/*.mg",
    "bin/internal/restore_data",
    "lib/Pdfdata/*",
    "MGMEVersion.txt",
    "TemplateVersion.txt",
)
"""What drawing events reads, beside the state of a point's integration."""

_PER_POINT = ("Cards/param_card.dat", "SubProcesses/P*/symfact.dat")

_NNPDF = {
    "nn23lo": "NNPDF23_lo_as_0119_qed_mem0.grid",
    "nn23lo1": "NNPDF23_lo_as_0130_qed_mem0.grid",
    "nn23nlo": "NNPDF23nlo_as_0119_qed_mem0.grid",
}


def pack_process(process: Path, pdlabel: str, archive: Path) -> None:
    """Pack what all points have in common; of the large PDF grids only the one in use."""
    history = process / "Cards" / "proc_card_mg5.dat"
    history.write_text(history.read_text().replace(str(process.parent), "."))
    kept = set(_matching(process, _NEEDED)) - set(_matching(process, _PER_POINT))
    unused = set(_NNPDF.values()) - {_NNPDF.get(pdlabel, "")}
    pack(process, archive, (path for path in kept if path.name not in unused))


def _matching(root: Path, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from (path for path in root.glob(pattern) if path.is_file())
