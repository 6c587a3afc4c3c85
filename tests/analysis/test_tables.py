"""Tables of events: what is read of each kind, and what validation says of those that are wrong."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot
import yaml

from madminer_workflow.analysis.cards import parts
from madminer_workflow.analysis.file import problems, read_analysis
from madminer_workflow.analysis.tables import Table, open_table
from madminer_workflow.analysis.tables import __name__ as package
from madminer_workflow.analysis.types import Columns, FilesProcess
from madminer_workflow.errors import InputError
from madminer_workflow.expressions import ExpressionError, compile_expression
from madminer_workflow.physics.generators import files as generator
from madminer_workflow.products.columns import read_columns
from tests.support.chain import TINY1, analysis_file
from tests.support.parts import process, request
from tests.support.tables import FORMATS, cut_flow, write_nanoaod, write_table

N = 120
POINTS = {"sm": {"CWL2": 0.0}, "w": {"CWL2": 1.0}, "neg_w": {"CWL2": -1.0}}


def columns(n: int = N, lists: bool = True) -> dict[str, Any]:
    random = np.random.default_rng(3)
    flat = {"m.jj": random.random(n), "n": np.arange(n), "ok": np.arange(n) % 2 == 0}
    flat |= {name: 1.0 + random.random(n) for name in POINTS}
    if lists:
        counts = np.arange(n) % 3
        flat["pt"] = ak.unflatten(random.random(counts.sum()), counts)
    return flat


def read(table: Table, *names: str) -> dict[str, Any]:
    parts: dict[str, list[Any]] = {name: [] for name in names}
    for _, chunk in table.chunks(names):
        for name in names:
            parts[name].append(chunk[name])
    return {
        name: (np if values[0].ndim == 1 else ak).concatenate(values)
        for name, values in parts.items()
    }


@pytest.mark.parametrize("as_rntuple", [False, True])
@pytest.mark.parametrize("suffix", FORMATS)
def test_all_kinds_of_files_hold_the_same(
    suffix: str, as_rntuple: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks, with numbers, truth values and lists; HDF5 has no lists of different lengths."""
    monkeypatch.setattr(sys.modules[package], "AT_ONCE", 50)
    written = columns(lists=suffix != "h5")
    if as_rntuple and suffix == "root":
        written["m_jj"] = written.pop("m.jj")
    write_table(tmp_path / f"t.{suffix}", written, as_rntuple=as_rntuple)
    table = open_table(tmp_path / f"t.{suffix}")
    assert table.n_events == N
    assert {name: one.is_list for name, one in table.columns.items() if name != "npt"} == {
        name.replace(".", "_"): name == "pt" for name in written
    }
    found = read(table, *(name.replace(".", "_") for name in written))
    for name, values in written.items():
        assert ak.to_list(found[name.replace(".", "_")]) == ak.to_list(values)


def test_records_and_arrays_of_hdf5(tmp_path: Path) -> None:
    records = np.zeros(5, dtype=[("x", "f4"), ("w", "f8", (3,)), ("text", "S3")])
    records["w"] = np.arange(15.0).reshape(5, 3)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["a/events"], file["b/x"] = records, np.arange(4.0)
        file["b/w"] = np.arange(8.0).reshape(4, 2)
    with pytest.raises(InputError, match="name the table in `table` \\(the file has a/events, b"):
        open_table(tmp_path / "t.h5")
    table = open_table(tmp_path / "t.h5", "a/events")
    assert {name: one.is_list for name, one in table.columns.items()} == {"x": False, "w": True}
    weight = compile_expression("w[1]*2", columns=True)
    np.testing.assert_array_equal(weight(read(table, "w")), 2.0 * records["w"][:, 1])
    np.testing.assert_array_equal(
        weight(read(open_table(tmp_path / "t.h5", "/b"), "w")), [2.0, 6.0, 10.0, 14.0]
    )


