"""Sweeps: the sweep file, the search, trials, and going on after an interruption."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import mlflow
import msgspec
import numpy as np
import pytest
import yaml

from madminer_workflow.analysis.changes import plain
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.machine import Machine
from madminer_workflow.analysis.problems import AnalysisError
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import read_json, unpack, write_json
from madminer_workflow.ml.validation_loss import validation_loss
from madminer_workflow.products.samples import read_samples
from madminer_workflow.sweep import trials
from madminer_workflow.sweep.cost import require_affordable
from madminer_workflow.sweep.directory import Place
from madminer_workflow.sweep.plan import Axis, Plan, Values, read_plan
from madminer_workflow.sweep.results import TrialResult, ranked, read_results
from madminer_workflow.sweep.run import run_sweep
from madminer_workflow.sweep.search import batches, propose
from madminer_workflow.sweep.workers import Workers
from tests.support import learning
from tests.support.paths import REPOSITORY

COMMAND = [str(Path(sys.executable).parent / "madminer-workflow"), "sweep"]
QUIET = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
LR = {"low": 1e-3, "high": 1e-2, "log": True}
SALLY = {
    "analysis": "input.yml",
    "method": "sally",
    "n_trials": 4,
    "space": {
        "training.initial_lr": LR,
        "training.n_epochs": {"low": 1, "high": 4},
        "network.n_hidden": {"choices": [[8], [10, 10]]},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an analysis of the toy events."""
    directory = tmp_path_factory.mktemp("sweeps")
    chosen = [learning.settings(method, n_samples=4000) for method in ("sally", "alices", "rolr")]
    features = learning.settings("sally", name="one", n_samples=4000, features=["x1"])
    blind = learning.settings("sally", name="blind", training={"validation_split": None})
    counts = learning.settings("histogram", name="counts")
    learning.analysis(directory / "input.yml", [*chosen, features, blind, counts])
    return directory


def sweep_file(folder: Path, name: str = "sweep", **changes: Any) -> Path:
    path = folder / f"{name}.yml"
    path.write_text(yaml.safe_dump({**SALLY, **changes}, sort_keys=False))
    return path


def plan_of(folder: Path, **changes: Any) -> Plan:
    return read_plan(sweep_file(folder, "plan", **changes))


def records(workdir: Path) -> list[TrialResult]:
    """What is known of the trials, without how long they took."""
    return [
        msgspec.structs.replace(result, seconds=0.0, seconds_training=None)
        for result in read_results(workdir).values()
    ]


def ended(
    number: int, loss: float | None, believed: bool = False, values: Values | None = None
) -> TrialResult:
    """How a made-up trial ended."""
    return TrialResult(
        number=number, values=values or {}, loss=loss, believed=believed, reason="", seconds=0.0
    )


@pytest.fixture(scope="module")
def finished(folder: Path, toy_file: Path, empty_database: Path) -> Path:
    """The work directory of a sweep that has ended, tracked in a database beside it."""
    workdir = folder / "finished"
    shutil.copy(empty_database, folder / "mlflow.db")
    file = sweep_file(folder)
    run_sweep(file, toy_file, workdir, tracking_uri=f"sqlite:///{folder}/mlflow.db")
    return workdir


# The sweep file


