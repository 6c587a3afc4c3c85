"""What MadMiner 0.9.6 needs on today's stack: one function per fix.

Each function replaces one piece of MadMiner in memory and says why. ``apply`` applies them all;
applying twice is harmless.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from madminer.ml import parameterized_ratio, score
from madminer.utils.ml import trainer


def apply() -> None:
    """Apply every fix."""
    load_batches_by_slicing()
    keep_best_weights()
    evaluate_in_one_tensor()


class _SlicedBatches:
    """Random batches of a tensor data set, cut from index ranges instead of row by row."""

    def __init__(self, tensors: list[torch.Tensor], batch_size: int) -> None:
        self.tensors = tensors
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.tensors[0]) // self.batch_size)

    def __iter__(self) -> Iterator[list[torch.Tensor]]:
        order = torch.randperm(len(self.tensors[0]))
        for indices in order.split(self.batch_size):
            yield [tensor[indices] for tensor in self.tensors]


def load_batches_by_slicing() -> None:
    """Cut batches out of whole tensors in the training process.

    MadMiner's trainer (``Trainer.make_dataloaders``) collates every batch row by row in eight
    worker processes that are forked anew each epoch. Order and content of the batches follow
    the same distribution; only the stream of random numbers differs.
    """

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


def evaluate_in_one_tensor() -> None:
    """Hand whole arrays to the networks.

    ``madminer.utils.ml.eval`` makes one tensor per event and stacks them. The numbers are
    identical.
    """

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
