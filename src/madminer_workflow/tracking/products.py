"""What the arguments and products of every step tell a record."""

from __future__ import annotations

import json
import os
import re
import resource
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow import __version__
from madminer_workflow.files import checksum, member_of, read_json
from madminer_workflow.tracking import registry
from madminer_workflow.tracking.journal import Journal
from madminer_workflow.versions import versions

IMAGE = "MADMINER_WORKFLOW_IMAGE"
"""Names, within an image, that image."""

Arguments = Mapping[str, Any]

_SCRATCH = re.compile(r"\.(.+)\.[0-9a-f]{32}")


def place(step: str, arguments: Arguments) -> tuple[list[str], bool]:
    """The names that lead from the whole workflow to a step's run, and whether others nest in it.

    Evaluating is the run of its method, in which those of the ensemble's members and of the jobs of
    toys are nested.
    """
    if step == "training":
        method, member = sample_name(arguments["samples"])
        return [method, f"{method}_{member}"], False
    if step in ("evaluating", "toys"):
        method = arguments["evaluation"].absolute().parent.name
        if step == "evaluating":
            return [method], True
        return [method, f"{method}_{arguments['job'].stem}"], False
    folder = arguments["output"].absolute().name
    scratch = _SCRATCH.fullmatch(folder)
    folder = scratch[1] if scratch else folder
    return [folder if re.fullmatch(rf"{step}(_\d+)?", folder) else step], False


def sample_name(samples: Path) -> tuple[str, str]:
    """Method and member of ``Samples_<method>_<member>.npz``."""
    method, _, member = samples.stem.removeprefix("Samples_").rpartition("_")
    return (method, member) if method else (samples.stem, "0")


def describe(step: str, arguments: Arguments, journal: Journal) -> None:
    """Add what a step that has done its work tells: settings, numbers, data, files."""
    journal.tags({"madminer.step": step, **about()})
    journal.params({"versions": versions()})
    journal.metrics(resources_used())
    if "data" in arguments and isinstance(arguments["data"], Path):
        use = "training" if step == "sampling" else "evaluation"
        journal.dataset(arguments["data"], checksum(arguments["data"]), use)
    observed = str(arguments.get("observed", "")).strip()
    if observed:
        journal.params({"observed": observed})
    if observed and Path(observed).is_file():
        journal.dataset(Path(observed), checksum(Path(observed)), "observed")
    _STEPS[step](arguments, arguments["output"], journal)


def configure(_: Arguments, output: Path, journal: Journal) -> None:
    """Everything about the analysis."""
    introduce(output / "analysis.json", journal)
    journal.artifact(output / "analysis.json")


def generate(arguments: Arguments, output: Path, journal: Journal) -> None:
    """How the events are shared out."""
    jobs = [read_json(file) for file in sorted((output / "jobs").glob("job_*.json"))]
    journal.params({"njobs": arguments["njobs"]})
    journal.metrics({"events": sum(n for job in jobs for n in events_of(job).values())})


def pythia(arguments: Arguments, _: Path, journal: Journal) -> None:
    """The events of a job and where their random numbers start."""
    job = read_json(arguments["job"])
    seeds = {task_name(task): task["seed"] for task in job["tasks"]}
    journal.params({"job": job["index"], "seeds": seeds, "events": events_of(job)})


def delphes(_: Arguments, output: Path, journal: Journal) -> None:
    """The cut flow of a job."""
    from madminer_workflow.madminer_file import read_report

    for task in read_report(output / "delphes_data.h5")["tasks"]:
        passed = task["cut_flow"][-1]["passed"] if task["cut_flow"] else task["n_events"]
        name = task_name(task)
        journal.metrics({f"generated/{name}": task["n_events"], f"passed/{name}": passed})


