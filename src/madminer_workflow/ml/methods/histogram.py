"""Histograms of observables: the traditional analysis, as a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.ml.methods import OnEpoch
from madminer_workflow.statistics import information as fisher
from madminer_workflow.statistics.binning import (
    bin_indices,
    fill,
    log_probabilities,
    n_bins,
    quantile_edges,
)
from madminer_workflow.statistics.checks.simulation import bins_check
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.likelihood import Density
from madminer_workflow.statistics.nuisance import response_of_counts
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Check

MODEL = "histogram.npz"


def draw(
    events: Events, settings: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """All training events: their histogrammed observables and benchmark weights."""
    theta = events.setup.theta(settings["theta"])
    return {
        "x": events.columns(settings["observables"]),
        "weights": events.weights,
        "reference_weights": events.weights_at(theta),
    }


def train(
    arrays: dict[str, np.ndarray],
    settings: dict[str, Any],
    directory: Path,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> dict[str, list[float]]:
    """Choose the bins and fill the template of cross-sections (n_bins, n_benchmarks)."""
    edges = []
    for name, column in zip(settings["observables"], arrays["x"].T, strict=True):
        bins = settings["bins"][name]
        edges.append(
            quantile_edges(column, arrays["reference_weights"], bins)
            if isinstance(bins, int)
            else np.asarray(bins, dtype=float)
        )
    template = fill(bin_indices(arrays["x"], edges), arrays["weights"], n_bins(edges))
    np.savez(
        directory / MODEL,
        allow_pickle=False,
        template=template,
        observables=np.array(settings["observables"]),
        **{f"edges_{i}": axis for i, axis in enumerate(edges)},
    )
    return {}


def _load(directory: Path) -> tuple[np.ndarray, list[str], list[np.ndarray]]:
    with np.load(directory / MODEL) as model:
        observables = model["observables"].tolist()
        edges = [model[f"edges_{i}"] for i in range(len(observables))]
        return model["template"], observables, edges


def outputs(directory: Path, problem: Problem, thetas: np.ndarray) -> dict[str, np.ndarray]:
    """The bin of every event of every sample, (n_events,)."""
    _, observables, edges = _load(directory)
    return {
        name: bin_indices(events.columns(observables), edges)
        for name, events in problem.samples().items()
    }


def density(
    outputs: dict[str, np.ndarray],
    problem: Problem,
    settings: dict[str, Any],
    thetas: np.ndarray,
    directory: Path,
) -> Density:
    """Probabilities of the bins, from the training events."""
    template, _, _ = _load(directory)
    cells = {name: bins.astype(int) for name, bins in outputs.items()}
    return Density(
        log_p=log_probabilities(template, problem.setup, thetas),
        cells=cells,
        response=response_of_counts(problem.train, cells["train"], len(template), thetas),
    )


def information(directories: Sequence[Path], problem: Problem) -> fisher.Information:
    """Fisher information of the bin counts, from all events, under- and overflow included."""
    template, observables, edges = _load(directories[0])
    events, theta = problem.everything, problem.fisher_theta
    indices = bin_indices(events.columns(observables), edges)
    counts = fisher.histogram(
        events, indices, len(template), theta, problem.luminosity, problem.seed
    )
    return fisher.information([counts], len(theta))


def diagnostics(directories: Sequence[Path], problem: Problem) -> list[Check]:
    """Whether every bin that counts is filled by enough simulated events."""
    template, observables, edges = _load(directories[0])
    indices = bin_indices(problem.train.columns(observables), edges)
    weights = problem.train.weights_at(problem.theta_true)
    sums = fill(indices, np.column_stack([weights, weights**2]), len(template))
    return [bins_check(*sums.T)]


def per_event(directories: Sequence[Path], problem: Problem) -> dict[str, np.ndarray]:
    """The bin of every test event, and the test events themselves."""
    _, observables, edges = _load(directories[0])
    return {"bin": bin_indices(problem.test.columns(observables), edges), **problem.test_set()}
