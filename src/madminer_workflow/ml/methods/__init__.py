"""Inference methods: one module and one row of ``FAMILIES`` a family.

A family is a module with the functions of ``family.Family``. Its methods are the classes of
``analysis.types`` that name it as theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from madminer_workflow.analysis.types import Polynomial, Settings
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import density, histogram, polynomial, ratio, score
from madminer_workflow.ml.methods.family import Family
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem

FAMILIES: dict[str, Family[Any]] = {
    "histogram": histogram,
    "score": score,
    "ratio": ratio,
    "density": density,
    "polynomial": polynomial,
}


def family_of(settings: Settings) -> Family[Any]:
    """The family that a method belongs to."""
    return FAMILIES[settings.family]


def closed_form(members: Sequence[Member], problem: Problem) -> PolynomialDensity | None:
    """The density of an ensemble as a polynomial; None where it is known on a grid only."""
    if isinstance(members[0].note.settings, Polynomial) and not problem.setup.nuisance:
        return polynomial.mean_density(members, problem)
    return None
