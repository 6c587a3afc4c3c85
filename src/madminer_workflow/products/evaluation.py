"""``evaluation.json``: what evaluating, toys and plotting need to know of an analysis."""

from __future__ import annotations

from pathlib import Path

import msgspec

from madminer_workflow.analysis.types import Analysis, LimitSettings
from madminer_workflow.errors import InputError
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
    evaluation = read_struct(path, "sampling", Evaluation)
    check_limits(path, evaluation.limits)
    return evaluation


def check_limits(path: Path, limits: LimitSettings) -> None:
    """Raise InputError, which names the file ``path``, for limits that cannot be set."""
    for name, axis in limits.grid.items():
        low, high = axis.range
        if axis.resolution < 2 or not low < high:
            raise InputError(
                f"{path}: limits.grid.{name}: has {axis.resolution} points from {low:g} to "
                f"{high:g}; expected at least 2, from lower to higher values"
            )
    levels = limits.confidence_levels
    if not levels or not all(0.0 < level < 1.0 for level in levels):
        raise InputError(f"{path}: limits.confidence_levels: expected numbers between 0 and 1")
    if min(limits.toys.n_toys, limits.toys.resolution, limits.toys.njobs) < 0:
        raise InputError(f"{path}: limits.toys: has a number below 0")
