"""Histograms of observables: the traditional analysis, as a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.types import Histogram
from madminer_workflow.array_files import Checked, read_npz
from madminer_workflow.errors import InputError
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods.family import Arrays, Losses, OnEpoch
from madminer_workflow.statistics import information as fisher
from madminer_workflow.statistics.binning import (
    bin_indices,
    binned_density,
    fill,
    inner_edges,
    n_bins,
)
from madminer_workflow.statistics.checks.simulation import bins_check
from madminer_workflow.statistics.events import Events, Observed
from madminer_workflow.statistics.fluctuations import SIMULATION, Fluctuations, of_counts
from madminer_workflow.statistics.nuisance import varied_rates
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Check

MODEL = "histogram.npz"

BINNED = "is a histogram, which has no likelihood ratio or score of single events; see its limits"


def draw(events: Events, settings: Histogram, rng: np.random.Generator) -> Arrays:
    """All training events: their histogrammed observables and benchmark weights."""
    theta = events.setup.theta(settings.theta)
    return {
        "x": events.columns(list(settings.observables)),
        "weights": events.weights,
        "reference_weights": events.weights_at(theta),
    }


def train(
    arrays: Arrays,
    settings: Histogram,
    directory: Path,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Losses:
    """Choose the bins and fill the template of cross-sections (n_bins, n_benchmarks)."""
    bins = [settings.bins[name] for name in settings.observables]
    edges = inner_edges(arrays["x"], arrays["reference_weights"], bins)
    template = fill(bin_indices(arrays["x"], edges), arrays["weights"], n_bins(edges))
    np.savez(
        directory / MODEL,
        allow_pickle=False,
        template=template,
        observables=np.array(settings.observables),
        **{f"edges_{i}": axis for i, axis in enumerate(edges)},
    )
    return {}


@dataclass(frozen=True)
class _Bins:
    """A trained histogram: ``template`` has cross-sections (n_bins, n_benchmarks)."""

    template: np.ndarray
    observables: list[str]
    edges: list[np.ndarray]

    def of(self, events: Observed) -> np.ndarray:
        """The bin of every event, (n_events,)."""
        return bin_indices(events.columns(self.observables), self.edges)


@lru_cache(maxsize=8)
def _load(member: Member) -> _Bins:
    with member.reading(MODEL):
        model = read_npz(member.directory / MODEL)
        check = Checked(benchmarks=len(member.note.fingerprint.benchmarks or ()))
        observables = model["observables"].tolist()
        if observables != list(member.settings(Histogram).observables):
            raise ValueError(f"it has the observables {', '.join(map(str, observables))}")
        edges = [check.of(model, f"edges_{i}", f"edges_{i}") for i in range(len(observables))]
        if any(np.any(np.diff(axis) < 0.0) for axis in edges):
            raise ValueError("its bin edges are not increasing")
        return _Bins(check.of(model, "template", n_bins(edges), "benchmarks"), observables, edges)


def closed_form(members: Sequence[Member], problem: Problem) -> PolynomialDensity:
    """Probabilities of the bins, from the training events."""
    bins = _load(members[0])
    cells = {name: bins.of(events) for name, events in problem.samples().items()}
    shifted = {name: bins.of(events) for name, events in problem.train.shifted.items()}
    rates = varied_rates(problem.train, cells["train"], len(bins.template), shifted)
    rates[:, 0] = bins.template
    return binned_density(rates, cells, problem.setup)


def fluctuations(members: Sequence[Member], problem: Problem) -> dict[str, Fluctuations]:
    """Those of the bins, whose templates are sums over training events."""
    bins, train = _load(members[0]), problem.train
    shifted = {name: bins.of(events) for name, events in train.shifted.items()}
    return {SIMULATION: of_counts(problem, bins.of(train), len(bins.template), shifted)}


def information(members: Sequence[Member], problem: Problem) -> fisher.Information:
    """Fisher information of the bin counts, from all events, under- and overflow included."""
    bins = _load(members[0])
    events, theta = problem.everything, problem.fisher_theta
    counts = fisher.histogram(
        events,
        bins.of(events),
        len(bins.template),
        theta,
        problem.luminosity,
        problem.seed,
        {name: bins.of(moved) for name, moved in events.shifted.items()},
    )
    return fisher.information([counts], len(theta))


def fisher_scores(members: Sequence[Member], problem: Problem) -> np.ndarray:
    """The score of the bin of every test event, from training events, (n_events, n_parameters)."""
    bins = _load(members[0])
    rates = bins.template @ problem.setup.morphing_weights(problem.fisher_theta)
    gradients = bins.template @ problem.setup.morphing_gradients(problem.fisher_theta).T
    # Bins that training has left empty say nothing.
    of_bins = np.divide(
        gradients, rates[:, None], out=np.zeros_like(gradients), where=rates[:, None] > 0.0
    )
    return of_bins[bins.of(problem.test)]


def diagnostics(members: Sequence[Member], problem: Problem) -> list[Check]:
    """Whether every bin that counts is filled by enough simulated events."""
    bins = _load(members[0])
    weights = problem.train.weights_at(problem.theta_true)
    columns = np.column_stack([weights, weights**2])
    sums = fill(bins.of(problem.train), columns, len(bins.template))
    return [bins_check(*sums.T)]


def event_ratios(members: Sequence[Member], events: Observed, thetas: np.ndarray) -> np.ndarray:
    """None: a likelihood of bins is not one of events."""
    raise InputError(f"{members[0].note.settings.name}: {BINNED}")


def event_scores(
    members: Sequence[Member], events: Observed, theta: np.ndarray | None
) -> np.ndarray:
    """None, for the same reason."""
    raise InputError(f"{members[0].note.settings.name}: {BINNED}")


def per_event(members: Sequence[Member], problem: Problem) -> Arrays:
    """The bin of every test event, and the test events themselves."""
    return {"bin": _load(members[0]).of(problem.test), **problem.test_set()}
