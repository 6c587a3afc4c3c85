"""Inference methods: one module and one row of ``FAMILIES`` a family.

A family is a module with the functions of ``family.Family``. Its methods are the classes of
``analysis.types`` that name it as theirs.
"""

from __future__ import annotations

from typing import Any

from madminer_workflow.analysis.types import Settings
from madminer_workflow.ml.methods import density, histogram, polynomial, ratio, score
from madminer_workflow.ml.methods.family import Family, Pointwise

POINTWISE: dict[str, Pointwise[Any]] = {"score": score, "ratio": ratio, "density": density}

FAMILIES: dict[str, Family[Any]] = {
    "histogram": histogram,
    **POINTWISE,
    "polynomial": polynomial,
}


def family_of(settings: Settings) -> Family[Any]:
    """The family that a method belongs to."""
    return FAMILIES[settings.family]
