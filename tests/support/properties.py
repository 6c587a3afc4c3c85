"""How many examples a property test tries: few, always the same ones, or many random ones.

``make test`` derandomises: a run of it says nothing about luck. ``make fuzz`` sets
HYPOTHESIS_PROFILE to ``fuzz`` and looks for new counterexamples, which belong into ``@example``.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FUZZING = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"
FACTOR = 20 if FUZZING else 1
USUAL = 50


def examples(number: int) -> settings:
    """Settings of a test that tries ``number`` examples in ``make test``, more in ``make fuzz``."""
    return settings(max_examples=FACTOR * number)


def load_profile() -> None:
    """Make the profile of this run that of all property tests."""
    settings.register_profile(
        "test", derandomize=True, database=None, deadline=None, max_examples=USUAL
    )
    settings.register_profile(
        "fuzz",
        deadline=None,
        max_examples=FACTOR * USUAL,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("fuzz" if FUZZING else "test")
