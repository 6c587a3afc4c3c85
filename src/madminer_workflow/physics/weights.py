"""Event weights: from those of the generator to those of every benchmark, and how samples join."""

from __future__ import annotations

import numpy as np

from madminer_workflow.analysis.systematics import nuisance_parameters, weight_variations
from madminer_workflow.analysis.types import NormVariation, PDFVariation, ScaleVariation
from madminer_workflow.errors import StepError
from madminer_workflow.products.events import SampledProcess
from madminer_workflow.products.jobs import Task
from madminer_workflow.statistics.setup import Setup

LARGEST_FRACTION_FLIPPED = 0.01
"""Of events whose varied weight has another sign; learning ignores the variation of these."""

ONE_SIGMA = 0.6827
"""Confidence level of one standard deviation."""


def weight_names(task: Task, process: SampledProcess, setup: Setup) -> list[str]:
    """The weights that a task's LHE file must hold, physical benchmarks first.

    A background has only its own. ``process`` holds the uncertainties that affect it.
    """
    physical = [task.sampling_benchmark] if task.is_background else setup.benchmark_names
    return [
        *physical,
        *(variation.benchmark for variation in weight_variations(process.systematics)),
    ]


def event_weights(
    generated: np.ndarray, task: Task, process: SampledProcess, setup: Setup
) -> tuple[np.ndarray, np.ndarray]:
    """Weights in pb at all benchmarks and then all nuisance benchmarks, and the events' shares.

    ``generated`` are the weights ``weight_names`` of a task's file, (n_events, n_names). The result
    is scaled so that the weights of all tasks sum, for every sampling benchmark, to the
    cross-section times the k-factor; backgrounds weigh the same at every benchmark. Shapes are
    (n_events, n_benchmarks + n_nuisance_benchmarks) and (n_events,).
    """
    scaled = task.k_factor * task.n_events / task.n_total * generated
    if task.is_background:
        physical = np.repeat(scaled[:, :1], len(setup.benchmark_names), axis=1)
        shares, varied = np.ones(len(scaled)), scaled[:, 1:]
    else:
        physical, varied = np.hsplit(scaled, [len(setup.benchmark_names)])
        shares = balanced_shares(physical, task.sampling_benchmark, process, setup)
    reference = physical[:, setup.benchmark_names.index(setup.reference)]
    return np.column_stack([physical, nuisance_weights(reference, varied, process, setup)]), shares


def nuisance_weights(
    reference: np.ndarray, varied: np.ndarray, process: SampledProcess, setup: Setup
) -> np.ndarray:
    """Weights (n_events, n_nuisance_benchmarks) of a process, in the order of the set-up.

    ``reference`` (n_events,) are the weights without variation, ``varied`` those of
    ``weight_variations``. Uncertainties that do not affect the process leave it as it is. Raises
    StepError if many weights change sign: their effect has no logarithm.
    """
    columns = dict.fromkeys(setup.nuisance_benchmarks, reference)
    variations = iter(varied.T)
    for systematic in process.systematics:
        parameters = nuisance_parameters([systematic])
        benchmarks = [name for parameter in parameters for name in parameter.benchmarks]
        if isinstance(systematic, NormVariation):
            columns[benchmarks[0]] = systematic.norm_variation * reference
        elif isinstance(systematic, ScaleVariation):
            columns |= {benchmark: next(variations) for benchmark in benchmarks}
        elif isinstance(systematic, PDFVariation):
            central, factor = next(variations), deviation_factor(systematic)
            for benchmark in benchmarks:
                deviation = ratio(next(variations), central) - 1.0
                columns[benchmark] = reference * (1.0 + factor * deviation)
    for benchmark, column in columns.items():
        flipped = np.mean(ratio(column, reference) <= 0.0)
        if flipped > LARGEST_FRACTION_FLIPPED:
            raise StepError(
                f"{benchmark}: {flipped:.0%} of the varied weights are zero or have a different "
                "sign than the nominal ones; this uncertainty is too large for the events"
            )
    return np.reshape(list(columns.values()), (len(columns), len(reference))).T


def ratio(varied: np.ndarray, nominal: np.ndarray) -> np.ndarray:
    """Their ratio, 1 where there is nothing to vary."""
    return np.divide(varied, nominal, out=np.ones_like(varied), where=nominal != 0.0)


def deviation_factor(systematic: PDFVariation) -> float:
    """What makes one standard deviation of the deviation of a PDF member from the central one.

    Members are given at some confidence level; the N replicas of a Monte Carlo set have a variance
    of sum_k (X_k - X_0)^2 / (N - 1), to which each contributes as a parameter of its own
    (PDF4LHC, arXiv:1510.03865).
    """
    if systematic.pdf_error_type == "replicas":
        return float((systematic.pdf_members - 1) ** -0.5)
    from scipy.special import ndtri

    level = systematic.pdf_confidence_level
    return float(ndtri(0.5 + 0.5 * ONE_SIGMA) / ndtri(0.5 + 0.5 * level))


def balanced_shares(
    weights: np.ndarray, sampled: str, process: SampledProcess, setup: Setup
) -> np.ndarray:
    """The factor on the weights of events drawn from benchmark ``sampled``, shape (n_events,).

    With it, all samples of the process together are one sample from the mixture of their
    densities: the weight of an event becomes dsigma(theta) / sum_b n_b dsigma(b) / sigma(b), the
    balance heuristic for combining importance samples (Veach and Guibas, SIGGRAPH 1995, eq. 9),
    instead of MadMiner's constant fraction of events. Its variance is never much above that of
    the best single sample, wherever in phase space an event lies. ``weights`` has shape
    (n_events, n_benchmarks); ``process`` holds the events and cross-sections by benchmark.
    """
    events, cross_sections = process.events, process.cross_sections
    drawn = weights[:, setup.benchmark_names.index(sampled)]
    density = np.zeros(len(weights))
    for name, n in events.items():
        relative = weights[:, setup.benchmark_names.index(name)] / drawn
        density += n * relative / cross_sections[name][0]
    return events[sampled] / cross_sections[sampled][0] / density
