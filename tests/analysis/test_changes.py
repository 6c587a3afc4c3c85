"""Settings changed from the command line."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from madminer_workflow.analysis.changes import (
    change_training,
    plain,
    split_changes,
)
from madminer_workflow.analysis.file import change_methods, read_analysis
from madminer_workflow.analysis.types import Method, Trained
from madminer_workflow.cli import main
from madminer_workflow.errors import InputError
from tests.support.chain import TINY

ANALYSIS = read_analysis(TINY)
SALLY = ANALYSIS.ml.by_name["sally"]


def methods_after(*changes: str) -> dict[str, Method]:
    return change_methods(ANALYSIS, changes).ml.by_name


def training_of(method: Method) -> dict[str, object]:
    assert isinstance(method, Trained)
    return plain(method.training)


@pytest.mark.parametrize(
    ("change", "section", "key", "value"),
    [
        ("sally.training.n_epochs=7", "training", "n_epochs", 7),
        ("sally.training.initial_lr=1e-2", "training", "initial_lr", 0.01),
        ("sally.network.n_hidden=[20,30]", "network", "n_hidden", [20, 30]),
        ("sally.network.activation=relu", "network", "activation", "relu"),
        ("sally.training.early_stopping=false", "training", "early_stopping", False),
    ],
)
def test_a_change_counts_and_leaves_the_rest(change: str, section: str, key: str, value: object):
    before, changed = plain(ANALYSIS), plain(change_methods(ANALYSIS, [change]))
    assert changed["ml"]["methods"][1][section][key] == value
    assert before["ml"]["methods"][1][section][key] != value
    changed["ml"]["methods"][1][section][key] = before["ml"]["methods"][1][section][key]
    assert changed == before


def test_the_type_is_that_of_the_analysis_file():
    ratio = methods_after("ratio.training.alpha=1")["ratio"]
    assert isinstance(training_of(ratio)["alpha"], float)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("sally", "expected KEY=VALUE"),
        ("sally.training.n_epochs", "expected KEY=VALUE"),
        (
            "saly.training.n_epochs=3",
            "unknown method 'saly' (expected one of counts, sally, ratio)",
        ),
        ("sally.trainig.n_epochs=3", "did you mean 'training'?"),
        ("sally.training.n_epoch=3", "did you mean 'n_epochs'?"),
        ("sally.training.n_epochs=many", "expected a whole number, got 'many'"),
        ("sally.training.n_epochs=0", "expected at least 1, got 0"),
        ("sally.training.alpha=0.5", "not used by method 'sally'"),
        ("sally.features=[pt_j7]", "pt_j7"),
        ("sally.training.n_epochs=3'", "expected a whole number"),
    ],
)
def test_what_the_analysis_file_could_not_say_is_refused(change: str, problem: str):
    with pytest.raises(InputError) as error:
        change_methods(ANALYSIS, [change])
    assert problem in str(error.value)
    assert str(error.value).startswith("--set")


def test_after_sampling_only_network_and_training_can_be_changed():
    changed = change_training(SALLY, ["training.batch_size=9"])
    assert training_of(changed)["batch_size"] == 9
    assert training_of(SALLY)["batch_size"] == 64
    with pytest.raises(InputError, match="only network and training can be changed now"):
        change_training(SALLY, ["n_samples=5"])


def test_without_a_method_it_is_that_of_all_that_have_it():
    before, after = methods_after(), methods_after("training.n_epochs=7")
    assert [training_of(after[name])["n_epochs"] for name in ("sally", "ratio")] == [7, 7]
    assert after["counts"] == before["counts"]
    # Only one of them has a balance of ratio and score.
    after = methods_after("training.alpha=0.25")
    assert training_of(after["ratio"])["alpha"] == 0.25
    assert after["sally"] == before["sally"]
    with pytest.raises(InputError, match=r"--set training\.beta=1: no method has this setting"):
        methods_after("training.beta=1")


def test_one_text_may_hold_several_changes():
    assert split_changes(["a=1  b=2", "", "c=3"]) == ["a=1", "b=2", "c=3"]


def test_the_command_refuses_before_anything_is_written(tmp_path):
    arguments = ["run", str(TINY), "--workdir", str(tmp_path / "w"), "--set", "sally.n_sample=5"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "did you mean 'n_samples'?" in result.stderr
    assert not (tmp_path / "w").exists()


def test_what_only_the_old_value_gave_a_meaning_goes_with_it():
    sgd = ["sally.training.optimizer=sgd", "sally.training.nesterov_momentum=0.9"]
    momentum = change_methods(ANALYSIS, sgd)
    assert training_of(momentum.ml.by_name["sally"])["nesterov_momentum"] == 0.9
    assert change_methods(momentum, ["sally.training.optimizer=amsgrad"]) == ANALYSIS
    ratio = methods_after("ratio.estimator=morphing_aware")["ratio"]
    assert "scale_parameters" not in training_of(ratio)