def combine(_: Arguments, output: Path, journal: Journal) -> None:
    """The data of the analysis, their cut flow and whether their cross-sections close."""
    data = output / "combined_delphes.h5"
    journal.dataset(data, checksum(data), "events")
    for flow in read_json(output / "cutflow.json"):
        name = f"{flow['process']}.{flow['sampling_benchmark']}"
        passed = flow["steps"][-1]["passed"] if flow["steps"] else flow["generated"]
        journal.metrics({f"generated/{name}": flow["generated"], f"passed/{name}": passed})
    checks = read_json(output / "closure.json")["checks"]
    journal.metrics(
        {
            "closure/checks": len(checks),
            "closure/failed": sum(not check["closes"] for check in checks),
            "closure/largest_pull": max((abs(check["pull"]) for check in checks), default=None),
        }
    )
    for name in ("cutflow.json", "closure.json"):
        journal.artifact(output / name)


def sampling(arguments: Arguments, output: Path, journal: Journal) -> None:
    """The analysis as it is learned from."""
    introduce(output / "analysis.json", journal)
    journal.params({"ntrainsamples": arguments["ntrainsamples"]})
    journal.artifact(output / "analysis.json")


def training(arguments: Arguments, output: Path, journal: Journal) -> None:
    """The settings and losses of one ensemble member."""
    model = json.loads(member_of(output / "Model.tar.gz", "method.json"))
    journal.params({"member": model["member"], "seed": model["seed"], **model["settings"]})
    with np.load(arguments["samples"]) as arrays:
        journal.params({"samples_sha256": checksum(arguments["samples"])})
        journal.metrics({"samples": len(arrays["x"]) if "x" in arrays else None})
    losses = model["losses"].get("validation")
    journal.metrics({"best_loss_val": min(losses) if losses else None})
    journal.artifact(output / "Model.tar.gz")


def evaluating(arguments: Arguments, output: Path, journal: Journal) -> None:
    """What a method can do, whether it is believed, and the models that can do it."""
    evaluated(output, journal)
    registry.propose(
        arguments["evaluation"], arguments["models"], arguments["data"], output, journal
    )


def toys(arguments: Arguments, output: Path, journal: Journal) -> None:
    """Which share of the toys it is, and the toys."""
    journal.params(read_json(arguments["job"]))
    journal.artifact(output / "Toys.npz")


def evaluated(output: Path, journal: Journal) -> None:
    """The settings, numbers and checks of an ensemble, from the products of evaluating."""
    results = json.loads(member_of(output / "Results.tar.gz", "results.json"))
    journal.params({**results["settings"], "members": results["members"]})
    journal.metrics(method_numbers(results, results["parameters"]))
    journal.tags({"madminer.believed": "yes" if results["believed"] else "no"})
    journal.artifact(output / "Results.tar.gz")


def plotting(_: Arguments, output: Path, journal: Journal) -> None:
    """Report and figures."""
    for name in ("report.html", "results.json", "plots"):
        journal.artifact(output / name)


def about() -> dict[str, str]:
    """The version of this package, and the image that it runs in."""
    return {
        "madminer.version": __version__,
        "madminer.image": os.environ.get(IMAGE, "none"),
    }


def introduce(analysis_file: Path, journal: Journal) -> None:
    """The analysis in a few settings; the whole of it is kept as a file."""
    analysis = read_json(analysis_file)
    processes = {
        process["name"]: {"generator": process["generator"], "events": process["events"]}
        for process in analysis["processes"]
    }
    journal.params(
        {
            "analysis": analysis["name"],
            "seed": analysis["seed"],
            "parameters": [entry["parameter_name"] for entry in analysis["parameters"]],
            "benchmarks": analysis["benchmarks"],
            "processes": processes,
            "systematics": [entry["systematic_name"] for entry in analysis["systematics"]],
            "config_sha256": checksum(analysis_file),
        }
    )


def whole(workdir: Path, journal: Journal) -> None:
    """What the products of all steps tell about the workflow, whenever they were made."""
    for step in ("ml/sampling", "physics/configure"):
        if (workdir / step / "analysis.json").exists():
            introduce(workdir / step / "analysis.json", journal)
            break
    journal.tags(about())
    if (workdir / "ml/plotting/results.json").exists():
        conclude(workdir / "ml/plotting", journal)


