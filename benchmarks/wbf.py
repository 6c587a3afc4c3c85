"""What several benchmarks measure with: the tutorial's WBF set-up in tests/data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from madminer_workflow.analysis.types import (
    Acceptance,
    Cut,
    DetectorWithCard,
    METNoise,
    Observable,
    Parameter,
    Reconstruction,
)
from madminer_workflow.madminer_file import read_setup
from madminer_workflow.physics.points import benchmark_values

DATA = Path(__file__).parents[1] / "tests" / "data"
CONFIG = DATA / "madminer_config.h5"
EVENTS = DATA / "wbf_madgraph_1000.lhe.gz"


def benchmarks() -> dict[str, dict[str, float]]:
    """The six benchmarks, by name."""
    return benchmark_values(read_setup(CONFIG))


def parameters() -> list[Parameter]:
    """The two parameters of the benchmarks."""
    return [
        Parameter(
            parameter_name=name,
            lha_block="dim6",
            lha_id=number,
            morphing_max_power=2,
            param_card_transform="16.52*theta",
            parameter_range=(-20.0, 20.0),
        )
        for name, number in (("CWL2", 2), ("CPWL2", 5))
    ]


def perfect_detector(observables: Sequence[Observable], cuts: Sequence[Cut] = ()) -> Reconstruction:
    """What ``reconstruct`` does where nothing is lost or smeared."""
    limits = [
        f"{limit}_{name}" for limit in ("pt_min", "eta_max") for name in ("e", "mu", "a", "j")
    ]
    return Reconstruction(
        seed=1,
        detector=DetectorWithCard(
            delphes_card=None,
            use_generator_truth=False,
            acceptance=Acceptance(**dict.fromkeys(limits)),
            smearing=(),
            met_noise=METNoise(abs_=0.0, rel=0.0),
        ),
        observables=tuple(observables),
        cuts=tuple(cuts),
        efficiencies=(),
    )
