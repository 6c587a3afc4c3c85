"""Scale and parton density uncertainties: weights by MadGraph's systematics module and LHAPDF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.analysis.systematics import Variation
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json
from madminer_workflow.physics import programs
from madminer_workflow.physics.generators.madgraph.workplace import Workplace


def require_lhapdf(variations: Sequence[Variation], where: str) -> None:
    """InputError if there are ``variations`` to compute, but no LHAPDF."""
    try:
        if variations:
            programs.require_lhapdf()
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def check_densities(
    workplace: Workplace, variations: Sequence[Variation], lhapdf_id: int, where: str
) -> None:
    """InputError unless LHAPDF has all sets, the events' own, ``lhapdf_id``, among them."""
    report = workplace.directory / "densities.json"
    _run(workplace, variations, lhapdf_id, None, report)
    problem = read_json(report)["problem"]
    if problem:
        config = programs.require_lhapdf()
        raise InputError(f"{where}: LHAPDF ({config}) is not complete: {problem}")


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
    config = programs.require_lhapdf()
    instructions: dict[str, Any] = {
        "madgraph": str(workplace.program.directory),
        "lhapdf_config": str(config),
        "lhapdf_id": lhapdf_id,
        "variations": [[v.mur, v.muf, v.pdf_set, v.pdf_member] for v in variations],
        "events": None if events is None else str(events),
        "output": str(output),
    }
    environment = programs.lhapdf_environment(config)
    workplace.run_inside("vary", instructions, workplace.directory, environment)
