"""Dense networks that know the parameters, at all pairs of events and parameter points.

MadMiner asks a network about all events at one point after the other. Here what the first layer
makes of the events is made once, blocks of events stay in the processor's cache, and tanh(a), which
takes six times as long as a sigmoid, is 2 sigmoid(2 a) - 1, its factors and constants part of the
weights. The numbers differ by single precision's rounding, some 1e-7.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

BLOCK = 2048
"""Events at a time: their hidden layers fit into the cache."""

Layer = tuple[torch.Tensor, torch.Tensor]
"""Weights (n_outputs, n_inputs) and biases (n_outputs,)."""


@torch.no_grad()
def at_all_points(model: Any, x: np.ndarray, thetas: np.ndarray) -> np.ndarray:
    """Outputs (n_thetas, n_events) of MadMiner's network with inputs (theta, x).

    ``x`` (n_events, n_features) and ``thetas`` (n_thetas, n_parameters) are as the network wants
    them.
    """
    (weights, biases), *rest, (last, constant) = ((w.float(), b.float()) for w, b in _layers(model))
    activate = torch.sigmoid_ if model.activation is torch.tanh else model.activation
    events, points = (torch.as_tensor(rows, dtype=torch.float) for rows in (x, thetas))
    n_parameters = points.shape[1]
    of_points = points @ weights[:, :n_parameters].T + biases
    result = torch.empty(len(points), len(events))
    for start in range(0, len(events), BLOCK):
        block = slice(start, start + BLOCK)
        of_events = events[block] @ weights[:, n_parameters:].T
        for row, of_point in zip(result, of_points, strict=True):
            hidden = activate(of_events + of_point)
            for w, b in rest:
                hidden = activate(torch.addmm(b, hidden, w.T))
            row[block] = hidden @ last[0] + constant
    return result.numpy()


def _layers(model: Any) -> list[Layer]:
    """The layers in double precision, those of a tanh for a sigmoid in its place."""
    # With dropout, a layer is a sequence that ends with its weights.
    linear = [[*layer.modules()][-1] for layer in model.layers]
    layers = [(layer.weight.double(), layer.bias.double()) for layer in linear]
    if model.activation is not torch.tanh:
        return layers
    first, *others = layers
    layers = [first, *((2.0 * w, b - w.sum(dim=1)) for w, b in others)]
    return [*((2.0 * w, 2.0 * b) for w, b in layers[:-1]), layers[-1]]
