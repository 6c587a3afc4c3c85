"""Resource classes, and steps that are run again: with more memory, or after a loss."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from madminer_workflow.engines.executors import Lost, Task
from madminer_workflow.engines.local import MOST_LOSSES, Outcome, describe_failure, run_step
from madminer_workflow.engines.resources import Resources, larger, resources_of
from madminer_workflow.errors import InputError
from tests.support.paths import REPOSITORY

CLASSES = yaml.safe_load((REPOSITORY / "steps/resources.yml").read_text())


def resources(name: str) -> Resources:
    found = resources_of({"resources": ["GPU", CLASSES[name]]})
    assert found
    return found


def test_classes_of_steps():
    medium = resources("medium")
    assert medium.name == "medium" and medium.memory == 4 * 1024**3
    assert medium.kubernetes_job_timeout == 28800
    assert resources_of({}) is None and resources_of({"resources": ["GPU"]}) is None
    assert [larger(resources(name)).name for name in ("small", "medium", "large")] == [
        *("medium", "large", "large"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kubernetes_memory_limit": "4 gigs"}, "small.kubernetes_memory_limit = 4 gigs: expected"),
        ({"kubernetes_job_timeout": "long"}, "small: Expected `int`, got `str`"),
    ],
)
def test_a_class_that_is_none(change: dict, said: str):
    with pytest.raises(InputError, match=said):
        assert resources_of({"resources": [CLASSES["small"] | change]}).memory


class Elsewhere:
    """Runs commands here, after each of ``events``: a loss, or what a step is killed by."""

    elsewhere = True

    def __init__(self, *events: Callable[[Task], int | None]) -> None:
        self.events = list(events)
        self.tasks: list[Task] = []

    def run(self, task: Task) -> int:
        self.tasks.append(task)
        if self.events:
            code = self.events.pop(0)(task)
            if code is not None:
                return code
        return subprocess.run(task.command, shell=True, cwd=task.directory).returncode

    def stop(self) -> None:
        pass


def lose(task: Task) -> int:
    (task.directory / "half").write_text("written")
    raise Lost("the worker tcp://n1:1 is gone")


def kill(task: Task) -> int:
    (task.directory / "half").write_text("written")
    return -9


def run(place: Path, *events: Callable[[Task], int | None]) -> tuple[Outcome, Elsewhere, str]:
    executor = Elsewhere(*events)
    target, log = place / "part/step", place / "notes/step.run.log"
    task = Task("part/step", f"echo done > {target}/all", target, log, "", resources("small"))
    outcome = run_step(task, executor)
    return outcome, executor, describe_failure("part/step", outcome, log)


def test_a_lost_step_is_run_again_in_a_clean_folder(tmp_path: Path):
    outcome, executor, _ = run(tmp_path, lose, lose)
    assert outcome.exit_code == 0 and len({task.directory for task in executor.tasks}) == 3
    assert [path.name for path in (tmp_path / "part").iterdir()] == ["step"]
    assert [path.name for path in (tmp_path / "part/step").iterdir()] == ["all"]
    assert (
        "is gone: running again, 2 of at most 5 times"
        in (tmp_path / "notes/step.run.log").read_text()
    )


def test_a_step_that_is_lost_again_and_again_is_given_up(tmp_path: Path):
    outcome, executor, message = run(tmp_path, *[lose] * 10)
    assert outcome.exit_code == 1 and len(executor.tasks) == MOST_LOSSES + 1
    assert (
        "was given up: the worker tcp://n1:1 is gone; this had already happened 5 times" in message
    )
    assert not (tmp_path / "part/step").exists()


def test_out_of_memory_is_tried_once_more_with_the_next_class(tmp_path: Path):
    outcome, executor, _ = run(tmp_path, lose, kill)
    assert outcome.exit_code == 0
    assert [task.resources.name for task in executor.tasks] == ["small", "small", "medium"]
    assert [path.name for path in (tmp_path / "part/step").iterdir()] == ["all"]
    outcome, executor, message = run(tmp_path, kill, kill)
    assert outcome.exit_code == -9 and len(executor.tasks) == 2
    assert "ran out of memory" in message
    assert "before, and was run again in the resource class medium (4Gi); the end" in message


def test_on_the_same_machine_nothing_is_tried_twice(tmp_path: Path):
    executor = Elsewhere(kill)
    executor.elsewhere = False
    task = Task("part/step", "true", tmp_path / "part/step", tmp_path / "log")
    assert run_step(task, executor).exit_code == -9 and len(executor.tasks) == 1
