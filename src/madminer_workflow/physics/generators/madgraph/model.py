"""The model that a process card imports, in a folder that MadGraph may write into."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

from madminer_workflow.analysis.madgraph_cards import ProcessCard
from madminer_workflow.errors import InputError


def copy_model(
    card: ProcessCard, ufo_model: str | None, models: Path, madgraph: Path, target: Path, where: str
) -> Path:
    """Copy the model, ``ufo_model`` from the analysis' ``models`` or MadGraph's, into ``target``.

    MadGraph writes into the folders of models. It would search the internet for one that it does
    not have; here that is an InputError.
    """
    if ufo_model is not None and Path(ufo_model).name != card.model:
        brought = Path(ufo_model).name
        raise InputError(
            f"{where}: imports the model {card.model}, but the process brings {brought}; "
            f"expected 'import model {brought}' (with a restriction where there is one)"
        )
    folder = madgraph / "models" if ufo_model is None else models
    source = folder / card.model
    if not (source / "particles.py").is_file():
        known = sorted(path.parent.name for path in folder.glob("*/particles.py"))
        close = difflib.get_close_matches(card.model, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(
            f"{where}: there is no UFO model {card.model} in {folder} (there are "
            f"{', '.join(known) or 'none'}){hint} A model of your own goes beside the analysis "
            "file and is named by ufo_model"
        )
    restriction = card.restriction.removeprefix("-")
    if restriction not in ("", "full") and not (source / f"restrict_{restriction}.dat").is_file():
        raise InputError(
            f"{where}: the model {card.model} has no restriction '{restriction}' "
            f"(restrict_{restriction}.dat)"
        )
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "*.pkl", "*.log", ".git")
    shutil.copytree(source, target / card.model, ignore=ignored)
    return target / card.model
