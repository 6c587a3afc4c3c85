"""``madminer-workflow run``: the workflow files, interpreted here; steps run where they should."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from madminer_workflow.analysis import place
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.types import Analysis
from madminer_workflow.cores import CORES, available_cores
from madminer_workflow.engines.cache import NOTES, Cache, remove_scratch
from madminer_workflow.engines.executors import Conditions, Executor
from madminer_workflow.engines.executors import make as make_executor
from madminer_workflow.engines.order import Order
from madminer_workflow.engines.record import Recording
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import locked, remove_directory
from madminer_workflow.products.observed import check_argument
from madminer_workflow.stopping import Stopped, Stopping, stoppable
from madminer_workflow.tracking import followed, step_environment
from madminer_workflow.workflow_files import workflow_files

# Part of the analysis -> workflow file and the directory that its references are relative to.
PARTS = {
    "all": ("workflow.yml", "."),
    "physics": ("physics.yml", "workflows"),
    "ml": ("ml.yml", "workflows"),
}
MOST = 10_000
"""Jobs, members or steps at a time: each is a process, and a folder."""
POLL_SECONDS = 0.05
ENGINE_NOTES = "_yadage"
"""Where a work directory keeps what yadage and executors have to say."""
LONGEST_MINUTES = 1e6
GO_ON = "Run the same command again to continue: finished steps are kept."
_SAFE_PATH = re.compile(r"[\w./+,:@%=~^-]+")


def run_workflow(order: Order, console: Console | None = None) -> int:
    """Run an analysis, or a part of it, into its work directory, reusing what has not changed.

    Returns the number of steps that ran. Raises InputError, before anything is written, for an
    order that makes no sense, and later if a step refuses its input; StepError if a step fails. A
    KeyboardInterrupt ends all steps and is passed on.
    """
    if sys.flags.optimize > 1:
        raise InputError(
            "yadage needs docstrings, but Python runs without them (PYTHONOPTIMIZE=2 or "
            "-OO); unset it"
        )
    workers, limit = check_numbers(order), order.step_timeout
    if order.part not in PARTS:
        raise InputError(f"part = {order.part}: expected one of {', '.join(PARTS)}")
    parameters, workdir = _parameters(order), _work_directory(order.workdir)
    file, toplevel = PARTS[order.part]
    events = _data_file(order.data, order.part, workdir)
    if events:
        parameters["data"] = str(events)
    files = workflow_files()
    console = console or Console(stderr=True)
    recording = Recording(order.part, f"{toplevel}/{file}".removeprefix("./"), parameters, workdir)
    with (
        locked(workdir) as lock,
        stoppable() as stopping,
        followed(workdir, parameters, order.tracking_uri, console.print) as record,
    ):
        # Elsewhere a step has what its resource class says: one core.
        step_cores = workers if order.on == "local" else 1
        variables = {CORES: str(step_cores), **step_environment(record)}
        logs = workdir / ENGINE_NOTES
        seconds = None if limit is None else 60.0 * limit
        executor = make_executor(order.on, Conditions(variables, seconds, [lock], workers, logs))
        if order.workers is None:
            workers = max(workers, min(executor.places, MOST))
        cache = _cache(workdir, order.fresh)
        queue = _queue(workdir, workers, cache, executor, limit)
        jobs = _interpret(file, files / toplevel, parameters, queue, cache, console, stopping)
        recording.write(jobs, cache, console.print)
        ran = sum(job.status == "done" for job in jobs)
        if record:
            record.metrics({"steps_run": ran, "steps_reused": len(jobs) - ran})
    return ran


def foresee_run(order: Order) -> dict[str, Any]:
    """What ``run_workflow`` would do of each step (``dry_run.Foreseen``); nothing is written.

    A step that nothing is known of is not there: it comes after one that would run.
    """
    parameters, workdir = _parameters(order), _work_directory(order.workdir)
    events = _data_file(order.data, order.part, workdir)
    if order.fresh or not (workdir / "_cache").is_dir():
        return {}
    if events:
        parameters["data"] = str(events)
    file, toplevel = PARTS[order.part]
    _, analysis = analysis_file(order.analysis, order.part, order.changes)
    logging.disable(logging.CRITICAL)
    _ignore_warnings()
    try:
        # Only here: these imports take most of a second.
        from madminer_workflow.engines.dry_run import foresee

        return foresee(file, workflow_files() / toplevel, parameters, workdir, analysis)
    finally:
        logging.disable(logging.NOTSET)


def check_numbers(order: Order) -> int:
    """The number of workers; InputError if one of the numbers makes no sense."""
    workers = order.workers
    if workers is None:
        workers = available_cores() if order.on == "local" else order.njobs
    numbers = {"njobs": order.njobs, "ntrainsamples": order.ntrainsamples, "workers": workers}
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f"{name} = {number}: expected a whole number, 1 or more")
        if number > MOST:
            raise InputError(f"{name} = {number}: expected at most {MOST}")
    limit = order.step_timeout
    if limit is not None and not 0 < limit < LONGEST_MINUTES:
        raise InputError(f"step-timeout = {limit:g}: expected a number of minutes above 0")
    return workers


def _parameters(order: Order) -> dict[str, str | int]:
    """The parameters of the workflow that the part needs, but for the data."""
    inputfile, analysis = analysis_file(order.analysis, order.part, order.changes)
    # What the steps record is uploaded by this process, not by themselves.
    parameters: dict[str, str | int] = {"inputfile": str(inputfile), "tracking_uri": ""}
    if order.part != "ml":
        parameters["njobs"] = order.njobs
    if order.part == "physics" and order.observed.strip():
        raise InputError(
            f"observed = {order.observed}: the part physics does not use observed data"
        )
    if order.part != "physics":
        parameters["ntrainsamples"] = order.ntrainsamples
        parameters["settings"] = _settings(order.changes)
        parameters["observed"] = _observed_data(order.observed, analysis)
    return parameters


def run_yadage(
    workflow: str,
    toplevel: Path,
    parameters: Mapping[str, Any],
    workdir: Path,
    workers: int,
    fresh: bool = False,
    console: Console | None = None,
    on: str = "local",
) -> list[Any]:
    """Run any yadage workflow with steps on an executor; return its jobs (``backend.Job``).

    ``workflow`` is relative to the directory ``toplevel``; ``workdir`` is an absolute path.
    """
    with locked(workdir) as lock, stoppable() as stopping:
        logs = workdir / ENGINE_NOTES
        executor = make_executor(on, Conditions(held=[lock], workers=workers, logs=logs))
        cache = _cache(workdir, fresh)
        queue = _queue(workdir, workers, cache, executor)
        console = console or Console(stderr=True)
        return _interpret(workflow, toplevel, parameters, queue, cache, console, stopping)


def _cache(workdir: Path, fresh: bool) -> Cache:
    """What earlier runs have left in a work directory, or nothing for a ``fresh`` start."""
    store = workdir / "_cache"
    if fresh:
        remove_directory(store)
    if store.exists() and not store.is_dir():
        raise InputError(f"{store}: is a file; expected a directory: remove it")
    return Cache(store)


def _queue(
    workdir: Path, workers: int, cache: Cache, executor: Executor, limit: float | None = None
) -> Any:
    """A queue of steps (``backend.Queue``)."""
    _ignore_warnings()
    # Only here: these imports take most of a second.
    from madminer_workflow.engines.backend import Queue

    return Queue(workdir, workers, cache, executor, limit)


def _ignore_warnings() -> None:
    """Say nothing of what newer Pythons and packages find in yadage's own code."""
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    warnings.filterwarnings("ignore", category=SyntaxWarning)


