"""``validate``; ``run``, the whole workflow here; ``step``, one step of it."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from madminer_workflow.analysis import place
from madminer_workflow.cli.commands import (
    DIRECTORY,
    FILE,
    TRACKING_HELP,
    Place,
    allow_large_option,
    njobs_option,
    ntrainsamples_option,
    on_option,
    warn,
    workers_option,
)
from madminer_workflow.cli.steps import StepCommand
from madminer_workflow.engines.order import Order
from madminer_workflow.errors import InputError
from madminer_workflow.graph import ALL, OBSERVED_HELP, SETTINGS_HELP, STEPS
from madminer_workflow.stopping import exit_code

if TYPE_CHECKING:
    from madminer_workflow.analysis.cost import Whole


@click.command()
@click.argument("file", type=Place(path_type=Path))
@allow_large_option
@click.option(
    "--elsewhere",
    is_flag=True,
    help="For a run on another machine: do not check the resources and programs of this one.",
)
def validate(file: Path, allow_large: bool, elsewhere: bool) -> None:
    """Check an analysis: list all problems, and estimate its cost.

    FILE is an analysis file, or a folder with an input.yml or a single other analysis file.
    Nothing is run or written. An analysis that needs more than this machine has is refused.
    """
    from madminer_workflow.analysis.cost import Plan, grid_words
    from madminer_workflow.analysis.file import problems, read_analysis
    from madminer_workflow.analysis.machine import ANY, affordable, this_machine
    from madminer_workflow.cores import available_cores

    file = place.analysis_file(file)
    analysis = read_analysis(file)
    machine = ANY if elsewhere else this_machine(Path())
    plan = Plan(workers=available_cores())
    whole = affordable(file, analysis, plan, None if allow_large else machine)
    for warning in problems(file):
        warn(warning.words)
    if not elsewhere:
        warn_of_missing_programs(file)
    processes = [f"{p.name} ({p.generator}, {p.n_events} events)" for p in analysis.processes]
    systematics = [systematic.systematic_name for systematic in analysis.systematics]
    click.echo(f"{file}: valid")
    click.echo(f"  parameters:  {', '.join(analysis.parameter_names)}")
    click.echo(f"  processes:   {', '.join(processes)}")
    if systematics:
        click.echo(f"  systematics: {', '.join(systematics)}")
    click.echo(f"  methods:     {', '.join(analysis.ml.by_name)}")
    click.echo(f"  grid:        {grid_words(analysis)}")
    click.echo(f"  cost:        {whole.words}")


def unquoted(_: click.Context, __: click.Parameter, value: Any) -> Any:
    """Texts without the quotes that MLflow puts around them for a shell.

    On Kubernetes there is none, and they would stay.
    """
    if isinstance(value, tuple):
        return tuple(map(unquote, value))
    if isinstance(value, Path):
        return Path(unquote(str(value)))
    return value and unquote(value)


def unquote(text: str) -> str:
    """The word that is in quotes for a shell; any other text as it is."""
    try:
        [word] = shlex.split(text) if text.startswith("'") else [text]
    except ValueError:
        return text
    return word


@click.command()
@click.argument("analysis", type=Place(path_type=Path), callback=unquoted)
@click.option(
    "--workdir",
    type=DIRECTORY,
    callback=unquoted,
    help="Directory for results and cache.  [default: runs/<name of the analysis folder>, followed "
    "by -<name of the file> for files other than input.yml]",
)
@njobs_option
@ntrainsamples_option
@click.option(
    "--part",
    type=click.Choice(["all", "physics", "ml"]),
    default="all",
    show_default=True,
    help="Which half of the workflow to run.",
)
@click.option(
    "--data",
    type=FILE,
    help="With --part ml: the file of events, combined_delphes.h5.  [default: the one in the work "
    "directory]",
)
@workers_option
@on_option
@click.option(
    "--step-timeout",
    type=float,
    metavar="MINUTES",
    help="Stop the run if a step takes longer.  [default: no limit]",
)
@click.option("--fresh", is_flag=True, help="Recompute everything.")
@click.option(
    "--dry-run",
    "-n",
    is_flag=True,
    help="List the steps that would run, with reasons and costs; write nothing.",
)
@allow_large_option
@click.option("--set", "changes", multiple=True, callback=unquoted, help=SETTINGS_HELP)
@click.option("--observed", default="", callback=unquoted, help=OBSERVED_HELP)
@click.option("--tracking-uri", help=TRACKING_HELP)
def run(
    analysis: Path,
    workdir: Path | None,
    changes: tuple[str, ...],
    dry_run: bool,
    allow_large: bool,
    **options: Any,
) -> None:
    """Run the whole workflow, on this machine or on the engine chosen with --on.

    ANALYSIS is an analysis file, or a folder with an input.yml or a single other analysis file.
    Only steps affected by changes since the last run in the same work directory run again.
    """
    from madminer_workflow.analysis.changes import split_changes
    from madminer_workflow.engines.folder import UNCHANGED
    from madminer_workflow.engines.run import foresee_run, run_workflow

    analysis = place.analysis_file(analysis)
    workdir = workdir or Path("runs") / place.results_name(analysis)
    wanted = [change for change in split_changes(changes) if not change.endswith(UNCHANGED)]
    order = Order(analysis, workdir, changes=wanted, **options)
    whole = whole_cost(order, allow_large)
    if dry_run:
        from madminer_workflow.cli.dry_run import table

        click.echo(table(whole, foresee_run(order), order.fresh))
        return
    if order.part != "ml":
        warn_of_missing_programs(analysis)
    try:
        run_workflow(order)
    except KeyboardInterrupt as error:
        sys.exit(exit_code(error))
    if order.part == "physics":
        click.echo(f"Events: {workdir / 'physics' / 'combine' / 'combined_delphes.h5'}")
        return
    from madminer_workflow.report.headline import headline_text
    from madminer_workflow.report.results import read_report

    plotting = workdir / "ml" / "plotting"
    click.echo(headline_text(read_report(plotting / "results.json")))
    click.echo(f"Report: {plotting / 'report.html'}")


def whole_cost(order: Order, allow_large: bool) -> Whole:
    """What a run costs; InputError if that is beyond the machine, unless it is to be allowed."""
    from madminer_workflow.analysis.cost import Plan
    from madminer_workflow.analysis.machine import ANY, affordable, this_machine
    from madminer_workflow.engines.run import analysis_file, check_numbers

    workers = check_numbers(order)
    file, analysis = analysis_file(order.analysis, order.part, order.changes)
    plan = Plan(order.njobs, order.ntrainsamples, workers, order.part)
    # Other executors have other machines.
    machine = this_machine(order.workdir) if order.on == "local" else ANY
    return affordable(file, analysis, plan, None if allow_large else machine)


def warn_of_missing_programs(file: Path) -> None:
    """Say what a step will miss, before the first one starts.

    A warning only: what was computed before may be all that is needed of it.
    """
    from madminer_workflow.analysis.event_files import hepmc_versions
    from madminer_workflow.analysis.file import read_analysis
    from madminer_workflow.physics.programs import missing

    if file.is_file():
        analysis = read_analysis(file)
        for message in missing(analysis, hepmc_versions(analysis, file.parent)):
            warn(message)


@click.command()
@click.argument("name", metavar="STEP", type=click.Choice(list(STEPS)))
@click.option("--workdir", required=True, callback=unquoted, help="Work directory, as for run.")
@click.option(
    "--analysis",
    default="inputs/wbf",
    show_default=True,
    callback=unquoted,
    help="An analysis file or a folder with an input.yml.",
)
@njobs_option
@ntrainsamples_option
@click.option(
    "--index",
    default=ALL,
    show_default=True,
    help="Job of pythia, delphes or toys, counted from 0.",
)
@click.option("--method", default=ALL, show_default=True, help="Method to train or evaluate.")
@click.option("--member", default=ALL, show_default=True, help="Ensemble member, counted from 0.")
@click.option("--set", "changes", multiple=True, callback=unquoted, help=SETTINGS_HELP)
@click.option("--observed", default="", callback=unquoted, help=OBSERVED_HELP)
def step(
    name: str,
    workdir: str,
    analysis: str,
    index: str,
    method: str,
    member: str,
    **options: Any,
) -> None:
    """Run one STEP in a work directory, which contains its inputs and receives its products.

    The folders are the same as for `run`. A step that exists for every job, method or ensemble
    member runs for all of them, unless one is named. The value nan leaves a setting as it is.
    """
    from madminer_workflow import tracking
    from madminer_workflow.engines.folder import Selection, commands

    for option, value in (("workdir", workdir), ("analysis", analysis)):
        if not value.strip():
            raise InputError(f"--{option}: is empty; expected the name of a file or directory")
    order = Order(Path(analysis), Path(workdir), **options)
    lines = commands(name, order, Selection(index, method, member))
    several = tracking.followed(order.workdir, {"step": name}, None, warn, whole=False)
    with several if len(lines) > 1 else nullcontext() as record:
        os.environ.update(tracking.step_environment(record))
        for _, *arguments in lines:
            command = StepCommand(STEPS[name])
            command.main(arguments, prog_name=name, standalone_mode=False)
