"""What MadMiner 0.9.6 needs on today's stack: one function per fix.

Each function replaces one piece of MadMiner in memory and says why. ``apply`` applies them all;
applying twice is harmless.
"""

from __future__ import annotations

from madminer_workflow.madminer_fixes.estimators import (
    MORPHING_AWARE,
    complete_morphing_aware_estimators,
    evaluate_in_one_tensor,
    leave_inputs_unscaled,
    scale_evaluation_points,
)
from madminer_workflow.madminer_fixes.networks import (
    activate_once_with_dropout,
    alternate_order_of_features,
    give_second_score_its_sign,
    keep_batch_statistics,
    mix_densities_of_any_shape,
)
from madminer_workflow.madminer_fixes.set_up import (
    load_systematics_without_scale,
    save_systematics_without_scale,
)
from madminer_workflow.madminer_fixes.trainer import (
    keep_best_weights,
    load_batches_by_slicing,
    scale_validation_points,
    spare_the_compiler,
    use_nesterov_momentum,
)

__all__ = ["MORPHING_AWARE", "apply", "save_systematics_without_scale"]


def apply() -> None:
    """Apply every fix."""
    save_systematics_without_scale()
    load_systematics_without_scale()
    load_batches_by_slicing()
    keep_best_weights()
    scale_validation_points()
    use_nesterov_momentum()
    spare_the_compiler()
    leave_inputs_unscaled()
    scale_evaluation_points()
    evaluate_in_one_tensor()
    complete_morphing_aware_estimators()
    activate_once_with_dropout()
    give_second_score_its_sign()
    keep_batch_statistics()
    alternate_order_of_features()
    mix_densities_of_any_shape()
