"""Event files that other projects publish for their tests, through all steps of physics.

EVENT_SAMPLES_DIR is a folder that contains, at any depth, files of scikit-hep-testdata, of HepMC3's
``test`` folder, or of coffea's ``tests/samples``. They are compared with what simple readers find.
"""

from __future__ import annotations

import gzip
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

import madminer_workflow.physics.delphes as step
from madminer_workflow.analysis.file import problems
from madminer_workflow.inspection import inspect
from madminer_workflow.madminer_file import read_sample, read_setup
from tests.physics.generators.test_hepmc_files import DELPHES, answered, of_hepmc
from tests.support.chain import TINY1, analysis_file, run_physics
from tests.support.event_files import REFERENCE, analysis

VARIABLE = "EVENT_SAMPLES_DIR"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} is not set: no samples"),
]

INVISIBLE = {12, 14, 16, 1000022}
LHE = {
    "pylhe-testfile-madgraph-2.0.0-wbj.lhe": (59, 9, 50.109086),
    "pylhe-testfile-madgraph-2.2.1-Z-ckkwl.lhe.gz": (10_000, 0, 3244.2135),
    "pylhe-testfile-madgraph-2.2.1-Z-fxfx.lhe.gz": (10_000, 0, 3396.33),
    "pylhe-testfile-madgraph-2.2.1-Z-mlm.lhe.gz": (10_000, 0, 3750.8423),
    "pylhe-testfile-madgraph5-3.5.8-pp_to_jj.lhe.gz": (1000, 145, 6.99671e8),
    "pylhe-testfile-powheg-box-v2-W.lhe": (100, 1, 4958.79),
    "pylhe-testfile-powheg-box-v2-Z.lhe": (100, 0, 1205.36),
    "pylhe-testfile-powheg-box-v2-Zj.lhe": (100, 0, 141.939),
    "pylhe-testfile-powheg-box-v2-directphoton.lhe": (100, 7, None),
    "pylhe-testfile-powheg-box-v2-hvq.lhe": (6, 45, 7217.2),
    "pylhe-testfile-powheg-box-v2-trijet.lhe": (100, 0, None),
    "pylhe-testfile-pythia-6.413-ttbar.lhe": (100, 0, 5.48036),
    "pylhe-testfile-pythia-8.3.14-weakbosons.lhe": (100, 0, 48.7678),
    "pylhe-testfile-sherpa-3.0.1-eejjj.lhe": (100, 0, None),
    "pylhe-testfile-whizard-3.1.4-eeWW.lhe": (10, 1, 7.19887),
    "pylhe-testfile-pr180.lhe": (10, 0, 2.89473e-19),
    "pylhe-testlhef3.lhe": (59, 9, 50.109086),
    "inputIO13.lhe": (100, 0, 1.74914),
}
"""Events, weights beside XWGTUP, and the cross-section [pb]; None must be given."""

HEPMC = {
    "inputConvert1.hepmc": (6, 721.357),
    "inputIO1.hepmc": (100, 1247.77),
    "inputIO6.hepmc": (9, 2.91004e10),
    "inputIO8.hepmc": (100, 1247.77),
    "inputMass.hepmc": (10, 648845.0),
    "inputSherpa140Crash.hepmc": (1, 313.966),
    "inputSingleVertexHepMC2.hepmc": (1, None),
    "inputReaderFactory5.hepmc": (10, 204.826),
    "example.hepmc3": (100, 1247.77),
    "inputIO31.hepmc": (5, None),
}
"""Events and the cross-section [pb]."""

TREES = ("TTree", "ROOT::RNTuple")
TABLES: dict[str, tuple[int, str, str | None, str]] = {
    "nanoAOD_2015_CMS_Open_Data_ttbar.root": (200, "genWeight", None, "Jet_pt"),
    "cmsopendata2015_ttbar_19980_NANOAOD_RNTupleImporter_rntuple_v1-0-0-1.root": (
        10,
        "genWeight",
        None,
        "Jet_pt",
    ),
    "uproot-issue121.root": (40, "genWeight", None, "Jet_pt"),
    "uproot-issue513.root": (10, "Event_Weight[0]", None, "Jet.PT"),
    "uproot-HZZ.root": (2421, "max(EventWeight, 1e-6)", None, "Jet_Px"),
    "uproot-issue-589.root": (151, "1.0", None, "MC_px"),
    "uproot-physlite-rntuple_v1-0-0-0.root": (
        100,
        "EventInfoAuxDyn_mcEventWeights[0]",
        "EventData",
        "AnalysisJetsAuxDyn:pt",
    ),
    "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root": (
        1000,
        "1.0",
        None,
        "Muon_pt",
    ),
    "nano_tree.root": (10, "genWeight", None, "Jet_pt"),
    "pfnano.root": (10, "genWeight", None, "Jet_pt"),
    "treemaker.root": (10, "Weight", None, "Electrons_charge"),
}
"""Events, the weight they have, the name of the tree, and a branch of lists."""


