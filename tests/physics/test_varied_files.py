"""Scale and parton density uncertainties whose weights are in the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.physics.readers.lhe import read_lhe
from tests.support import event_files
from tests.support.chain import TINY1, Physics, analysis_file, run_physics
from tests.support.tables import write_table

N = 60
SYSTEMATICS: list[dict[str, Any]] = [
    {"systematic_name": "qcd", "effect": "scale", "scale_variations": [0.5, 1.0, 2.0]},
    {
        "systematic_name": "pdf",
        "effect": "pdf",
        "pdf_variation": "some_set",
        "pdf_members": 2,
        "pdf_error_type": "hessian",
        "pdf_confidence_level": 0.9,
    },
]
TO_ONE_SIGMA = float(norm.ppf(0.5 + 0.5 * 0.6827) / norm.ppf(0.95))


def expected(weights: dict[str, np.ndarray], drawn: str) -> dict[str, np.ndarray]:
    """Of scales at +1 and -1, and of the two members, relative to the nominal weight."""
    down, up = (weights[name] / weights[drawn] for name in ("down", "up"))
    members = [weights[f"pdf_{k}"] / weights["pdf_10"] for k in (11, 12)]
    columns = [up, down, *(1.0 + TO_ONE_SIGMA * (m - 1.0) for m in members)]
    names = (f"{name}_nuisance_param_0_benchmark_{k}" for name in ("qcd", "pdf") for k in (0, 1))
    return dict(zip(names, columns, strict=True))


def varied(physics: Physics) -> dict[str, np.ndarray]:
    """The weights at nuisance benchmarks relative to the nominal ones."""
    setup, sample = read_setup(physics.config), read_sample(physics.combined)
    columns = (sample.nuisance_weights / sample.weights[:, :1]).T
    return dict(zip(setup.nuisance_benchmarks, columns, strict=True))


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("drawn", ["sm", "w"])
def test_weights_of_tables(drawn: str, background: bool, tmp_path: Path) -> None:
    """Varied ones are relative to the weight with which events were drawn."""
    rng = np.random.default_rng(1)
    names = ("sm", "w", "neg_w", "down", "up", "pdf_10", "pdf_11", "pdf_12")
    weights = {name: rng.uniform(0.5, 1.5, N) for name in names}
    write_table(tmp_path / "events.h5", {"number": np.arange(float(N)), **weights})
    process = {
        "name": "signal",
        "generator": "files",
        "files": {drawn: ["events.h5"]},
        "cross_section": {drawn: 2.0},
        "variations": {"qcd": ["down", "up"], "pdf": "pdf_{10}"},
        "is_background": background,
    }
    file = analysis_file(
        tmp_path / "input.yml",
        TINY1,
        processes=[process],
        systematics=SYSTEMATICS,
        observables=[{"name": "pt_j1", "definition": "number", "required": True}],
        cuts=[],
    )
    physics = run_physics(file, tmp_path, njobs=1)
    order = read_sample(physics.combined).observations[:, 0].astype(int)
    found = varied(physics)
    assert len(found) == 4
    for name, values in expected(weights, drawn).items():
        np.testing.assert_allclose(found[name], values[order], rtol=1e-12)


def test_weights_of_les_houches_events(tmp_path: Path) -> None:
    """By name, by position and by a number that counts up."""
    lhe = read_lhe(event_files.REFERENCE)
    ids = dict(zip(lhe.weight_names, lhe.weights.T, strict=True))
    columns = {"sm": lhe.event_weight, "down": ids["w"], "up": lhe.weights[:, 4]}
    columns |= {f"pdf_{k}": ids[f"morphing_basis_vector_{k - 8}"] for k in (10, 11, 12)}
    file = event_files.analysis(
        tmp_path,
        sections={"systematics": SYSTEMATICS, "cuts": []},
        variations={"qcd": ["w", 4], "pdf": "morphing_basis_vector_{2}"},
    )
    physics = run_physics(file, tmp_path, njobs=1)
    sample = read_sample(physics.combined)
    # Combining shuffles events, whose weights tell which they are.
    rows = np.argsort(sample.weights[:, 1] / sample.weights[:, 0])
    place = np.argsort(ids["w"] / lhe.event_weight)
    assert len(rows) == len(place)
    found = varied(physics)
    for name, values in expected(columns, "sm").items():
        np.testing.assert_allclose(found[name][rows], values[place], rtol=1e-9)
