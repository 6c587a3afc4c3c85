"""Which cases of a corpus are part of every test run, and how they become tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

T = TypeVar("T")


def chosen(
    cases: Iterable[T], name: Callable[[T], str], every: int, is_quick: Callable[[T], bool]
) -> list[object]:
    """Parameters of a test: the cases; all but one in ``every`` quick ones are for the campaign."""
    parameters, quick, known = [], 0, set()
    for case in cases:
        label = name(case)
        if label in known:
            continue
        known.add(label)
        quick += is_quick(case)
        short = is_quick(case) and quick % every == 0
        parameters.append(
            pytest.param(case, id=label, marks=[] if short else [pytest.mark.campaign])
        )
    return parameters
