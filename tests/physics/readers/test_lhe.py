"""The LHE reader against pylhe, and on files that are not what they should be."""

import gzip

import awkward as ak
import numpy as np
import pylhe
import pytest

from madminer_workflow.errors import InputError
from madminer_workflow.physics.readers.lhe import read_lhe
from tests.support.paths import DATA

REFERENCE = DATA / "wbf_madgraph_1000.lhe.gz"

EVENT = """<event>
 3  1 +2.0e-03 91.2 0.0078 0.12
   2 -1 0 0 502 0 0. 0. +1.0e+01 1.0e+01 0. 0. -1.
   1  1 1 2 501 0 +3. -4. +1.2e+01 1.3e+01 0. 0. 1.
  22  1 1 2   0 0 -3. +4. -2.0e+00 5.4e+00 0. 0. -1.
<rwgt>
<wgt id='w'> {w} </wgt>
<wgt id="other one">4.0e-03</wgt>
</rwgt>
</event>
"""


def lhe(*events, run_card="sum = event_norm ! average or sum", end="</LesHouchesEvents>\n"):
    header = f"<header>\n<MGRunCard>\n 50 = nevents\n {run_card}\n</MGRunCard>\n</header>\n"
    init = "<init>\n2212 2212 6500. 6500. 0 0 1 1 -3 1\n1. 1. 1. 1\n</init>\n"
    return '<LesHouchesEvents version="3.0">\n' + header + init + "".join(events) + end


