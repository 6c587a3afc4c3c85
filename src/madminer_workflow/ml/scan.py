"""What an ensemble, and each of its members, thinks of data sets at parameter points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from madminer_workflow.ml import methods
from madminer_workflow.ml.member import Member
from madminer_workflow.statistics.closed_form import density_at
from madminer_workflow.statistics.likelihood import (
    KINDS,
    DataSets,
    Density,
    chunks,
    log_likelihoods,
)
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem


def scan(
    members: Sequence[Member],
    problem: Problem,
    thetas: np.ndarray,
    data: Sequence[DataSets],
    each: bool = False,
    profiled: bool = True,
) -> list[dict[str, np.ndarray]]:
    """Log likelihoods of each of ``data`` by kind: (1 + n_members, n_sets, n_thetas).

    The first row is the ensemble's; without those of ``each`` member it is the only one.
    """
    if each and len(members) == 1:
        # A lone member is its ensemble.
        return [
            {kind: np.concatenate([rows, rows]) for kind, rows in kinds.items()}
            for kinds in scan(members, problem, thetas, data, profiled=profiled)
        ]
    n_rows = 1 + len(members) * each
    scanned = [
        {kind: np.empty((n_rows, sets.multiplicities.shape[0], len(thetas))) for kind in KINDS}
        for sets in data
    ]
    known = closed_forms(members, problem, each)
    n_cells = (
        len(known[0].coefficients) if known else len(problem.test) + len(problem.observed or ())
    )
    done = 0
    for chunk in chunks(thetas, n_cells):
        place = slice(done, done + len(chunk))
        for row, density in enumerate(densities(members, problem, known, chunk, each)):
            for kinds, sets in zip(scanned, data, strict=True):
                values = log_likelihoods(density, sets, problem, chunk, profiled)
                for kind in KINDS:
                    kinds[kind][row, :, place] = values[kind]
        done += len(chunk)
    return scanned


def densities(
    members: Sequence[Member],
    problem: Problem,
    known: Sequence[PolynomialDensity],
    thetas: np.ndarray,
    each: bool = False,
) -> Iterator[Density]:
    """Densities at parameter points of the ensemble and, if asked, of each member.

    ``known`` are their ``closed_forms``.
    """
    if known:
        return (density_at(one, problem.setup, thetas) for one in known)
    return pointwise(members, problem, thetas, each)


def closed_forms(
    members: Sequence[Member], problem: Problem, each: bool
) -> list[PolynomialDensity]:
    """Densities of the ensemble and, if asked, of each member as polynomials; none if unknown."""
    # A lone member is its ensemble.
    ensembles = [members, *([member] for member in members if each)]
    family = methods.family_of(members[0].note.settings)
    forms = [family.closed_form(ensemble, problem) for ensemble in ensembles]
    return [form for form in forms if form is not None]


def pointwise(
    members: Sequence[Member], problem: Problem, thetas: np.ndarray, each: bool
) -> Iterator[Density]:
    """Densities from the mean of the members' outputs and, if asked, from those of each member."""
    family = methods.POINTWISE[members[0].note.settings.family]
    outputs = [family.outputs(member, problem, thetas) for member in members]
    mean = {name: np.mean([one[name] for one in outputs], axis=0) for name in outputs[0]}
    yield family.density(mean, problem, thetas, members[0])
    if each:
        for output, member in zip(outputs, members, strict=True):
            yield family.density(output, problem, thetas, member)
