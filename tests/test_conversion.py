"""The predecessor's two files become one of ours; the files here are made up in their format."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.cli import main
from tests.support.paths import REPOSITORY

PHYSICS = """
parameters:
  - {parameter_name: cA, lha_block: dim6, lha_id: 3, morphing_max_power: 2,
     param_card_transform: '2*theta', parameter_range: '(-4.0,4.0)'}
  - {parameter_name: cB, lha_block: dim6, lha_id: 4, morphing_max_power: 2,
     param_card_transform: theta, parameter_range: '(-3.0,3.0)'}
benchmarks:
  - {benchmark: 1, name: zero, parameter_name_1: cA, value_1: 0.0,
     parameter_name_2: cB, value_2: 0.0}
  - {benchmark: 2, name: far, parameter_name_1: cA, value_1: 3.0,
     parameter_name_2: cB, value_2: 1.0}
set_morphing: {max_overall_power: 2, include_existing_benchmarks: True, n_trials: 50}
observables:
  - {name: pt_a, definition: 'a[0].pt', required: True, default: null}
  - {name: pt_j, definition: 'j[0].pt', required: False, default: 0.0}
cuts:
  - {cut: 1, expression: 'pt_a > 30.'}
"""
LEARNING = """
estimator: parameterized
methods: [carl, sally, scandal]
asymptotic_limits:
  region: {theta_0: {min: -2.0, max: 2.0}, theta_1: {min: -1.0, max: 1.0}}
  resolutions: [21, 11]
  theta_true: [0.0, 0.0]
carl:
  theta_0:
    sampling_method: random_morphing_points
    sampling_number: 40
    prior:
      - parameter_0: {prior_shape: gaussian, prior_param_0: 0.0, prior_param_1: 1.5}
      - parameter_1: {prior_shape: flat, prior_param_0: -1.0, prior_param_1: 1.0}
  theta_1: {sampling_method: benchmark, sampling_arg: far}
sally:
  theta_0: {sampling_method: benchmark, sampling_arg: zero}
scandal:
  theta_0: {sampling_method: benchmark, sampling_arg: zero}
include_xsec: [True, False]
histogram_vars: pt_a
fisher_information:
  {bool: True, observable: pt_a, histogram_bins: [30.0, 100.0], histogram_range: [30.0, 100.0],
   theta_true: [0.0, 0.0]}
plotting: {all_methods: True}
something: else
"""


def convert(folder: Path, physics: str = PHYSICS, learning: str = LEARNING) -> Result:
    (folder / "ph.yml").write_text(physics)
    (folder / "ml.yml").write_text(learning)
    words = ["convert", folder / "ph.yml", folder / "ml.yml", "--output", folder / "mine"]
    return CliRunner().invoke(main, [*map(str, words)])


def test_all_that_has_a_meaning_is_there(tmp_path: Path):
    result = convert(tmp_path)
    assert result.exit_code == 0, result.output
    analysis = read_analysis(tmp_path / "mine/input.yml", cards=False)
    assert analysis.name == "mine"
    assert analysis.parameter_names == ["cA", "cB"]
    assert list(analysis.parameters[0].parameter_range) == [-4.0, 4.0]
    assert analysis.parameters[0].param_card_transform == "2*theta"
    assert analysis.benchmarks["far"] == {"cA": 3.0, "cB": 1.0}
    assert (analysis.morphing.max_overall_power, analysis.morphing.n_trials) == (2, 50)
    assert [cut.definition for cut in analysis.cuts] == ["pt_a > 30."]
    assert [o.required for o in analysis.observables] == [True, False]
    grid = analysis.ml.limits.grid
    assert [list(grid["cA"].range), grid["cA"].resolution] == [[-2.0, 2.0], 21]
    assert [list(grid["cB"].range), grid["cB"].resolution] == [[-1.0, 1.0], 11]
    assert analysis.ml.limits.theta_true == analysis.ml.fisher.theta == "zero"
    histogram, carl, sally, scandal = analysis.ml.methods
    assert (histogram.method, histogram.bins) == ("histogram", {"pt_a": (30.0, 100.0)})
    assert (carl.theta0.n_thetas, carl.theta1) == (40, "far")
    assert (carl.theta0.priors["cA"].std, carl.theta0.priors["cB"].max) == (1.5, 1.0)
    assert sally.theta == "zero"
    assert scandal.theta0.priors["cB"].min == -1.0


def test_what_has_no_meaning_any_more_is_told(tmp_path: Path):
    lines = convert(tmp_path).stderr.splitlines()
    assert all(line.startswith("warning: ") for line in lines)
    told = {line.removeprefix("warning: ").partition(":")[0] for line in lines}
    assert {"include_xsec", "plotting", "something", "background", "scandal"} <= told
    assert {"processes[signal].events", "fisher_information.histogram_range"} <= told
    assert not {"carl", "sally", "methods", "estimator"} & told


def test_with_its_cards_it_is_valid(tmp_path: Path):
    result = convert(tmp_path)
    cards = tmp_path / "mine/cards"
    cards.mkdir()
    ours = REPOSITORY / "inputs/wbf-madgraph/cards"
    for card in yaml.safe_load((tmp_path / "mine/input.yml").read_text())["processes"][0].values():
        if str(card).startswith("cards/"):
            name = Path(card).name.replace("_template", "_signal")
            (tmp_path / "mine" / card).write_bytes((ours / name).read_bytes())
    (cards / "delphes_card.dat").write_text("module\n")
    command = result.stdout.splitlines()[-1].split()[1:]
    result = CliRunner().invoke(main, [*command, "--elsewhere"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("parameters:", "params:", "ph.yml: has no parameters; expected PH_INPUT"),
        (
            "value_2: 0.0",
            "value_3: 0.0",
            "ph.yml: benchmarks: no 'value_2'; expected the predecessor's format",
        ),
        ("'(-4.0,4.0)'", "'(-4.0,'", "ph.yml: parameters: "),
        ("resolutions: [21, 11]", "resolutions: [21]", "ml.yml: asymptotic_limits: "),
        ("prior_shape: flat", "prior_shape: round", "ml.yml: carl: no 'round'"),
        ("methods: [carl", "methods: [karl", "unknown value 'karl'"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, old: str, new: str, words: str):
    assert old in PHYSICS + LEARNING
    result = convert(tmp_path, PHYSICS.replace(old, new, 1), LEARNING.replace(old, new, 1))
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_nothing_is_overwritten(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/input.yml").write_text("mine")
    result = convert(tmp_path)
    assert result.exit_code == 2 and "is not empty" in result.stderr
    assert (tmp_path / "mine/input.yml").read_text() == "mine"
