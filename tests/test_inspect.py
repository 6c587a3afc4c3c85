"""What files hold, as text and as JSON; a suggested analysis is valid."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot
import yaml
from click.testing import CliRunner

from madminer_workflow.analysis.file import problems, read_analysis
from madminer_workflow.analysis.tables import open_table
from madminer_workflow.cli import main
from madminer_workflow.errors import InputError
from madminer_workflow.inspection import inspect
from madminer_workflow.inspection.summary import as_text
from tests.support.chain import TINY1, Physics
from tests.support.event_files import IDS, REFERENCE, text
from tests.support.paths import DATA, REPOSITORY
from tests.support.tables import cut_flow, write_nanoaod, write_table, write_tree

EXAMPLE = REPOSITORY / "inputs/files-example/events/wbf_haa.w.lhe.gz"


def said(file: Path) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["inspect", str(file), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_events_of_madgraph() -> None:
    summary = inspect(REFERENCE)
    assert summary.events == 1000
    assert [weight.name for weight in summary.weights] == ["XWGTUP", *IDS]
    own, w, *_ = summary.weights
    assert own.total == pytest.approx(1.0517e-3) and own.effective_events == pytest.approx(1000)
    assert w.point == {"dim6 2": 165.2, "dim6 5": 0.0} and w.effective_events < 20
    assert {column.name: column.number for column in summary.columns} == {
        "gamma": 2,
        "d": 1,
        "u": 1,
    }
    shown = as_text(summary)
    assert "0.0010517 ± 9.6e-06 pb" in shown and "generator: files" in shown


@pytest.mark.parametrize("file", [REFERENCE, EXAMPLE], ids=lambda path: path.name)
def test_a_suggestion_is_a_valid_analysis(file: Path, tmp_path: Path) -> None:
    """With nothing but a name and a method besides."""
    suggestion = inspect(file).suggestion
    assert suggestion is not None
    (tmp_path / file.name).symlink_to(file)
    grid = {
        entry["parameter_name"]: {"range": [-1.0, 1.0]}
        for entry in yaml.safe_load(suggestion)["parameters"]
    }
    method = {"method": "histogram", "observables": ["pt_j1"]}
    rest = {"version": 1, "name": "pasted", "ml": {"methods": [method], "limits": {"grid": grid}}}
    pasted = tmp_path / "input.yml"
    pasted.write_text(f"{yaml.safe_dump(rest)}\n{suggestion}")
    assert [str(problem) for problem in problems(pasted)] == []
    [process] = read_analysis(pasted).processes
    assert process.n_events == inspect(file).events


def test_too_few_weights_and_other_names(tmp_path: Path) -> None:
    """Two weights with one name in an analysis, one at the point of another, and too few."""
    file = tmp_path / "a.lhe"
    changed = text().replace("morphing_basis_vector_3", "basis_2").replace("-122.228", "165.2")
    file.write_text(changed.replace("set param_card dim6 5 40.52345 # orig: 0.0\n", ""))
    suggestion = inspect(file).suggestion or ""
    assert "# 1 more are needed: there are too few weights" in suggestion
    assert "because they follow from the others: morphing_basis_vector_2" in suggestion
    assert "basis_2_2: {dim6_2: 96.25252" in suggestion
    assert "basis_2_2: 'basis_2'" in suggestion


def test_weights_of_scales_are_no_theory() -> None:
    summary = inspect(DATA / "wbf_madgraph_scales_200.lhe.gz")
    points = [weight.point for weight in summary.weights]
    same = {"MUR": 1.0, "PDF": 247000.0}
    assert points == [None, {**same, "MUF": 0.5}, {**same, "MUF": 2.0}]
    assert summary.suggestion is not None
    content = yaml.safe_load(summary.suggestion)
    assert content["processes"][0]["is_background"] and "parameters" not in content
    assert "weights: {BENCHMARK: NAME}" in summary.suggestion


@pytest.mark.parametrize("text", ["muR=2.0 muF=1.0", "renscfact=2d0 facscfact=1d0", "lhapdf=10800"])
def test_what_assigns_scales_is_no_point(text: str, tmp_path: Path) -> None:
    """As POWHEG and older releases of MadGraph write it."""
    file = tmp_path / "a.lhe"
    content = gzip.decompress(EXAMPLE.read_bytes()).decode()
    file.write_text(re.sub(r"(<weight id='\w+'>)[^<]*", rf"\1{text}", content))
    summary = inspect(file)
    assert list(summary.weights[1].point or {}) == re.findall(r"\w+(?==)", text)
    assert "parameters:" not in (summary.suggestion or "")


def test_a_background_is_suggested_where_no_points_are_known(tmp_path: Path) -> None:
    """Beside a signal, it is valid."""
    file = tmp_path / "a.lhe"
    file.write_text(re.sub("set param_card.*", "", text()))
    suggested = yaml.safe_load(inspect(file).suggestion or "")
    rest = yaml.safe_load(TINY1.read_text())
    processes = [*rest["processes"], *suggested["processes"]]
    pasted = tmp_path / "input.yml"
    pasted.write_text(yaml.safe_dump(rest | {"processes": processes}))
    assert [str(one) for one in problems(pasted) if not one.warning] == []


def test_files_of_other_formats_are_named(tmp_path: Path) -> None:
    """Events in HDF5, and events that are in other files than their header."""
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as contents:
        sizes = {"events": (5, 10), "particles": (20, 13), "init": (10,), "procInfo": (1, 6)}
        for name, shape in sizes.items():
            contents[name] = np.zeros(shape)
    assert "LHEH5" in inspect(file).notes[0]
    with pytest.raises(InputError, match=r"LHEH5.* are not read; write them as an LHE file"):
        open_table(file)
    head = text().partition("<event>")[0]
    names = "<eventfiles>\n<eventfile name='b.plhe' neve='9'/>\n</eventfiles>"
    (tmp_path / "a.lhe").write_text(f"{head}{names}\n</LesHouchesEvents>\n")
    with pytest.raises(InputError, match=r"no events in this file: they are in b.plhe; insert"):
        inspect(tmp_path / "a.lhe")


def test_tables_in_files_of_several(tmp_path: Path) -> None:
    """The largest is shown, as a process that names it; RNTuples as well as TTrees."""
    file = tmp_path / "t.root"
    with uproot.recreate(file) as root:
        write_tree(root, "meta", {"x": np.arange(2.0)})
        write_tree(root, "data", {"y": np.arange(9.0), "weight": np.ones(9)}, as_rntuple=True)
    summary = inspect(file)
    assert (summary.events, summary.weights[0].total) == (9, 9.0)
    assert {column.name for column in summary.columns} == {"y", "weight"}
    [process] = yaml.safe_load(summary.suggestion or "")["processes"]
    assert process["table"] == "data"


def test_hepmc_in_root_files_is_named(tmp_path: Path) -> None:
    write_table(tmp_path / "t.root", {"event_number": np.arange(3)}, "hepmc3_tree")
    summary = inspect(tmp_path / "t.root")
    assert summary.suggestion is None and "write them as text" in summary.notes[0]


def test_nothing_is_suggested_that_a_file_lacks(tmp_path: Path) -> None:
    """NanoAOD of muons only, without weights."""
    numbers = ak.Array([[20.0, 10.0], [5.0]])
    parts = dict.fromkeys(("pt", "eta", "phi", "mass", "charge"), numbers)
    with uproot.recreate(tmp_path / "mu.root") as root:
        write_tree(root, "Events", {"Muon": ak.zip(parts)}, as_rntuple=True)
    summary = inspect(tmp_path / "mu.root")
    assert summary.format == "ROOT, NanoAOD" and summary.weights == ()
    content = yaml.safe_load(summary.suggestion or "")
    assert content["processes"][0]["weights"] == {}
    assert [one["definition"] for one in content["observables"]] == ["mu[0].pt"]


def test_negative_weights_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.lhe"
    file.write_text(text().replace("+1.0517000e-06", "-1.0517000e-06", 250))
    own = inspect(file).weights[0]
    assert own.negative == 0.25 and own.effective_events == pytest.approx(250)
    assert "25.0%" in as_text(inspect(file))


def test_other_kinds_of_events(tiny: Physics) -> None:
    root = said(DATA / "wbf_delphes_60.root")
    assert root["format"] == "ROOT of Delphes" and root["events"] == 60
    assert "Jet" in {column["name"] for column in root["columns"]}
    hepmc = said(DATA / "pythia_interface_2.hepmc.gz")
    assert (hepmc["format"], hepmc["events"]) == ("HepMC2 as text", 2)
    assert hepmc["weights"][0]["name"] == "Weight_MERGING=0.000" and hepmc["notes"] == []
    assert hepmc["facts"]["cross-section"].endswith("pb (of the last event)")
    config = said(DATA / "madminer_config.h5")
    assert config["format"] == "MadMiner, without events"
    assert "w (CWL2 = 10, CPWL2 = 0)" in config["facts"]["benchmarks"]
    assert said(DATA / "madminer_lhereader_oracle.h5")["format"].startswith(("MadMiner", "HDF5"))
    combined = said(tiny.combined)
    assert combined["events"] == 600 and len(combined["weights"]) == 6
    assert combined["columns"][0] == {"meaning": "j[0].pt", "name": "pt_j1", "number": 0.0}


def test_products_of_steps(tiny: Physics) -> None:
    assert said(tiny.processes)["format"] == "processes"
    events = [said(archive) for archive in tiny.events]
    assert sum(one["events"] for one in events) == 600
    assert "from w" in events[0]["facts"]["process signal"]


def test_files_that_are_nothing_or_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nothing")
    (tmp_path / "a.lhe.gz").write_bytes(gzip.compress(text().encode())[:50_000])
    (tmp_path / "a.root").write_bytes((DATA / "wbf_delphes_60.root").read_bytes()[:5000])
    (tmp_path / "a.h5").write_bytes((DATA / "madminer_config.h5").read_bytes()[:500])
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(b"no archive"))
    for name, message in {
        "none": "No such file",
        "a.txt": "is of an unknown kind",
        "a.lhe.gz": "truncated or damaged gzip file",
        "a.root": "cannot be read as a ROOT file",
        "a.h5": "cannot be read as an HDF5 file",
        "a.tar.gz": "cannot be read",
    }.items():
        with pytest.raises(InputError, match=message):
            inspect(tmp_path / name)
        assert CliRunner().invoke(main, ["inspect", str(tmp_path / name)]).exit_code == 2


@pytest.mark.parametrize("kind", ["nano.root", "t.root", "t.h5", "t.parquet"])
def test_what_is_suggested_for_tables_is_valid(kind: str, tmp_path: Path) -> None:
    """With the points that its weights are for, which no table says."""
    file = tmp_path / kind
    if kind == "nano.root":
        write_nanoaod(file)
    else:
        write_table(file, {"m_jj": np.arange(4.0), "j": np.arange(4), "weight": np.ones(4)})
    summary = inspect(file)
    assert summary.events in (4, 200, None) and summary.suggestion
    content = yaml.safe_load(summary.suggestion)
    own = content["processes"][0]["weights"]["sm"]
    content["processes"][0]["weights"] |= {"w": own, "neg_w": f"2*{own}"}
    assert content["observables"][0]["name"] in ("pt_j1", "m_jj")
    rest = yaml.safe_load(TINY1.read_text()) | content
    rest["ml"]["methods"] = [{"method": "polynomial"}]
    pasted = tmp_path / "input.yml"
    pasted.write_text(yaml.safe_dump(rest))
    assert [str(one) for one in problems(pasted) if not one.warning] == []
    sums = {weight.name: weight.effective_events for weight in summary.weights}
    if kind == "nano.root":
        assert list(sums) == [
            "genWeight",
            *(f"genWeight*LHEReweightingWeight[{i}]" for i in range(3)),
        ]
        assert sums["genWeight"] == pytest.approx(sums["genWeight*LHEReweightingWeight[0]"])
    else:
        assert sums == {"weight": 4.0}


def test_cut_flows_are_shown(tmp_path: Path) -> None:
    file = tmp_path / "flow.root"
    write_table(file, {"x": np.arange(10.0)})
    with uproot.update(file) as root:
        root["CutFlow"] = cut_flow({"all": 1234.5, "two jets": 10.0})
    assert inspect(file).facts["histogram CutFlow"] == "all: 1234.5, two jets: 10"