@pytest.fixture
def write(tmp_path):
    def _write(text, name="events.lhe"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write


def test_reads_what_pylhe_reads():
    ours = read_lhe(REFERENCE)
    theirs = pylhe.to_awkward(pylhe.LHEFile.fromfile(str(REFERENCE)).events)
    final = theirs.particles[theirs.particles.status == 1]
    assert ak.all(ours.particles.pdgid == final.id)
    assert ak.all(ours.particles.spin == final.spin)
    for name in ("px", "py", "pz", "e"):
        assert ak.all(ours.particles[name] == getattr(final.vector, name))
    assert ours.weight_names == tuple(theirs.weights.fields)
    for i, name in enumerate(ours.weight_names):
        np.testing.assert_array_equal(ours.weights[:, i], theirs.weights[name])
    np.testing.assert_array_equal(ours.event_weight, theirs.eventinfo.weight)
    columns = ("nparticles", "scale", "aqed", "aqcd")
    for values, column in zip(ours.variables.values(), columns, strict=True):
        np.testing.assert_array_equal(values, theirs.eventinfo[column])


def test_plain_and_compressed_are_the_same(write):
    plain = read_lhe(write(lhe(EVENT.format(w=1), EVENT.format(w=2))))
    packed = read_lhe(write(gzip.compress(lhe(EVENT.format(w=1), EVENT.format(w=2)).encode())))
    assert len(plain) == len(packed) == 2
    np.testing.assert_array_equal(plain.weights, [[1.0, 4e-3], [2.0, 4e-3]])
    np.testing.assert_array_equal(packed.weights, plain.weights)
    assert plain.weight_names == ("w", "other one")
    assert plain.particles.pdgid.tolist() == [[1, 22], [1, 22]]
    assert plain.particles.px.tolist() == [[3.0, -3.0], [3.0, -3.0]]
    assert plain.variables["n_particles"].tolist() == [3.0, 3.0]


def test_comments_and_other_blocks_are_skipped(write):
    odd = EVENT.format(w=1).replace(
        "<rwgt>", "#aMCatNLO 1 5 3 3 1 0.459E+02 0.459E+02 9 0 0 1. 0.7 1. 0. 0.\n"
        "# <wgt id='w'> 7 </wgt>\n<mgrwt>\n<rscale>  2 0.9E+02</rscale>\n</mgrwt>\n<rwgt>"
    ).replace("<event>", "<event npLO=' -1 ' npNLO=' 0 '>")  # fmt: skip
    events = read_lhe(write(lhe(odd, EVENT.format(w=3))))
    np.testing.assert_array_equal(events.weights[:, 0], [1.0, 3.0])
    assert ak.num(events.particles).tolist() == [2, 2]


def test_event_norm_average_divides_by_nevents(write):
    events = read_lhe(write(lhe(EVENT.format(w=1), run_card="average = event_norm")))
    np.testing.assert_allclose(events.weights, [[1.0 / 50, 4e-3 / 50]])
    np.testing.assert_allclose(events.event_weight, [2e-3 / 50])
    card = "average = event_norm"
    with pytest.raises(InputError, match="no normalisation"):
        read_lhe(write(lhe(EVENT.format(w=1), run_card=card).replace("50 = nevents", "")))


def test_weights_of_benchmarks(write):
    path = write(lhe(EVENT.format(w=1)))
    events = read_lhe(path, ["other one", "sm", "w"], "sm")
    np.testing.assert_array_equal(events.weights, [[4e-3, 2e-3, 1.0]])
    assert events.weight_names == ("other one", "sm", "w")
    named = read_lhe(path, ["w"], "w")
    np.testing.assert_array_equal(named.weights, [[1.0]])


@pytest.mark.parametrize(
    ("benchmarks", "sampling", "says"),
    [(["sm", "ww"], "sm", "no weights for ww .*only w, other one"), (["sm"], None, "for sm")],
)
def test_missing_weights(write, benchmarks, sampling, says):
    with pytest.raises(InputError, match=says):
        read_lhe(write(lhe(EVENT.format(w=1))), benchmarks, sampling)


def test_no_weights_at_all(write):
    start, end = EVENT.index("<rwgt>"), EVENT.index("</event>")
    path = write(lhe(EVENT[:start] + EVENT[end:]))
    assert read_lhe(path).weights.shape == (1, 0)
    with pytest.raises(InputError, match=r"events\.lhe: no weights for w .*no weights at all"):
        read_lhe(path, ["sm", "w"], "sm")


GOOD = EVENT.format(w=1)
LINE = lhe(GOOD).split("<event>")[0].count("\n") + 1
SECOND = LINE + GOOD.count("\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (lhe(), "no events"),
        (lhe(GOOD, end=""), "truncated"),
        (lhe(GOOD, GOOD[:200], end=""), f"starts at line {SECOND} does not end"),
        ("", "truncated, or not an LHE file"),
        ("hello\n", "truncated, or not an LHE file"),
        (lhe(GOOD, EVENT.format(w="nan")), rf"event 2 \(line {SECOND}\): weights with NaN"),
        (lhe(GOOD, GOOD.replace("+3.", "inf")), rf"event 2 \(line {SECOND}\): particles with NaN"),
        (lhe(GOOD.replace("91.2", "nan"), GOOD), rf"event 1 \(line {LINE}\): event line with NaN"),
        (lhe(GOOD, EVENT.format(w="one")), rf"event 2 \(line {SECOND}\): could not convert"),
        (lhe(GOOD, GOOD.replace("id='w'", "id='v'")), r"event 2 .*2 weights \(v, other one\)"),
        (lhe(GOOD, GOOD.replace("<wgt id='w'> 1 </wgt>\n", "")), "event 2 .*1 weights"),
        (lhe(GOOD.replace("other one", "w")), "two weights have the same id"),
        (lhe(GOOD.replace("<wgt id='w'>", "<wgt>")), "unreadable <wgt>"),
        (lhe(GOOD, GOOD.replace(" 3  1", " 4  1")), "event 2 .*45 numbers where 58"),
        (lhe(GOOD, GOOD.replace("1.3e+01", "13 GeV")), r"event 2 .*could not convert .*b'GeV'"),
        (lhe("<event>\n</event>\n"), "0 numbers where 6"),
        (gzip.compress(lhe(GOOD).encode())[:-20], "truncated or damaged gzip"),
    ],
)
def test_bad_files_are_named(write, text, says):
    with pytest.raises(InputError, match=says) as caught:
        read_lhe(write(text))
    assert "events.lhe" in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.lhe: cannot read it \(No such file"):
        read_lhe(tmp_path / "nothing.lhe")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("<wgt id='w'> 1 ", "<wgt id='w'> 1e300 ", "weights too large"),
        ("1.2e+01 1.3e+01", "1.2e+01 1.3e+300", "more than a PeV"),
        ("  22  1", "  22.5  1", "PDG id is not a whole number"),
        ("  22  1", "  1e30  1", "PDG id is not a whole number"),
    ],
)
def test_numbers_that_no_event_has(write, old, new, says):
    assert old in GOOD
    with pytest.raises(InputError, match=rf"events\.lhe: event 2 \(line \d+\): .*{says}"):
        read_lhe(write(lhe(GOOD, GOOD.replace(old, new))))
