"""How the response of the method ``polynomial`` to nuisance parameters is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from madminer_workflow.ml.polynomial_network import Layers, PolynomialNetwork
from madminer_workflow.ml.polynomial_pool import Pool
from madminer_workflow.ml.polynomial_response import ResponseNetwork
from madminer_workflow.ml.polynomial_training import SMALLEST, arrays_of, batches, layers_of, tensor
from madminer_workflow.statistics.monomials import Monomials

N_HIDDEN = (32, 32)
STEPS = 1000
EPOCHS = 30
"""With few events, more would learn them by heart."""

BATCH_SIZE = 512
MAX_LR = 1e-2
RADII = 3
"""Of the pool: as far as limits of ten events reach; one point at each, and the reference."""


@dataclass(frozen=True)
class ShiftedEvents:
    """Events with observables ``x`` (n_events, n_inputs) as measured at one nuisance benchmark.

    ``coefficients`` (n_events, n_monomials) are those of their cross-sections there. ``partners``
    (n_events,) are the nominal events that each comes with, so that most fluctuations of the loss
    cancel: itself before it was varied, if that is one of them, or any other.
    """

    x: np.ndarray
    coefficients: np.ndarray
    partners: np.ndarray


def train(
    x: np.ndarray,
    coefficients: np.ndarray,
    varied: Mapping[int, np.ndarray | ShiftedEvents],
    monomials: Monomials,
    ratio: PolynomialNetwork,
    pool: Pool,
    seed: int,
) -> ResponseNetwork:
    """Fit a network to what variations do to events.

    ``x``, ``coefficients`` and ``monomials`` are as in the training of the ``ratio``. Of ``varied``
    there are, by the number of the variation, factors of the cross-sections (n_events,), or other
    events. With w_theta the nominal weights and w' the varied ones, the loss of a variation is the
    sum of w_theta u(x) over nominal events less that of w'_theta log u(x') over varied ones, at
    points of the pool. It is smallest where u is the varied density of x over the nominal one: for
    factors, E[w_theta f | x] / E[w_theta | x].
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    changing = np.array(sorted(varied), dtype=int)
    layers: Layers = []
    if len(changing):
        n_outputs = ratio.n_entries if ratio.squared else 1
        network = layers_of([x.shape[1], *N_HIDDEN], n_outputs * len(changing), start=0.0)
        loss = _Loss.of(x, coefficients, [varied[k] for k in changing], monomials, ratio, pool)
        _fit(network, loss, len(x), rng)
        layers = arrays_of(network)
    at_reference = coefficients @ monomials.values(np.zeros(len(pool.units)))
    return ResponseNetwork.normalised(ratio, layers, changing, x, at_reference, monomials)