WRONG = {
    "no method": ({"method": "saly"}, r":2: method: unknown method 'saly' .*did you mean 'sally'"),
    "a histogram": ({"method": "counts"}, "method: 'counts' is a histogram, which is not trained"),
    "no validation": ({"method": "blind"}, r"method: has no validation events"),
    "no analysis": ({"analysis": "other.yml"}, r":1: analysis: .*other.yml: no such file"),
    "a key": ({"trials": 4}, r"trials: unknown key 'trials' .*did you mean 'n_trials'"),
    "none": ({"n_trials": 0}, r":3: n_trials: expected at least 1, got 0"),
    "a setting": (
        {"space": {"training.initial_rl": LR}},
        r":5: space.training.initial_rl: unknown setting 'initial_rl'.*did you mean 'initial_lr'",
    ),
    "of another method": ({"space": {"training.alpha": LR}}, r"unknown setting 'alpha'"),
    "half a range": ({"space": {"n_samples": {"low": 1}}}, r"either low and high, or choices"),
    "both": ({"space": {"n_samples": {"low": 1, "high": 2, "choices": [1]}}}, r"either low and"),
    "order": ({"space": {"n_samples": {"low": 9, "high": 2}}}, r"expected low < high, got 9 and 2"),
    "log": (
        {"space": {"network.dropout_prob": {"low": 0.0, "high": 0.5, "log": True}}},
        r"dropout_prob.low: expected more than 0 for log, got 0",
    ),
    "log of choices": (
        {"space": {"n_samples": {"choices": [1, 2], "log": True}}},
        r"n_samples.log: not used with choices",
    ),
    "no number": (
        {"space": {"network.n_hidden": {"low": 1, "high": 2}}},
        r"network.n_hidden is not a number; give choices",
    ),
    "outside": (
        {"space": {"training.initial_lr": {"low": -1.0, "high": 1.0}}},
        r"training.initial_lr: expected more than 0, got -1.0",
    ),
    "half an epoch": (
        {"space": {"training.n_epochs": {"low": 1, "high": 2.5}}},
        r"training.n_epochs: expected a whole number, got 2.5",
    ),
    "a choice": (
        {"space": {"network.activation": {"choices": ["tanh", "rely"]}}},
        r"network.activation: unknown value 'rely' .*did you mean 'relu'",
    ),
    "an observable": (
        {"space": {"features": {"choices": [["x0"], ["x2"]]}}},
        r"space.features: 0: unknown observable 'x2'",
    ),
    "what is learned": (
        {"space": {"theta": {"choices": ["sm", "w"]}}},
        "theta cannot be searched: the score is defined at theta: .*different functions",
    ),
    "what is compared on": (
        {"space": {"training.validation_split": {"low": 0.1, "high": 0.5}}},
        r"training.validation_split cannot be searched: .*training events of another",
    ),
    "the size of the ensemble": (
        {"space": {"n_estimators": {"choices": [1, 5]}}},
        "n_estimators cannot be searched: the loss is the mean over all members",
    ),
    "by the back door": (
        {"space": {"training": {"choices": [{"validation_split": 0.3}]}}},
        r"training.validation_split cannot be searched",
    ),
    "a fixed setting": (
        {"settings": {"training.n_epochs": 0}},
        r"settings.training.n_epochs: expected at least 1, got 0",
    ),
    "a fixed name": ({"settings": {"name": "other"}}, r"settings.name: cannot be changed"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_sweep_file_is_told_with_its_place(folder: Path, what: str) -> None:
    changes, message = WRONG[what]
    with pytest.raises(InputError, match=message):
        plan_of(folder, **changes)


def test_all_mistakes_at_once(folder: Path) -> None:
    space = {"training.n_epochs": {"low": 0, "high": 2}, "features": {"choices": [["x7"]]}}
    with pytest.raises(InputError) as caught:
        plan_of(folder, space=space)
    assert len(str(caught.value).splitlines()) == 2


def test_numbers_have_the_types_of_the_settings(folder: Path) -> None:
    plan = plan_of(
        folder,
        method="alices",
        space={
            "training.n_epochs": {"low": 1.0, "high": 4},
            "training.alpha": {"low": 1, "high": 10},
            "theta0.priors.CWL2.std": {"low": 0.2, "high": 1},
            "training.limit_samplesize": {"low": 100, "high": 200},
        },
        settings={"training.initial_lr": 0.01},
    )
    assert plan.space[0] == Axis("training.n_epochs", 1, 4, whole=True)
    assert [axis.whole for axis in plan.space] == [True, False, False, True]
    assert plan.settings["training"]["initial_lr"] == 0.01


def test_the_size_of_a_methods_ensemble_is_its_own(folder: Path) -> None:
    assert plan_of(folder, ntrainsamples=2).members == 2
    assert plan_of(folder, ntrainsamples=2, settings={"n_estimators": 1}).members == 1


def test_the_example_is_valid() -> None:
    assert read_plan(REPOSITORY / "inputs/wbf/sweep.yml").n_trials > 1


# The search


def quadratic(values: dict[str, Any]) -> float:
    """A loss that is lowest at a learning rate of 3e-3 with two layers."""
    distance = np.log10(values["training.initial_lr"] / 3e-3)
    return float(distance**2 + 0.1 * len(values["network.n_hidden"] * 2) % 4)


def search(
    plan: Plan, known: dict[int, TrialResult], stop: int | None = None, seed: int = 0
) -> None:
    """Search with a made-up loss, trials of a batch ending in any order; ``stop`` is a kill."""
    order = random.Random(seed)
    for batch in batches(plan, known):
        order.shuffle(batch)
        for number, values in batch:
            if stop is not None and len(known) == stop:
                return
            loss = None if number == 2 else quadratic(values)
            known[number] = ended(number, loss, values=values)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_search_goes_on_as_if_it_had_not_been_interrupted(folder: Path, workers: int) -> None:
    plan = plan_of(folder, n_trials=14, workers=workers)
    whole: dict[int, TrialResult] = {}
    search(plan, whole)
    assert sorted(whole) == list(range(14))
    for stop in (0, 1, 4, 5, 11, 13):
        known: dict[int, TrialResult] = {}
        # With fewer trials wanted at first.
        search(replace(plan, n_trials=12), known, stop, seed=stop)
        search(plan, known, seed=7)
        assert known == whole, stop
    other: dict[int, TrialResult] = {}
    search(replace(plan, seed=2), other)
    assert other != whole


def test_the_search_finds_the_minimum(folder: Path) -> None:
    plan = plan_of(folder, n_trials=40)
    known: dict[int, TrialResult] = {}
    search(plan, known)
    best = ranked(known.values())[0]
    assert best.values["training.initial_lr"] == pytest.approx(3e-3, rel=0.15)
    later = [known[number].values["training.initial_lr"] for number in range(25, 40)]
    early = [known[number].values["training.initial_lr"] for number in range(10)]
    assert np.std(np.log(later)) < np.std(np.log(early))


def test_values_are_short_and_inside_their_range(folder: Path) -> None:
    axis = Axis("x", 0.123456, 0.123459)
    for number in range(20):
        value = propose([axis], 1, number, [], [])["x"]
        assert axis.low <= value <= axis.high
    for number in range(20):
        value = propose([Axis("x", 1e-4, 1e-1, log=True)], 1, number, [], [])["x"]
        assert len(f"{value:e}".split("e")[0].rstrip("0")) <= 5


# Workers


def test_a_worker_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "workers.log"
    before = active_children()
    with Workers(1, log) as workers:
        with pytest.raises(StepError, match=r"samples_in ended unexpectedly .*see workers.log"):
            list(workers.run("samples_in", [()]))
        assert "Traceback" in log.read_text()
        [worker] = [child for child in active_children() if child not in before]
        worker.kill()
        worker.join()
        with pytest.raises(StepError, match=rf"ended unexpectedly \(most often.*see {log}"):
            list(workers.run("samples_in", [()]))
    assert active_children() == before


# Trials


@pytest.fixture(scope="module")
def place(folder: Path, toy_file: Path) -> Place:
    """Where trials of alices can be run in this process."""
    place = Place(toy_file, folder / "alices")
    trials.prepare(plan_of(folder, method="alices"), place)
    return place


def run(folder: Path, place: Place, values: dict[str, Any], number: int = 0) -> TrialResult:
    plan = plan_of(folder, method="alices", space={"training.initial_lr": LR})
    shutil.rmtree(place.trial(number), ignore_errors=True)
    return trials.run_trial(plan, place, number, values)


def note(place: Place, number: int, scratch: Path) -> dict[str, Any]:
    return read_json(
        unpack(place.trial(number) / "training_0/Model.tar.gz", scratch) / "method.json"
    )


@pytest.mark.parametrize("method", ["sally", "alices", "rolr"])
def test_the_loss_is_that_of_the_training_where_that_can_be_compared(
    folder: Path, toy_file: Path, tmp_path: Path, method: str
) -> None:
    plan = plan_of(folder, method=method, space={"training.initial_lr": LR})
    place = Place(toy_file, tmp_path / "work")
    trials.prepare(plan, place)
    record = trials.run_trial(plan, place, 0, {"training.initial_lr": 0.005})
    model = note(place, 0, tmp_path / "model")
    assert model["settings"]["training"]["initial_lr"] == 0.005
    # Batches of 100 of 1000 events: their mean is that of the events.
    assert record.loss == pytest.approx(min(model["losses"]["validation"]), rel=1e-4)


def test_the_loss_is_the_same_function_whatever_the_settings(
    folder: Path, place: Place, tmp_path: Path
) -> None:
    base = run(folder, place, {"training.initial_lr": 0.005})
    heavy = run(folder, place, {"training.initial_lr": 0.005, "training.alpha": 50.0}, 1)
    own = min(note(place, 1, tmp_path / "model")["losses"]["validation"])
    assert own > 1.2 * base.loss
    assert heavy.loss == pytest.approx(base.loss, rel=0.05)
    # On the very same events, also if training saw others.
    few = run(folder, place, {"training.initial_lr": 0.005, "n_samples": 1000}, 2)
    assert note(place, 2, tmp_path / "few")["settings"]["n_samples"] == 1000
    assert few.loss == pytest.approx(base.loss, rel=0.05) and few.loss != base.loss


def test_samples_are_shared_only_where_they_are_the_same(
    folder: Path, place: Place, tmp_path: Path
) -> None:
    base = run(folder, place, {"training.initial_lr": 0.005})
    before = {path: path.stat().st_mtime_ns for path in place.reference.rglob("*")}
    # All observables by name: drawn anew, with the same numbers.
    again = run(folder, place, {"training.initial_lr": 0.005, "features": ["x0", "x1"]}, 3)
    assert again.loss == base.loss
    swapped = run(folder, place, {"training.initial_lr": 0.005, "features": ["x1", "x0"]}, 4)
    one = run(folder, place, {"training.initial_lr": 0.005, "features": ["x1"]}, 5)
    assert len({one.loss, base.loss, swapped.loss}) == 3
    assert {path: path.stat().st_mtime_ns for path in place.reference.rglob("*")} == before
    assert not list(place.workdir.glob(".trial*"))


def test_the_loss_of_a_network_that_sees_one_observable(
    folder: Path, toy_file: Path, tmp_path: Path
) -> None:
    plan = plan_of(folder, method="one", space={"training.initial_lr": LR})
    place = Place(toy_file, tmp_path / "work")
    trials.prepare(plan, place)
    record = trials.run_trial(plan, place, 0, {"training.initial_lr": 0.005})
    model = note(place, 0, tmp_path / "model")
    assert record.loss == pytest.approx(min(model["losses"]["validation"]), rel=1e-4)
    [samples] = trials.samples_in(place.reference, plan)
    arrays = read_samples(samples).arrays
    assert arrays["x_val"].shape[1] == 2
    arrays["x_val"] = arrays["x_val"][:, ::-1]
    archive = place.trial(0) / "training_0/Model.tar.gz"
    member = learning.opened(archive, tmp_path / "opened")
    assert validation_loss(member, arrays, learning.typed(plan.settings)) > record.loss


@pytest.mark.parametrize(
    "space",
    [
        {"n_samples": {"low": 10, "high": 10**9}},
        {"network.n_hidden": {"choices": [[5], [10**5, 10**5]]}},
    ],
)
def test_trials_beyond_the_machine_are_refused(folder: Path, space: Any) -> None:
    file = sweep_file(folder, "large", space=space)
    plan = read_plan(file)
    small = Machine("this machine", 16e9, 1e11, 0.25)
    with pytest.raises(AnalysisError, match=r"space\..*: in a trial \w+ would need about"):
        require_affordable(file, plan, small)
    require_affordable(file, plan, Machine("a large one", 1e15, 1e15, 1e9))
    require_affordable(sweep_file(folder, "usual"), read_plan(sweep_file(folder, "usual")), small)


def test_a_trial_that_diverges_has_failed_and_leaves_nothing(folder: Path, place: Place) -> None:
    record = run(folder, place, {"training.initial_lr": 1e30}, 6)
    assert record.loss is None and not record.believed
    assert "lower initial_lr" in record.reason
    assert not place.trial(6).exists()


def test_the_best_is_believed_if_any_is() -> None:
    found = [
        ended(0, 1.0),
        ended(1, None),
        ended(2, 3.0, believed=True),
        ended(3, 2.0, believed=True),
        ended(4, 2.0, believed=True),
    ]
    assert [result.number for result in ranked(found)] == [3, 4, 2, 0]


# Whole sweeps


def test_what_a_sweep_leaves(folder: Path, finished: Path) -> None:
    best = read_json(finished / "best.json")
    known = records(finished)
    assert [record.number for record in known] == [0, 1, 2, 3]
    chosen = ranked(known)[0]
    assert best["trial"] == chosen.number and best["validation_loss"] == chosen.loss
    # What it says can be given to run, and is what the trial had.
    analysis = read_analysis(folder / "input.yml", cards=False, changes=best["set"])
    assert plain(analysis.ml.methods[0]) == best["method"]
    model = unpack(finished / f"trials/{best['trial']}/training_0/Model.tar.gz", finished / "x")
    assert read_json(model / "method.json")["settings"] == best["method"]
    shutil.rmtree(finished / "x")
    with (finished / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["validation_loss"]) for row in rows] == [record.loss for record in known]
    assert rows[0]["network.n_hidden"] in ("[8]", "[10,10]")
    plots = {path.name for path in (finished / "plots").iterdir()}
    assert plots == {
        f"{name}.{kind}" for name in ("history", "parameters") for kind in ("png", "pdf")
    }


def test_a_sweep_in_mlflow(folder: Path, finished: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    [experiment] = [e for e in client.search_experiments() if e.name == "madminer-workflow"]
    runs = client.search_runs([experiment.experiment_id])
    by_id = {each.info.run_id: each for each in runs}
    above = {
        each.info.run_id: by_id.get(each.data.tags.get("mlflow.parentRunId", "")) for each in runs
    }
    assert {each.info.status for each in runs} == {"FINISHED"}
    [own] = [each for each in runs if above[each.info.run_id] is None]
    assert own.data.params["sweep.method"] == "sally"
    names = {each.info.run_name: each for each in runs if above[each.info.run_id] == own}
    assert set(names) == {f"trial_{number}" for number in range(4)}
    for record in records(finished):
        trial = names[f"trial_{record.number}"]
        assert trial.data.metrics["validation_loss"] == record.loss
        assert trial.data.params["training.initial_lr"] == str(record.values["training.initial_lr"])
        [member] = [e for e in runs if above[e.info.run_id] == trial]
        assert member.info.run_name == "training_sally_0"
        losses = client.get_metric_history(member.info.run_id, "loss_val")
        assert len(losses) == record.values["training.n_epochs"]
    history = client.get_metric_history(own.info.run_id, "validation_loss")
    assert sorted(each.step for each in history) == [0, 1, 2, 3]
    files = {each.path for each in client.list_artifacts(own.info.run_id)}
    assert files >= {"best.json", "trials.csv", "plots", "sweep.yml"}
    # The best trial's ensemble is registered, and no other.
    best = read_json(finished / "best.json")
    [version] = client.search_model_versions("name = 'toy-sally'")
    assert version.run_id == names[f"trial_{best['trial']}"].info.run_id
    assert own.data.tags["madminer.best"] == f"trial_{best['trial']}"


def test_a_finished_sweep_is_not_run_again(
    folder: Path, finished: Path, toy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_workers(*_: Any) -> None:
        raise AssertionError("nothing is to be done")

    monkeypatch.setattr("madminer_workflow.sweep.run.Workers", no_workers)
    before = (finished / "best.json").read_bytes()
    run_sweep(sweep_file(folder), toy_file, finished)
    assert (finished / "best.json").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 2}, "the seed differs"),
        ({"ntrainsamples": 2}, "ntrainsamples differs"),
        ({"space": {"training.initial_lr": LR}}, "the search space differs"),
        ({"settings": {"n_samples": 5000}}, "the settings that trials start from, differ"),
    ],
)
def test_another_sweep_is_refused(
    folder: Path, finished: Path, toy_file: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=f"{words}.*--fresh to delete its 4 finished trials"):
        run_sweep(sweep_file(folder, "other", **changes), toy_file, finished)


