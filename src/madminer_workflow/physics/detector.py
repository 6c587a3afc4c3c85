"""The detector: Delphes turns the HepMC file of a task into a ROOT file.

Delphes ends well, with exit code 0, when it has understood nothing of its input. Who uses its
product must therefore count the events in it.
"""

from __future__ import annotations

from pathlib import Path

from madminer_workflow.analysis.types import DelphesCard
from madminer_workflow.errors import StepError
from madminer_workflow.physics import programs

_SEEDS = 900_000_000


def detect(hepmc: Path, card: DelphesCard, seed: int, directory: Path) -> tuple[Path, Path]:
    """Pass the events of `hepmc` through Delphes, in the empty `directory`.

    Returns Delphes's ROOT file and its log. Raises InputError if Delphes or the card is not there,
    StepError if Delphes fails.
    """
    with hepmc.open("rb") as file:
        version = 3 if b"HepMC::Asciiv3" in file.read(1000) else 2
    executable, cards = programs.delphes(version), programs.delphes_cards()
    text = card.text
    if text is None:
        text = programs.delphes_card(card.name).read_text()
    for shipped in cards.iterdir():
        # Cards include others from the directory that they are in.
        (directory / shipped.name).symlink_to(shipped)
    settings = {"RandomSeed": 1 + seed % _SEEDS, "MaxEvents": 0, "SkipEvents": 0}
    ours = "".join(f"set {name} {value}\n" for name, value in settings.items())
    root, log = directory / "delphes.root", directory / "delphes.log"
    (directory / "analysis_card.tcl").write_text(f"{text}\n{ours}")
    command: list[str | Path] = [executable, "analysis_card.tcl", root.name, hepmc]
    programs.run_program(command, directory, log, name="Delphes")
    if not root.is_file():
        raise StepError(f"Delphes wrote no events; the end of its log:\n{programs.log_end(log)}")
    return root, log
