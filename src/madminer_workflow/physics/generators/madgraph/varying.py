"""Scale and parton density uncertainties: weights by MadGraph's systematics module and LHAPDF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.analysis.systematics import Variation
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json
from madminer_workflow.physics.generators.madgraph.workplace import Workplace
from madminer_workflow.physics.programs import lhapdf_config


def require_lhapdf(variations: Sequence[Variation], where: str) -> None:
    """InputError if there are ``variations`` to compute, but no LHAPDF."""
    if variations and lhapdf_config() is None:
        raise InputError(
            f"{where}: scale and PDF uncertainties of MadGraph's events need LHAPDF 6 with its "
            "Python module, and lhapdf-config was not found in MG5_DIR/HEPTools, SOFTWARE_DIR or "
            "the PATH. Install it (MadGraph: 'install lhapdf6'), or leave the uncertainties out: "
            "normalisation uncertainties need nothing"
        )


def check_densities(
    workplace: Workplace, variations: Sequence[Variation], lhapdf_id: int, where: str
) -> None:
    """InputError unless LHAPDF has all sets, the events' own, ``lhapdf_id``, among them."""
    report = workplace.directory / "densities.json"
    _run(workplace, variations, lhapdf_id, None, report)
    problem = read_json(report)["problem"]
    if problem:
        raise InputError(
            f"{where}: LHAPDF ({lhapdf_config()}) is not complete: {problem}. Sets are installed "
            "with 'lhapdf install NAME', and found by LHAPDF_DATA_PATH where they are elsewhere"
        )


def vary(
    workplace: Workplace, variations: Sequence[Variation], lhapdf_id: int, events: Path
) -> np.ndarray:
    """Varied over nominal weights (n_events, n_variations) of a file that MadGraph wrote.

    Raises StepError if one is missing, NaN or infinite.
    """
    output = workplace.directory / "variations.npy"
    _run(workplace, variations, lhapdf_id, events, output)
    try:
        result = np.load(output)
    except (OSError, ValueError):
        raise workplace.failure("did not compute the uncertainties") from None
    if not np.isfinite(result).all():
        names = [
            v.benchmark
            for v, good in zip(variations, np.isfinite(result).T, strict=True)
            if not good.all()
        ]
        raise workplace.failure(f"computed weights that are NaN or infinite: {', '.join(names)}")
    return result


def _run(
    workplace: Workplace,
    variations: Sequence[Variation],
    lhapdf_id: int,
    events: Path | None,
    output: Path,
) -> None:
    instructions: dict[str, Any] = {
        "madgraph": str(workplace.program.directory),
        "lhapdf_config": str(lhapdf_config()),
        "lhapdf_id": lhapdf_id,
        "variations": [[v.mur, v.muf, v.pdf_set, v.pdf_member] for v in variations],
        "events": None if events is None else str(events),
        "output": str(output),
    }
    workplace.run_inside("vary", instructions, workplace.directory)
