"""The record of a run: ``crate`` makes one file of it, ``rerun`` repeats what it says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from madminer_workflow.cli.commands import (
    DIRECTORY,
    allow_large_option,
    on_option,
    warn,
    workers_option,
)
from madminer_workflow.cli.run import whole_cost
from madminer_workflow.stopping import exit_code


@click.command()
@click.argument("workdir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.  [default: WORKDIR.zip]",
)
def crate(workdir: Path, output: Path | None) -> None:
    """Pack a finished run with its record into one zip file.

    The file is a Workflow Run RO-Crate with the inputs, results and software versions of the run,
    from which `rerun` can repeat it. Identical files give identical bytes.
    """
    from madminer_workflow.engines.rerun import pack_crate

    place = workdir.resolve()
    output = output or place.with_name(f"{place.name}.zip")
    number = pack_crate(workdir, output)
    click.echo(f"{output}: {number} files and their record")


@click.command()
@click.argument("crate", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--workdir",
    type=DIRECTORY,
    help="Directory for the results, new or empty.  [default: runs/<name of the crate>-rerun]",
)
@click.option(
    "--other-versions",
    is_flag=True,
    help="Continue even if the installed versions differ from those of the run.",
)
@workers_option
@on_option
@click.option("--step-timeout", type=float, metavar="MINUTES", help="As for run.")
@allow_large_option
def rerun(crate: Path, workdir: Path | None, allow_large: bool, **options: Any) -> None:
    """Repeat the run recorded in CRATE, and compare all its files.

    CRATE is the work directory of a finished run, or a zip file made by `crate`. Nothing runs if
    a file does not match the record, or if versions differ. Exit codes: 0 if everything is
    reproduced byte by byte, 1 if a file differs; differing files are named.
    """
    from madminer_workflow.engines.rerun import Repetition
    from madminer_workflow.engines.rerun import rerun as repeat

    workdir = workdir or Path("runs") / f"{crate.resolve().stem}-rerun"
    try:
        how = Repetition(workdir, **options)
        number = repeat(crate, how, warn, check=lambda order: whole_cost(order, allow_large))
    except KeyboardInterrupt as error:
        sys.exit(exit_code(error))
    click.echo(f"Reproduced: all {number} files in {workdir} are equal to those in {crate}")