def conclude(plotting_output: Path, journal: Journal) -> None:
    """The end of a whole workflow: the numbers of all methods and the report."""
    results = read_json(plotting_output / "results.json")
    journal.metrics({"expected_events": results["expected_events"]})
    for method in results["methods"]:
        numbers = method_numbers(method, results["parameters"])
        journal.metrics({f"{method['name']}/{key}": value for key, value in numbers.items()})
    journal.tags({"madminer.recommended": results["verdict"]["recommended"] or "none"})
    for name in ("report.html", "results.json"):
        journal.artifact(plotting_output / name)


def method_numbers(results: Mapping[str, Any], parameters: Sequence[str]) -> dict[str, Any]:
    """Fisher information, limits, coverage and checks of one method, as numbers with names.

    ``parameters`` are in the order of the rows of the matrix.
    """
    numbers: dict[str, Any] = {"believed": results["believed"]}
    fisher = results["fisher_information"]
    for i, first in enumerate(parameters):
        for j, second in enumerate(parameters[i:], start=i):
            name = f"{first}.{second}"
            numbers[f"fisher/{name}"] = fisher["matrix"][i][j]
            numbers[f"fisher_error/{name}"] = float(
                np.hypot(fisher["statistical_error"][i][j], fisher["ensemble_spread"][i][j])
            )
    numbers |= _sizes("limits", results["limits"])
    numbers |= _sizes("observed", results.get("observed") or {})
    numbers |= _coverage(results.get("toys") or {"points": []})
    for whose, checks in [("ensemble", results["checks"]), *enumerate(results["diagnostics"])]:
        for check in checks:
            name = re.sub(r"[^\w .-]", "_", check["check"])
            if check["value"] is not None:
                numbers[f"check/{name}/{whose}"] = check["value"]
    return numbers


def _sizes(name: str, limits: Mapping[str, Any]) -> dict[str, float]:
    """Volumes and widths that limits of all kinds allow; their names begin with ``name``."""
    numbers = {}
    for kind, limit in limits.items():
        for level, volume in limit["allowed_volume"].items():
            numbers[f"{name}/{kind}/{level}/volume"] = volume
        for parameter, intervals in limit["intervals"].items():
            for level, edges in intervals.items():
                width = sum(high - low for low, high in edges)
                numbers[f"{name}/{kind}/{level}/width.{parameter}"] = width
    return numbers


def _coverage(toys: Mapping[str, Any]) -> dict[str, float]:
    """How often toys' limits hold the truth, at every point that they were drawn at."""
    numbers = {}
    for point in toys["points"]:
        place = re.sub(r"[^\w .-]", "_", point["name"])
        for kind, found in point["kinds"].items():
            for level, coverage in found["coverage"].items():
                numbers[f"toys/{place}/{kind}/{level}/coverage"] = coverage["value"]
                numbers[f"toys/{place}/{kind}/{level}/coverage_error"] = coverage["error"]
    return numbers


def resources_used() -> dict[str, float]:
    """CPU time [s] and largest memory [MB] of this process and those it waited for."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    seconds = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return {
        "cpu_seconds": seconds,
        "max_memory_MB": max(own.ru_maxrss, children.ru_maxrss) / 1024.0,
    }


def events_of(job: Mapping[str, Any]) -> dict[str, int]:
    """The number of events of a job by process and sampling benchmark."""
    totals: dict[str, int] = {}
    for task in job["tasks"]:
        name = f"{task['process']}.{task['sampling_benchmark']}"
        totals[name] = totals.get(name, 0) + task["n_events"]
    return totals


def task_name(task: Mapping[str, Any]) -> str:
    """A name for a block of events."""
    return f"{task['process']}.{task['sampling_benchmark']}.{task['block']}"


_STEPS: dict[str, Callable[[Arguments, Path, Journal], None]] = {
    step.__name__: step
    for step in (
        *(configure, generate, pythia, delphes, combine),
        *(sampling, training, evaluating, toys, plotting),
    )
}