def _fit(layers: torch.nn.Sequential, loss: _Loss, n_events: int, rng: np.random.Generator) -> None:
    n_steps = min(STEPS, -(-EPOCHS * n_events // BATCH_SIZE))
    optimizer = torch.optim.AdamW(layers.parameters(), lr=MAX_LR, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, MAX_LR, total_steps=n_steps)
    for batch in batches(n_events, BATCH_SIZE, n_steps, rng):
        value = loss.of_batch(layers, batch, rng)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()


@dataclass(frozen=True)
class _Events:
    """Inputs, entries of the ratio's L, and coefficients of the cross-sections of events."""

    inputs: torch.Tensor
    entries: torch.Tensor
    rates: torch.Tensor

    @classmethod
    def of(cls, x: np.ndarray, coefficients: np.ndarray, ratio: PolynomialNetwork) -> _Events:
        return cls(
            torch.as_tensor(ratio.scaling(x)), tensor(ratio.entries(x)), tensor(coefficients)
        )

    def take(self, rows: torch.Tensor) -> _Events:
        return _Events(self.inputs[rows], self.entries[rows], self.rates[rows])


@dataclass(frozen=True)
class _Loss:
    """The loss of all variations: of those by ``factors`` (n_events, n_weighted), and others.

    ``weighted`` are the places of the former among all; ``moved`` are the events of the others,
    with the places among them where those of every nominal event begin.
    """

    events: _Events
    factors: torch.Tensor
    weighted: list[int]
    moved: Mapping[int, tuple[_Events, np.ndarray]]
    points: _Points

    @classmethod
    def of(
        cls,
        x: np.ndarray,
        coefficients: np.ndarray,
        varied: Sequence[np.ndarray | ShiftedEvents],
        monomials: Monomials,
        ratio: PolynomialNetwork,
        pool: Pool,
    ) -> _Loss:
        points = _Points.of(ratio, monomials, pool, coefficients.mean(axis=0))
        reference = monomials.values(np.zeros(len(pool.units)))
        p = coefficients @ reference
        weighted, columns, moved = [], [np.empty((len(x), 0))], {}
        # What is normalised afterwards begins at 1.
        for k, variation in enumerate(varied):
            if isinstance(variation, ShiftedEvents):
                order = np.argsort(variation.partners, kind="stable")
                starts = np.searchsorted(variation.partners[order], np.arange(len(x) + 1))
                rates = variation.coefficients[order]
                rates = rates * (p.sum() / (rates @ reference).sum())
                moved[k] = _Events.of(variation.x[order], rates, ratio), starts
            else:
                weighted.append(k)
                columns.append((variation * p.sum() / (p @ variation))[:, None])
        factors = tensor(np.hstack(columns))
        return cls(_Events.of(x, coefficients, ratio), factors, weighted, moved, points)

    def of_batch(
        self, layers: torch.nn.Sequential, batch: torch.Tensor, rng: np.random.Generator
    ) -> torch.Tensor:
        at = self.points.some(rng)
        events = self.events.take(batch)
        u = at.changes(layers(events.inputs), events.entries)
        w = at.rates(events)[:, None]
        loss = (u * w).sum()
        if self.weighted:
            f = self.factors[batch][:, :, None]
            loss = loss - (f * w * torch.log(u[:, self.weighted] + SMALLEST)).sum()
        for k, (all_moved, starts) in self.moved.items():
            moved = all_moved.take(_rows(starts, batch.numpy()))
            u = at.changes(layers(moved.inputs), moved.entries)[:, k]
            loss = loss - (at.rates(moved) * torch.log(u + SMALLEST)).sum()
        return loss / len(batch)


def _rows(starts: np.ndarray, batch: np.ndarray) -> torch.Tensor:
    """The places between ``starts`` of every event of a batch and the next one's."""
    sizes = starts[batch + 1] - starts[batch]
    first = np.repeat(starts[batch] - np.cumsum(sizes) + sizes, sizes)
    return torch.as_tensor(first + np.arange(sizes.sum()))


@dataclass(frozen=True)
class _Points:
    """Points (n_radii, n_directions, ...) with amplitudes v, and monomials over the mean rate."""

    v: np.ndarray
    m: np.ndarray
    squared: bool

    @classmethod
    def of(
        cls, ratio: PolynomialNetwork, monomials: Monomials, pool: Pool, mean: np.ndarray
    ) -> _Points:
        points = np.concatenate([np.zeros_like(pool.points[:1]), pool.points[:RADII]])
        if not ratio.squared:
            points = points[:1, :1]
        m = monomials.values(points)
        return cls(Monomials(ratio.powers).values(points), m / (m @ mean)[..., None], ratio.squared)

    def some(self, rng: np.random.Generator) -> _At:
        """One at each radius."""
        chosen = rng.integers(self.v.shape[1], size=len(self.v))
        rows = np.arange(len(self.v))
        return _At.of(self.v[rows, chosen], tensor(self.m[rows, chosen]), self.squared)


@dataclass(frozen=True)
class _At:
    """Some points: entries of L to L^T v, and monomials over the mean rate."""

    products: torch.Tensor | None
    m: torch.Tensor

    @classmethod
    def of(cls, v: np.ndarray, m: torch.Tensor, squared: bool) -> _At:
        n_points, n = v.shape
        if not squared:
            return cls(None, m)
        rows, columns = np.tril_indices(n)
        products = np.zeros((len(rows), n, n_points), dtype=np.float32)
        products[np.arange(len(rows)), columns] = v.T[rows]
        return cls(torch.as_tensor(products.reshape(len(rows), -1)), m)

    def rates(self, events: _Events) -> torch.Tensor:
        """Weights of events, (n_events, n_points), whose mean is 1."""
        return events.rates @ self.m.T

    def changes(self, outputs: torch.Tensor, entries: torch.Tensor) -> torch.Tensor:
        """u of events by variation, (n_events, n_changing, n_points)."""
        if self.products is None:
            return torch.exp(outputs)[:, :, None]
        n, n_points = len(entries), len(self.m)
        changes = outputs.view(n, -1, entries.shape[1]) @ self.products
        nominal = (entries @ self.products)[:, None]
        varied = (nominal + changes).view(n, changes.shape[1], -1, n_points)
        squares = nominal.view(n, 1, -1, n_points).square().sum(dim=2)
        return varied.square().sum(dim=2) / (squares + SMALLEST)
