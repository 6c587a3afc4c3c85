"""Scale and PDF weights of the MadGraph generator, with a stand-in for LHAPDF and with itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from madminer_workflow.analysis.systematics import Variation, weight_variations
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.physics import programs
from madminer_workflow.physics.generators import madgraph
from madminer_workflow.physics.generators.madgraph import varying
from madminer_workflow.physics.generators.madgraph.integrated import IntegratedProcess
from madminer_workflow.physics.generators.madgraph.workplace import Workplace
from madminer_workflow.physics.readers.lhe import read_lhe
from tests.support import parts
from tests.support.madgraph_stand_in import install_stand_in

SCALE = {
    "systematic_name": "scale",
    "effect": "scale",
    "scale": "mu",
    "scale_variations": [0.5, 1.0, 2.0],
}
PDF = {
    "systematic_name": "pdf",
    "effect": "pdf",
    "pdf_variation": "SET",
    "pdf_members": 2,
    "pdf_error_type": "hessian",
    "pdf_confidence_level": 0.6827,
}
VARIATIONS = weight_variations(parts.systematics([SCALE, PDF]))

LHAPDF = """
class PDF:
    def __init__(self, name, member):
        self.name, self.member = name, member

def mkPDF(name, member=0):
    if name not in (247000, "SET") or member > 2:
        raise RuntimeError(f"no {name}")
    return PDF(name, member)
"""
MISC = """
def import_python_lhapdf(config):
    assert config.endswith("lhapdf-config")
    try:
        import lhapdf
    except ImportError:
        return None
    return lhapdf
"""
SYSTEMATICS = """
import lhapdf

class Systematics:
    def __init__(self, path, output, mur, muf, pdf, dyn, lhapdf_config):
        assert (output, mur, muf, pdf, dyn) == (None, [1], [1], "central", [-1])
        self.input = [float(line) for line in open(path)]
        self.orig_pdf = lhapdf.mkPDF(247000)

    def new_event(self):
        pass

    def get_lo_wgt(self, event, mur, muf, alps, dyn, pdf):
        assert (alps, dyn) == (1.0, -1)
        return event * mur * muf * (1.0 if pdf.name == 247000 else 10.0 + pdf.member)
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    directory = tmp_path / "mg"
    install_stand_in(directory, monkeypatch)
    (directory / "lhapdf.py").write_text(LHAPDF)
    (directory / "madgraph" / "various" / "misc.py").write_text(MISC)
    (directory / "madgraph" / "various" / "systematics.py").write_text(SYSTEMATICS)
    config = directory / "HEPTools" / "lhapdf6" / "bin" / "lhapdf-config"
    config.parent.mkdir(parents=True)
    config.write_text("")
    library = config.parents[1] / "lib" / "libLHAPDF.so"
    library.parent.mkdir()
    library.write_text("")
    return Workplace.create(tmp_path / "work")


def test_varied_weights_are_relative(workplace, tmp_path):
    (tmp_path / "events").write_text("2.0\n-3.0\n")
    result = varying.vary(workplace, VARIATIONS, 247000, tmp_path / "events")
    np.testing.assert_allclose(result, np.tile([4.0, 0.25, 10.0, 11.0, 12.0], (2, 1)))


def test_weights_that_are_not_finite(workplace, tmp_path):
    (tmp_path / "events").write_text("2.0\nnan\n")
    with pytest.raises(StepError, match=r"NaN or infinite: scale_nuisance_param_0_benchmark_0, s"):
        varying.vary(workplace, VARIATIONS, 247000, tmp_path / "events")


def test_sets_that_are_missing(workplace):
    varying.check_densities(workplace, VARIATIONS, 247000, "here")
    with pytest.raises(
        InputError, match=r"here: LHAPDF .* the parton densities of the events, set 1, are missing"
    ):
        varying.check_densities(workplace, VARIATIONS, 1, "here")
    with pytest.raises(InputError, match=r"member 3 of SET is missing \(no SET\)"):
        varying.check_densities(workplace, [Variation("x", 1, 1, "SET", 3)], 247000, "here")


def test_lhapdf_without_its_python_module(workplace):
    (workplace.program.directory / "lhapdf.py").unlink()
    with pytest.raises(InputError, match="its Python module cannot be imported"):
        varying.check_densities(workplace, VARIATIONS, 247000, "here")


