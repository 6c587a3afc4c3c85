"""Fixtures of tests that run whole workflows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.warm import steps_are_warm


@pytest.fixture(scope="module")
def warm() -> Iterator[None]:
    """Steps of workflows that this process runs cost no imports."""
    with steps_are_warm():
        yield
