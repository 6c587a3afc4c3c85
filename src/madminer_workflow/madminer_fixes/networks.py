"""Fixes of MadMiner's neural networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from madminer_workflow.madminer_fixes.replacing import fix


def activate_once_with_dropout() -> None:
    """Apply the activation function to hidden layers only, also with dropout.

    Networks activate before all of their layers but the first. Dropout counts as a layer there:
    with it, inputs are activated, too, so that relu is blind to all of them below their mean, and
    hidden layers twice. One layer of dropout and weights together puts that right.
    """
    from madminer.utils.ml.models import ratio, score
    from torch import nn

    def initialise(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        layers = list(self.layers)
        if not any(isinstance(layer, nn.Dropout) for layer in layers):
            return
        pairs = zip(layers[::2], layers[1::2], strict=True)
        self.layers = nn.ModuleList([nn.Sequential(dropout, linear) for dropout, linear in pairs])
        if "append" in self._modules:
            # One of the networks keeps its layers under a second name.
            self.append = self.layers

    for model in (
        ratio.DenseSingleParameterizedRatioModel,
        ratio.DenseDoublyParameterizedRatioModel,
        ratio.DenseComponentRatioModel,
        score.DenseLocalScoreModel,
    ):
        fix(model, "__init__")(initialise)


def give_second_score_its_sign() -> None:
    """Let networks with two parameter points estimate the score at theta1, not its opposite.

    They give the gradient of log p(x | theta0) - log p(x | theta1) in theta1, which is minus the
    score there, and losses compare it with the score: the better a network, the larger its loss.
    """
    from madminer.utils.ml.models.ratio import DenseDoublyParameterizedRatioModel

    @fix(DenseDoublyParameterizedRatioModel, "forward")
    def forward(original: Any, self: Any, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        s_hat, log_r_hat, t_hat0, t_hat1, *rest = original(self, *args, **kwargs)
        return s_hat, log_r_hat, t_hat0, None if t_hat1 is None else -t_hat1, *rest


def keep_batch_statistics() -> None:
    """Let flows with batch normalisation remember its means and variances.

    ``BatchNorm`` forgets all batches but the last, and what it remembers is not part of the saved
    model: loaded, a flow has variance 0 and no finite density.
    """
    import torch
    from madminer.utils.ml.models.batch_norm import BatchNorm

    @fix(BatchNorm, "__init__")
    def initialise(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        for name in ("running_mean", "running_var"):
            value = getattr(self, name)
            delattr(self, name)
            self.register_buffer(name, value)

    @fix(BatchNorm, "forward")
    def forward(
        original: Any, self: Any, x: torch.Tensor, fixed_params: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        u, logdet = original(self, x, fixed_params)
        if not fixed_params:
            # The graphs of all batches would hang on the running mean.
            self.running_mean = self.running_mean.detach()
            self.running_var = self.running_var.detach()
            self.calculated_running_mean = True
        return u, logdet


def alternate_order_of_features() -> None:
    """Reverse the order of the features from each layer of a flow to the next.

    Conditional flows mean to, but a condition is the wrong way round (it is right for those without
    parameters). With one order in all layers, the first feature is Gaussian however many there are.
    """
    from madminer.utils.ml.models.maf import ConditionalMaskedAutoregressiveFlow
    from madminer.utils.ml.models.maf_mog import ConditionalMixtureMaskedAutoregressiveFlow

    def initialise(
        original: Any, self: Any, n_conditionals: int, n_inputs: int, *args: Any, **kwargs: Any
    ) -> None:
        order = kwargs.pop("input_order", "sequential")
        if isinstance(order, str) and order == "sequential":
            # As numbers, it is the same order, and is reversed.
            order = np.arange(1, n_inputs + 1)
        original(self, n_conditionals, n_inputs, *args, input_order=order, **kwargs)

    for flow in (ConditionalMaskedAutoregressiveFlow, ConditionalMixtureMaskedAutoregressiveFlow):
        fix(flow, "__init__")(initialise)


def mix_densities_of_any_shape() -> None:
    """Let mixtures have one feature, and batches one event.

    ``ConditionalMixtureMADE.forward`` squeezes all axes of length 1 and adds arrays whose shapes
    do not belong together. Otherwise the numbers are the same.
    """
    import torch
    from madminer.utils.ml.models.made_mog import ConditionalMixtureMADE
    from torch.nn import functional

    @fix(ConditionalMixtureMADE, "forward")
    def forward(
        original: Any, self: Any, theta: torch.Tensor, x: torch.Tensor, **_: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h = functional.linear(theta, self.Wx.T)
        h = self.activation_function(
            h + functional.linear(x, (self.Ms[0] * self.Ws[0]).T, self.bs[0])
        )
        for mask, weight, bias in zip(self.Ms[1:], self.Ws[1:], self.bs[1:], strict=True):
            h = self.activation_function(functional.linear(h, (mask * weight).T, bias))

        def output(weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
            """(n_events, n_features, n_components)."""
            return torch.einsum("bh,hic->bic", h, self.Mmp * weight) + bias

        self.m, self.logp = output(self.Wm, self.bm), output(self.Wp, self.bp)
        self.loga = torch.log_softmax(output(self.Wa, self.ba), dim=2)
        u = torch.exp(0.5 * self.logp) * (x.unsqueeze(2) - self.m)
        return u, 0.5 * self.logp, self.loga