def test_columns_in_expressions() -> None:
    values = {"x": np.array([1.0, np.nan]), "pt": ak.Array([[3.0, 2.0], []])}
    value, undefined = compile_expression("x + pt[0]", columns=True).evaluate(values)
    assert value[0] == 4.0 and undefined.tolist() == [False, True]
    found = compile_expression("len(pt) + (pt[1] if len(pt) > 1 else x)", columns=True)
    assert found(values)[0] == 4.0
    assert found.scalars == {"x"} and found.lists == {"pt"}
    with pytest.raises(ExpressionError, match="'pt' is used as a number and as a list"):
        compile_expression("pt[0] + pt", columns=True)
    with pytest.raises(
        ExpressionError, match="a dot in the name of a branch is written '_': Jet_PT"
    ):
        compile_expression("Jet.PT[0]", columns=True)
    with pytest.raises(ExpressionError, match="unknown name 'x'"):
        compile_expression("x")


def analysis(
    folder: Path, definition: str = "m_jj", suffix: str = "root", section: Any = None, **keys: Any
) -> Path:
    """An analysis of one table, and with other ``keys`` of its process."""
    if not (folder / f"t.{suffix}").exists():
        write_table(folder / f"t.{suffix}", columns(lists=suffix != "h5"))
    entry = {
        "name": "signal",
        "generator": "files",
        "files": {"sm": [f"t.{suffix}"]},
        "cross_section": {"sm": 1.0},
        **keys,
    }
    observables = [{"name": "x", "definition": definition}, {"name": "pt_j1", "definition": "n"}]
    sections = {"benchmarks": POINTS, "processes": [entry], "observables": observables}
    return analysis_file(folder / "input.yml", TINY1, **sections, **(section or {}))


def told(file: Path) -> list[str]:
    return [str(problem) for problem in problems(file) if not problem.warning]


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_analysis_of_tables_is_valid(suffix: str, tmp_path: Path) -> None:
    file = analysis(tmp_path, "m_jj if ok else 2*n", suffix)
    assert told(file) == []
    [one] = read_analysis(file).processes
    assert one.events == {"sm": N}


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (
            "m_j",
            r":\d+: observables\[x\].definition: .*t.root: has no column 'm_j'; did you mean 'm",
        ),
        (
            "pt",
            "definition: .*t.root: 'pt' is a list of numbers; use one of them, pt\\[0",
        ),
        ("m_jj[0]", "definition: .*t.root: 'm_jj' is a single number, not a list"),
        ("j[0].pt", "definition: .*t.root: 'j' are particles in expressions, but a plain table"),
        ("scale", r"definition: .*t.root: has no column 'scale'"),
    ],
)
def test_expressions_need_columns(definition: str, message: str, tmp_path: Path) -> None:
    [problem] = told(analysis(tmp_path, definition))

    assert re.search(message, problem), problem


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"cross_section": {}},
            "tables do not contain their cross-section: give the cross-section at the bench",
        ),
        ({"weights": {"w": "v"}}, r"t.root: has no column 'v'.* \(the weight of w\)"),
        ({"weights": {"w": 2}}, r"weights.w: expected the name of a column, or an expression"),
        ({"weights": {"w": "2*"}}, r"weights.w: not an expression"),
        ({"table": "other"}, r"t.root: has no tree 'other' \(it has ntuple\)"),
        ({"files": {"sm": ["t.root", "e.lhe"]}}, "reads tables, but 'signal' does not"),
        ({"files": {"sm": ["t.*"]}}, "t.root is a table: the pattern must end with \\*.root"),
        ({"files": {"sm": ["u*.root"]}}, r"u\*.root: there is no such file"),
        (
            {"pythia8_card": "c.dat"},
            "the events in tables are already reconstructed; leave this out",
        ),
    ],
)
def test_processes_that_cannot_be(keys: dict[str, Any], message: str, tmp_path: Path) -> None:

    (tmp_path / "c.dat").write_text("")
    assert any(re.search(message, one) for one in told(analysis(tmp_path, **keys)))


def test_benchmarks_without_weights_are_named(tmp_path: Path) -> None:
    table = columns()
    del table["w"], table["neg_w"]
    write_table(tmp_path / "t.root", table)
    [problem] = told(analysis(tmp_path))
    assert "no weights for w, neg_w; expected one for every benchmark" in problem


