"""What the arguments and products of every step tell a record."""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from madminer_workflow import __version__, graph
from madminer_workflow.analysis.types import Analysis
from madminer_workflow.files import checksum, read_struct
from madminer_workflow.products import toys as toy_products
from madminer_workflow.products.jobs import Task, read_job
from madminer_workflow.products.model import note_in
from madminer_workflow.products.results import read_results
from madminer_workflow.products.samples import read_samples
from madminer_workflow.statistics.plain import plain
from madminer_workflow.tracking import registry
from madminer_workflow.tracking.findings import WorkflowFindings, method_numbers
from madminer_workflow.tracking.journal import Journal
from madminer_workflow.versions import versions

IMAGE = "MADMINER_WORKFLOW_IMAGE"
"""Names, within an image, that image."""

Arguments = Mapping[str, Any]
"""The options of a step, as its command line has read them."""


def place(step: str, arguments: Arguments) -> tuple[list[str], bool]:
    """The names that lead from the whole workflow to a step's run, and whether others nest in it.

    Evaluating is the run of its method, in which those of the ensemble's members and of the jobs of
    toys are nested.
    """
    files = [value for value in arguments.values() if isinstance(value, Path)]
    key = graph.key_of(graph.STEPS[step], files)
    title = graph.title(graph.STEPS[step], files) or step
    if "method" not in key:
        return [title], False
    method = str(key["method"])
    return ([method], True) if step == "evaluating" else ([method, title], False)


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
    if step in _STEPS:
        _STEPS[step](arguments, arguments["output"], journal)


def configure(_: Arguments, output: Path, journal: Journal) -> None:
    """Everything about the analysis."""
    introduce(product("configure.analysis", output), journal)
    journal.artifact(product("configure.analysis", output))


def generate(arguments: Arguments, output: Path, journal: Journal) -> None:
    """How the events are shared out."""
    jobs = [read_job(file) for file in sorted((output / "jobs").glob("job_*.json"))]
    journal.params({"njobs": arguments["njobs"]})
    journal.metrics({"events": sum(task.n_events for job in jobs for task in job.tasks)})


def pythia(arguments: Arguments, _: Path, journal: Journal) -> None:
    """The events of a job and where their random numbers start."""
    job = read_job(arguments["job"])
    events: Counter[str] = Counter()
    for task in job.tasks:
        events[f"{task.process}.{task.sampling_benchmark}"] += task.n_events
    seeds = {block(task): task.seed for task in job.tasks}
    journal.params({"job": job.index, "seeds": seeds, "events": events})


def delphes(_: Arguments, output: Path, journal: Journal) -> None:
    """The cut flow of a job."""
    from madminer_workflow.products.measured import read_report

    for task in read_report(product("delphes.data", output)).tasks:
        passed = task.cut_flow[-1].passed if task.cut_flow else task.n_events
        name = block(task)
        journal.metrics({f"generated/{name}": task.n_events, f"passed/{name}": passed})


def combine(_: Arguments, output: Path, journal: Journal) -> None:
    """The data of the analysis, their cut flow and whether their cross-sections close."""
    from madminer_workflow.products.combined import read_closure, read_cut_flow

    data = product("combine.data", output)
    journal.dataset(data, checksum(data), "events")
    for flow in read_cut_flow(product("combine.cutflow", output)):
        name = f"{flow.process}.{flow.sampling_benchmark}"
        passed = flow.steps[-1].passed if flow.steps else flow.generated
        journal.metrics({f"generated/{name}": flow.generated, f"passed/{name}": passed})
    closure = read_closure(product("combine.closure", output))
    checks = closure.checks
    surplus = [point for check in closure.surplus for point in check.points]
    journal.metrics(
        {
            "closure/checks": len(checks),
            "closure/failed": sum(not check.closes for check in checks)
            + sum(not point.closes for point in surplus),
            "closure/largest_pull": max((abs(check.pull) for check in checks), default=None),
        }
    )
    for name in ("cutflow", "closure"):
        journal.artifact(product(f"combine.{name}", output))


def sampling(arguments: Arguments, output: Path, journal: Journal) -> None:
    """The analysis as it is learned from."""
    introduce(product("sampling.analysis", output), journal)
    journal.params({"ntrainsamples": arguments["ntrainsamples"]})
    journal.artifact(product("sampling.analysis", output))