def test_no_lhapdf(monkeypatch):
    for variable in ("MG5_DIR", "SOFTWARE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    varying.require_lhapdf([], "here")
    with pytest.raises(InputError, match=r"here: scale and PDF uncertainties .* need LHAPDF 6"):
        varying.require_lhapdf(VARIATIONS, "here")


@pytest.mark.parametrize(("reference", "base"), [("w", 20.0), ("elsewhere", 10.0)])
def test_weights_are_relative_to_the_reference(reference, base):
    process = IntegratedProcess(
        name="signal",
        madgraph="",
        interpreter="",
        benchmarks=[("sm", {"x": 0.0}), ("w", {"x": 1.0})],
        cross_sections={},
        run_card={},
        process_card="",
        reference=reference,
        variations=VARIATIONS[:1],
        lhapdf_id=247000,
    )
    nominal, relative = np.array([10.0]), np.array([[1.0, 2.0]])
    weights, meanings = madgraph._weights(process, nominal, relative, np.array([[0.9]]))
    np.testing.assert_allclose(weights, [[10.0, 20.0, 0.9 * base]])
    assert list(meanings) == ["sm", "w", VARIATIONS[0].benchmark]
    assert meanings[VARIATIONS[0].benchmark] == "mur 2.0 muf 2.0"


BY_HAND = """
import gzip, json, re, sys
import lhapdf

lhapdf.setVerbosity(0)
own = lhapdf.mkPDF(247000)
rows = []
for event in re.findall("<mgrwt>(.*?)</mgrwt>", gzip.open(sys.argv[1], "rt").read(), re.S):
    power, mur = re.search(r"<rscale>([^<]*)<", event).group(1).split()
    beams = re.findall(r'<pdfrwt beam="."> *1 +([^<]*)<', event)
    assert len(beams) == 2
    sides = [(int(pdg), float(x), float(q)) for pdg, x, q in map(str.split, beams)]

    def weight(factor):
        result = own.alphasQ(factor * float(mur)) ** int(power)
        for pdg, x, q in sides:
            result *= own.xfxQ(pdg, x, factor * q)
        return result

    rows.append([weight(factor) / weight(1.0) for factor in (2.0, 0.5)])
json.dump(rows, sys.stdout)
"""
"""Weights at other scales, from what MadGraph's Fortran code notes with every event."""


@pytest.mark.slow
def test_scale_uncertainty_with_lhapdf(tmp_path, monkeypatch):
    """No alpha_s here: at small x parton densities, and so the rate, grow with the scale."""
    try:
        program = programs.madgraph()
        config = programs.require_lhapdf()
    except InputError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(madgraph.integration, "ACCURACY", 0.02)
    varied = []

    def vary(workplace, variations, lhapdf_id, path):
        shutil.copyfile(path, tmp_path / "drawn.lhe.gz")
        varied.append(varying.vary(workplace, variations, lhapdf_id, path))
        return varied[-1]

    monkeypatch.setattr(madgraph, "vary", vary)
    process = parts.process(
        "madgraph",
        name="dy",
        proc_card="import model sm\ngenerate p p > e+ e-\n",
        run_card="60 = mmll\n",
    )
    request = parts.request(process, [], {"sm": {}}, models=tmp_path, systematics=[SCALE])
    try:
        madgraph.integrate(request, tmp_path)
    except InputError as error:
        pytest.skip(str(error))
    varied.clear()
    madgraph.generate_events(tmp_path, "sm", 100, 1, tmp_path / "events.lhe")
    events = read_lhe(tmp_path / "events.lhe")
    assert list(events.weight_names) == ["sm", *(v.benchmark for v in VARIATIONS[:2])]
    nominal, up, down = events.weights.sum(axis=0)
    assert 1.02 < up / nominal < 1.25
    assert 0.75 < down / nominal < 0.98
    assert os.listdir(tmp_path / "points") == ["sm.tar"]
    modules = ":".join(map(str, config.parents[1].glob("lib*/python3*/*-packages")))
    by_hand = subprocess.run(
        [program.python, "-c", BY_HAND, tmp_path / "drawn.lhe.gz"],
        env={**os.environ, **programs.lhapdf_environment(config), "PYTHONPATH": modules},
        capture_output=True,
        text=True,
        check=True,
    )
    np.testing.assert_allclose(varied[-1], json.loads(by_hand.stdout), rtol=1e-9)
