"""Steps one at a time in a work directory: the same commands as the engine's, in its folders."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from madminer_workflow.cli import main
from madminer_workflow.engines.folder import Selection, commands
from madminer_workflow.engines.order import Order
from madminer_workflow.engines.run import run_workflow
from madminer_workflow.errors import InputError
from madminer_workflow.graph import STEPS
from madminer_workflow.products.samples import read_samples
from tests.support.chain import TINY, with_toys


@pytest.fixture(scope="module")
def workdir(warm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``run`` leaves of the tiny analysis, with toys in two jobs and observed data."""
    directory = tmp_path_factory.mktemp("run")
    run_workflow(Order(with_toys(directory), directory, **NUMBERS, observed=OBSERVED, workers=2))
    return directory


@pytest.fixture
def copy(workdir: Path, tmp_path: Path) -> Path:
    """The same, to change something in it."""
    shutil.copytree(workdir, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


NUMBERS = {"njobs": 2, "ntrainsamples": 2}
OBSERVED = "CWL2=0.2,CPWL2=0"
#: What the engine adds, for tracking and for settings.
ONLY_THERE = ("--tracking-uri", "--set")


def as_the_engine_ran_it(output: Path) -> list[str]:
    """The command in the log of the step in ``output``, in the form of ``folder.commands``."""
    [log] = (output / "_packtivity").glob("*.run.log")
    words = shlex.split(log.read_text().splitlines()[0].removeprefix("$ madminer-workflow "))
    for option in ONLY_THERE:
        while option in words:
            place = words.index(option)
            del words[place : place + 2]
    if "--toys" in words:
        # All of them in one text.
        place = words.index("--toys")
        files = words[place + 1].split()
        words[place : place + 2] = [word for file in files for word in ("--toys", file)]
    return words


@pytest.fixture(scope="module")
def order(workdir: Path) -> Order:
    return Order(workdir / "input.yml", workdir, **NUMBERS, observed=OBSERVED)


TIMES = {"pythia": 2, "delphes": 2, "training": 5, "evaluating": 3, "toys": 6}


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_what_the_engine_ran(workdir: Path, order: Order, step: str):
    own = commands(step, order)
    assert len(own) == TIMES.get(step, 1)
    for command in own:
        output = Path(command[command.index("--output") + 1])
        # The order of files at the end of a command is the engine's affair.
        assert sorted(command) == sorted(as_the_engine_ran_it(output))


def test_one_of_several(workdir: Path):
    order = Order(TINY, workdir)
    assert commands("pythia", order, Selection(index="1")) == [commands("pythia", order)[1]]
    [evaluating] = commands("evaluating", order, Selection(method="sally"))
    assert evaluating in commands("evaluating", order)
    [toys] = commands("toys", order, Selection(method="sally", index="1"))
    assert toys in commands("toys", order)
    assert "sally/toys_1.json" in str(toys)
    [training] = commands("training", order, Selection(method="sally", member="1"))
    assert "Samples_sally_1.npz" in str(training)


def test_settings_go_where_they_belong(workdir: Path):
    changes = ("training.alpha=0.5 network.n_hidden=[4]", "training.n_epochs=nan")
    found = {}
    for command in commands(
        "training", Order(TINY, workdir, changes=changes), Selection(member="0")
    ):
        method = Path(command[command.index("--samples") + 1]).parent.name
        found[method] = [word for word in command if "=" in word]
    assert found == {
        "counts": [],
        "sally": ["network.n_hidden=[4]"],
        "ratio": ["training.alpha=0.5", "network.n_hidden=[4]"],
    }


@pytest.mark.parametrize(
    ("step", "selection", "changes", "problem"),
    [
        ("pythia", Selection(index="2"), [], "--index 2: expected all, or one of 0, 1"),
        ("toys", Selection(index="2"), [], "--index 2: expected all, or one of 0, 1"),
        (
            "training",
            Selection(method="none"),
            [],
            "--method none: expected all, or one of counts, ratio",
        ),
        ("training", Selection(member="7"), [], "--member 7: expected all, or one of 0"),
        ("training", Selection(), ["training.alfa=1"], "training.alfa=1: no method"),
        ("training", Selection(method="sally"), ["training.alpha=1"], "alpha=1: no method"),
    ],
)
def test_what_is_not_there(
    workdir: Path, step: str, selection: Selection, changes: list[str], problem: str
):
    with pytest.raises(InputError, match=problem):
        commands(step, Order(TINY, workdir, changes=changes), selection)


def test_no_toys(copy: Path):
    for file in copy.glob("ml/sampling/methods/*/toys_*.json"):
        file.unlink()
    with pytest.raises(InputError, match="the analysis asks for no toys"):
        commands("toys", Order(TINY, copy))
    [command] = commands("plotting", Order(TINY, copy))
    assert "--toys" not in command


@pytest.mark.parametrize(
    ("step", "missing"),
    [
        ("pythia", "generate"),
        ("training", "sampling"),
        ("toys", "sampling"),
        ("plotting", "sampling"),
    ],
)
def test_steps_before_their_inputs(tmp_path: Path, step: str, missing: str):
    finished = CliRunner().invoke(main, ["step", step, "--workdir", str(tmp_path)])
    assert finished.exit_code == 2
    assert f"has no products of {missing}; run {missing} first" in finished.output


def test_training_with_other_settings_in_the_folder(copy: Path, monkeypatch):
    monkeypatch.chdir(copy.parent)
    model = copy / "ml/method_1/training_0/Model.tar.gz"
    before = model.read_bytes()
    arguments = ["--method", "ratio", "--member", "0", "--set", "training.n_epochs=nan"]
    # With the quotes that MLflow leaves on Kubernetes.
    quoted = [f"'{word}'" if "." in word else word for word in ("--set", "training.alpha=0.7")]
    for changes in ([], quoted):
        finished = CliRunner().invoke(
            main,
            ["-C", str(copy), "step", "training", "--workdir", ".", *arguments, *changes],
        )
        assert finished.exit_code == 0, finished.output
        assert (model.read_bytes() == before) == (not changes)
    note = read_samples(copy / "ml/sampling/methods/ratio/Samples_ratio_0.npz").note
    assert note.settings.training.alpha == 0.1