def training(arguments: Arguments, output: Path, journal: Journal) -> None:
    """The settings and losses of one ensemble member."""
    model = note_in(product("training.model", output))
    journal.params({"member": model.member, "seed": model.seed, **plain(model.settings)})
    arrays = read_samples(arguments["samples"]).arrays
    journal.params({"samples_sha256": checksum(arguments["samples"])})
    journal.metrics({"samples": len(arrays["x"]) if "x" in arrays else None})
    losses = model.losses.get("validation")
    journal.metrics({"best_loss_val": min(losses) if losses else None})
    journal.artifact(product("training.model", output))


def evaluating(arguments: Arguments, output: Path, journal: Journal) -> None:
    """What a method can do, whether it is believed, and the models that can do it."""
    evaluated(output, journal)
    registry.propose(
        arguments["evaluation"], arguments["models"], arguments["data"], output, journal
    )


def toys(arguments: Arguments, output: Path, journal: Journal) -> None:
    """Which share of the toys it is, and the toys."""
    journal.params(plain(toy_products.read_job(arguments["job"])))
    journal.artifact(product("toys.toys", output))


def evaluated(output: Path, journal: Journal) -> None:
    """The settings, numbers and checks of an ensemble, from the products of evaluating."""
    archive = product("evaluating.results", output)
    method = read_results(archive).summary
    journal.params({**plain(method.settings), "members": method.members})
    journal.metrics(method_numbers(method, method.parameters))
    journal.tags({"madminer.believed": "yes" if method.believed else "no"})
    journal.artifact(archive)


def plotting(_: Arguments, output: Path, journal: Journal) -> None:
    """Report and figures."""
    for name in ("report", "results", "plots"):
        journal.artifact(product(f"plotting.{name}", output))


def about() -> dict[str, str]:
    """The version of this package, and the image that it runs in."""
    return {
        "madminer.version": __version__,
        "madminer.image": os.environ.get(IMAGE, "none"),
    }


def introduce(analysis_file: Path, journal: Journal) -> None:
    """The analysis in a few settings; the whole of it is kept as a file."""
    analysis = read_struct(analysis_file, "configure", Analysis)
    processes = {
        process.name: {"generator": process.generator, "events": process.events}
        for process in analysis.processes
    }
    journal.params(
        {
            "analysis": analysis.name,
            "seed": analysis.seed,
            "parameters": analysis.parameter_names,
            "benchmarks": analysis.benchmarks,
            "processes": processes,
            "systematics": [entry.systematic_name for entry in analysis.systematics],
            "config_sha256": checksum(analysis_file),
        }
    )


def whole(workdir: Path, journal: Journal) -> None:
    """What the products of all steps tell about the workflow, whenever they were made."""
    for source in ("sampling.analysis", "configure.analysis"):
        analysis = workdir_product(source, workdir)
        if analysis.exists():
            introduce(analysis, journal)
            break
    journal.tags(about())
    results = workdir_product("plotting.results", workdir)
    if results.exists():
        conclude(results, journal)


def conclude(results_file: Path, journal: Journal) -> None:
    """The end of a whole workflow: the numbers of all methods and the report."""
    results = read_struct(results_file, "plotting", WorkflowFindings)
    journal.metrics({"expected_events": results.expected_events})
    for method in results.methods:
        numbers = method_numbers(method, results.parameters)
        journal.metrics({f"{method.name}/{key}": value for key, value in numbers.items()})
    journal.tags({"madminer.recommended": results.verdict.recommended or "none"})
    journal.artifact(product("plotting.report", results_file.parent))
    journal.artifact(results_file)


def product(source: str, output: Path) -> Path:
    """The file or folder ``step.product`` in the output directory of the step."""
    return output / graph.product(source)[1]


def workdir_product(source: str, workdir: Path) -> Path:
    """The same of a step that is done once, in the work directory of a whole workflow."""
    step, file = graph.product(source)
    return workdir / step.folder({}, []) / file


def resources_used() -> dict[str, float]:
    """CPU time [s] and largest memory [MB] of this process and those it waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "cpu_seconds": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "max_memory_MB": max(usage.ru_maxrss for usage in usages) / 1024.0,
    }


def block(task: Task) -> str:
    """A name for a block of events."""
    return f"{task.process}.{task.sampling_benchmark}.{task.block}"


_STEPS: dict[str, Callable[[Arguments, Path, Journal], None]] = {
    step.__name__: step
    for step in (
        *(configure, generate, pythia, delphes, combine),
        *(sampling, training, evaluating, toys, plotting),
    )
}