def test_other_sections_that_go_with_particles_only(tmp_path: Path) -> None:
    section = {
        "detector": {"met_noise": {"abs_": 1.0}},
        "systematics": [
            {"systematic_name": "jes", "effect": "met_scale", "met_scale_variation": 0.1}
        ],
    }
    said = "\n".join(told(analysis(tmp_path, section=section)))
    assert "detector.met_noise: not used with tables" in said
    assert "the objects of the process 'signal' are already reconstructed" in said


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_files_are_named(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"t.{suffix}"
    write_table(file, columns(20_000, lists=False))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=rf"t.{suffix}: .*(truncated|damaged)"):
        read(open_table(file), "n")
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=rf"t.{suffix}: .*(truncated|damaged)"):
        open_table(file)


def test_what_is_damaged_inside_has_its_entries(tmp_path: Path) -> None:
    file = tmp_path / "t.root"
    write_table(file, {"x": np.random.default_rng(1).random(1000)})
    data = bytearray(file.read_bytes())
    place = data.find(b"ZL\x08") if b"ZL\x08" in data else len(data) // 2
    data[place + 20 : place + 400] = bytes(380)
    file.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"t.root: entries 0 to 999: truncated, damaged"):
        read(open_table(file), "x")


def test_columns_of_other_lengths(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["x"], file["y"] = np.arange(4.0), np.arange(5.0)
    with pytest.raises(InputError, match=r"t.h5: x has 4 entries, but another column has 5"):
        open_table(tmp_path / "t.h5")


def test_parquet_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = analysis(tmp_path, suffix="parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    [problem] = told(file)
    assert "pyarrow is not installed: pip install 'madminer-workflow[parquet]'" in problem


def test_methods_that_draw_are_warned_of_negative_weights(tmp_path: Path) -> None:
    table = columns()
    table["sm"] = np.where(np.arange(N) % 4 == 0, -table["sm"], table["sm"])
    write_table(tmp_path / "t.root", table)
    ml = yaml.safe_load(TINY1.read_text())["ml"]
    ml["limits"]["toys"] = {"n_toys": 10}
    file = analysis(tmp_path, section={"ml": ml})
    warned = [str(one) for one in problems(file) if one.warning]
    assert sum("of the first weights in t.root (sm) are negative" in one for one in warned) > 1
    assert any("limits.toys.n_toys: warning: toys are drawn" in one for one in warned)


def test_sums_of_another_weight_are_not_taken(tmp_path: Path) -> None:
    write_nanoaod(tmp_path / "t.root", 20, sum_of_weights=10.0)
    weights = {"sm": "2*genWeight", "w": "genWeight", "neg_w": "genWeight"}
    file = analysis(tmp_path, "MET_pt + genWeight", weights=weights)
    file.write_text(file.read_text().replace("definition: n\n", "definition: MET_phi\n"))
    [problem] = told(file)
    assert "Runs/genEventSumw is the sum of genWeight, but events were drawn with 2*gen" in problem


def with_cut_flows(folder: Path, totals: Sequence[float]) -> None:
    """Tables with cut flows, one with names of its bins and one without."""
    for i, total in enumerate(totals):
        write_table(folder / f"t{i}.root", columns())
        bins = {"all": total, "trigger": 0.5 * total, "jets": 0.0}
        with uproot.update(folder / f"t{i}.root") as file:
            file["CutFlow"] = cut_flow(bins)
            file["counts/plain"] = np.array([total, 1.0]), np.array([0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    "given", ["CutFlow", "CutFlow[0]", "CutFlow[all]", "counts/plain[0]", 1200]
)
def test_sums_of_cut_flows(given: str | int, tmp_path: Path) -> None:
    """Over all files, they are the weights of which events have their share."""
    with_cut_flows(tmp_path, [900.0, 300.0])
    keys = {"files": {"sm": ["t?.root"]}, "sum_of_weights": {"sm": given}}
    file = analysis(tmp_path, **keys)
    assert told(file) == []
    [one] = read_analysis(file).processes
    assert isinstance(one, FilesProcess)
    keys = {"files": {"sm": ("t0.root", "t1.root")}, "events": {"sm": 2 * N}}
    drawn = process("files", **keys, cross_section={"sm": 6.0}, sum_of_weights=one.sum_of_weights)
    used = Columns(names=("n",), particles=(), attributes=())
    asked = request(drawn, [], POINTS, models=tmp_path, columns=used)
    report = generator.integrate(asked, tmp_path / "out")
    total = 2 * columns()["sm"].sum()
    assert report.cross_sections["sm"][0] == pytest.approx(6.0 * total / 1200.0, rel=1e-12)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("CutFlo", r"t0\.root: has no one-dimensional histogram 'CutFlo'.*did you mean 'CutFlow'"),
        ("CutFlow[leptons]", "CutFlow has no bin 'leptons': it has 3 bins, all, trigger, jets"),
        ("CutFlow[3]", "CutFlow has no bin '3'"),
        ("CutFlow[jets]", "expected a sum of weights above 0"),
        ("counts/plain[all]", "it has 2 bins, without labels"),
    ],
)
def test_wrong_cut_flows_are_told(given: str, says: str, tmp_path: Path) -> None:
    with_cut_flows(tmp_path, [900.0])
    keys = {"files": {"sm": ["t0.root"]}, "sum_of_weights": {"sm": given}}
    [problem] = told(analysis(tmp_path, **keys))
    assert re.search(says, problem), problem


def test_other_files_have_no_cut_flows(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", columns())
    keys = {"files": {"sm": ["t.parquet"]}, "sum_of_weights": {"sm": "CutFlow"}}
    [problem] = told(analysis(tmp_path, **keys))
    assert "is not a ROOT file, and only ROOT files have histograms" in problem


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.0, "t.root: entry 71: its weight at sm, at which it was drawn, is 0"),
        (np.nan, "t.root: entry 71: its weight at sm, sm, is missing, or not a finite number"),
        (np.inf, "t.root: entry 71: its weight at sm, sm, is missing, or not a finite number"),
    ],
)
def test_weights_that_no_event_has(value: float, message: str, tmp_path: Path) -> None:
    table = columns()
    table["sm"][71] = value
    write_table(tmp_path / "t.root", table)
    keys = {"files": {"sm": ["t.root"]}, "events": {"sm": N}, "cross_section": {"sm": 1.0}}
    used = Columns(names=("m_jj",), particles=(), attributes=())
    asked = request(process("files", **keys), [], POINTS, models=tmp_path, columns=used)
    with pytest.raises(InputError, match=message):
        generator.integrate(asked, tmp_path / "out")


