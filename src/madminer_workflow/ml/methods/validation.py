"""Validation samples from events that training never sees."""

from __future__ import annotations

from collections.abc import Callable

from madminer_workflow.analysis.types import Trained
from madminer_workflow.ml.methods.family import Arrays
from madminer_workflow.statistics.events import Events


def with_validation(
    draw: Callable[[Events, int], Arrays], events: Events, settings: Trained
) -> Arrays:
    """Samples from ``draw(events, n)``, those for validation under names that end in ``_val``.

    Events, not samples, are split: samples are drawn with replacement, and a validation loss on
    copies of training events would not notice overfitting. ``n_samples`` counts both sets.
    """
    fraction = settings.training.validation_split or 0.0
    n_validation = round(fraction * settings.n_samples)
    arrays = draw(events.part(0.0, 1.0 - fraction), settings.n_samples - n_validation)
    if n_validation:
        validation = draw(events.part(1.0 - fraction, 1.0), n_validation)
        arrays |= {f"{name}_val": array for name, array in validation.items()}
    return arrays
