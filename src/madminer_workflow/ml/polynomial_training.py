"""How the network of the method ``polynomial`` is trained."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch

from madminer_workflow.analysis.types import Polynomial, PolynomialTraining
from madminer_workflow.large_arrays import release
from madminer_workflow.ml.methods.family import OnEpoch
from madminer_workflow.ml.polynomial_network import Layers, PolynomialNetwork, Scaling
from madminer_workflow.ml.polynomial_pool import Pool
from madminer_workflow.statistics.monomials import Monomials, amplitude_of

SMALLEST = 1e-9
"""Added to ratios before their logarithm is taken."""

SOFT = 1.0
"""The ratio e below which the loss without positivity is a squared error."""

START = 0.3
"""What the last layer's weights are multiplied by at first: ratios begin close to 1."""

POINTS_PER_RADIUS = 16
"""Of the pool, in every batch."""


class EpochLosses:
    """The mean losses of passes over the events, told to ``on_epoch`` as they come."""

    def __init__(self, n_events: int, training: PolynomialTraining, on_epoch: OnEpoch | None):
        """Passes are over ``n_events``; there are to be ``n_steps`` steps."""
        self.n_steps = steps(n_events, training)
        self.means: list[float] = []
        self._per_epoch = max(1, n_events // training.batch_size)
        self._on_epoch = on_epoch
        self._open: list[float] = []

    def __call__(self, loss: float, learning_rate: float) -> None:
        """Note the loss of a step."""
        self._open.append(loss)
        if len(self._open) == min(self._per_epoch, self.n_steps):
            self.means.append(float(np.mean(self._open)))
            self._open = []
            if self._on_epoch is not None:
                self._on_epoch(
                    len(self.means), {"loss_train": self.means[-1], "learning_rate": learning_rate}
                )


def steps(n_events: int, training: PolynomialTraining) -> int:
    """How many steps a training on ``n_events`` has: with few, more would learn them by heart."""
    of_epochs = -(-training.n_epochs * n_events // training.batch_size)
    return min(training.n_steps, of_epochs)


def train(
    x: np.ndarray,
    coefficients: np.ndarray,
    monomials: Monomials,
    origin: np.ndarray,
    pool: Pool,
    settings: Polynomial,
    seed: int,
    losses: EpochLosses,
) -> PolynomialNetwork:
    """Fit the network to events with observables ``x`` (n_events, n_inputs).

    ``coefficients`` (n_events, n_monomials) are those of ``monomials`` of phi in the events'
    cross-sections, over their mean at the reference. The loss is the mean of lambda_theta
    l(r_theta) over events and points, l that of ``extended`` or, without a positive form,
    ``unconstrained``. AdamW without weight decay, one cycle of the learning rate
    (arXiv:1708.07120).
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    form, squared = form_of(monomials)
    scaling, training = Scaling.of(x), settings.training
    n_outputs = len(form) * (len(form) + 1) // 2 - 1 if squared else len(form) - 1
    layers = layers_of([x.shape[1], *settings.network.n_hidden], n_outputs)
    ratios_of, loss_of = (_squares, extended) if squared else (_sums, unconstrained)
    optimizer = torch.optim.AdamW(layers.parameters(), lr=training.max_lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.max_lr, total_steps=losses.n_steps
    )
    inputs, targets = torch.as_tensor(scaling(x)), tensor(coefficients)
    drawn = batches(len(x), training.batch_size, losses.n_steps, rng)
    points = _Points(pool, form, monomials, rng)
    for batch in drawn:
        v, m, weights = points.some()
        ratios = ratios_of(layers(inputs[batch]), v)
        rates = targets[batch]
        # The constant is 1 at the reference: its coefficient is the rate there.
        loss = (loss_of(ratios, rates @ m.T, rates @ points.reference) * weights).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses(float(loss.detach()), float(schedule.get_last_lr()[0]))
        schedule.step()
    return PolynomialNetwork(scaling, arrays_of(layers), form.powers, origin, pool.units, squared)


def arrays_of(layers: torch.nn.Sequential) -> Layers:
    """Weights (n_inputs, n_outputs) and biases (n_outputs,)."""
    return [
        (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy())
        for layer in layers
        if isinstance(layer, torch.nn.Linear)
    ]


def form_of(monomials: Monomials) -> tuple[Monomials, bool]:
    """The monomials that a network has coefficients of, and whether it squares their sum.

    Those of the amplitude whose squares are ``monomials``; without one these themselves, the
    constant first.
    """
    amplitude = amplitude_of(monomials)
    if amplitude is not None:
        return amplitude, True
    order = np.argsort(monomials.powers.sum(axis=1), kind="stable")
    return Monomials(monomials.powers[order]), False


def extended(ratios: torch.Tensor, rates: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """w_0 r - w_theta log r, which is that of an extended likelihood (arXiv:1805.00020).

    Its mean is smallest where r is the true ratio. ``ratios`` and ``rates``, w_theta, are
    (n_events, n_points), ``reference``, w_0, (n_events, 1).
    """
    return reference * ratios - rates * torch.log(ratios + SMALLEST)


def unconstrained(
    ratios: torch.Tensor, rates: torch.Tensor, reference: torch.Tensor
) -> torch.Tensor:
    """The same for ratios that can be negative: w_0 sqrt(r^2 + e^2) - w_theta asinh(r / e).

    Its derivative is (w_0 r - w_theta) / sqrt(r^2 + e^2): that of ``extended`` at large ratios, so
    that tails count no more than there, and in proportion to that of a squared error at small ones.
    Where its mean given x vanishes, r is the true ratio, of either sign: nothing is clipped.
    """
    return reference * torch.sqrt(ratios**2 + SOFT**2) - rates * torch.asinh(ratios / SOFT)


def tensor(values: np.ndarray) -> torch.Tensor:
    """Values in single precision."""
    single = torch.as_tensor(np.asarray(values, dtype=np.float32))
    release(values)
    return single


def layers_of(sizes: list[int], n_outputs: int, start: float = START) -> torch.nn.Sequential:
    """A network of SiLU units whose outputs are small to begin with: ``start`` times the usual."""
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.SiLU()]
    last = torch.nn.Linear(sizes[-1], n_outputs)
    with torch.no_grad():
        last.weight.mul_(start)
    return torch.nn.Sequential(*layers, last)


def _sums(outputs: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """1 + sum_k b_k m_k of events at points with m (n_points, n_form), (n_events, n_points)."""
    return 1.0 + (outputs * (1.0 + outputs.abs())) @ v[:, 1:].T


def _squares(outputs: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """|L^T v|^2 of events at points with ``v`` (n_points, n_amplitude), (n_events, n_points)."""
    n = v.shape[1]
    rows, columns = np.tril_indices(n)
    # The transposed matrix, so that what is multiplied lies together.
    places = torch.as_tensor(columns * n + rows)
    flat = torch.zeros(len(outputs), n * n)
    flat[:, 0] = 1.0
    flat = flat.index_copy(1, places[1:], outputs)
    return (flat.view(-1, n, n) @ v.T).square().sum(dim=1)


def batches(
    n_events: int, size: int, n_batches: int, rng: np.random.Generator
) -> Iterator[torch.Tensor]:
    """Indices of events, every one once in each pass."""
    left = np.empty(0, dtype=int)
    for _ in range(n_batches):
        if len(left) < min(size, n_events):
            left = rng.permutation(n_events)
        batch, left = left[:size], left[size:]
        yield torch.as_tensor(batch)


class _Points:
    """The points of a pool, of which every batch sees some at each radius."""

    def __init__(
        self, pool: Pool, form: Monomials, monomials: Monomials, rng: np.random.Generator
    ) -> None:
        self.reference = tensor(monomials.values(np.zeros(len(pool.units)))[:, None])
        self._v = tensor(form.values(pool.points))
        self._m = tensor(monomials.values(pool.points))
        self._weights = tensor(pool.weights)
        self._rng = rng

    def some(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Monomials v (n, n_form) and m (n, n_monomials) of points, and weights (n,)."""
        shape = tuple(self._weights.shape)
        drawn = np.argsort(self._rng.random(shape), axis=1)[:, :POINTS_PER_RADIUS]
        chosen = (torch.arange(shape[0])[:, None], torch.as_tensor(drawn))
        return (
            self._v[chosen].flatten(0, 1),
            self._m[chosen].flatten(0, 1),
            self._weights[chosen].flatten(),
        )