def test_generation_depends_on_the_columns_that_are_used(tmp_path: Path) -> None:
    """Not on what expressions make of them, or on the names of observables."""
    found = {}
    for definition in ("m_jj", "2*m_jj + n", "m_jj + ok"):
        file = analysis(tmp_path, definition)
        found[definition], reconstruction = parts(read_analysis(file), tmp_path)
        assert reconstruction.tables
    first, second, third = found.values()
    assert first == second != third
    assert third.columns is not None and third.columns.names == ("m_jj", "n", "ok")


@pytest.mark.parametrize("suffix", FORMATS)
def test_weights_that_are_the_same_for_all(suffix: str, tmp_path: Path) -> None:
    write_table(tmp_path / f"t.{suffix}", columns(lists=suffix != "h5"))
    keys = {"files": {"sm": [f"t.{suffix}"]}, "events": {"sm": N}, "cross_section": {"sm": 3.0}}
    weights = {"sm": "1.0", "w": "2", "neg_w": "0.5"}
    used = Columns(names=(), particles=(), attributes=())
    one = process("files", weights=weights, **keys)
    asked = request(one, [], POINTS, models=tmp_path, columns=used)
    generator.integrate(asked, tmp_path / "out")
    events = read_columns(tmp_path / "out/sm/000000.npz")
    np.testing.assert_allclose(events.weights, [[3.0 / N, 6.0 / N, 1.5 / N]] * N, rtol=1e-12)
