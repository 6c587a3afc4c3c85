"""The command line: one subcommand a step, plus ``validate`` and ``run``.

Imports of the steps are deferred to their commands, so that help and validation are instant.
"""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import click

from madminer_workflow import __version__
from madminer_workflow.engines import folder
from madminer_workflow.errors import InputError, StepError

TRACKING_HELP = (
    "MLflow server or database to track with; after # the name of the run that all steps of a "
    "workflow are part of.  [default: MLFLOW_TRACKING_URI, or no tracking]"
)
SET_HELP = (
    "Change a setting of a method, e.g. sally.training.n_epochs=20; any number of times, or "
    "several changes separated by blanks."
)
OBSERVED_HELP = (
    "Observed data: a file of events, or pseudo-data at a benchmark or a point such as p0=0.2,p1=0."
    "  [default: none]"
)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, path_type=Path)


class Commands(click.Group):
    """Lists commands in the order of the workflow and reports failures in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which they were added."""
        return list(self.commands)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; exit with 2 for bad input and 1 for a failed step."""
        try:
            sys.exit(super().main(*args, **{**kwargs, "standalone_mode": False}))
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(2)
        except click.ClickException as error:
            fail(usage(error), 2)
        except InputError as error:
            fail(str(error), 2)
        except StepError as error:
            fail(str(error), 1)
        except OSError as error:
            fail(f"{error.filename or 'a file'}: {error.strerror or error}", 1)
        except click.Abort:
            sys.exit(130)


class Step(click.Command):
    """A step of the workflow, with the record that tracking keeps of it as its context's object."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add the option that all steps have."""
        super().__init__(*args, **kwargs)
        self.params.append(click.Option(["--tracking-uri"], help=TRACKING_HELP))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the step inside its record."""
        from madminer_workflow import tracking

        uri = ctx.params.pop("tracking_uri")
        with tracking.recorded(self.name or "", ctx.params, uri, warn) as ctx.obj:
            return super().invoke(ctx)


def warn(message: str) -> None:
    """Say what does not keep anything from being done."""
    click.echo(f"warning: {message}", err=True)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong, one problem a line, and exit."""
    for line in message.splitlines():
        click.echo(f"error: {line}", err=True)
    sys.exit(code)


