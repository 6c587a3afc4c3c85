"""Numbers of lines against Python's own conversion, digit by digit."""

import math
import re
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madminer_workflow.physics.readers import lhe_numbers, lhe_weights
from madminer_workflow.physics.readers.fixed_width import Lines
from madminer_workflow.physics.readers.lhe import LHEEvents, read_events
from madminer_workflow.physics.readers.lhe_text import EventError, EventLines, EventTexts
from tests.support.event_files import text

FORMATS = ("%+.11e", "%18.10e", "%.4e", "%+.16e", "%.8E", "%9d", "%-4d", "%12.3f", "%r", "%s")


def numbers_of(lines: list[str], n_numbers: int) -> np.ndarray | None:
    whole = Lines.of("\n".join(lines).encode())
    return whole.numbers(np.arange(len(lines)), n_numbers)


@given(
    st.lists(st.sampled_from(FORMATS), min_size=1, max_size=5),
    st.lists(st.lists(st.floats(-1e25, 1e25), min_size=5, max_size=5), min_size=1, max_size=8),
)
def test_numbers_are_those_of_python(formats: list[str], rows: list[list[float]]) -> None:
    lines = [
        " ".join(
            form % (int(value % 1000) if form.endswith("d") else value)
            for form, value in zip(formats, row, strict=False)
        )
        for row in rows
    ]
    expected = np.array([[float(word) for word in line.split()] for line in lines]).T
    read = numbers_of(lines, len(formats))
    assert read is not None
    assert read.tobytes() == expected.tobytes()


@pytest.mark.parametrize("exponent", [-330, -310, -40, -23, -22, 0, 22, 23, 300])
def test_exponents_that_need_more_than_one_rounding(exponent: int) -> None:
    digits = np.random.default_rng(exponent + 400).integers(1, 10**15, 500)
    lines = [f"{n // 10**14}.{n % 10**14:014d}e{exponent:+04d}" for n in digits.tolist()]
    read = numbers_of(lines, 1)
    assert read is not None
    assert read[0].tolist() == [float(line) for line in lines]


@pytest.mark.parametrize(
    "odd", ["1 2", "1+2", "+ 12", "--12", "1e+", "12 x", "", "0x12", "1.2.3", "1,23", "nan"]
)
def test_what_are_no_numbers_is_left_to_others(odd: str) -> None:
    width = max(len(odd), 4)
    lines = [f"{12:+{width}d}", f"{odd:>{width}}", f"{-3:{width}d}"]
    assert numbers_of(lines, 1) is None


def test_lines_of_fixed_width_are_not_taken_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("madminer_workflow.physics.readers.fixed_width.of_any_width", fails)
    monkeypatch.setattr(lhe_numbers, "_one_by_one", fails)
    monkeypatch.setattr(lhe_weights, "_one_by_one", fails)
    events = read_events(Path("events.lhe"), EventTexts(text().encode()), 1.0)
    assert (len(events), len(events.weight_names)) == (1000, 5)


def read_both_ways(changed: bytes) -> list[LHEEvents | str]:
    """The events, or what is wrong: at once, and without a look at lines."""
    results: list[LHEEvents | str] = []
    for is_careful in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if is_careful:
                patch.setattr(EventLines, "within", lambda text: None)
                for module in (lhe_numbers, lhe_weights):
                    patch.setattr(module, "_at_once", lambda *_: None)
            try:
                results.append(read_events(Path("events.lhe"), EventTexts(changed), 1.0))
            except EventError as error:
                results.append(f"{error.number}: {error}")
    return results


START, *EVENTS = re.split(rb"(?=<event>)", text().encode())
FEW = b"".join(EVENTS[:4])


@given(st.data())
def test_a_changed_character_is_read_alike_or_refused_alike(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(FEW) - 1))
    new = data.draw(st.sampled_from([b"", b"7", b" ", b"\n", b"-", b".", b"e", b"<", b"#", b"x"]))
    at_once, one_by_one = read_both_ways(FEW[:place] + new + FEW[place + len(new or b"x") :])
    if isinstance(at_once, str) or isinstance(one_by_one, str):
        assert at_once == one_by_one
        return
    assert at_once.weight_names == one_by_one.weight_names
    assert at_once.weights.tobytes() == one_by_one.weights.tobytes()
    assert at_once.event_weight.tobytes() == one_by_one.event_weight.tobytes()
    assert ak.to_list(at_once.particles) == ak.to_list(one_by_one.particles)
    assert not math.isnan(at_once.event_weight.sum())