@cache
def there() -> dict[str, Path]:
    """All files in the folder of samples by their names."""
    found: dict[str, Path] = {}
    for place, _, names in os.walk(os.environ[VARIABLE]):
        for name in names:
            found.setdefault(name, Path(place) / name)
    return found


def sample(name: str) -> Path:
    if name not in there():
        pytest.skip(f"{name} is not in {VARIABLE}")
    return there()[name]


def combined(file: Path, directory: Path) -> tuple[np.ndarray, np.ndarray]:
    """Observables and nominal weights of the background, or of all events if there is none."""
    assert [str(one) for one in problems(file) if not one.warning] == []
    events = read_sample(run_physics(file, directory, njobs=1).combined)
    chosen = events.sampling_ids < 0
    chosen = chosen if chosen.any() else ~chosen
    return events.observations[chosen], (events.weights[:, 0] * events.shares)[chosen]


def rows(*columns: Any) -> np.ndarray:
    """Rows of some columns in an order that depends on them only."""
    table = np.column_stack(columns)
    return table[np.lexsort(table.T[::-1])]


def parsed(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The weights (XWGTUP) of LHE events, and the sums of pz of what is visible in them."""
    data = file.read_bytes()
    text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode(errors="replace")
    weights, pz = [], []
    for event in re.findall(r"<event[^s].*?</event>", text, re.DOTALL):
        body = re.sub(r"#[^\n]*", "", event.partition(">")[2]).partition("<")[0]
        head, *particles = [line.split() for line in body.splitlines() if line.strip()]
        weights.append(float(head[2]))
        seen = [p for p in particles if p[1] == "1" and abs(int(p[0])) not in INVISIBLE]
        pz.append(sum(float(p[8]) for p in seen))
    return np.array(weights), np.array(pz)


@pytest.mark.parametrize("name", LHE)
def test_les_houches_events(name: str, tmp_path: Path) -> None:
    """As the background of another signal: every event, its momenta and its weight."""
    source = sample(name)
    n, n_weights, value = LHE[name]
    summary = inspect(source)
    assert (summary.events, len(summary.weights)) == (n, 1 + n_weights)
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / name).symlink_to(source)
    (folder / REFERENCE.name).symlink_to(REFERENCE)
    one: dict[str, Any] = {"generator": "files", "is_background": True, "name": "background"}
    one |= {"files": {"sm": [name]}} | ({} if value else {"cross_section": {"sm": 2.0}})
    signal = {"generator": "files", "files": {"sm": [REFERENCE.name]}, "name": "signal"}
    observables = [
        {"name": "pt_j1", "definition": "visible.pz", "default": 0.0},
        {"name": "deta_jj", "definition": "n_particles", "required": True},
    ]
    sections = {"processes": [signal, one], "observables": observables}
    sections |= {"cuts": [], "detector": {}}
    found, weights = combined(analysis(folder, {"sm": []}, sections), tmp_path)
    assert weights.sum() == pytest.approx(value or 2.0, rel=1e-5)
    own, pz = parsed(source)
    assert len(own) == n
    expected = own * (weights.sum() / own.sum())
    np.testing.assert_allclose(
        rows(found[:, 0].round(4), weights), rows(pz.round(4), expected), rtol=1e-5
    )


def test_scales_and_parton_densities_of_madgraph(tmp_path: Path) -> None:
    """Weights that its systematics program has written, by id, and 100 replicas."""
    name = "pylhe-testfile-madgraph5-3.5.8-pp_to_jj.lhe.gz"
    source = sample(name)
    folder = tmp_path / "a"
    folder.mkdir()
    for file in (source, REFERENCE):
        (folder / file.name).symlink_to(file)
    systematics: list[dict[str, Any]] = [
        {"systematic_name": "qcd", "effect": "scale", "scale_variations": [0.5, 1.0, 2.0]},
        {
            "systematic_name": "pdf",
            "effect": "pdf",
            "pdf_variation": "NNPDF23_lo_as_0130_qed",
            "pdf_members": 100,
            "pdf_error_type": "replicas",
        },
    ]
    one = {"generator": "files", "is_background": True, "name": "background"}
    one |= {"files": {"sm": [name]}, "variations": {"qcd": ["1", "40"], "pdf": "{45}"}}
    signal = {"generator": "files", "files": {"sm": [REFERENCE.name]}, "name": "signal"}
    sections = {"processes": [{**signal, "systematics": []}, one], "systematics": systematics}
    file = analysis(folder, {"sm": []}, {**sections, "cuts": []})
    assert [str(one) for one in problems(file) if not one.warning] == []
    physics = run_physics(file, tmp_path, njobs=1)
    setup, events = read_setup(physics.config), read_sample(physics.combined)
    chosen = events.sampling_ids < 0
    found = dict(zip(setup.nuisance_benchmarks, events.nuisance_weights[chosen].T, strict=True))
    assert len(found) == 102
    totals = {weight.name: weight.total for weight in inspect(source).weights}
    nominal = events.weights[chosen, 0].sum()
    for k, weight in enumerate(("40", "1")):
        ratio = found[f"qcd_nuisance_param_0_benchmark_{k}"].sum() / nominal
        assert ratio == pytest.approx(totals[weight] / totals["XWGTUP"], rel=1e-6)


@pytest.mark.parametrize("name", HEPMC)
def test_hepmc_events(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the background of another signal, before a Delphes that answers for ours."""
    source = sample(name)
    n, value = HEPMC[name]
    assert inspect(source).events == n
    monkeypatch.setattr(step, "detect", answered)
    folder = tmp_path / "a"
    of_hepmc(folder, 2)
    (folder / "other.hepmc").symlink_to(source)
    signal = {"name": "signal", "generator": "files", "files": {"sm": ["e0.hepmc"]}}
    other: dict[str, Any] = {"name": "background", "generator": "files", "is_background": True}
    other |= {"files": {"sm": ["other.hepmc"]}} | ({} if value else {"cross_section": {"sm": 2.0}})
    file = analysis(folder, {"sm": []}, {**DELPHES, "processes": [signal, other]})
    _, weights = combined(file, tmp_path)
    assert len(weights) == n == source.read_text().count("\nE ")
    assert weights.sum() == pytest.approx(value or 2.0, rel=1e-5)


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str, tmp_path: Path) -> None:
    """As a signal whose weights at two points are made from the number of entries in a list."""
    source = sample(name)
    n, weight, tree, branch = TABLES[name]
    assert inspect(source).events == n
    (tmp_path / "t.root").symlink_to(source)
    column = re.sub(r"\W", "_", branch)
    process = {
        "name": "signal",
        "generator": "files",
        "files": {"sm": ["t.root"]},
        "cross_section": {"sm": 2.0},
        "weights": {
            "sm": weight,
            "w": f"{weight}*(1.5 + len({column}))**2",
            "neg_w": f"{weight}*(0.5 - len({column}))**2",
        },
        **({} if tree is None else {"table": tree}),
        "sum_of_weights": {},
    }
    points = dict(zip(("sm", "w", "neg_w"), ({"CWL2": c} for c in (0.0, 1.0, -1.0)), strict=True))
    observables = [
        {"name": "pt_j1", "definition": f"{column}[0]", "default": -1.0},
        {"name": "number", "definition": f"len({column})", "default": -1.0},
    ]
    sections = {"benchmarks": points, "processes": [process], "observables": observables}
    file = analysis_file(tmp_path / "input.yml", TINY1, **sections, cuts=[])
    found, weights = combined(file, tmp_path / "out")
    with uproot.open(source) as root:
        trees = [name for name, kind in root.classnames(cycle=False).items() if kind in TREES]
        lists = root[tree or trees[0]][branch].array()
    first = [one[0] if len(one) else -1.0 for one in lists.tolist()]
    assert len(weights) == n
    expected = rows(first, [len(one) for one in lists])
    np.testing.assert_allclose(rows(*found.T), expected, rtol=1e-6)
