"""What MadMiner 0.9.6 needs on today's stack: one function per fix.

Each function replaces one piece of MadMiner in memory and says why. ``apply`` applies them all;
applying twice is harmless.
"""

from __future__ import annotations

from madminer_workflow.madminer_fixes import estimators, networks, set_up, trainer


def apply() -> None:
    """Apply every fix."""
    set_up.save_systematics_without_scale()
    set_up.load_systematics_without_scale()
    trainer.load_batches_by_slicing()
    trainer.keep_best_weights()
    trainer.scale_validation_points()
    trainer.use_nesterov_momentum()
    trainer.spare_the_compiler()
    estimators.scale_inputs()
    estimators.scale_evaluation_points()
    estimators.evaluate_in_one_tensor()
    estimators.complete_morphing_aware_estimators()
    networks.activate_once_with_dropout()
    networks.give_second_score_its_sign()
    networks.keep_batch_statistics()
    networks.alternate_order_of_features()
    networks.mix_densities_of_any_shape()
