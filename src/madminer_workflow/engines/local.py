"""The yadage plug-in that runs containerised steps as local processes.

Switched on by one option of plain yadage, ``--plugins madminer_workflow.engines.local``: the same
workflow files then run without Docker, with the ``madminer-workflow`` of this installation.
"""

from __future__ import annotations

import multiprocessing
import re
import signal
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packtivity import asyncbackends
from packtivity.handlers import publisher_handlers
from packtivity.handlers.execution_handlers import executor

from madminer_workflow.engines import yadage_speed  # noqa: F401
from madminer_workflow.engines.cache import Cache, replace_path, replace_product, scratch_directory
from madminer_workflow.engines.executors import Executor, Lost, OutOfTime, Task
from madminer_workflow.engines.executors import local as processes
from madminer_workflow.engines.resources import Resources, larger
from madminer_workflow.files import natural_order, remove_directory
from madminer_workflow.system_errors import MEMORY, explain

TAIL_LINES = 20
LEFTOVERS = "failed"
TIMED_OUT = 124
"""The exit code of a step that took too long, as of ``timeout``."""
MOST_LOSSES = 5
"""How often a step is run again because what it ran on was lost."""

_ALLOCATION = re.compile("bad_alloc|[Aa]llocat")

# packtivity publishes matches in the order of the directory, which differs between machines: then
# job 3 would not be in the folder pythia_3.
_unsorted = publisher_handlers.glob2.glob
publisher_handlers.glob2 = types.SimpleNamespace(
    glob=lambda pattern: sorted(_unsorted(pattern), key=natural_order)
)

# packtivity's processes know this plug-in only if they are forked: the default elsewhere than on
# Linux, and everywhere since Python 3.14, is to start them anew.
asyncbackends.multiprocessing = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Outcome:
    """How a step ended: its exit code, whether an earlier product was reused, its cache key.

    ``late`` says that it took longer than it may, ``changed`` that what it is made from is not what
    it was in the beginning, ``unkept`` why a later run cannot reuse it. ``lost`` says what it ran
    on the last time, if that was lost too often, and ``again`` how it was tried a second time.
    """

    exit_code: int
    reused: bool = False
    key: str | None = None
    late: bool = False
    changed: bool = False
    unkept: str = ""
    lost: str = ""
    again: str = ""


