"""Hyperparameter searches: trials of one method's settings on events that are there already.

``plan`` is the sweep file, ``search`` proposes trials, ``workers`` run them as ``trials`` says and
``outcome`` tells what was found. Every trial that has ended is a file of the work directory: that
is all a sweep needs to go on where it stopped.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from madminer_workflow import __version__
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import checksum, locked, natural_order, read_json, write_json
from madminer_workflow.ml.problem import evaluation_settings
from madminer_workflow.sweep.outcome import Record, show, write_outcome
from madminer_workflow.sweep.place import Place, recorded
from madminer_workflow.sweep.plan import Plan, Values, read_plan
from madminer_workflow.sweep.search import past_of, propose
from madminer_workflow.sweep.workers import Task, Workers
from madminer_workflow.tracking import FOLDER, followed, registry, target
from madminer_workflow.tracking.journal import Begun, Ended, Journal, entries
from madminer_workflow.tracking.products import about

GO_ON = "Run the same command again to go on: finished trials are kept."

WORDS = {
    "analysis": "the analysis, or the settings that trials start from, differ",
    "space": "the search space differs",
    "seed": "the seed differs",
    "ntrainsamples": "ntrainsamples differs",
    "data": "the data differ",
    "version": "the version of madminer-workflow differs",
}
"""What trials of one sweep have in common, and how to say that they have not."""


def run_sweep(
    file: Path,
    data: Path,
    workdir: Path,
    fresh: bool = False,
    tracking_uri: str | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Run the trials of a sweep file on the events in ``data``; return what best.json holds.

    Trials that have ended in ``workdir`` before are not run again, unless ``fresh``. Raises
    InputError for a wrong sweep file, and if what ``workdir`` holds belongs to another sweep;
    StepError if no trial comes to an end. A KeyboardInterrupt ends all trials and is passed on.
    """
    console = console or Console(stderr=True)
    plan = read_plan(file)
    workdir.mkdir(parents=True, exist_ok=True)
    with locked(workdir):
        if fresh:
            _forget(workdir)
        run = _claim(plan, data, workdir)
        _clean(workdir)
        place = Place(data, workdir)
        given = _named(tracking_uri, run)
        with followed(workdir, {}, given, console.print, whole=False) as own:
            if own:
                place = replace(place, spool=own.file.parent, run=own.path[0])
                own.tags({"madminer.step": "sweep", **about()})
                own.params({"sweep": _parameters(plan)})
                own.artifact(file)
            try:
                records = _run_trials(plan, place, console, own)
            except KeyboardInterrupt:
                console.print(f"Stopped. {GO_ON}", highlight=False)
                raise
            return _conclude(plan, place, records, own)


def _conclude(
    plan: Plan, place: Place, records: Sequence[Record], own: Journal | None
) -> dict[str, Any]:
    best = write_outcome(plan, records, place.workdir)
    if best is None:
        raise StepError(f"all {len(records)} trials failed; the first: {records[0]['reason']}")
    show(plan, records)
    if own:
        own.tags(
            {
                "madminer.best": f"trial_{best['trial']}",
                "madminer.believed": "yes" if best["believed"] else "no",
            }
        )
        for name in ("best.json", "trials.csv", "plots"):
            own.artifact(place.workdir / name)
        _propose(place, best["trial"])
    return best


def _propose(place: Place, number: int) -> None:
    """Note the best trial's ensemble for the registry; those of the others stay with their runs."""
    product = place.trial(number)
    models = sorted(product.glob("training_*/Model.tar.gz"))
    with recorded(place, "trial", [f"trial_{number}"], shared=True) as journal:
        if journal:
            registry.propose(place.evaluation, models, place.data, product, journal)


def _run_trials(plan: Plan, place: Place, console: Console, own: Journal | None) -> list[Record]:
    """Run what is missing; return the records of all trials, in their order."""
    known = _known(place.workdir)
    missing = [number for number in range(plan.n_trials) if number not in known]
    if known:
        console.print(f"Finished already: {len(known)} of {plan.n_trials} trials", highlight=False)
    if not missing:
        return [known[number] for number in sorted(known)]
    lowest = min((record["loss"] for record in known.values() if record["believed"]), default=None)
    started = time.monotonic()
    with Workers(min(plan.workers, len(missing)), place.workdir / "workers.log") as workers:
        if not place.evaluation.exists():
            list(workers.run([("prepare", (plan, place))]))
        for batch in batches(plan, place, known):
            for record in workers.run(batch):
                known[record["number"]] = record
                write_json(_file(place.workdir, record["number"]), record)
                elapsed = int(time.monotonic() - started)
                console.print(_line(record, elapsed), highlight=False, markup=False)
                if record["believed"]:
                    lowest = record["loss"] if lowest is None else min(lowest, record["loss"])
                if own:
                    numbers = {"validation_loss": record["loss"], "lowest_believed": lowest}
                    own.metrics(numbers, record["number"])
    return [known[number] for number in sorted(known)]