def _interpret(
    workflow: str,
    toplevel: Path,
    parameters: Mapping[str, Any],
    queue: Any,
    cache: Cache,
    console: Console,
    stopping: Stopping,
) -> list[Any]:
    """Let yadage run a workflow through ``queue``; return the jobs."""
    from madminer_workflow.engines.backend import interpreting
    from madminer_workflow.engines.progress import Progress

    workdir = queue.workdir
    with _engine_log(workdir):
        remove_scratch(workdir)
        try:
            with interpreting(queue, workflow, toplevel, parameters, POLL_SECONDS) as steering:
                progress = Progress(console, _stage_names(steering.workflow.rules), queue.jobs)
                steering.adage_argument(additional_trackers=[progress])
        except RuntimeError:
            # yadage says only that something failed; the queue knows what.
            if not queue.failures:
                raise
            raise _failure(queue.failures) from None
        except KeyboardInterrupt as error:
            stopping.heard = True
            by = f" by {error.name}" if isinstance(error, Stopped) else ""
            console.print(f"Stopped{by}. {GO_ON}", highlight=False, soft_wrap=True)
            raise
        finally:
            stopping.heard = True
            queue.stop()
            # A step whose worker was lost may have written to its folder after that was removed.
            remove_scratch(workdir)
        for problem in dict.fromkeys(queue.unkept):
            console.print(
                f"warning: not cached for later runs: {problem}", highlight=False, soft_wrap=True
            )
        _remove_unused(workdir, _directories_in_use(steering.workflow))
        cache.prune(_keys(workdir))
        stopping.heard = False
        return queue.jobs


