from __future__ import annotations

from typing import Any

import pytest

from madminer_workflow.systematics import Nuisance, nuisance_parameters, weight_variations

SCALE = {
    "systematic_name": "scale",
    "effect": "scale",
    "scale": "mu",
    "scale_variations": [0.5, 1.0, 2.0],
}
NORM = {"systematic_name": "lumi", "effect": "norm", "norm_variation": 1.05}
PDF = {
    "systematic_name": "pdf",
    "effect": "pdf",
    "pdf_variation": "SET",
    "pdf_members": 4,
    "pdf_error_type": "hessian",
    "pdf_confidence_level": 0.6827,
}


def test_names_are_madminers() -> None:
    scale, norm = nuisance_parameters([SCALE, NORM])
    name = "scale_nuisance_param_0"
    assert scale == Nuisance(name, "scale", "scale", f"{name}_benchmark_0", f"{name}_benchmark_1")
    name = "lumi_nuisance_param_0"
    assert norm == Nuisance(name, "lumi", "norm", f"{name}_benchmark_0", None)


@pytest.mark.parametrize(("error_type", "sides"), [("hessian", [2, 2]), ("symmhessian", [1] * 4)])
def test_members_of_a_pdf_set(error_type: str, sides: list[int]) -> None:
    pdf = {**PDF, "pdf_error_type": error_type}
    assert [len(n.benchmarks) for n in nuisance_parameters([pdf])] == sides
    variations = weight_variations([pdf])
    assert [v.pdf_member for v in variations] == [1, 2, 3, 4]
    assert {v.pdf_set for v in variations} == {"SET"}
    assert len({v.benchmark for v in variations}) == 4


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [(0.5, 0.5), (2.0, 2.0)]),
        ({"scale": "muf"}, [(1.0, 0.5), (1.0, 2.0)]),
        ({"scale": "mur", "scale_variations": [2.0]}, [(2.0, 1.0)]),
    ],
)
def test_factors_on_the_scales(changes: dict[str, Any], expected: list[tuple]) -> None:
    variations = weight_variations([NORM, {**SCALE, **changes}])
    assert [(v.mur, v.muf) for v in variations] == expected
    names = [b for n in nuisance_parameters([{**SCALE, **changes}]) for b in n.benchmarks]
    assert [v.benchmark for v in variations] == names