def run_step(
    step: Task,
    executor: Executor,
    cache: Cache | None = None,
    starting: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run the command of ``step``, which writes to its directory, or reuse its earlier product.

    The command really writes to a scratch directory that replaces the content of the step's when
    it succeeds: a failure leaves the previous product as it was, and a success leaves nothing of
    it. The log receives the command and its output, and beside it a failure leaves what it wrote
    in the directory LEFTOVERS; ``starting`` is called if the command runs.

    A step that is lost with what it ran on is run again, with a new scratch directory, up to
    MOST_LOSSES times. One that is out of memory is run again once where that may help, in the next
    resource class.
    """
    key = cache.key(step.command, step.directory) if cache else None
    if cache and key and cache.restore(key, step.directory):
        return Outcome(0, reused=True, key=key)
    starting()
    step.log.parent.mkdir(parents=True, exist_ok=True)
    step.log.write_text(f"$ {step.command}\n")
    losses, again = 0, ""
    while True:
        try:
            outcome = _run_once(step, executor, cache, key)
        except Lost as loss:
            losses += 1
            if losses > MOST_LOSSES:
                return Outcome(1, key=key, lost=str(loss), again=again)
            _tell(step.log, f"{loss}: running again, {losses} of at most {MOST_LOSSES} times")
            continue
        if not executor.elsewhere or again or not out_of_memory(outcome.exit_code, step.log):
            return replace(outcome, again=again)
        if step.resources:
            step = replace(step, resources=larger(step.resources))
        again = _class_words(step.resources)
        _tell(step.log, f"out of memory: running again once, {again}")


def _run_once(step: Task, executor: Executor, cache: Cache | None, key: str | None) -> Outcome:
    late, unkept, target = False, "", step.directory
    remove_directory(step.log.parent / LEFTOVERS)
    with scratch_directory(target) as scratch:
        command = replace_path(step.command, target, str(scratch))
        try:
            exit_code = executor.run(replace(step, command=command, directory=scratch))
        except OutOfTime:
            exit_code, late = TIMED_OUT, True
        if exit_code == 0 and cache and cache.key(step.command, target) != key:
            # Nobody knows what it has read: the old, the new, or some of both.
            return Outcome(0, key=key, changed=True)
        if exit_code == 0:
            unkept = _keep(cache, key, scratch)
            replace_product(target, scratch)
        elif exit_code > 0:
            _keep_leftovers(scratch, target, step.log)
    return Outcome(exit_code, key=key, late=late, unkept=unkept)


def _tell(log: Path, message: str) -> None:
    with log.open("a") as file:
        file.write(f"[{message}]\n")


def _class_words(resources: Resources | None) -> str:
    if resources is None:
        return "as it was"
    return f"in the resource class {resources.name} ({resources.kubernetes_memory_limit})"


def _keep(cache: Cache | None, key: str | None, product: Path) -> str:
    """Keep a product for later runs; return why that is not possible, if it is not."""
    try:
        if cache and key:
            cache.store(key, product)
    except OSError as error:
        return explain(error) or str(error)
    return ""


def _keep_leftovers(scratch: Path, target: Path, log: Path) -> None:
    """Keep what explains a failure, and let the log name the place where it is kept."""
    kept = target
    if any(scratch.iterdir()):
        kept = scratch.rename(log.parent / LEFTOVERS)
    text = log.read_text(errors="surrogateescape").replace(str(scratch), str(kept))
    log.write_text(text, errors="surrogateescape")


def out_of_memory(exit_code: int, log: Path) -> bool:
    """Whether a step ended as steps do when there is no more memory."""
    number = _signal_number(exit_code)
    aborted = number == signal.SIGABRT and _ALLOCATION.search("\n".join(_tail(log)))
    return number == signal.SIGKILL or bool(aborted)


def describe_failure(name: str, outcome: Outcome, log: Path, limit: float | None = None) -> str:
    """A message for people: which step failed and how, the end of its log, where the rest is.

    ``limit`` is the time in minutes that steps are allowed.
    """
    exit_code, number = outcome.exit_code, _signal_number(outcome.exit_code)
    if outcome.lost:
        how = f"was given up: {outcome.lost}; this had already happened {MOST_LOSSES} times"
    elif outcome.late and limit is not None:
        how = (
            f"took longer than its {limit:g} minutes and was ended; allow it more time "
            "(--step-timeout) or give it less to do"
        )
    elif number == signal.SIGKILL:
        how = f"was ended by signal 9 (most often: the machine ran out of memory); {MEMORY}"
    elif exit_code < 0 or number in (signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS):
        how = f"was ended by signal {number} ({signal.Signals(number).name})"
    else:
        how = f"failed with exit code {exit_code}"
    if number == signal.SIGABRT and out_of_memory(exit_code, log):
        how += f", out of memory; {MEMORY}"
    if outcome.again:
        how += f"; it had run out of memory before, and was run again {outcome.again}"
    tail = "\n".join(f"  | {line}" for line in _tail(log))
    return f"step {name} {how}; the end of its log:\n{tail}\nThe whole log: {log}"


def _signal_number(exit_code: int) -> int:
    """The signal that ended a command; a shell passes on the one that ended its own like this."""
    return -exit_code if exit_code < 0 else exit_code - 128


def _tail(log: Path) -> list[str]:
    return log.read_text("utf-8", errors="replace").splitlines()[-TAIL_LINES:]


@executor("docker-encapsulated")
def run_container_locally(
    config: Any, environment: dict[str, Any], state: Any, job: dict[str, Any], metadata: Any
) -> None:
    """Run a ``docker-encapsulated`` step in a local process (packtivity's executor interface)."""
    target = Path(state.readwrite[0])
    log = Path(state.metadir) / f"{metadata['name']}.run.log"
    child = processes.Executor()
    try:
        outcome = run_step(Task(metadata["name"], job["command"], target, log), child)
    finally:
        child.stop()
    if outcome.exit_code:
        raise RuntimeError(describe_failure(metadata["name"], outcome, log))
