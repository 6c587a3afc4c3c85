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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packtivity import asyncbackends
from packtivity.handlers import publisher_handlers
from packtivity.handlers.execution_handlers import executor

from madminer_workflow.engines import yadage_speed  # noqa: F401
from madminer_workflow.engines.cache import Cache, replace_path, replace_product, scratch_directory
from madminer_workflow.engines.executors import Executor, OutOfTime
from madminer_workflow.engines.executors import local as processes
from madminer_workflow.files import natural_order, remove_directory
from madminer_workflow.system_errors import MEMORY, explain

TAIL_LINES = 20
LEFTOVERS = "failed"
TIMED_OUT = 124
"""The exit code of a step that took too long, as of ``timeout``."""

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
    it was in the beginning, ``unkept`` why a later run cannot reuse it.
    """

    exit_code: int
    reused: bool = False
    key: str | None = None
    late: bool = False
    changed: bool = False
    unkept: str = ""


def run_step(
    command: str,
    target: Path,
    log: Path,
    executor: Executor,
    cache: Cache | None = None,
    starting: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run ``command``, which writes to the directory ``target``, or reuse its earlier product.

    The command really writes to a scratch directory that replaces the content of ``target`` when
    it succeeds: a failure leaves the previous product as it was, and a success leaves nothing of
    it. ``log`` receives the command and its output, and beside it a failure leaves what it wrote
    in the directory LEFTOVERS; ``starting`` is called if the command runs.
    """
    key = cache.key(command, target) if cache else None
    if cache and key and cache.restore(key, target):
        return Outcome(0, reused=True, key=key)
    starting()
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(f"$ {command}\n")
    remove_directory(log.parent / LEFTOVERS)
    late, unkept = False, ""
    with scratch_directory(target) as scratch:
        try:
            exit_code = executor.run(replace_path(command, target, str(scratch)), scratch, log)
        except OutOfTime:
            exit_code, late = TIMED_OUT, True
        if exit_code == 0 and cache and cache.key(command, target) != key:
            # Nobody knows what it has read: the old, the new, or some of both.
            return Outcome(0, key=key, changed=True)
        if exit_code == 0:
            unkept = _keep(cache, key, scratch)
            replace_product(target, scratch)
        elif exit_code > 0:
            _keep_leftovers(scratch, target, log)
    return Outcome(exit_code, key=key, late=late, unkept=unkept)


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


def describe_failure(
    name: str, exit_code: int, log: Path, limit_minutes: float | None = None
) -> str:
    """A message for people: which step failed and how, the end of its log, where the rest is.

    ``limit_minutes`` is the time that it was allowed, if it was ended because of that.
    """
    # A shell passes on the signal that ended its command like this.
    number = -exit_code if exit_code < 0 else exit_code - 128
    if limit_minutes is not None:
        how = (
            f"took longer than its {limit_minutes:g} minutes and was ended; allow it more time "
            "(--step-timeout) or give it less to do"
        )
    elif number == signal.SIGKILL:
        how = f"was ended by signal 9 (most often: the machine ran out of memory); {MEMORY}"
    elif exit_code < 0 or number in (signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS):
        how = f"was ended by signal {number} ({signal.Signals(number).name})"
    else:
        how = f"failed with exit code {exit_code}"
    lines = log.read_text("utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    tail = "\n".join(f"  | {line}" for line in lines)
    if number == signal.SIGABRT and re.search("bad_alloc|[Aa]llocat", tail):
        how += f", out of memory; {MEMORY}"
    return f"step {name} {how}; the end of its log:\n{tail}\nThe whole log: {log}"


@executor("docker-encapsulated")
def run_container_locally(
    config: Any, environment: dict[str, Any], state: Any, job: dict[str, Any], metadata: Any
) -> None:
    """Run a ``docker-encapsulated`` step in a local process (packtivity's executor interface)."""
    target = Path(state.readwrite[0])
    log = Path(state.metadir) / f"{metadata['name']}.run.log"
    child = processes.Executor()
    try:
        outcome = run_step(job["command"], target, log, child)
    finally:
        child.stop()
    if outcome.exit_code:
        raise RuntimeError(describe_failure(metadata["name"], outcome.exit_code, log))
