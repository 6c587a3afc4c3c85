"""Events of the MadGraph generator: reading what MadGraph draws, writing clean files, weights."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from madminer_workflow.errors import StepError
from madminer_workflow.physics.generators.lhe_writer import Header, write_lhe
from madminer_workflow.physics.generators.madgraph import events, weighting
from madminer_workflow.physics.generators.madgraph.inside import weigh
from madminer_workflow.physics.generators.madgraph.workplace import Workplace
from madminer_workflow.physics.readers.lhe import read_lhe
from tests.support.madgraph_stand_in import install_stand_in
from tests.support.paths import DATA

DRAWN = DATA / "madgraph_drawn.lhe.gz"
SIGMA = (0.0417, 0.0002)


@pytest.fixture
def drawn():
    return events.read_drawn(DRAWN)


def damaged(tmp_path: Path, old: str, new: str, count: int = 1) -> Path:
    text = gzip.decompress(DRAWN.read_bytes()).decode()
    assert old in text
    path = tmp_path / "damaged.lhe.gz"
    path.write_bytes(gzip.compress(text.replace(old, new, count).encode()))
    return path


def write(
    path: Path, drawn: events.DrawnEvents, nominal: np.ndarray, weights: dict[str, np.ndarray]
) -> None:
    """Write a file as the generator does."""
    header = Header(
        cards={"MGRunCard": "  sum = event_norm\n  5 = nevents", "slha": "Block mass\n 25 125."},
        weights={name: f"point {name}" for name in weights},
        beams=drawn.beams,
        strategy=3 if nominal.min() > 0 else -3,
        subprocesses=events.subprocesses(drawn, nominal, SIGMA[1] / SIGMA[0]),
        generator="<generator name='MadGraph5_aMC@NLO'></generator>",
    )
    columns = np.stack(list(weights.values()), axis=1)
    write_lhe(path, header, events.event_texts(drawn, list(weights), nominal, columns))


def test_events_are_read(drawn):
    assert len(drawn) == 5
    assert drawn.beams == "2212 2212 6.500000e+03 6.500000e+03 0 0 247000 247000"
    np.testing.assert_array_equal(drawn.sizes, 6)
    np.testing.assert_array_equal(drawn.pdgid.reshape(5, 6)[0], [2, 1, 2, 1, 22, 22])
    np.testing.assert_array_equal(drawn.incoming.reshape(5, 6).sum(axis=1), 2)
    signs = np.where(drawn.incoming, 1.0, -1.0)[:, None]
    balance = (signs * drawn.momenta).reshape(5, 6, 4).sum(axis=1)
    np.testing.assert_allclose(balance, 0.0, atol=1e-5)
    np.testing.assert_array_equal(drawn.multiplicities, 1.0)


def test_part_of_the_events(drawn):
    some = events.joined([drawn], 2)
    assert len(some) == len(some.headers) == len(some.sizes) == 2
    assert len(some.pdgid) == len(some.momenta) == 12
    more = events.joined([some, drawn], 6)
    assert more.texts == drawn.texts[:2] + drawn.texts[:4]
    assert len(more.momenta) == 36


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</LesHouchesEvents>", "", "is truncated"),
        ("<init>", "<other>", "is truncated"),
        ("</event>", " x\n</event>", None),
        ("\n       25  2    1", "\n       25  2    1 1", "event 1 cannot be read"),
        (" 7      1 +", " 8      1 +", "event 1 cannot be read"),
    ],
)
def test_damaged_files(tmp_path, old, new, message):
    path = damaged(tmp_path, old, new)
    if message is None:
        assert len(events.read_drawn(path)) == 5
        return
    with pytest.raises(StepError, match=message):
        events.read_drawn(path)


def test_numbers_that_are_not_finite(tmp_path):
    text = gzip.decompress(DRAWN.read_bytes()).decode()
    weight = re.search(r"<event>\n 7 +1 (\S+)", text).group(1)
    with pytest.raises(StepError, match="NaN or infinity"):
        events.read_drawn(damaged(tmp_path, weight, "NaN"))


def test_file_that_is_no_archive(tmp_path):
    (tmp_path / "events.lhe.gz").write_bytes(DRAWN.read_bytes()[:2000])
    with pytest.raises(StepError, match="is damaged"):
        events.read_drawn(tmp_path / "events.lhe.gz")


def test_written_events_are_clean_and_complete(drawn, tmp_path):
    path = tmp_path / "events.lhe"
    nominal = np.linspace(0.9, 1.1, 5) * SIGMA[0] / 5
    write(path, drawn, nominal, {"sm": nominal, "w": 2.0 * nominal, "other": 0.5 * nominal})
    read = read_lhe(path, ["w", "sm"])
    np.testing.assert_allclose(read.weights, nominal[:, None] * [2.0, 1.0], rtol=1e-8)
    np.testing.assert_allclose(read.event_weight, nominal, rtol=1e-8)
    final = drawn.momenta.reshape(5, 6, 4)[:, 2:]
    np.testing.assert_allclose(np.asarray(read.particles.pz), final[..., 3], rtol=1e-10)
    np.testing.assert_allclose(read.variables["scale"], drawn.headers[:, 3], rtol=1e-7)
    text = path.read_text()
    assert "mgrwt" not in text and "MGGenerationInfo" not in text and "/tmp" not in text
    init = text.split("<init>\n")[1].splitlines()
    assert init[0].split()[-2:] == ["3", "1"]
    value, error, largest, number = init[1].split()
    assert float(value) == pytest.approx(SIGMA[0])
    assert float(error) == pytest.approx(SIGMA[1])
    assert float(largest) == pytest.approx(nominal.max())
    assert number == "1"


def test_pylhe_reads_the_events(drawn, tmp_path):
    import pylhe

    path = tmp_path / "events.lhe"
    nominal = np.full(5, SIGMA[0] / 5)
    write(path, drawn, nominal, {"sm": nominal})
    read = list(pylhe.LHEFile.fromfile(str(path)).events)
    assert [len(event.particles) for event in read] == [7] * 5


def test_processes_and_signs_in_the_header(drawn, tmp_path):
    drawn.headers[3:, 1] = 2
    nominal = np.array([1.0, 1.0, -1.0, 2.0, 2.0])
    path = tmp_path / "events.lhe"
    write(path, drawn, nominal, {"sm": nominal})
    init = path.read_text().split("<init>\n")[1].splitlines()
    assert init[0].split()[-2:] == ["-3", "2"]
    assert [(float(line.split()[0]), line.split()[3]) for line in init[1:3]] == [
        (1.0, "1"),
        (4.0, "2"),
    ]


def test_scales_of_merging_are_kept(tmp_path):
    scales = "<scales pt_clust_1='13.0'></scales>\n<mgrwt>\n</mgrwt>\n</event>"
    drawn = events.read_drawn(damaged(tmp_path, "</event>", scales))
    assert drawn.texts[0].endswith("<scales pt_clust_1='13.0'></scales>")
    assert not drawn.texts[1].endswith("</scales>")


CODE = """
import numpy as np