def test_other_data_are_refused(
    folder: Path, finished: Path, toy_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.h5"
    other.write_bytes(toy_file.read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"the data differ"):
        run_sweep(sweep_file(folder), other, finished)


def children(pid: int) -> list[int]:
    """The processes that were started by one."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(number) for number in path.read_text().split()]


@pytest.mark.slow
def test_a_killed_sweep_goes_on(folder: Path, finished: Path, toy_file: Path) -> None:
    """The same trials as without the interruption, finished ones as they were."""
    workdir = folder / "killed"
    arguments = [sweep_file(folder), "--data", toy_file, "--workdir", workdir]
    command = [*COMMAND, *map(str, arguments)]
    process = subprocess.Popen(command, env=QUIET, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if re.search(r"trial 1 ", line):
            break
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    done = {path: path.stat().st_mtime_ns for path in (workdir / "trials").glob("*.json")}
    assert 2 <= len(done) < 4
    # Half a trial, as a kill at another moment leaves it.
    (workdir / "trials" / ".3.abc").mkdir(exist_ok=True)
    (workdir / ".trialabc").mkdir()
    for _ in range(100):
        if not any(Path(f"/proc/{worker}").exists() for worker in workers):
            break
        time.sleep(0.1)
    else:
        raise AssertionError("workers outlive their sweep")
    again = subprocess.run(command, env=QUIET, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"Already finished: {len(done)} of 4 trials" in again.stderr
    assert records(workdir) == records(finished)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert not [*workdir.glob(".trial*"), *(workdir / "trials").glob(".*")]
    models = [f"trials/{number}/training_0/Model.tar.gz" for number in range(4)]
    for model in models:
        assert (workdir / model).read_bytes() == (finished / model).read_bytes()


def copy_of(finished: Path, target: Path, **changes: Any) -> Path:
    """A finished sweep whose trials have ended in another way."""
    shutil.copytree(finished, target, ignore=shutil.ignore_patterns("tracking"))
    for file in (target / "trials").glob("*.json"):
        write_json(file, {**read_json(file), **changes})
    return target


def test_a_sweep_without_believed_trials_says_so(
    folder: Path, finished: Path, toy_file: Path, tmp_path: Path
) -> None:
    workdir = copy_of(finished, tmp_path / "work", believed=False, reason="Fails “closure”.")
    arguments = [sweep_file(folder), "--data", toy_file, "--workdir", workdir]
    result = subprocess.run(
        [*COMMAND, *map(str, arguments)], env=QUIET, capture_output=True, text=True
    )
    assert result.returncode == 0
    assert "warning: no trial passes its diagnostics" in result.stderr
    lowest = min(records(finished), key=lambda record: record.loss or 0.0).number
    assert f"Best: trial {lowest}," in result.stdout
    assert "--set 'sally.training.initial_lr=" in result.stdout
    assert json.loads((workdir / "best.json").read_text())["believed"] is False


def test_a_sweep_of_failures_fails(
    folder: Path, finished: Path, toy_file: Path, tmp_path: Path
) -> None:
    workdir = copy_of(finished, tmp_path / "work", believed=False, loss=None, reason="too fast")
    with pytest.raises(StepError, match="all 4 trials failed; the first: too fast"):
        run_sweep(sweep_file(folder), toy_file, workdir)


@pytest.mark.slow
def test_two_workers_more_trials_and_data_of_another_analysis(
    folder: Path, toy_file: Path, tiny: Any, tmp_path: Path
) -> None:
    changes = {"workers": 2, "ntrainsamples": 2, "space": {"training.initial_lr": LR}}
    three = sweep_file(folder, "three", n_trials=3, **changes)
    with pytest.raises(InputError, match="belongs to another analysis"):
        run_sweep(three, tiny.combined, tmp_path / "work")
    with pytest.raises(InputError, match="the data differ"):
        run_sweep(three, toy_file, tmp_path / "work")
    run_sweep(three, toy_file, tmp_path / "work", fresh=True)
    assert all(len(record.losses) == 2 for record in records(tmp_path / "work"))
    four = sweep_file(folder, "four", n_trials=4, **changes)
    run_sweep(four, toy_file, tmp_path / "work")
    run_sweep(four, toy_file, tmp_path / "whole")
    assert records(tmp_path / "work") == records(tmp_path / "whole")