def _keys(workdir: Path) -> Iterator[str]:
    """The keys of all products in a work directory."""
    for file in workdir.glob(f"**/{NOTES}/key"):
        with suppress(OSError, UnicodeDecodeError):
            yield file.read_text().strip()


def _failure(failures: list[Any]) -> InputError | StepError:
    message = "\n\n".join(job.problem for job in failures)
    message += f"\n{GO_ON}"
    # A step that refuses its input says so with exit code 2, like every command of ours.
    refused = all(job.exit_code == 2 for job in failures)
    return InputError(message) if refused else StepError(message)


def analysis_file(analysis: Path, part: str, changes: Sequence[str]) -> tuple[Path, Analysis]:
    """The analysis file and what it says, checked: mistakes are told before anything is written."""
    file = place.analysis_file(analysis).absolute()
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected an analysis file or its directory")
    checked = read_analysis(file, cards=part != "ml", changes=changes)
    return _safe(file), checked


def _settings(changes: Sequence[str]) -> str:
    """Changes of settings as the workflow's parameter."""
    for change in changes:
        if set(change) & set("{}"):
            raise InputError(
                f"--set {change}: braces are not allowed, because yadage interprets them; change "
                "one setting at a time"
            )
    return " ".join(changes)


def _observed_data(value: str, analysis: Analysis) -> str:
    """Observed data as the workflow's parameter; a blank, for none, is no path to yadage."""
    value = value.strip()
    if not value:
        return " "
    check_argument(value, analysis)
    file = Path(value).absolute()
    return str(_safe(file)) if file.is_file() else value


def _data_file(data: Path | None, part: str, workdir: Path) -> Path | None:
    if part != "ml":
        if data is not None:
            raise InputError(f"data = {data}: only the part ml reads events from a file")
        return None
    file = (data or workdir / "physics/combine/combined_delphes.h5").absolute()
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected events to learn from (HDF5)")
    return _safe(file)


def _work_directory(workdir: Path) -> Path:
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"{workdir}: is a file; expected a directory for the results")
    above = next(path for path in (workdir, *workdir.absolute().parents) if path.exists())
    if not os.access(above, os.W_OK):
        raise InputError(f"{above}: is not writable; choose another location with --workdir")
    return _safe(Path(os.path.realpath(workdir)))


def _safe(path: Path) -> Path:
    if not _SAFE_PATH.fullmatch(str(path)):
        raise InputError(
            f"{path}: yadage inserts paths into shell commands unquoted; choose a path without "
            "spaces, quotes or other special characters"
        )
    return path


@contextmanager
def _engine_log(workdir: Path) -> Iterator[None]:
    """What yadage has to say goes to a file of the work directory."""
    (workdir / ENGINE_NOTES).mkdir(exist_ok=True)
    # A log that cannot be written is no reason to stop, nor to say so at every line.
    logging.raiseExceptions = False
    handler = logging.FileHandler(workdir / ENGINE_NOTES / "engine.log", mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    loggers = [
        logging.getLogger(name)
        for name in ("yadage", "yadageschemas", "adage", "packtivity", "distributed")
    ]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


def _stage_names(rules: list[Any]) -> list[str]:
    """The names of all stages with a process, in the order of the workflow files."""
    names: list[str] = []

    def collect(stages: list[dict[str, Any]]) -> None:
        for stage in stages:
            scheduler = stage["scheduler"]
            if "workflow" in scheduler:
                collect(scheduler["workflow"]["stages"])
            elif scheduler.get("step", {}).get("process"):
                names.append(stage["name"])

    collect([{"name": rule.rule.name, "scheduler": rule.rule.stagespec} for rule in rules])
    return names


def _directories_in_use(workflow: Any) -> set[Path]:
    states = (workflow.dag.getNode(node).task.state for node in workflow.dag.nodes())
    return {Path(path) for state in states for path in state.readwrite}


def _remove_unused(workdir: Path, used: set[Path]) -> None:
    """Remove the folders of steps that the parts in ``used`` no longer have (fewer jobs, ...)."""
    for part in {workdir / directory.relative_to(workdir).parts[0] for directory in used}:
        for notes in list(part.glob(f"**/{NOTES}")):
            if notes.parent not in used:
                remove_directory(notes.parent)