parameters = {"DIM6_2": 0.0}
calls = []

def initialise(path):
    assert open(path).read() == "card"

def change_para(name, value):
    parameters[name] = value

def update_all_coup():
    pass

def get_pdg_order():
    return np.array([[2, 1, 1, 2, 22, 22, 0], [5, 5, 1, 2, 0, 0, 0]]), np.array([1, 1])

def get_prefix():
    return np.array([b"M0_", b"M1_"])

def smatrixhel(pdgids, process, momenta, alpha_s, scale2, helicity):
    assert pdgids == [2, 1, 1, 2, 22, 22] and (process, scale2, helicity) == (-1, 0.0, -1)
    assert momenta.shape == (4, 6) and abs(momenta[3, :2].sum()) < 1e-6 * momenta[0, 0]
    calls.append(None)
    RETURN
"""
CARD_POINTS = {
    "sm": {("dim6", (2,)): 0.0, ("mass", (25,)): 125.0},
    "w": {("dim6", (2,)): 2.0, ("mass", (25,)): 125.0},
}


def weigh_with(tmp_path, monkeypatch, drawn, value: str, sampling: str = "sm") -> np.ndarray:
    """Ratios by code that returns ``value``."""
    install_stand_in(tmp_path / "mg", monkeypatch)
    (tmp_path / "all_matrix2py.py").write_text(CODE.replace("RETURN", f"return {value}"))
    (tmp_path / "param_card.dat").write_text("card")
    (tmp_path / "ident_card.dat").write_text("c comment\ndim6 2 mdl_CWL2\n\ndecay 25 mdl_WH\n")
    workplace = Workplace.create(tmp_path / "work")
    return weighting.ratios(workplace, tmp_path, drawn, CARD_POINTS, sampling)


QUADRATIC = "(1.0 + parameters['DIM6_2']) ** 2 * alpha_s * momenta[0, 2]"


def test_weights_are_ratios_of_matrix_elements(tmp_path, monkeypatch, drawn):
    result = weigh_with(tmp_path, monkeypatch, drawn, QUADRATIC)
    np.testing.assert_allclose(result, np.tile([1.0, 9.0], (5, 1)))


def test_weights_relative_to_another_benchmark(tmp_path, monkeypatch, drawn):
    result = weigh_with(tmp_path, monkeypatch, drawn, QUADRATIC, "w")
    np.testing.assert_allclose(result, np.tile([1.0 / 9.0, 1.0], (5, 1)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("float('nan')", "missing, NaN or infinite"),
        ("parameters['DIM6_2']", "5 of 5 events have no positive matrix element at sm"),
        ("1.0 + len(calls)", "change by .* after those at other benchmarks"),
        ("1.0 / (parameters['DIM6_2'] - 2.0)", "python.* failed with exit code 1"),
    ],
)
def test_code_that_misbehaves(tmp_path, monkeypatch, drawn, value, message):
    with pytest.raises(StepError, match=message):
        weigh_with(tmp_path, monkeypatch, drawn, value)


def test_matrix_element_that_stops_the_program(tmp_path, monkeypatch, drawn):
    with pytest.raises(StepError, match="did not evaluate the matrix elements"):
        weigh_with(tmp_path, monkeypatch, drawn, "__import__('os')._exit(0)")


class Code:
    """Two processes with the same particles, told apart by their numbers, and a unique one."""

    def get_pdg_order(self):
        return np.array([[2, 1, 1, 2], [2, 1, 1, 2], [3, 3, 3, 3]]), np.array([1, 2, 1])

    def get_prefix(self):
        # As numpy before 1.26 returns it: one character an element.
        return np.array([[b"M", b"0"], [b"M", b"1"], [b"M", b"2"]])


def test_order_of_a_matrix_element():
    orders = weigh.Orders(Code())
    assert orders.find([3, 3], [3, 3], 1) == ([3, 3, 3, 3], -1)
    assert orders.find([1, 2], [2, 1], 2) == ([2, 1, 1, 2], 2)
    with pytest.raises(SystemExit, match="more than one matrix element"):
        orders.find([1, 2], [2, 1], 7)
    with pytest.raises(SystemExit, match="no matrix element"):
        orders.find([1, 1], [1, 1], 1)


def test_boost_to_the_partons_frame(drawn):
    boosted = weigh.boost(drawn.momenta[:6])
    np.testing.assert_allclose(boosted[0, 3] + boosted[1, 3], 0.0, atol=1e-9)
    np.testing.assert_array_equal(boosted[:, 1:3], drawn.momenta[:6, 1:3])
    for momenta in (boosted, drawn.momenta[:6]):
        masses2 = momenta[:, 0] ** 2 - (momenta[:, 1:] ** 2).sum(axis=1)
        np.testing.assert_allclose(masses2, 0.0, atol=1e-2)
