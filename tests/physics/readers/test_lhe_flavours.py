"""Les Houches event files as they were written before ``<rwgt>``, and beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from madminer_workflow.analysis.lhe_files import read_start
from madminer_workflow.analysis.weight_columns import columns
from madminer_workflow.errors import InputError
from madminer_workflow.inspection import inspect
from madminer_workflow.inspection.summary import as_text
from madminer_workflow.physics.readers.lhe import read_lhe

PARTICLES = """ 4  1 {own} 91.2 0.0078 0.12
   2 -1 0 0 502 0 0. 0. +1.0e+01 1.0e+01 0. 0. -1.
  -2 -1 0 0 501 0 0. 0. -1.0e+01 1.0e+01 0. 0. 1.
  11  1 1 2 0 0 +3. -4. +1.2e+01 1.3e+01 0. 0. 1.
 -11  1 1 2 0 0 -3. +4. -1.2e+01 1.3e+01 0. 0. -1.
"""
WEIGHTS = (2e-3, 4e-3, -1e-3)
GROUPS = """<initrwgt>
<weightgroup name='nominal' combine='None'>
<weight id='sm'>default</weight>
</weightgroup>
<weightgroup type="mg_reweighting" combine="None">
<weight id='w'>set param_card dim6 2 165.2 # orig: 0.0
</weight>
<weight id='3'>set param_card dim6 2 -16.52 # orig: 0.0
</weight>
</weightgroup>
</initrwgt>
"""
MGRWT = """<mgrwt>
<rscale>  0 0.91188000E+02</rscale>
<asrwt>0</asrwt>
<pdfrwt beam="1">  1        2 0.17719659E+00 0.91188000E+02</pdfrwt>
<pdfrwt beam="2">  1       -2 0.68270633E-03 0.91188000E+02</pdfrwt>
<totfact> 0.49322010E-04</totfact>
</mgrwt>
"""
SCALES = "<scales pt_clust_1='13000.00' pt_clust_2='91.20'></scales>\n"


def written(folder: Path, blocks: str, groups: str = "", version: str = "3.0", n: int = 3) -> Path:
    """A file whose events have ``blocks`` behind their particles, and weights times 1, 2, 3 …"""
    event = "<event>\n" + PARTICLES + blocks + "</event>\n"
    names = ("sm", "w", "neg")
    events = "".join(
        event.format(own=2e-3 * i, **dict(zip(names, (i * w for w in WEIGHTS), strict=True)))
        for i in range(1, n + 1)
    )
    init = "<init>\n2212 2212 6500. 6500. 0 0 1 1 -4 1\n4e-3 1e-5 1. 1\n</init>\n"
    path = folder / "events.lhe"
    start = f'<LesHouchesEvents version="{version}">\n<header>\n{groups}</header>\n{init}'
    path.write_text(f"{start}{events}</LesHouchesEvents>\n")
    return path


RWGT = """<rwgt>
<wgt id='sm'> {sm} </wgt>
<wgt id='w'> {w} </wgt>
<wgt id='3'> {neg} </wgt>
</rwgt>
"""
IN_VERSION_2 = """<weight name='sm'> {sm} </weight>
<weight name='w'>{w}</weight>
<weight name="3"> {neg} </weight>
"""
IN_A_LINE = "<weights> {sm} {w} {neg} </weights>\n"
IN_LINES = "<weights>\n {sm}\n {w}\n {neg}\n</weights>\n"


@pytest.mark.parametrize("others", ["", MGRWT, SCALES, MGRWT + SCALES, "# a note\n"])
@pytest.mark.parametrize("block", [RWGT, IN_VERSION_2, IN_A_LINE, IN_LINES])
def test_weights_of_all_styles_are_the_same(block: str, others: str, tmp_path: Path) -> None:
    file = written(tmp_path, others + block, GROUPS)
    events = read_lhe(file, ["w", "3", "sm"], "sm")
    np.testing.assert_array_equal(
        events.weights, np.outer([1, 2, 3], [WEIGHTS[1], WEIGHTS[2], WEIGHTS[0]])
    )
    np.testing.assert_array_equal(events.event_weight, np.array([1, 2, 3]) * 2e-3)
    start = read_start(file)
    assert start.weights == ("sm", "w", "3")
    assert start.groups == [("nominal", 1), ("mg_reweighting", 2)]
    summary = inspect(file)
    assert [weight.name for weight in summary.weights] == ["XWGTUP", "sm", "w", "3"]
    assert summary.weights[2].point == {"dim6 2": 165.2}
    assert summary.weights[3].negative == 1.0
    tags = "".join(summary.facts.get("without weights", ""))
    assert ("<mgrwt>" in tags, "<scales>" in tags) == ("<mgrwt>" in others, "<scales" in others)


@pytest.mark.parametrize("groups", ["", GROUPS.replace("<weight id='sm'>default</weight>\n", "")])
def test_a_list_without_names_has_places(groups: str, tmp_path: Path) -> None:
    file = written(tmp_path, IN_A_LINE, groups)
    start = read_start(file)
    assert start.weights == ("0", "1", "2")
    given: dict[str, str | int] = {"a": 1, "b": "2", "sm": 0}
    points: dict[str, dict[str, float]] = {name: {} for name in ("sm", "a", "b")}
    assert columns(start, points, [], given, "sm") == {"sm": "0", "a": "1", "b": "2"}
    assert read_lhe(file).weights.tolist() == np.outer([1, 2, 3], WEIGHTS).tolist()


def test_a_pattern_names_the_weights_of_all_benchmarks(tmp_path: Path) -> None:
    renamed = RWGT.replace("'w'", "'rw_w'").replace("'3'", "'rw_n'").replace("'sm'", "'rw_sm'")
    start = read_start(written(tmp_path, renamed))
    points: dict[str, dict[str, float]] = {name: {} for name in ("sm", "w", "n")}
    given: dict[str, str | int] = {"sm": "XWGTUP", "*": "rw_{benchmark}"}
    expected = {"sm": "XWGTUP", "w": "rw_w", "n": "rw_n"}
    assert columns(start, points, [], given, "sm") == expected
    with pytest.raises(InputError, match="no weight 'rw_other' for other"):
        columns(start, {"other": {}}, [], given, "sm")


def test_groups_that_are_written_as_text(tmp_path: Path) -> None:
    escaped = GROUPS.replace("<", "&lt;").replace(">", "&gt;")
    start = read_start(written(tmp_path, RWGT, escaped))
    assert list(start.declared) == ["sm", "w", "3"]
    assert start.declared["w"].changes == {("dim6", 2): 165.2}


def test_version_one_has_the_weight_of_the_event_only(tmp_path: Path) -> None:
    file = written(tmp_path, MGRWT, version="1.0")
    assert read_lhe(file, ["sm"], "sm").weights[:, 0].tolist() == [2e-3, 4e-3, 6e-3]
    summary = inspect(file)
    assert [weight.name for weight in summary.weights] == ["XWGTUP"]
    assert summary.facts["version"] == "1.0" and "SysCalc" in as_text(summary)


def test_damaged_weights_of_version_two_are_named(tmp_path: Path) -> None:
    file = written(tmp_path, IN_VERSION_2)
    file.write_text(file.read_text().replace("<weight name='w'>0.008", "<weight name='w>0.008"))
    with pytest.raises(InputError, match=r"event 2 \(line \d+\): unreadable <wgt>"):
        read_lhe(file)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("<weights> 0.004", "<weights> 0.004 1.0", "4 weights in <weights> where .* has 3"),
        ("<weights> 0.004", "<weights> zero", "could not convert string to float: b'zero'"),
        ("<weights> 0.004", "<weights> nan", "weights with NaN"),
        ("<weights> 0.004 0.008 -0.002 </weights>", "", "0 weights in <weights>"),
    ],
)
def test_wrong_lists_are_named(old: str, new: str, says: str, tmp_path: Path) -> None:
    file = written(tmp_path, IN_A_LINE)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=rf"events\.lhe: event 2 \(line \d+\): .*{says}"):
        read_lhe(file)
