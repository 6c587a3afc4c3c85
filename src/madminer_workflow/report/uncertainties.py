"""What systematic uncertainties do to rates and to Fisher information, for ``results.json``."""

from __future__ import annotations

from typing import Any

import numpy as np

from madminer_workflow.statistics.information import Profiled, profile, standard_deviations
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.setup import Setup

SHAPE_METHODS = ("histogram", "sally")
"""Methods that know how nuisance parameters change shapes; the others see the rate change only."""


def summarise_systematics(analysis: dict[str, Any], problem: Problem) -> list[dict[str, Any]]:
    """Every uncertainty: its entry in the analysis file, processes, parameters, change of the rate.

    ``rate_change`` is that of the expected number of events, relative, at -1 and +1 standard
    deviation, at the point of the Fisher information.
    """
    return [
        {
            "name": entry["systematic_name"],
            "settings": entry,
            "processes": [
                process["name"]
                for process in analysis["processes"]
                if entry["systematic_name"] in process["systematics"]
            ],
            "nuisance_parameters": [
                each.name
                for each in problem.setup.nuisance
                if each.systematic == entry["systematic_name"]
            ],
            "rate_change": rate_change(entry["systematic_name"], problem),
        }
        for entry in analysis["systematics"]
    ]


def rate_change(systematic: str, problem: Problem) -> list[float]:
    """Relative change of the expected number of events at -1 and +1.

    For several nuisance parameters half the difference between +1 and -1 of each, in quadrature.
    """
    events = problem.everything
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


def positions(systematic: str, setup: Setup) -> list[int]:
    """Where the nuisance parameters of an uncertainty are among all of them."""
    return [i for i, each in enumerate(setup.nuisance) if each.systematic == systematic]


def summarise_profiled(own: dict[str, Any], fixed: np.ndarray, setup: Setup) -> dict[str, Any]:
    """Profiled information as in ``fisher_information``, with what profiling costs.

    ``own`` has ``matrix``, ``error`` and ``full``; ``fixed`` is the matrix with nuisance parameters
    fixed. ``impact`` is the relative growth of each parameter's standard deviation, for
    all uncertainties together and for each on its own; None where there is no standard deviation.
    """
    full, n = np.array(own["full"]), len(setup.parameters)
    before = standard_deviations(fixed)
    impact = {"all": growth(before, standard_deviations(np.array(own["matrix"])))}
    single = {}
    for systematic in dict.fromkeys(each.systematic for each in setup.nuisance):
        kept = [*range(n), *(n + i for i in positions(systematic, setup))]
        profiled = profile(full[np.ix_(kept, kept)], n)
        single[systematic] = growth(before, standard_deviations(profiled))
    names = [*setup.parameters, *(each.name for each in setup.nuisance)]
    return {
        **own,
        "sigma": standard_deviations(np.array(own["matrix"])),
        "impact": {**impact, "single": single},
        "full_parameters": names,
    }


def growth(before: list[float | None], after: list[float | None]) -> list[float | None]:
    """The relative change of standard deviations."""
    return [
        None if one is None or other is None else other / one - 1.0
        for one, other in zip(before, after, strict=True)
    ]


def of_baseline(own: Profiled) -> dict[str, Any]:
    """A baseline's profiled information in the form that methods have."""
    return {"matrix": own.matrix, "error": own.error, "full": own.full}


def enters(settings: dict[str, Any]) -> str:
    """How nuisance parameters enter the information of a method: "rate and shape" or "rate"."""
    return "rate and shape" if settings["method"] in SHAPE_METHODS else "rate"
