"""Fixes of what MadMiner's estimators compute once they are trained, and how they are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from madminer_workflow.madminer_fixes.replacing import fix


def scale_inputs() -> None:
    """Scale inputs by finite numbers; let an estimator with ``scale_inputs=False`` be evaluated.

    ``Estimator.initialize_input_transform`` makes, without scaling, a transformation for as many
    observables as there are training events, which fits no other number of events. With it, the
    square of a large observable has no 32-bit number.
    """
    from madminer.ml.base import Estimator

    @fix(Estimator, "initialize_input_transform")
    def initialize_input_transform(
        original: Any, self: Any, x: np.ndarray, transform: bool = True, overwrite: bool = True
    ) -> None:
        # All that counts of x without a transformation is the length of its first axis.
        with np.errstate(over="ignore"):
            original(self, x if transform else x.T, transform, overwrite)
        if not np.all(np.isfinite(self.x_scaling_stds)):
            original(self, x.astype(float), transform, True)


def scale_evaluation_points() -> None:
    """Evaluate networks at the points they are asked for.

    ``DoubleParameterizedRatioEstimator`` and ``LikelihoodEstimator`` scale parameters in training,
    but hand them to the network as they are in evaluation, and leave the score in the units of
    training. ``ParameterizedRatioEstimator`` does both right.
    """
    from madminer.ml import DoubleParameterizedRatioEstimator, LikelihoodEstimator

    @fix(DoubleParameterizedRatioEstimator, "evaluate_log_likelihood_ratio")
    def evaluate_log_likelihood_ratio(
        original: Any,
        self: Any,
        x: np.ndarray,
        theta0: np.ndarray,
        theta1: np.ndarray,
        test_all_combinations: bool = True,
        evaluate_score: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        points = map(self._transform_parameters, (theta0, theta1))
        log_r, *scores = original(self, x, *points, test_all_combinations, evaluate_score)
        if not evaluate_score:
            return log_r, None, None
        t0, t1 = (self._transform_score(score, inverse=True) for score in scores)
        return log_r, t0, t1

    @fix(LikelihoodEstimator, "evaluate_log_likelihood")
    def evaluate_log_likelihood(
        original: Any,
        self: Any,
        x: np.ndarray,
        theta: np.ndarray,
        test_all_combinations: bool = True,
        evaluate_score: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        points = self._transform_parameters(theta)
        log_p, score = original(self, x, points, test_all_combinations, evaluate_score)
        return log_p, self._transform_score(score, inverse=True) if evaluate_score else None


def evaluate_in_one_tensor() -> None:
    """Hand whole arrays to the networks.

    ``madminer.utils.ml.eval`` makes one tensor per event and stacks them. The numbers are
    identical. Two more defects go with it: the graph of a network with two parameter points is
    gone before its second score, and scores of densities come without their shape.
    """
    import torch
    from madminer.ml import double_parameterized_ratio, likelihood, parameterized_ratio, score

    def tensor(values: Any, n: int | None = None, differentiable: bool = False) -> torch.Tensor:
        """``values`` as a tensor; repeated until there are ``n``, if given."""
        result = torch.as_tensor(np.asarray(values), dtype=torch.float)
        if n is not None:
            result = result.repeat(-(-n // len(result)), 1)[:n]
        return result.requires_grad_(differentiable)

    def flat(values: torch.Tensor) -> np.ndarray:
        return values.detach().numpy().flatten()

    def prepared(model: Any) -> Any:
        # Models that come from a file start with some numbers in double precision.
        return model.to(torch.float).eval()

    def evaluate_ratio_model(
        original: Any,
        model: Any,
        method_type: str | None = None,
        theta0s: Any = None,
        theta1s: Any = None,
        xs: Any = None,
        evaluate_score: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
        x = tensor(xs)
        given = [points for points in (theta0s, theta1s) if points is not None]
        thetas = [tensor(points, len(x), evaluate_score) for points in given]
        model = prepared(model)
        with torch.set_grad_enabled(evaluate_score):
            s_hat, log_r, *scores = model(
                *thetas, x, track_score=evaluate_score, create_gradient_graph=len(thetas) == 2
            )
        t0, t1 = ([t.detach().numpy() for t in scores if t is not None] + [None, None])[:2]
        return flat(s_hat), flat(log_r), t0, t1

    def evaluate_flow_model(
        original: Any, model: Any, thetas: Any = None, xs: Any = None, evaluate_score: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        x = tensor(xs)
        theta = tensor(thetas, len(x), evaluate_score)
        model = prepared(model)
        if not evaluate_score:
            with torch.no_grad():
                return flat(model.log_likelihood(theta, x)[1]), None
        _, log_p, t_hat = model.log_likelihood_and_score(theta, x)
        return flat(log_p), t_hat.detach().numpy()

    def evaluate_local_score_model(original: Any, model: Any, xs: Any = None) -> np.ndarray:
        with torch.no_grad():
            return prepared(model)(tensor(xs)).numpy()

    for module in (parameterized_ratio, double_parameterized_ratio):
        fix(module, "evaluate_ratio_model")(evaluate_ratio_model)
    fix(likelihood, "evaluate_flow_model")(evaluate_flow_model)
    fix(score, "evaluate_local_score_model")(evaluate_local_score_model)


def complete_morphing_aware_estimators() -> None:
    """Let morphing-aware estimators tell their losses, and what they are when they are saved.

    Their ``train`` returns nothing. Saved, they call themselves parameterized, with whose network
    ``load_estimator`` cannot read their weights.
    """
    from madminer.ml import ParameterizedRatioEstimator
    from madminer.ml.morphing_aware import (
        MorphingAwareRatioEstimator,
        QuadraticMorphingAwareRatioEstimator,
    )

    def train(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        return ParameterizedRatioEstimator.train(self, *args, scale_parameters=False, **kwargs)

    def _wrap_settings(original: Any, self: Any) -> dict[str, Any]:
        return {**original(self), "estimator_type": MORPHING_AWARE[type(self).__name__]}

    def _unwrap_settings(original: Any, self: Any, settings: dict[str, Any]) -> None:
        original(self, {**settings, "estimator_type": "parameterized_ratio"})

    for kind in (MorphingAwareRatioEstimator, QuadraticMorphingAwareRatioEstimator):
        fix(kind, "train")(train)
        fix(kind, "_wrap_settings")(_wrap_settings)
        fix(kind, "_unwrap_settings")(_unwrap_settings)


MORPHING_AWARE = {
    "MorphingAwareRatioEstimator": "morphing_aware_ratio",
    "QuadraticMorphingAwareRatioEstimator": "quadratic_morphing_aware_ratio",
}
"""What saved morphing-aware estimators call themselves, by class."""
