"""What systematic uncertainties do to rates and to Fisher information, for ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from madminer_workflow.analysis.types import Analysis, Method
from madminer_workflow.report.results import Impact, Uncertainty
from madminer_workflow.statistics.information import profile, standard_deviations
from madminer_workflow.statistics.nuisance import changes_shape, without_shifts
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import NuisanceFit, Number
from madminer_workflow.statistics.setup import Setup


def summarise_systematics(analysis: Analysis, problem: Problem) -> list[Uncertainty]:
    """Every uncertainty: its entry in the analysis file, processes, parameters, change of the rate.

    ``rate_change`` is that of the expected number of events, relative, at -1 and +1 standard
    deviation, at the point of the Fisher information.
    """
    return [
        Uncertainty(
            name=entry.systematic_name,
            settings=entry,
            processes=[
                process.name
                for process in analysis.processes
                if entry.systematic_name in process.systematics
            ],
            nuisance_parameters=[
                problem.setup.nuisance[i].name
                for i in positions(entry.systematic_name, problem.setup)
            ],
            rate_change=rate_change(entry.systematic_name, problem),
        )
        for entry in analysis.systematics
    ]


def rate_change(systematic: str, problem: Problem) -> list[Number]:
    """Relative change of the expected number of events at -1 and +1.

    For several nuisance parameters half the difference between +1 and -1 of each, in quadrature.
    """
    events = without_shifts(problem.everything, problem.fisher_theta)
    weights = events.weights_at(problem.fisher_theta)
    chosen = positions(systematic, problem.setup)
    slopes, curvatures = events.slopes[:, chosen], events.curvatures[:, chosen]
    down, up = (
        weights @ np.exp(curvatures + sign * slopes) / weights.sum() - 1.0 for sign in (-1.0, 1.0)
    )
    if len(chosen) > 1:
        total = float(np.linalg.norm(0.5 * (up - down)))
        return [-total, total]
    return [float(down[0]), float(up[0])]


def shapes_left_out(settings: Method, problem: Problem) -> list[str]:
    """Uncertainties that change shapes, of which a method's limits know the rate only."""
    if settings.profiles_shapes or not problem.setup.nuisance:
        return []
    changing = changes_shape(problem.everything, problem.theta_true)
    names = (parameter.systematic for parameter in problem.setup.nuisance)
    return list(dict.fromkeys(name for name, does in zip(names, changing, strict=True) if does))


def positions(systematic: str, setup: Setup) -> list[int]:
    """Where the nuisance parameters of an uncertainty are among all of them."""
    return [i for i, parameter in enumerate(setup.nuisance) if parameter.systematic == systematic]


def nuisance_titles(fitted: Sequence[NuisanceFit]) -> dict[str, str]:
    """What figures and sentences call nuisance parameters, by their names.

    The uncertainty itself where it has one, otherwise with a number, from 1 as members of PDFs.
    """
    by_systematic: dict[str, list[str]] = {}
    for one in fitted:
        by_systematic.setdefault(one.systematic, []).append(one.name)
    return {
        name: systematic if len(names) == 1 else f"{systematic} {i}"
        for systematic, names in by_systematic.items()
        for i, name in enumerate(names, 1)
    }


def all_parameters(setup: Setup) -> list[str]:
    """Physics and nuisance parameters, in the order of the full information."""
    return [*setup.parameters, *(parameter.name for parameter in setup.nuisance)]


def profiling_impact(
    fixed: np.ndarray, profiled: np.ndarray, full: np.ndarray, setup: Setup
) -> Impact:
    """What profiling costs: the relative growth of each parameter's standard deviation.

    ``fixed`` and ``profiled`` are the information with nuisance parameters fixed and profiled,
    ``full`` that on all parameters. Growth is given for all uncertainties together and for each
    alone; None where there is no standard deviation.
    """
    n = len(setup.parameters)
    before = standard_deviations(fixed)
    single = {}
    for systematic in dict.fromkeys(parameter.systematic for parameter in setup.nuisance):
        kept = [*range(n), *(n + i for i in positions(systematic, setup))]
        alone = profile(full[np.ix_(kept, kept)], n)
        single[systematic] = growth(before, standard_deviations(alone))
    return Impact(all=growth(before, standard_deviations(profiled)), single=single)


def growth(before: list[float | None], after: list[float | None]) -> list[float | None]:
    """The relative change of standard deviations."""
    return [
        None if one is None or other is None else other / one - 1.0
        for one, other in zip(before, after, strict=True)
    ]
