"""What MLflow is for: ``track`` uploads records, ``sweep`` searches settings."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from madminer_workflow.analysis import place as places
from madminer_workflow.cli.commands import (
    DIRECTORY,
    FILE,
    TRACKING_HELP,
    Place,
    allow_large_option,
    warn,
)
from madminer_workflow.stopping import exit_code


@click.command()
@click.option(
    "--sync", "place", type=DIRECTORY, required=True, help="A work directory, or that of a step."
)
@click.option("--tracking-uri", help=TRACKING_HELP)
def track(place: Path, tracking_uri: str | None) -> None:
    """Upload records of runs that the tracking server does not have yet.

    The command searches the directory and its subfolders. It uploads nothing twice.
    """
    from madminer_workflow.tracking import target
    from madminer_workflow.tracking.upload import sync
    from madminer_workflow.tracking.uri import shown

    wanted = target(tracking_uri)
    if wanted is None:
        raise click.UsageError("no tracking server; give --tracking-uri or set MLFLOW_TRACKING_URI")
    complete, pending = sync(place, wanted.uri)
    click.echo(f"{complete} runs uploaded to {shown(wanted.uri)}")
    if pending:
        click.echo(f"{pending} runs have not finished: their records so far are uploaded")


@click.command()
@click.argument("file", type=Place(exists=True, path_type=Path))
@click.option("--data", type=FILE, required=True, help="MadMiner data file `combined_delphes.h5`.")
@click.option(
    "--workdir",
    type=DIRECTORY,
    help="Directory for trials and results.  [default: runs/<folder of FILE>-<name of FILE>]",
)
@click.option("--fresh", is_flag=True, help="Delete all trials and start from scratch.")
@allow_large_option
@click.option("--tracking-uri", help=TRACKING_HELP)
def sweep(
    file: Path,
    data: Path,
    workdir: Path | None,
    fresh: bool,
    allow_large: bool,
    tracking_uri: str | None,
) -> None:
    """Search for the best settings of a method, as defined in the sweep FILE.

    FILE is a sweep file, or a folder with a sweep.yml or a single other sweep file.

    Every trial draws new samples if its settings require them, trains an ensemble and evaluates
    it; no events are generated. The best trial has the lowest validation loss of those that pass
    their diagnostics. The same command continues an interrupted sweep. Writes best.json,
    trials.csv and plots/.
    """
    from madminer_workflow.sweep.run import run_sweep

    file = places.sweep_file(file)
    workdir = workdir or Path("runs") / f"{file.absolute().parent.name}-{file.stem}"
    try:
        best = run_sweep(file, data, workdir, fresh, tracking_uri, allow_large=allow_large)
    except KeyboardInterrupt as error:
        sys.exit(exit_code(error))
    if not best.believed:
        warn(f"no trial passes its diagnostics; the best one fails because: {best.reason}")
    click.echo(f"Best: trial {best.trial}, validation loss {best.validation_loss:.6g}")
    changes = " ".join(best.changes)
    click.echo(f"Use it: madminer-workflow run {best.analysis} --set '{changes}'")
    click.echo(f"Settings and more: {workdir / 'best.json'}, trials.csv, plots")
