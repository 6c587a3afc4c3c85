"""``ml.defaults``, and what the estimators of ``ml.methods`` demand."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from madminer_workflow.analysis.changes import plain
from madminer_workflow.analysis.file import examine, problems, read_analysis
from madminer_workflow.analysis.reading import read
from tests.support.paths import DATA

FULL = DATA / "analysis" / "input.yml"
PRIORS = {name: {"prior": "flat", "min": -2.0, "max": 2.0} for name in ("CWL2", "CPWL2")}


def file_with(path: Path, methods: list[dict[str, Any]], **ml: Any) -> Path:
    """The full analysis with other methods, one key a line."""
    analysis = yaml.safe_load(FULL.read_text())
    analysis["ml"].pop("fisher")
    analysis["ml"] = {**ml, "methods": copy.deepcopy(methods), "limits": analysis["ml"]["limits"]}
    path.write_text(yaml.safe_dump(analysis, sort_keys=False))
    return path


def methods_of(path: Path, methods: list[dict[str, Any]], **ml: Any) -> list[dict[str, Any]]:
    return plain(read_analysis(file_with(path, methods, **ml)))["ml"]["methods"]


def told(path: Path) -> list[tuple[str, str]]:
    """The text of the line that a problem is placed at, and the problem without that line."""
    lines = path.read_text().splitlines()
    return [(lines[p.line - 1].strip(), f"{p.key}: {p.message}") for p in problems(path)]


SHARED = {
    "network": {"n_hidden": [7], "activation": "relu"},
    "training": {"n_epochs": 3, "alpha": 2.0},
    "n_samples": 300,
    "theta0": {"n_thetas": 5, "priors": PRIORS},
    "features": ["pt_j1"],
}


def test_methods_take_over_what_they_can_use(tmp_path):
    entries = [
        {"method": "sally"},
        {"method": "alices"},
        {"method": "scandal"},
        {"method": "histogram", "observables": ["pt_j1"]},
    ]
    shared = methods_of(tmp_path / "a.yml", entries, defaults=SHARED)
    own = {
        "sally": {"network", "n_samples", "features"},
        "alices": {"network", "n_samples", "features", "theta0"},
        "scandal": {"network", "n_samples", "features", "theta0"},
        "histogram": set(),
    }
    written_out = [
        {**entry, **{key: SHARED[key] for key in own[entry["method"]]}} for entry in entries
    ]
    for entry in written_out[:3]:
        entry["training"] = {"n_epochs": 3}
    for entry in written_out[1:3]:
        entry["training"] = {"n_epochs": 3, "alpha": 2.0}
    assert shared == methods_of(tmp_path / "b.yml", written_out)


def test_the_entry_wins_key_by_key(tmp_path):
    entry = {
        "method": "alices",
        "network": {"n_hidden": [9, 9]},
        "training": {"alpha": 5.0},
        "theta0": {"priors": {"CWL2": {"prior": "gaussian", "mean": 0.0, "std": 1.0}}},
        "features": None,
    }
    (alices,) = methods_of(tmp_path / "a.yml", [entry], defaults=SHARED)
    assert alices["network"] == {"n_hidden": [9, 9], "activation": "relu", "dropout_prob": 0.0}
    assert (alices["training"]["alpha"], alices["training"]["n_epochs"]) == (5.0, 3)
    assert alices["theta0"]["n_thetas"] == 5
    assert alices["theta0"]["priors"] == {
        "CWL2": {"prior": "gaussian", "mean": 0.0, "std": 1.0},
        "CPWL2": PRIORS["CPWL2"],
    }
    assert alices["features"] is None


def test_the_complete_analysis_says_nothing_of_defaults(tmp_path):
    analysis, _ = examine(read(file_with(tmp_path / "a.yml", [{"method": "sally"}], defaults={})))
    assert "defaults" not in analysis["ml"]


def test_a_default_estimator_decides_what_else_is_used(tmp_path):
    defaults = {**SHARED, "estimator": "morphing_aware"}
    entries = [{"method": "alices"}, {"method": "rolr", "estimator": "parameterized"}]
    alices, rolr = methods_of(tmp_path / "a.yml", entries, defaults=defaults)
    assert "scale_parameters" not in alices["training"]
    assert rolr["training"]["scale_parameters"] is True


@pytest.mark.parametrize(
    ("defaults", "line", "problem"),
    [
        (
            {"training": {"n_epoch": 3}},
            "n_epoch: 3",
            "ml.defaults.training.n_epoch: unknown key 'n_epoch'",
        ),
        (
            {"training": {"n_epochs": "many"}},
            "n_epochs: many",
            "ml.defaults.training.n_epochs: expected a whole number, got 'many'",
        ),
        ({"training": 3}, "training: 3", "ml.defaults.training: expected a mapping, got 3"),
        (
            {"training": {"alpha": 3.0}},
            "alpha: 3.0",
            "ml.defaults.training.alpha: not used by any of the methods "
            "(only by method alices, cascal, rascal, scandal)",
        ),
        (
            {"theta1": "sm"},
            "theta1: sm",
            "ml.defaults.theta1: not used by any of the methods",
        ),
        (
            {"features": ["pt_j1", "pt_j7"]},
            "- pt_j7",
            "ml.defaults.features[1]: unknown observable 'pt_j7'",
        ),
        ({"name": "x"}, "name: x", "ml.defaults.name: unknown key 'name'"),
        ({"bins": {"pt_j1": 3}}, "bins:", "ml.defaults.bins: unknown key 'bins'"),
        ({"theta": "sn"}, "theta: sn", "ml.defaults.theta: unknown benchmark 'sn'"),
    ],
)
def test_a_wrong_default_is_told_once_and_where_it_stands(tmp_path, defaults, line, problem):
    file = file_with(
        tmp_path / "a.yml", [{"method": "sally"}, {"method": "sallino"}], defaults=defaults
    )
    ((place, message),) = told(file)
    assert place == line
    assert message.startswith(problem)


def test_a_wrong_value_of_an_entry_is_told_there(tmp_path):
    entries = [{"method": "sally", "training": {"n_epochs": 0}}]
    file = file_with(tmp_path / "a.yml", entries, defaults={"training": {"n_epochs": 3}})
    ((place, message),) = told(file)
    assert place == "n_epochs: 0"
    assert message == "ml.methods[sally].training.n_epochs: expected at least 1, got 0"


def test_a_default_that_contradicts_an_entry_is_told_at_the_default(tmp_path):
    priors = {"CWL2": {"prior": "gaussian", "mean": 0.0}, "CPWL2": PRIORS["CPWL2"]}
    file = file_with(
        tmp_path / "a.yml", [{"method": "alice"}], defaults={"theta0": {"priors": priors}}
    )
    ((place, message),) = told(file)
    assert place == "CWL2:"
    assert message == "ml.defaults.theta0.priors.CWL2: missing key 'std' (Standard deviation)"


@pytest.mark.parametrize("defaults", [None, 3, "x", []])
def test_defaults_that_are_no_mapping(tmp_path, defaults):
    file = file_with(tmp_path / "a.yml", [{"method": "sally"}], defaults=defaults)
    ((_, message),) = told(file)
    assert message.startswith("ml.defaults: expected a mapping, got")


def with_one_parameter(path: Path, benchmark: float, power: int, **entry: Any) -> Path:
    analysis = yaml.safe_load(FULL.read_text())
    analysis["parameters"] = analysis["parameters"][:1]
    analysis["parameters"][0]["morphing_max_power"] = power
    analysis["morphing"] = {"max_overall_power": power}
    analysis["benchmarks"] = {"sm": {"CWL2": benchmark}, "w": {"CWL2": 10.0}}
    analysis["processes"] = [{**analysis["processes"][0], "events": {"sm": 100}}]
    theta0 = {"priors": {"CWL2": PRIORS["CWL2"]}}
    methods = [{"method": "alice", "theta0": theta0, **entry}]
    grid = {"CWL2": {"range": [-1.0, 1.0]}}
    analysis["ml"] = {"methods": methods, "limits": {"grid": grid}}
    path.write_text(yaml.safe_dump(analysis, sort_keys=False))
    return path


QUADRATIC = {"estimator": "quadratic_morphing_aware"}


def test_the_quadratic_estimator_is_for_one_parameter_and_the_origin(tmp_path):
    assert told(with_one_parameter(tmp_path / "a.yml", 0.0, 2, **QUADRATIC)) == []
    (problem,) = told(with_one_parameter(tmp_path / "b.yml", 0.5, 2, **QUADRATIC))
    assert problem[1] == (
        "ml.methods[alice].theta1: 'quadratic_morphing_aware' is for one parameter and theta1 at "
        "CWL2 = 0; the benchmark 'sm' is at 0.5"
    )
    (problem,) = told(with_one_parameter(tmp_path / "c.yml", 0.0, 4, **QUADRATIC))
    assert problem == (
        "estimator: quadratic_morphing_aware",
        "ml.methods[alice].estimator: 'quadratic_morphing_aware' is for one parameter of power 2 "
        "at most, and here it is 4; use 'morphing_aware'",
    )
    entry = {"method": "alice", "theta0": {"priors": PRIORS}, **QUADRATIC}
    (problem,) = told(file_with(tmp_path / "d.yml", [entry]))
    assert problem[1].endswith("for one parameter, and there are 2; use 'morphing_aware'")


@pytest.mark.parametrize(
    ("powers", "overall"), [((2, 2), 2), ((4, 2), 2), ((2, 1), 2), ((1, 1), 1), ((2, 2), 3)]
)
def test_polynomials_need_be_no_squares_of_amplitudes(
    tmp_path: Path, powers: tuple[int, int], overall: int
) -> None:
    path = file_with(tmp_path / "a.yml", [{"method": "polynomial"}])
    analysis = yaml.safe_load(path.read_text())
    for parameter, power in zip(analysis["parameters"], powers, strict=True):
        parameter["morphing_max_power"] = power
    analysis["morphing"] = {"max_overall_power": overall}
    path.write_text(yaml.safe_dump(analysis, sort_keys=False))
    assert [message for _, message in told(path) if message.startswith("ml.methods")] == []


def test_what_polynomials_have_of_their_own(tmp_path: Path) -> None:
    (entry,) = methods_of(
        tmp_path / "a.yml", [{"method": "polynomial", "training": {"max_lr": 0.001}}]
    )
    assert entry == {
        "method": "polynomial",
        "name": "polynomial",
        "n_estimators": None,
        "features": None,
        "theta": "sm",
        "network": {"n_hidden": [64, 64, 64]},
        "training": {"n_epochs": 40, "n_steps": 2000, "batch_size": 512, "max_lr": 0.001},
    }


def test_the_denominator_of_the_doubly_parameterized_estimator(tmp_path):
    entry = {"method": "alice", "theta0": {"n_thetas": 7, "priors": PRIORS}}
    double = {**entry, "estimator": "doubly_parameterized"}
    plain, doubled, other = methods_of(
        tmp_path / "a.yml",
        [
            {**entry, "name": "plain"},
            double,
            {**double, "name": "other", "theta1": {"priors": PRIORS}},
        ],
    )
    assert (plain["theta1"], "theta" in plain) == ("sm", False)
    assert (doubled["theta1"], doubled["theta"]) == (doubled["theta0"], "sm")
    assert other["theta1"]["n_thetas"] == 1000


def test_points_in_the_denominator_of_other_estimators(tmp_path):
    entry = {"method": "alice", "theta0": {"priors": PRIORS}, "theta1": {"priors": PRIORS}}
    (problem,) = told(file_with(tmp_path / "a.yml", [entry]))
    assert problem == (
        "theta1:",
        "ml.methods[alice].theta1: expected the name of a benchmark: estimator 'parameterized' "
        "has one fixed theta1 (parameter points are for doubly_parameterized)",
    )


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            {"method": "alice", "estimator": "doubly", "theta0": {"priors": PRIORS}},
            "estimator: unknown value 'doubly' (expected one of parameterized, "
            "doubly_parameterized, morphing_aware, quadratic_morphing_aware)",
        ),
        (
            {"method": "sally", "estimator": "parameterized"},
            "estimator: not used by method 'sally'",
        ),
        (
            {
                "method": "alice",
                "estimator": "morphing_aware",
                "theta0": {"priors": PRIORS},
                "training": {"scale_parameters": False},
            },
            "training.scale_parameters: not used by estimator 'morphing_aware'",
        ),
        (
            {"method": "alice", "theta": "sm", "theta0": {"priors": PRIORS}},
            "theta: not used by estimator 'parameterized'",
        ),
        (
            {"method": "sally", "training": {"nesterov_momentum": 0.9}},
            "training.nesterov_momentum: not used by optimizer 'amsgrad' (only by sgd)",
        ),
        (
            {"method": "scandal", "theta0": {"priors": PRIORS}, "network": {"dropout_prob": 0.1}},
            "network.dropout_prob: not used by method 'scandal'",
        ),
        ({"method": "scandal"}, "missing key 'theta0'"),
        (
            {"method": "sallino", "binning": {"kind": "adaptive"}},
            "binning.kind: not used by method 'sallino'",
        ),
        (
            {"method": "sally", "binning": {"bins": {"along": 3}}},
            "binning.bins.along: unknown axis 'along' (expected one of CWL2, CPWL2)",
        ),
        (
            {"method": "sally", "binning": {"kind": "adaptive", "bins": {"CWL2": 3}}},
            "binning.bins.CWL2: unknown axis 'CWL2' (expected one of along, across)",
        ),
        (
            {"method": "sally", "binning": {"bins": {"CWL2": [1.0, 0.0]}}},
            "binning.bins.CWL2: expected increasing bin edges",
        ),
        (
            {"method": "sally", "binning": {"bins": 0}},
            "binning.bins: expected at least 1, got 0",
        ),
    ],
)
def test_what_a_method_cannot_have(tmp_path, entry, problem):
    file = file_with(tmp_path / "a.yml", [entry])
    assert [problem in message for _, message in told(file)] == [True]


def test_nesterov_momentum_is_for_sgd(tmp_path):
    training = {"optimizer": "sgd", "nesterov_momentum": 0.9}
    (sally,) = methods_of(tmp_path / "a.yml", [{"method": "sally", "training": training}])
    assert sally["training"]["nesterov_momentum"] == 0.9
    (adam,) = methods_of(tmp_path / "b.yml", [{"method": "sally"}])
    assert "nesterov_momentum" not in adam["training"]