def usage(error: click.ClickException) -> str:
    """What click has to say about the arguments, in one line."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message}; see {context.command_path} --help" if context else message


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__)
@click.option(
    "-C",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="Directory to change to first: names of files are relative to it.",
)
def main(directory: Path) -> None:
    """From one analysis file to publication-grade limits with MadMiner.

    `run` does everything; every other command is one step of it. Exit codes: 2 for bad input, 1
    for a step that failed.
    """
    os.chdir(directory)


def files_in(ctx: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[Path]:
    """The files that texts name, each one or several that blanks separate, or none."""
    names = [n for text in texts for n in ([text] if Path(text).is_file() else text.split())]
    return [FILE.convert(name, option, ctx) for name in names]


output_option = click.option(
    "--output", type=DIRECTORY, required=True, help="Directory for the products; made if absent."
)
config_option = click.option(
    "--config", type=FILE, required=True, help="MadMiner set-up `config.h5` from configure."
)
generation_option = click.option(
    "--generation", type=FILE, required=True, help="`generation.json` from configure."
)
data_option = click.option(
    "--data", type=FILE, required=True, help="MadMiner data file `combined_delphes.h5`."
)
evaluation_option = click.option(
    "--evaluation", type=FILE, required=True, help="`evaluation.json` from sampling."
)
observed_option = click.option("--observed", default="", help=OBSERVED_HELP)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def validate(file: Path) -> None:
    """Check the analysis FILE and list all its problems.

    Nothing is run or written.
    """
    from madminer_workflow.analysis.file import load_analysis, problems

    analysis = load_analysis(file)
    for warning in problems(file):
        warn(str(warning))
    parameters = ", ".join(p["parameter_name"] for p in analysis["parameters"])
    methods = ", ".join(method["name"] for method in analysis["ml"]["methods"])
    processes = [
        f"{p['name']} ({p['generator']}, {sum(p['events'].values())} events)"
        for p in analysis["processes"]
    ]
    systematics = [entry["systematic_name"] for entry in analysis["systematics"]]
    click.echo(f"{file}: valid")
    click.echo(f"  parameters:  {parameters}")
    click.echo(f"  processes:   {', '.join(processes)}")
    if systematics:
        click.echo(f"  systematics: {', '.join(systematics)}")
    click.echo(f"  methods:     {methods}")


@main.command()
@click.argument("analysis", type=click.Path(path_type=Path))
@click.option(
    "--workdir",
    type=DIRECTORY,
    help="Directory for results and cache.  [default: runs/<name of the analysis folder>]",
)
@click.option("--njobs", type=int, default=6, show_default=True, help="Jobs that share the events.")
@click.option(
    "--ntrainsamples", type=int, default=1, show_default=True, help="Ensemble members per method."
)
@click.option(
    "--part",
    type=click.Choice(["all", "physics", "ml"]),
    default="all",
    show_default=True,
    help="Which half of the workflow to run.",
)
@click.option("--data", type=FILE, help="With --part ml: the data file.  [default: the workdir's]")
@click.option("--workers", type=int, help="Steps at a time.  [default: number of cores]")
@click.option("--fresh", is_flag=True, help="Compute everything anew.")
@click.option("--set", "changes", multiple=True, help=SET_HELP)
@observed_option
@click.option("--tracking-uri", help=TRACKING_HELP)
def run(
    analysis: Path,
    workdir: Path | None,
    njobs: int,
    ntrainsamples: int,
    part: str,
    data: Path | None,
    workers: int | None,
    fresh: bool,
    changes: tuple[str, ...],
    observed: str,
    tracking_uri: str | None,
) -> None:
    """Run the whole workflow on this machine.

    ANALYSIS is an analysis file or a folder with an input.yml. What did not change since the
    last run in the same work directory is not computed again.
    """
    from madminer_workflow.analysis.changes import split_changes
    from madminer_workflow.engines.run import run_workflow

    place = analysis.resolve()
    workdir = workdir or Path("runs") / (place if place.is_dir() else place.parent).name
    if part != "ml":
        warn_of_missing_programs(place / "input.yml" if place.is_dir() else place)
    try:
        run_workflow(
            analysis,
            workdir,
            njobs,
            ntrainsamples,
            part,
            data,
            workers,
            fresh,
            changes=split_changes(changes),
            observed=observed,
            tracking_uri=tracking_uri,
        )
    except KeyboardInterrupt:
        sys.exit(130)
    if part == "physics":
        click.echo(f"Events: {workdir / 'physics' / 'combine' / 'combined_delphes.h5'}")
        return
    from madminer_workflow.files import read_json
    from madminer_workflow.report.page import headline_text

    plotting = workdir / "ml" / "plotting"
    click.echo(headline_text(read_json(plotting / "results.json")))
    click.echo(f"Report: {plotting / 'report.html'}")


def warn_of_missing_programs(file: Path) -> None:
    """Say what a step will miss, before the first one starts.

    A warning only: what was computed before may be all that is needed of it.
    """
    from madminer_workflow.analysis.file import load_analysis
    from madminer_workflow.physics.programs import missing

    if file.is_file():
        for message in missing(load_analysis(file)):
            warn(message)


@main.command(cls=Step)
@click.option("--input", "input_file", type=FILE, required=True, help="The analysis file.")
@output_option
def configure(input_file: Path, output: Path) -> None:
    """Turn the analysis file into MadMiner's set-up.

    Writes config.h5 (parameters, benchmarks, morphing), analysis.json (everything, with
    defaults), generation.json and reconstruction.json (what the two halves of physics need, cards
    included) and Models.tar.gz (the analysis' own UFO models).
    """
    from madminer_workflow.physics.configure import configure

    configure(input_file, output)


@main.command(cls=Step)
@config_option
@generation_option
@click.option("--models", type=FILE, required=True, help="`Models.tar.gz` from configure.")
@click.option("--njobs", type=int, required=True, help="Number of jobs to share the events.")
@output_option
def generate(config: Path, generation: Path, models: Path, njobs: int, output: Path) -> None:
    """Integrate every process once and define the jobs.

    Writes Processes.tar.gz and jobs/job_*.json. The events do not depend on njobs.
    """
    from madminer_workflow.physics.generate import generate

    generate(config, generation, models, njobs, output)


@main.command(cls=Step)
@click.option("--job", type=FILE, required=True, help="One `job_*.json` from generate.")
@click.option("--processes", type=FILE, required=True, help="`Processes.tar.gz` from generate.")
@output_option
def pythia(job: Path, processes: Path, output: Path) -> None:
    """Draw the events of one job.

    Writes Events.tar.gz: LHE files with one weight per benchmark.
    """
    from madminer_workflow.physics.pythia import pythia

    pythia(job, processes, output)


@main.command(cls=Step)
@config_option
@click.option(
    "--reconstruction", type=FILE, required=True, help="`reconstruction.json` from configure."
)
@click.option("--events", type=FILE, required=True, help="`Events.tar.gz` from pythia.")
@output_option
def delphes(config: Path, reconstruction: Path, events: Path, output: Path) -> None:
    """Apply the detector, the observables and the cuts to the events of one job.

    Writes delphes_data.h5: observables and weights in MadMiner's format.
    """
    from madminer_workflow.physics.delphes import delphes

    delphes(config, reconstruction, events, output)


@main.command(cls=Step)
@config_option
@generation_option
@click.argument("data", type=FILE, nargs=-1, required=True)
@output_option
def combine(config: Path, generation: Path, data: tuple[Path, ...], output: Path) -> None:
    """Join the events of all DATA files and check that the cross-sections close.

    DATA are the `delphes_data.h5` of all jobs, in any order. Writes combined_delphes.h5,
    cutflow.json and closure.json.
    """
    from madminer_workflow.physics.combine import combine

    combine(config, generation, data, output)


@main.command(cls=Step)
@click.option("--input", "input_file", type=FILE, required=True, help="The analysis file.")
@data_option
@click.option("--ntrainsamples", type=int, required=True, help="Ensemble members per method.")
@click.option("--set", "changes", multiple=True, help=SET_HELP)
@output_option
def sampling(
    input_file: Path, data: Path, ntrainsamples: int, changes: tuple[str, ...], output: Path
) -> None:
    """Draw the training samples of every method.

    Writes methods/<method>/Samples_<method>_<i>.npz, evaluation.json and toys_<i>.json (the jobs of
    toys, if the analysis asks for some), and analysis.json.
    """
    from madminer_workflow.analysis.changes import split_changes
    from madminer_workflow.ml.sampling import sampling

    sampling(input_file, data, ntrainsamples, output, split_changes(changes))


@main.command(cls=Step)
@click.option("--samples", type=FILE, required=True, help="One `Samples_*.npz` from sampling.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    help="Change a setting of the network or the training, e.g. training.n_epochs=20.",
)
@output_option
@click.pass_context
def training(ctx: click.Context, samples: Path, changes: tuple[str, ...], output: Path) -> None:
    """Train one ensemble member.

    Writes Model.tar.gz: the network, its settings and its losses by epoch.
    """
    from madminer_workflow.analysis.changes import split_changes
    from madminer_workflow.ml.training import training

    record = ctx.obj
    on_epoch = record and (lambda epoch, losses: record.metrics(losses, epoch))
    training(samples, output, split_changes(changes), on_epoch)


@main.command(cls=Step)
@evaluation_option
@data_option
@observed_option
@click.argument("models", type=FILE, nargs=-1, required=True)
@output_option
def evaluating(
    evaluation: Path, data: Path, observed: str, models: tuple[Path, ...], output: Path
) -> None:
    """Evaluate one method's ensemble: limits, Fisher information, diagnostics.

    MODELS are the `Model.tar.gz` of all members of one method. Writes Results.tar.gz.
    """
    from madminer_workflow.ml.evaluating import evaluating

    evaluating(evaluation, data, models, output, observed)


@main.command(cls=Step)
@evaluation_option
@data_option
@click.option("--job", type=FILE, required=True, help="One `toys_*.json` from sampling.")
@click.argument("models", type=FILE, nargs=-1, required=True)
@output_option
def toys(evaluation: Path, data: Path, job: Path, models: tuple[Path, ...], output: Path) -> None:
    """Try one method's ensemble on toy experiments: coverage, and limits without asymptotics.

    MODELS are the `Model.tar.gz` of all members of one method. Writes Toys.npz: the share of one
    job.
    """
    from madminer_workflow.ml.toys import toys

    toys(evaluation, data, job, models, output)


@main.command(cls=Step)
@click.option("--analysis", type=FILE, required=True, help="`analysis.json` from sampling.")
@data_option
@observed_option
@click.option(
    "--toys",
    multiple=True,
    callback=files_in,
    help="The `Toys.npz` of all methods and jobs, if there are any; any number of times, or "
    "several files separated by blanks.",
)
@click.argument("results", type=FILE, nargs=-1, required=True)
@output_option
def plotting(
    analysis: Path,
    data: Path,
    observed: str,
    toys: list[Path],
    results: tuple[Path, ...],
    output: Path,
) -> None:
    """Draw all plots and write the report.

    RESULTS are the `Results.tar.gz` of all methods. Writes plots/*.png and *.pdf, results.json
    and report.html.
    """
    from madminer_workflow.report.plotting import plotting

    plotting(analysis, data, results, output, toys, observed)


def unquoted(_: click.Context, __: click.Parameter, value: Any) -> Any:
    """Texts without the quotes that MLflow puts around them for a shell.

    On Kubernetes there is none, and they would stay.
    """
    if isinstance(value, tuple):
        return tuple(map(unquote, value))
    return unquote(value)


def unquote(text: str) -> str:
    """What a shell makes of a text in quotes; any other text as it is."""
    return "".join(shlex.split(text)) if text.startswith("'") else text


@main.command()
@click.argument("name", metavar="STEP", type=click.Choice(folder.STEPS))
@click.option("--workdir", required=True, callback=unquoted, help="Work directory, as of run.")
@click.option(
    "--analysis",
    default="inputs/wbf",
    show_default=True,
    callback=unquoted,
    help="An analysis file or a folder with an input.yml.",
)
@click.option("--njobs", type=int, default=6, show_default=True, help="Jobs that share the events.")
@click.option(
    "--ntrainsamples", type=int, default=1, show_default=True, help="Ensemble members per method."
)
@click.option(
    "--index", default=folder.ALL, show_default=True, help="Job of pythia, delphes, toys, from 0."
)
@click.option("--method", default=folder.ALL, show_default=True, help="Method to train, evaluate.")
@click.option("--member", default=folder.ALL, show_default=True, help="Ensemble member, from 0.")
@click.option("--set", "changes", multiple=True, callback=unquoted, help=SET_HELP)
@click.option("--observed", default="", callback=unquoted, help=OBSERVED_HELP)
def step(
    name: str,
    workdir: str,
    analysis: str,
    njobs: int,
    ntrainsamples: int,
    index: str,
    method: str,
    member: str,
    changes: tuple[str, ...],
    observed: str,
) -> None:
    """Run one STEP in a work directory, where its inputs are found and its products go.

    The folders are those of `run`. A step that is done for every job, method or member of an
    ensemble is done for all of them, or for the one that is named. A change of a setting to nan is
    none.
    """
    from madminer_workflow import tracking

    order = folder.Order(
        Path(analysis), njobs, ntrainsamples, index, method, member, changes, observed.strip()
    )
    commands = folder.commands(name, Path(workdir), order)
    several = tracking.followed(Path(workdir), {"step": name}, None, warn, whole=False)
    with several if len(commands) > 1 else nullcontext() as record:
        os.environ.update(tracking.step_environment(record))
        for arguments in commands:
            main.commands[name].main(arguments[1:], prog_name=name, standalone_mode=False)


@main.command()
@click.option(
    "--sync", "place", type=DIRECTORY, required=True, help="A work directory, or a step's."
)
@click.option("--tracking-uri", help=TRACKING_HELP)
def track(place: Path, tracking_uri: str | None) -> None:
    """Upload the records of runs that their tracking server has not got yet.

    Finds them anywhere below the directory; what was uploaded before is not uploaded again.
    """
    from madminer_workflow.tracking import target
    from madminer_workflow.tracking.sync import sync

    wanted = target(tracking_uri)
    if wanted is None:
        raise click.UsageError("where to? Give --tracking-uri or set MLFLOW_TRACKING_URI")
    complete, pending = sync(place, wanted.uri)
    click.echo(f"{complete} runs uploaded to {wanted.uri}")
    if pending:
        click.echo(f"{pending} runs have not ended: what they have is uploaded")


@main.command()
@click.argument("file", type=FILE)
@data_option
@click.option(
    "--workdir",
    type=DIRECTORY,
    help="Directory for trials and results.  [default: runs/<folder of FILE>-<name of FILE>]",
)
@click.option("--fresh", is_flag=True, help="Forget all trials and start anew.")
@click.option("--tracking-uri", help=TRACKING_HELP)
def sweep(
    file: Path, data: Path, workdir: Path | None, fresh: bool, tracking_uri: str | None
) -> None:
    """Search settings of a method, as the sweep FILE says.

    Every trial draws samples if its settings need others, trains an ensemble and evaluates it;
    events are never generated. The best trial is that of the lowest validation loss among those
    whose diagnostics pass. The same command goes on with a sweep that was interrupted. Writes
    best.json, trials.csv and plots/.
    """
    from madminer_workflow.sweep import run_sweep

    workdir = workdir or Path("runs") / f"{file.absolute().parent.name}-{file.stem}"
    try:
        best = run_sweep(file, data, workdir, fresh, tracking_uri)
    except KeyboardInterrupt:
        sys.exit(130)
    if not best["believed"]:
        warn(f"no trial passes its diagnostics; the best of them all: {best['reason']}")
    click.echo(f"Best: trial {best['trial']}, validation loss {best['validation_loss']:.6g}")
    changes = " ".join(best["set"])
    click.echo(f"Use it: madminer-workflow run {best['analysis']} --set '{changes}'")
    click.echo(f"Settings and more: {workdir / 'best.json'}, trials.csv, plots")
