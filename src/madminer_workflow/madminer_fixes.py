"""What MadMiner 0.9.6 needs on today's stack: one function per fix.

Each function replaces one piece of MadMiner in memory and says why. ``apply`` applies them all;
applying twice is harmless.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

# Fixes of the set-up file must not make configure import torch.
if TYPE_CHECKING:
    import torch


def apply() -> None:
    """Apply every fix."""
    load_batches_by_slicing()
    keep_best_weights()
    scale_validation_points()
    evaluate_in_one_tensor()
    save_systematics_without_scale()
    load_systematics_without_scale()


class _SlicedBatches:
    """Random batches of a tensor data set, cut from index ranges instead of row by row."""

    def __init__(self, tensors: list[torch.Tensor], batch_size: int) -> None:
        self.tensors = tensors
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.tensors[0]) // self.batch_size)

    def __iter__(self) -> Iterator[list[torch.Tensor]]:
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

    def make_dataloaders(
        self: Any, dataset: Any, dataset_val: Any, validation_split: float | None, batch_size: int
    ) -> tuple[_SlicedBatches, _SlicedBatches | None]:
        training = list(dataset.data)
        validation = list(dataset_val.data) if dataset_val is not None else None
        if validation is None and validation_split:
            order = torch.randperm(len(dataset))
            n_validation = int(validation_split * len(dataset))
            validation = [tensor[order[:n_validation]] for tensor in training]
            training = [tensor[order[n_validation:]] for tensor in training]
        batches = _SlicedBatches(training, batch_size)
        return batches, _SlicedBatches(validation, batch_size) if validation else None

    trainer.Trainer.make_dataloaders = make_dataloaders


def keep_best_weights() -> None:
    """Let early stopping restore the weights of the best epoch.

    ``Trainer.check_early_stopping`` remembers ``state_dict()``, whose tensors are the live
    weights, so that the "best" model is always the last one. The fix remembers a copy.
    """
    from madminer.utils.ml import trainer

    original = trainer.Trainer.check_early_stopping
    if getattr(original, "keeps_copy", False):
        return

    def check_early_stopping(
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

    check_early_stopping.keeps_copy = True  # type: ignore[attr-defined]
    trainer.Trainer.check_early_stopping = check_early_stopping


def scale_validation_points() -> None:
    """Scale the parameter points of validation events as those of training events.

    ``ParameterizedRatioEstimator.train`` scales ``theta`` but not ``theta_val``: its validation
    loss, and with that early stopping, is about a network at other points than the events'.
    """
    from madminer.ml import ParameterizedRatioEstimator

    original = ParameterizedRatioEstimator.train
    if getattr(original, "scales_validation_points", False):
        return

    @functools.wraps(original)
    def train(self: Any, *args: Any, theta_val: Any = None, **kwargs: Any) -> Any:
        package = self._package_training_data

        def package_scaled(method: str, x: Any, theta: Any, *rest: Any) -> Any:
            points = self._transform_parameters(theta) if theta is theta_val else theta
            return package(method, x, points, *rest)

        self._package_training_data = package_scaled
        try:
            return original(self, *args, theta_val=theta_val, **kwargs)
        finally:
            del self._package_training_data

    train.scales_validation_points = True  # type: ignore[attr-defined]
    ParameterizedRatioEstimator.train = train


def evaluate_in_one_tensor() -> None:
    """Hand whole arrays to the networks.

    ``madminer.utils.ml.eval`` makes one tensor per event and stacks them. The numbers are
    identical.
    """
    import torch
    from madminer.ml import parameterized_ratio, score

    def evaluate_ratio_model(
        model: Any,
        method_type: str | None = None,
        theta0s: Any = None,
        theta1s: Any = None,
        xs: Any = None,
        evaluate_score: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, None]:
        x = torch.as_tensor(np.asarray(xs), dtype=torch.float)
        theta = torch.as_tensor(np.asarray(theta0s), dtype=torch.float)
        theta = theta.repeat(-(-len(x) // len(theta)), 1)[: len(x)].requires_grad_(evaluate_score)
        model.eval()
        with torch.set_grad_enabled(evaluate_score):
            s_hat, log_r_hat, t_hat = model(
                theta, x, track_score=evaluate_score, create_gradient_graph=False
            )
        scores = t_hat.detach().numpy() if evaluate_score else None
        return s_hat.detach().numpy().flatten(), log_r_hat.detach().numpy().flatten(), scores, None

    def evaluate_local_score_model(model: Any, xs: Any = None) -> np.ndarray:
        model.eval()
        with torch.no_grad():
            return model(torch.as_tensor(np.asarray(xs), dtype=torch.float)).numpy()

    parameterized_ratio.evaluate_ratio_model = evaluate_ratio_model
    score.evaluate_local_score_model = evaluate_local_score_model


def save_systematics_without_scale() -> None:
    """Let a set-up with norm or PDF uncertainties be saved (madminer issue 565).

    ``save_madminer_settings`` asks every uncertainty for ``scale.value``, but only those of effect
    scale have a scale; and it hands h5py numbers and text in one list of values.
    """
    from madminer.core import madminer

    original = madminer.save_madminer_settings
    if getattr(original, "takes_any_systematics", False):
        return

    def save_madminer_settings(*, systematics: Mapping[str, Any], **settings: Any) -> None:
        complete = {
            name: SimpleNamespace(
                name=systematic.name,
                type=systematic.type,
                value=str(systematic.value),
                scale=systematic.scale or SimpleNamespace(value=None),
            )
            for name, systematic in systematics.items()
        }
        original(systematics=complete, **settings)

    save_madminer_settings.takes_any_systematics = True  # type: ignore[attr-defined]
    madminer.save_madminer_settings = save_madminer_settings


def load_systematics_without_scale() -> None:
    """Let a set-up with norm or PDF uncertainties be loaded, and with the values that were saved.

    ``load_madminer_settings`` finds no scale named None. All values come back as bytes, which
    end up in MadGraph's run card as ``b'...'`` (madminer issue 523); those of effect norm are
    numbers.
    """
    from madminer.models import SystematicScale
    from madminer.utils.interfaces import hdf5

    load = hdf5._load_systematics
    if getattr(load, "decodes_values", False):
        return

    def _load_systematics(file_name: str) -> tuple[list, list, list, list]:
        names, types, values, scales = load(file_name)
        texts = [value.decode("ascii") for value in values]
        numbers = [float(t) if kind == "norm" else t for t, kind in zip(texts, types, strict=True)]
        return names, types, numbers, scales

    def from_str(value: str | None) -> Any:
        return None if value is None else SystematicScale.from_str(value)

    _load_systematics.decodes_values = True  # type: ignore[attr-defined]
    hdf5._load_systematics = _load_systematics
    hdf5.SystematicScale = SimpleNamespace(from_str=from_str)
