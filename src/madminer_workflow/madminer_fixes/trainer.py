"""Fixes of how MadMiner trains its estimators."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from madminer_workflow.madminer_fixes.replacing import fix

# Fixes of the set-up file must not make configure import torch.
if TYPE_CHECKING:
    import torch


class SlicedBatches:
    """Random batches of a tensor data set, cut from index ranges instead of row by row."""

    def __init__(self, tensors: list[torch.Tensor], batch_size: int) -> None:
        """Cut ``tensors``, which all have as many rows, into batches of ``batch_size``."""
        self.tensors = tensors
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self.tensors[0]) // self.batch_size)

    def __iter__(self) -> Iterator[list[torch.Tensor]]:
        """All rows once, in a new order."""
        import torch

        order = torch.randperm(len(self.tensors[0]))
        for indices in order.split(self.batch_size):
            yield [tensor[indices] for tensor in self.tensors]


def load_batches_by_slicing() -> None:
    """Cut batches out of whole tensors in the training process.

    MadMiner's trainer (``Trainer.make_dataloaders``) collates every batch row by row in eight
    worker processes that are forked anew each epoch. Order and content of the batches follow
    the same distribution; only the stream of random numbers differs.
    """
    import torch
    from madminer.utils.ml import trainer

    @fix(trainer.Trainer, "make_dataloaders")
    def make_dataloaders(
        original: Any,
        self: Any,
        dataset: Any,
        dataset_val: Any,
        validation_split: float | None,
        batch_size: int,
    ) -> tuple[SlicedBatches, SlicedBatches | None]:
        training = list(dataset.data)
        validation = list(dataset_val.data) if dataset_val is not None else None
        if validation is None and validation_split:
            order = torch.randperm(len(dataset))
            n_validation = int(validation_split * len(dataset))
            validation = [tensor[order[:n_validation]] for tensor in training]
            training = [tensor[order[n_validation:]] for tensor in training]
        batches = SlicedBatches(training, batch_size)
        return batches, SlicedBatches(validation, batch_size) if validation else None


def keep_best_weights() -> None:
    """Let early stopping restore the weights of the best epoch.

    ``Trainer.check_early_stopping`` remembers ``state_dict()``, whose tensors are the live
    weights, so that the "best" model is always the last one. The fix remembers a copy.
    """
    from madminer.utils.ml import trainer

    @fix(trainer.Trainer, "check_early_stopping")
    def check_early_stopping(
        original: Any,
        self: Any,
        best_loss: Any,
        best_model: Any,
        best_epoch: Any,
        loss: Any,
        i_epoch: int,
        *rest: Any,
    ) -> tuple[Any, Any, Any]:
        best_loss, model, epoch = original(
            self, best_loss, best_model, best_epoch, loss, i_epoch, *rest
        )
        if epoch == i_epoch:
            model = copy.deepcopy(model)
        return best_loss, model, epoch


def scale_validation_points() -> None:
    """Scale the parameter points of validation events as those of training events.

    All three estimators with parameter points scale those of training but not those of
    validation: the validation loss, and with that early stopping, is about a network at other
    points than the events'.
    """
    from madminer.ml import (
        DoubleParameterizedRatioEstimator,
        LikelihoodEstimator,
        ParameterizedRatioEstimator,
    )

    def train(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        package = self._package_training_data
        points = [kwargs.get(name) for name in ("theta_val", "theta0_val", "theta1_val")]

        def is_unscaled(array: Any) -> bool:
            return array is not None and any(array is each for each in points)

        def package_scaled(method: str, *arrays: Any) -> Any:
            scaled = (self._transform_parameters(a) if is_unscaled(a) else a for a in arrays)
            return package(method, *scaled)

        self._package_training_data = package_scaled
        try:
            return original(self, *args, **kwargs)
        finally:
            del self._package_training_data

    for estimator in (
        DoubleParameterizedRatioEstimator,
        LikelihoodEstimator,
        ParameterizedRatioEstimator,
    ):
        fix(estimator, "train")(train)


def use_nesterov_momentum() -> None:
    """Let ``nesterov_momentum`` be one: MadMiner asks torch for a plain momentum of that size."""
    from madminer.ml import double_parameterized_ratio, likelihood, parameterized_ratio, score

    def get_optimizer(original: Any, optimizer: str, nesterov_momentum: float | None) -> Any:
        kind, settings = original(optimizer, nesterov_momentum)
        if settings and "momentum" in settings:
            settings["nesterov"] = True
        return kind, settings

    for module in (double_parameterized_ratio, likelihood, parameterized_ratio, score):
        fix(module, "get_optimizer")(get_optimizer)


def spare_the_compiler() -> None:
    """Let torch's optimizers step without importing its compiler.

    Every training imports ``torch._dynamo`` only to tell it that there is nothing to compile, which
    takes longer than many trainings. The numbers are identical.
    """
    from madminer.ml import double_parameterized_ratio, likelihood, parameterized_ratio, score
    from torch.optim import Optimizer

    for name in ("add_param_group", "zero_grad"):
        function: Any = inspect.unwrap(getattr(Optimizer, name))
        # Where torch keeps what it makes of the function with its compiler's help.
        function.__dynamo_disable = function

    def get_optimizer(original: Any, *args: Any) -> Any:
        kind, settings = original(*args)
        return stepping_as_it_is(kind), settings

    for module in (double_parameterized_ratio, likelihood, parameterized_ratio, score):
        fix(module, "get_optimizer")(get_optimizer)


@functools.cache
def stepping_as_it_is(kind: Any) -> Any:
    """A torch optimizer class like ``kind`` whose ``step`` is the plain function."""
    import torch

    return type(kind.__name__, (kind,), {"step": torch.no_grad()(inspect.unwrap(kind.step))})
