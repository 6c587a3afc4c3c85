"""Results as JSON: what is written reads as the same, and only what a result has gets a key."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest

from madminer_workflow.statistics.coverage import summarise_toys
from madminer_workflow.statistics.information import Information, Profiled, summarise_information
from madminer_workflow.statistics.limits import Grid, summarise, summarise_ensemble
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import (
    FisherInformation,
    Limits,
    ObservedData,
    Result,
    ToySummary,
)
from madminer_workflow.statistics.toys import ToyPoint, Toys

GRID = Grid(["a", "b"], [np.linspace(-1.0, 1.0, 5), np.linspace(-2.0, 2.0, 7)])
Q = 9.0 * np.sum(GRID.thetas() ** 2, axis=1)

R = TypeVar("R", bound=Result)


def written(result: R) -> dict[str, Any]:
    """The strict JSON of a result, after reading it back."""
    content = json.loads(json.dumps(plain(result), allow_nan=False))
    assert msgspec.convert(content, type(result)) == result
    return content


def toys(rng: np.random.Generator) -> Toys:
    points = [ToyPoint("sm", (0.0, 0.0), None)]
    points += [ToyPoint(name, (0.0, 0.0), name) for name in GRID.parameters]
    kinds = ("shape", "rate_and_shape")
    return Toys(
        points,
        {kind: rng.chisquare(2, (3, 50)) for kind in kinds},
        {kind: rng.chisquare(1, (3, 2, 50)) for kind in kinds},
    )


def test_limits() -> None:
    assert written(summarise(Q, GRID, [0.95])).keys() == {
        "best_fit",
        "intervals",
        "allowed_volume",
    }
    content = written(summarise_ensemble(np.stack([Q, Q, 2.0 * Q]), GRID, [0.6827, 0.95]))
    assert content["intervals"]["a"].keys() == {"0.6827", "0.95"}
    [one, other] = content["member_intervals"]["a"]["0.95"]
    assert one == content["intervals"]["a"]["0.95"]
    assert other[0][1] < one[0][1]


@pytest.mark.parametrize("observed", [None, {"shape": Q}])
def test_toys(observed: dict[str, np.ndarray] | None) -> None:
    summary = summarise_toys(toys(np.random.default_rng(1)), {"shape": Q}, observed, GRID, [0.95])
    content = written(summary)
    assert ("observed_intervals" in content) == (observed is not None)
    [point] = content["points"]
    assert point["kinds"]["shape"].keys() == {"coverage", "critical", "edges", "q", "parameters"}
    assert len(point["kinds"]["shape"]["edges"]) == 1 + len(point["kinds"]["shape"]["q"])


def test_information() -> None:
    matrix = np.array([[2.0, np.nan], [np.nan, 1.0]])
    fixed, profiled = summarise_information(Information(matrix, matrix), [])
    assert profiled is None
    content = written(fixed)
    assert content["matrix"] == [[2.0, None], [None, 1.0]]
    assert "full" not in content
    eye = np.eye(2)
    known = Information(eye, eye, Profiled(0.5 * eye, eye, np.eye(3)))
    fixed, profiled = summarise_information(known, [known, known])
    assert profiled is not None
    assert written(profiled)["full"] == np.eye(3).tolist()
    assert written(profiled)["members"] == [(0.5 * eye).tolist()] * 2
    assert written(fixed)["ensemble_spread"] == np.zeros((2, 2)).tolist()


def test_events_of_a_file_have_no_parameter_point() -> None:
    assert written(ObservedData(source="events.h5", events=3, theta=None))["theta"] is None


@pytest.mark.parametrize("kind", [Limits, FisherInformation, ToySummary])
def test_what_is_no_result_is_refused(kind: type[Result]) -> None:
    with pytest.raises(msgspec.ValidationError, match="missing required field"):
        msgspec.convert({}, kind)