def batches(plan: Plan, place: Place, known: dict[int, Record]) -> Iterator[list[Task]]:
    """The trials to run, as many at a time as there are workers.

    All trials of a batch are proposed from those before it, so that they do not depend on which of
    them ends first.
    """
    for first in range(0, plan.n_trials, plan.workers):
        numbers = range(first, min(first + plan.workers, plan.n_trials))
        if all(number in known for number in numbers):
            continue
        past = past_of([known[number] for number in range(first)])
        pending: list[Values] = []
        tasks: list[Task] = []
        for number in numbers:
            if number in known:
                pending.append(known[number]["values"])
                continue
            pending.append(propose(plan.space, plan.seed, number, past, pending))
            tasks.append(("run_trial", (plan, place, number, pending[-1])))
        yield tasks


def _line(record: Record, elapsed: int) -> str:
    if record["loss"] is None:
        what = f"failed: {record['reason'].splitlines()[0]}"
    else:
        doubt = "" if record["believed"] else " (not believed)"
        what = f"validation loss {record['loss']:.6g}{doubt} in {record['seconds']:.1f} s"
    return f"[{elapsed // 60}:{elapsed % 60:02d}] trial {record['number']} {what}"


def _file(workdir: Path, number: int) -> Path:
    return workdir / "trials" / f"{number}.json"


def _known(workdir: Path) -> dict[int, Record]:
    """The records of the trials that have ended."""
    files = sorted((workdir / "trials").glob("*.json"), key=natural_order)
    return {int(file.stem): read_json(file) for file in files}


def _claim(plan: Plan, data: Path, workdir: Path) -> str:
    """Note what sweep ``workdir`` belongs to, or refuse another; return the name of its run."""
    identity = {
        "analysis": {**evaluation_settings(plan.analysis), "method": plan.settings},
        "space": [asdict(axis) | {"choices": list(axis.choices)} for axis in plan.space],
        "seed": plan.seed,
        "ntrainsamples": plan.ntrainsamples,
        "data": checksum(data),
        "version": __version__,
    }
    note = workdir / "sweep.json"
    if not note.exists():
        name = f"{workdir.absolute().name} {datetime.now():%Y-%m-%d %H:%M:%S}"
        run = re.sub(r"[^\w.:+@ -]", "_", name)
        write_json(note, {"identity": identity, "run": run})
        return run
    found = read_json(note)
    others = [words for key, words in WORDS.items() if found["identity"][key] != identity[key]]
    if others:
        raise InputError(
            f"{workdir}: holds another sweep: {', '.join(others)}; give another --workdir, or "
            f"--fresh to forget its {len(_known(workdir))} finished trials"
        )
    return found["run"]


def _forget(workdir: Path) -> None:
    for name in ("sweep.json", "best.json", "trials.csv", "workers.log"):
        (workdir / name).unlink(missing_ok=True)
    for name in ("trials", "samples", "plots"):
        shutil.rmtree(workdir / name, ignore_errors=True)


def _clean(workdir: Path) -> None:
    """Remove what killed trials left, and let their records say how they ended."""
    for leftover in [
        *workdir.glob(".trial*"),
        *workdir.glob("trials/.*"),
        *workdir.glob("samples/.*"),
    ]:
        shutil.rmtree(leftover, ignore_errors=True)
    for file in (workdir / FOLDER).glob("*.jsonl"):
        lines = entries(file)
        begun = lines[0] if lines else None
        ended = lines and isinstance(lines[-1], Ended)
        if isinstance(begun, Begun) and len(begun.path) > 1 and not ended:
            Journal(file, begun.path).end("KILLED")


def _named(tracking_uri: str | None, run: str) -> str | None:
    """Where to track, with the name of the sweep's run, which is the same every time it goes on."""
    wanted = target(tracking_uri)
    return f"{wanted.uri}#{wanted.run or run}" if wanted else None


def _parameters(plan: Plan) -> dict[str, Any]:
    space = {
        axis.key: list(axis.choices) if axis.choices else [axis.low, axis.high]
        for axis in plan.space
    }
    return {
        "analysis": plan.analysis["name"],
        "method": plan.settings["name"],
        "n_trials": plan.n_trials,
        "seed": plan.seed,
        "ntrainsamples": plan.ntrainsamples,
        "space": space,
    }
