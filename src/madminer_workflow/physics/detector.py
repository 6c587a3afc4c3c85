"""The detector: Delphes turns the HepMC file of a task into a ROOT file.

Delphes ends well, with exit code 0, when it has understood nothing of its input. Who uses its
product must therefore count the events in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from madminer_workflow.analysis.types import DelphesCard
from madminer_workflow.errors import StepError
from madminer_workflow.physics import programs

_SEEDS = 900_000_000


@dataclass(frozen=True)
class Detected:
    """Delphes's ROOT file and log."""

    root: Path
    log: Path


def detect(hepmc: Path, card: DelphesCard, seed: int, directory: Path) -> Detected:
    """Pass the events of `hepmc` through Delphes, in the empty `directory`.

    Raises InputError if Delphes or the card is not there, StepError if Delphes fails.
    """
    executable, cards = programs.delphes(), programs.delphes_cards()
    text = card.text
    if text is None:
        text = programs.delphes_card(card.name).read_text()
    for shipped in cards.iterdir():
        # Cards include others from the directory that they are in.
        (directory / shipped.name).symlink_to(shipped)
    settings = {"RandomSeed": 1 + seed % _SEEDS, "MaxEvents": 0, "SkipEvents": 0}
    ours = "".join(f"set {name} {value}\n" for name, value in settings.items())
    product = Detected(directory / "delphes.root", directory / "delphes.log")
    (directory / "analysis_card.tcl").write_text(f"{text}\n{ours}")
    command: list[str | Path] = [executable, "analysis_card.tcl", product.root.name, hepmc]
    programs.run_program(command, directory, product.log, name="Delphes")
    if not product.root.is_file():
        end = programs.log_end(product.log)
        raise StepError(f"Delphes wrote no events; the end of its log:\n{end}")
    return product
