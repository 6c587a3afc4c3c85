"""One fingerprint tells the products of two analyses apart, and says by what."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.fingerprint import (
    Fingerprint,
    difference,
    of_analysis,
    require_same,
)
from madminer_workflow.analysis.systematics import nuisance_parameters
from madminer_workflow.analysis.types import NormVariation, ScaleVariation, Systematic
from madminer_workflow.errors import InputError
from tests.support.paths import DATA

TINY = of_analysis(read_analysis(DATA / "tiny_systematics" / "input.yml"))
SCALE = ScaleVariation(systematic_name="mu", scale="mu", scale_variations=(0.5, 2.0))
ONE_SIDED = ScaleVariation(systematic_name="mu", scale="mu", scale_variations=(2.0,))
NORM = NormVariation(systematic_name="lumi", norm_variation=1.02)


def changed(**parts: Any) -> Fingerprint:
    return msgspec.structs.replace(TINY, **parts)


def of(systematics: list[Systematic]) -> Fingerprint:
    return changed(nuisance=tuple(nuisance_parameters(systematics)))


def test_an_analysis_is_itself() -> None:
    assert difference(TINY, TINY) is None
    stored = msgspec.json.decode(msgspec.json.encode(TINY), type=Fingerprint)
    assert stored == TINY


def test_what_is_not_known_is_not_compared() -> None:
    assert difference(Fingerprint(parameters=TINY.parameters), TINY) is None
    assert difference(TINY, Fingerprint(parameters=TINY.parameters)) is None


def test_benchmarks_that_madminer_adds_do_not_matter() -> None:
    assert TINY.benchmarks is not None
    more = changed(benchmarks={**TINY.benchmarks, "morphing_basis_vector_3": (1.0,)})
    assert difference(more, TINY) is None
    assert difference(TINY, more) == "no benchmark morphing_basis_vector_3"


@pytest.mark.parametrize(
    ("parts", "whose", "message"),
    [
        ({"parameters": ("c",)}, "", "its parameters are c; expected CWL2"),
        ({"parameters": ("c",)}, "the data", "its parameters are c; those of the data are CWL2"),
        ({"benchmarks": {"sm": (0.0,)}}, "", "no benchmark w"),
        (
            {"benchmarks": {"sm": (0.5,), "w": (1.0,)}},
            "",
            "its benchmark sm is at 0.5; expected 0",
        ),
        (
            {"benchmarks": {"sm": (0.5,), "w": (1.0,)}},
            "a.h5",
            "its benchmark sm is at 0.5; that of a.h5 is at 0",
        ),
        ({"observables": ("x",)}, "", "its observables are x; expected "),
    ],
)
def test_what_differs_is_said(parts: dict[str, Any], whose: str, message: str) -> None:
    assert (difference(changed(**parts), TINY, whose) or "").startswith(message)


def test_uncertainties_in_the_words_that_explain_the_difference() -> None:
    both, none, other = (of([SCALE, NORM]), of([]), of([ONE_SIDED, NORM]))
    same = ", all with the same settings"
    assert difference(none, both) == (
        f"its systematic uncertainties are none; expected mu, lumi{same}"
    )
    assert difference(none, both, "the data") == (
        "its nuisance parameters are none; those of the data are "
        "mu_nuisance_param_0, lumi_nuisance_param_0"
    )
    words = "its systematic uncertainties are mu, lumi; those of the data are mu, lumi"
    assert difference(other, both, "the data") == words + same


def test_the_message_names_file_and_remedy() -> None:
    with pytest.raises(InputError) as caught:
        require_same("a.npz", changed(observables=()), TINY, remedy="run sampling again")
    assert str(caught.value).startswith("a.npz: belongs to another analysis: its observables are")
    assert "none; expected" in str(caught.value)
    assert str(caught.value).endswith("; run sampling again")
