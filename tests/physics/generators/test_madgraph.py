"""The MadGraph generator with MadGraph itself; skipped where it is not installed."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from madminer_workflow.errors import InputError
from madminer_workflow.madminer_file import read_setup
from madminer_workflow.physics import programs
from madminer_workflow.physics.generators import Request, madgraph
from madminer_workflow.physics.generators.builtin import wbf_haa
from madminer_workflow.physics.points import benchmark_values
from madminer_workflow.physics.readers.lhe import read_lhe
from tests.support import parts
from tests.support.lhe_arrays import read_arrays
from tests.support.parts import CPWL2, CWL2
from tests.support.paths import DATA

SIGNAL = """
import model EWdim6-full
generate u d > u d h / a z QCD=0 QED=99 NP=2, h > a a QCD=0 QED=99 NP=0
"""
CHECK_POINT = {"CWL2": 5.0, "CPWL2": 3.0}
N_EVENTS = 500


@pytest.fixture(scope="module", autouse=True)
def installation():
    try:
        found = programs.madgraph()
    except InputError as error:
        pytest.skip(str(error))
    if not (found.directory / "models" / "EWdim6").is_dir():
        pytest.skip(f"{found.directory} does not have the model EWdim6")
    return found


def benchmarks() -> dict[str, dict[str, float]]:
    return benchmark_values(read_setup(DATA / "madminer_config.h5"))


def request(points=None, check_points=None, parameters=(CWL2, CPWL2), **process) -> Request:
    signal = {
        "name": "wbf",
        "proc_card": SIGNAL,
        "run_card": "20.0 = ptj\n",
        "param_card": (DATA / "madgraph_param_card.dat").read_text(),
        "events": {"sm": 1000, "w": 1000},
    }
    return parts.request(
        parts.process("madgraph", **{**signal, **process}),
        parameters,
        points or benchmarks(),
        check_points=check_points or {},
        models=DATA,
        seed=7,
    )


@pytest.fixture(scope="module")
def integrated(tmp_path_factory):
    directory = tmp_path_factory.mktemp("integrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(madgraph.integration, "ACCURACY", 0.01)
        report = madgraph.integrate(request(check_points={"closure": CHECK_POINT}), directory)
    return directory, report


@pytest.fixture(scope="module", params=["sm", "w"])
def sample(request, integrated, tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "events.lhe"
    report = madgraph.generate_events(integrated[0], request.param, N_EVENTS, 11, path)
    assert report.n_events == N_EVENTS
    return request.param, path


@pytest.mark.slow
def test_cross_sections(integrated):
    """MadGraph with 50k events: 1.0386(15) fb."""
    sigma, error = integrated[1].cross_sections["sm"]
    assert error < 0.011 * sigma
    assert abs(sigma - 1.0386e-3) < 3.0 * np.hypot(error, 0.0015e-3)
    assert list(integrated[1].cross_sections) == ["sm", "w", "closure"]


@pytest.mark.slow
def test_packed_process_is_small(integrated):
    files = [path for path in integrated[0].rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 8e6
    assert not any(b"/tmp/madgraph." in path.read_bytes() for path in files)


@pytest.mark.slow
def test_weights_add_up_to_the_cross_section(integrated, sample):
    name, path = sample
    events = read_lhe(path, list(benchmarks()))
    sigma = integrated[1].cross_sections[name][0]
    assert len(events) == N_EVENTS
    assert events.event_weight.sum() == pytest.approx(sigma, rel=1e-7)
    own = list(benchmarks()).index(name)
    np.testing.assert_allclose(events.weights[:, own], events.event_weight, rtol=1e-8)


@pytest.mark.slow
def test_weights_are_those_of_the_built_in_amplitude(sample):
    name, path = sample
    events = read_arrays(path)
    squared = wbf_haa.squared_amplitude(*events.momenta[[0, 1, 4, 3]])
    polynomial = {
        point: wbf_haa.monomials(16.52 * np.array([theta["CWL2"], theta["CPWL2"]]))
        for point, theta in benchmarks().items()
    }
    for point, monomials in polynomial.items():
        ratio = (monomials @ squared) / (polynomial[name] @ squared)
        np.testing.assert_allclose(
            events.weights[point] / events.weights[name], ratio, rtol=2e-5, err_msg=point
        )


@pytest.mark.slow
def test_one_benchmark_reproduces_the_other(integrated, sample):
    if sample[0] == "sm":
        pytest.skip("the tail of w is not in a small sample of sm")
    weights = read_arrays(sample[1]).weights["sm"]
    value, error = integrated[1].cross_sections["sm"]
    statistical = np.sqrt(len(weights)) * weights.std()
    assert abs(weights.sum() - value) < 4 * np.hypot(statistical, error)


@pytest.mark.slow
def test_same_seed_same_bytes_from_anywhere(integrated, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(integrated[0], moved)
    for name, directory, seed in (("a", integrated[0], 1), ("b", moved, 1), ("c", moved, 2)):
        madgraph.generate_events(directory, "w", 50, seed, tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.slow
def test_background_has_one_benchmark(tmp_path, monkeypatch):
    monkeypatch.setattr(madgraph.integration, "ACCURACY", 0.02)
    background = request(
        points={"sm": {"CWL2": 0.0, "CPWL2": 0.0}},
        parameters=[],
        proc_card="import model sm\ngenerate p p > a a\n",
        param_card=None,
        run_card="20 = pta\n-3.0 = draa\n",
        events={"sm": 100},
    )
    report = madgraph.integrate(background, tmp_path)
    assert not (tmp_path / "matrix_elements.tar").exists()
    madgraph.generate_events(tmp_path, "sm", 100, 1, tmp_path / "events.lhe")
    events = read_lhe(tmp_path / "events.lhe", ["sm"])
    assert events.weights.sum() == pytest.approx(report.cross_sections["sm"][0], rel=1e-7)
    assert len(events) == 100


@pytest.mark.slow
def test_run_card_setting_that_madgraph_does_not_know(tmp_path):
    with pytest.raises(InputError, match=r"wbf.run_card: 'ptjj' is not a setting .* mean ptj"):
        madgraph.integrate(request(run_card="20 = ptjj"), tmp_path)


@pytest.mark.slow
def test_parameter_that_the_model_does_not_have(tmp_path):
    wrong = {**CWL2, "lha_id": 20}
    with pytest.raises(InputError, match=r"parameters.CWL2: .*no entry 20 in a block dim6"):
        madgraph.integrate(request(parameters=[wrong, CPWL2], param_card=None), tmp_path)
