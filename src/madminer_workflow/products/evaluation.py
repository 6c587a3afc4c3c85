"""``evaluation.json``: what evaluating, toys and plotting need to know of an analysis."""

from __future__ import annotations

from pathlib import Path

import msgspec

from madminer_workflow.analysis.types import Analysis, LimitSettings
from madminer_workflow.files import read_struct
from madminer_workflow.products.fields import Fraction, Positive, Seed

NAME = "evaluation.json"


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of every method; ``analysis`` is the name of the analysis."""

    analysis: str
    seed: Seed
    luminosity: Positive
    theta_ref: str
    test_split: Fraction
    fisher_theta: str
    limits: LimitSettings


def evaluation_of(analysis: Analysis) -> Evaluation:
    """What an analysis asks."""
    return Evaluation(
        analysis=analysis.name,
        seed=analysis.seed,
        luminosity=analysis.ml.luminosity,
        theta_ref=analysis.ml.theta_ref,
        test_split=analysis.ml.test_split,
        fisher_theta=analysis.ml.fisher.theta,
        limits=analysis.ml.limits,
    )


def read_evaluation(path: Path) -> Evaluation:
    """Read the file; InputError if it is another one."""
    return read_struct(path, "sampling", Evaluation)
