"""Systematic uncertainties of an analysis as nuisance parameters.

Each entry of ``systematics`` in the analysis file becomes one or more nuisance parameters nu with a
unit Gaussian constraint. Its effect on an event is known at nu = +1, its positive benchmark, and
perhaps at nu = -1, its negative benchmark. Names are MadMiner's (``madminer.utils.interfaces.lhe``,
``_extract_nuisance_param_dict``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from madminer_workflow.analysis.types import (
    EnergyResolutionVariation,
    NormVariation,
    ObjectVariation,
    PDFVariation,
    ScaleVariation,
    Systematic,
)

SHIFTING_EFFECTS = ("energy_scale", "energy_resolution", "met_scale")
"""Effects that change what is measured in an event."""

ONE_SIDED_SHIFTS = ("energy_resolution",)
"""Those of them that are known at +1 alone."""

OBJECT_EFFECTS = (*SHIFTING_EFFECTS, "efficiency")
"""Effects on reconstructed objects, which the generation of events does not know."""

EFFECTS = ("norm", "scale", "pdf", *OBJECT_EFFECTS)

EFFECTS_NOTE = "madminer_workflow/effects"
"""The data set of a MadMiner file with the effects of all uncertainties, in their order; only where
MadMiner itself does not know one of them."""


@dataclass(frozen=True)
class Nuisance:
    """A nuisance parameter of the uncertainty ``systematic``.

    ``effect`` is one of ``EFFECTS``; ``positive`` and ``negative`` name the benchmarks at +1 and
    -1. Without the latter the logarithm of the cross-section is linear in the parameter.
    """

    name: str
    systematic: str
    effect: str
    positive: str
    negative: str | None

    @property
    def of_objects(self) -> bool:
        """Whether it concerns reconstructed objects."""
        return self.effect in OBJECT_EFFECTS

    @property
    def shifts(self) -> bool:
        """Whether other values are measured in an event, rather than that its weight differs."""
        return self.effect in SHIFTING_EFFECTS

    @property
    def benchmarks(self) -> list[str]:
        """The names of its one or two benchmarks."""
        return [self.positive] if self.negative is None else [self.positive, self.negative]


@dataclass(frozen=True)
class Variation:
    """What a generator must change for the weight at one nuisance benchmark.

    ``mur`` and ``muf`` are factors on the renormalisation and factorisation scales; ``pdf_set`` is
    an LHAPDF set and ``pdf_member`` one of its members, or None for the generator's own densities.
    """

    benchmark: str
    mur: float = 1.0
    muf: float = 1.0
    pdf_set: str | None = None
    pdf_member: int = 0


def nuisance_parameters(systematics: Iterable[Systematic]) -> list[Nuisance]:
    """The nuisance parameters of all uncertainties, in their order.

    A normalisation has one, known at +1. A scale has one: of the factors that are not 1 the last is
    +1 and the first, if there are two, -1, as in MadMiner. Parton densities have one for each pair
    of members (2k - 1, 2k) of a Hessian set, else one, known at +1, for each member. What concerns
    objects has one; a resolution is known at +1, since nothing makes what is measured sharper.
    """
    result = []
    for systematic in systematics:
        for i, sides in enumerate(_sides(systematic)):
            name = f"{systematic.systematic_name}_nuisance_param_{i}"
            names = [f"{name}_benchmark_{k}" for k in range(sides)]
            result.append(
                Nuisance(
                    name=name,
                    systematic=systematic.systematic_name,
                    effect=systematic.effect,
                    positive=names[0],
                    negative=names[1] if sides == 2 else None,
                )
            )
    return result


def weight_variations(systematics: Iterable[Systematic]) -> list[Variation]:
    """The weights that a generator must provide: those of scale and parton density uncertainties.

    The weight is to be that at the reference benchmark (a background's own) times the ratio of the
    varied to the nominal one. Of a PDF set the central member comes first: the others deviate from
    it, not from the densities that the events were generated with.
    """
    result = []
    for systematic in systematics:
        benchmarks = [
            b for nuisance in nuisance_parameters([systematic]) for b in nuisance.benchmarks
        ]
        if isinstance(systematic, ScaleVariation):
            for benchmark, factor in zip(benchmarks, scale_factors(systematic), strict=True):
                mur = factor if systematic.scale in ("mu", "mur") else 1.0
                muf = factor if systematic.scale in ("mu", "muf") else 1.0
                result.append(Variation(benchmark, mur=mur, muf=muf))
        elif isinstance(systematic, PDFVariation):
            central = f"{systematic.systematic_name}_nuisance_central"
            for member, benchmark in enumerate([central, *benchmarks]):
                name = systematic.pdf_variation
                result.append(Variation(benchmark, pdf_set=name, pdf_member=member))
    return result


def scale_factors(systematic: ScaleVariation) -> list[float]:
    """The factors on the scale at +1 and, if there is one, at -1."""
    return [factor for factor in systematic.scale_variations if factor != 1.0][::-1]


def _sides(systematic: Systematic) -> list[int]:
    """For each nuisance parameter of an uncertainty whether one or both sides are known."""
    if isinstance(systematic, ScaleVariation):
        return [len(scale_factors(systematic))]
    if isinstance(systematic, NormVariation | EnergyResolutionVariation):
        return [1]
    if isinstance(systematic, ObjectVariation):
        return [2]
    members = systematic.pdf_members
    return [2] * (members // 2) if systematic.pdf_error_type == "hessian" else [1] * members
