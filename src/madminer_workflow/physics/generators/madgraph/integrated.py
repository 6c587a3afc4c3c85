"""An integrated process on disk: code, grids and cards, to draw events without compiling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from madminer_workflow.analysis.systematics import Variation
from madminer_workflow.errors import InputError
from madminer_workflow.files import pack, read_struct, write_json
from madminer_workflow.physics.generators.madgraph.workplace import Workplace
from madminer_workflow.products.processes import Estimate

_FILE = "madgraph.json"

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


class IntegratedProcess(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the archives.

    ``madgraph`` is the version that wrote the code, ``interpreter`` what the compiled modules
    depend on; ``benchmarks`` are names with their values, in order; ``cross_sections`` map sampled
    benchmarks to value and error [pb]; ``run_card`` are its entries and ``process_card`` its text.
    ``variations`` are the weights under uncertainties, relative to the benchmark ``reference``
    where the process has it; ``lhapdf_id`` are the densities that events are drawn with.
    """

    name: str
    madgraph: str
    interpreter: str
    benchmarks: list[tuple[str, dict[str, float]]]
    cross_sections: dict[str, Estimate]
    run_card: dict[str, str]
    process_card: str
    reference: str
    variations: list[Variation]
    lhapdf_id: int

    def save(self, directory: Path) -> None:
        """Write the description into ``directory``, beside the archives."""
        write_json(directory / _FILE, msgspec.to_builtins(self))

    @staticmethod
    def load(directory: Path) -> IntegratedProcess:
        """Read what ``save`` wrote; InputError if it is not there."""
        if not (directory / _FILE).is_file():
            raise InputError(
                f"{directory}: contains no integrated process; run the generate step first"
            )
        return read_struct(directory / _FILE, "generate", IntegratedProcess)

    def check_program(self, workplace: Workplace) -> None:
        """InputError unless the same MadGraph and a like interpreter run here."""
        versions = {
            "MadGraph": (self.madgraph, workplace.program.version),
            "interpreter and machine": (self.interpreter, workplace.interpreter()),
        }
        for what, (then, now) in versions.items():
            if then != now:
                raise InputError(
                    f"{self.name}: was integrated with {what} {then}, but here is {now}; use the "
                    "same installation or image for all steps (MG5_DIR, MG5_PYTHON)"
                )


def process_archive(directory: Path) -> Path:
    """The event generator, without a point."""
    return directory / "process.tar"


def weights_archive(directory: Path) -> Path:
    """The compiled matrix elements; only where there is more than one benchmark."""
    return directory / "matrix_elements.tar"


def point_archive(directory: Path, name: str) -> Path:
    """Parameter card and integration grids of a sampled benchmark."""
    return directory / "points" / f"{name}.tar"


def param_card(directory: Path, name: str) -> Path:
    """The parameter card of a benchmark."""
    return directory / "param_cards" / f"{name}.dat"


def pack_process(process: Path, pdlabel: str, archive: Path) -> None:
    """Pack what all points have in common: small, relocatable, the same bytes every time.

    Of the large PDF grids, only the one in use is kept.
    """
    history = process / "Cards" / "proc_card_mg5.dat"
    history.write_text(history.read_text().replace(str(process.parent), "."))
    kept = set(_matching(process, _NEEDED)) - set(_matching(process, _PER_POINT))
    unused = set(_NNPDF.values()) - {_NNPDF.get(pdlabel, "")}
    pack(process, archive, (path for path in kept if path.name not in unused))


def _matching(root: Path, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from (path for path in root.glob(pattern) if path.is_file())
