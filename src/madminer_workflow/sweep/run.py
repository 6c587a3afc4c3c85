"""``madminer-workflow sweep``: run the trials that are missing, and tell which is the best."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from madminer_workflow.analysis.machine import this_machine
from madminer_workflow.errors import StepError
from madminer_workflow.files import locked
from madminer_workflow.sweep import directory
from madminer_workflow.sweep.cost import require_affordable
from madminer_workflow.sweep.directory import Place, recorded
from madminer_workflow.sweep.outcome import Best, show, write_outcome
from madminer_workflow.sweep.plan import Plan, Value, read_plan
from madminer_workflow.sweep.results import TrialResult, lowest_loss, read_results, write_result
from madminer_workflow.sweep.search import batches
from madminer_workflow.sweep.workers import Workers
from madminer_workflow.tracking import followed, registry, target
from madminer_workflow.tracking.journal import Journal
from madminer_workflow.tracking.products import about

GO_ON = "Run the same command again to continue: finished trials are kept."


def run_sweep(
    file: Path,
    data: Path,
    workdir: Path,
    fresh: bool = False,
    tracking_uri: str | None = None,
    console: Console | None = None,
    allow_large: bool = False,
) -> Best:
    """Run the trials of a sweep file on the events in ``data``; return the best.

    Trials that need more than this machine has are refused, unless ``allow_large``. Those that have
    ended in ``workdir`` before are not run again, unless ``fresh``. Raises InputError for a wrong
    sweep file, and if what ``workdir`` holds belongs to another sweep; StepError if no trial comes
    to an end. A KeyboardInterrupt ends all trials and is passed on.
    """
    console = console or Console(stderr=True)
    plan = read_plan(file)
    if not allow_large:
        require_affordable(file, plan, this_machine(workdir))
    workdir.mkdir(parents=True, exist_ok=True)
    with locked(workdir):
        if fresh:
            directory.forget(workdir)
        run = directory.claim(plan, data, workdir)
        directory.clean(workdir)
        place = Place(data, workdir)
        uri = _with_name(tracking_uri, run)
        with followed(workdir, {}, uri, console.print, whole=False) as journal:
            if journal:
                place = replace(place, spool=journal.file.parent, run=journal.path[0])
                journal.tags({"madminer.step": "sweep", **about()})
                journal.params({"sweep": _parameters(plan)})
                journal.artifact(file)
            try:
                results = _run_trials(plan, place, console, journal)
            except KeyboardInterrupt:
                console.print(f"Stopped. {GO_ON}", highlight=False)
                raise
            return _conclude(plan, place, results, journal)


def _run_trials(
    plan: Plan, place: Place, console: Console, journal: Journal | None
) -> list[TrialResult]:
    """Run what is missing; return how all trials ended, in their order."""
    results = read_results(place.workdir)
    missing = plan.n_trials - sum(number in results for number in range(plan.n_trials))
    if results:
        finished = f"Already finished: {len(results)} of {plan.n_trials} trials"
        console.print(finished, highlight=False)
    if missing:
        started = time.monotonic()
        with Workers(min(plan.workers, missing), place.workdir / "workers.log") as workers:
            if not place.evaluation.exists():
                list(workers.run("prepare", [(plan, place)]))
            for batch in batches(plan, results):
                for result in workers.run("run_trial", [(plan, place, *trial) for trial in batch]):
                    results[result.number] = result
                    write_result(place.workdir, result)
                    line = _line(result, int(time.monotonic() - started))
                    console.print(line, highlight=False, markup=False)
                    if journal:
                        lowest = lowest_loss(results.values())
                        losses = {"validation_loss": result.loss, "lowest_believed": lowest}
                        journal.metrics(losses, result.number)
    return [results[number] for number in sorted(results)]


def _line(result: TrialResult, elapsed: int) -> str:
    if result.loss is None:
        what = f"failed: {result.reason.splitlines()[0]}"
    else:
        doubt = "" if result.believed else " (not trusted)"
        what = f"validation loss {result.loss:.6g}{doubt} in {result.seconds:.1f} s"
    return f"[{elapsed // 60}:{elapsed % 60:02d}] trial {result.number} {what}"


def _conclude(
    plan: Plan, place: Place, results: Sequence[TrialResult], journal: Journal | None
) -> Best:
    best = write_outcome(plan, results, place.workdir)
    if best is None:
        raise StepError(f"all {len(results)} trials failed; the first: {results[0].reason}")
    show(plan, results)
    if journal:
        believed = "yes" if best.believed else "no"
        journal.tags({"madminer.best": f"trial_{best.trial}", "madminer.believed": believed})
        for name in ("best.json", "trials.csv", "plots"):
            journal.artifact(place.workdir / name)
        _propose(place, best.trial)
    return best


def _propose(place: Place, number: int) -> None:
    """Note the best trial's ensemble for the registry; those of the others stay with their runs."""
    product = place.trial(number)
    models = sorted(product.glob("training_*/Model.tar.gz"))
    with recorded(place, "trial", [f"trial_{number}"], shared=True) as journal:
        if journal:
            registry.propose(place.evaluation, models, place.data, product, journal)


def _with_name(tracking_uri: str | None, run: str) -> str | None:
    """Where to track, with the name of the sweep's run, which is the same every time it goes on."""
    wanted = target(tracking_uri)
    return f"{wanted.uri}#{wanted.run or run}" if wanted else None


def _parameters(plan: Plan) -> dict[str, Value]:
    space = {
        axis.key: list(axis.choices) if axis.choices else [axis.low, axis.high]
        for axis in plan.space
    }
    return {
        "analysis": plan.analysis.name,
        "method": plan.method_name,
        "n_trials": plan.n_trials,
        "seed": plan.seed,
        "ntrainsamples": plan.ntrainsamples,
        "space": space,
    }
