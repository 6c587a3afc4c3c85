"""The command line: ``main`` and its commands, one module a group of them.

Imports of what they do are deferred to the commands, so that help and validation are instant.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from madminer_workflow import __version__
from madminer_workflow.cli import (
    completion,
    convert,
    crate,
    events,
    kubernetes,
    looking,
    new,
    run,
    steps,
    tracking,
)
from madminer_workflow.cli.commands import Commands


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
    help="Change to this directory first; file names are relative to it.",
)
def main(directory: Path) -> None:
    """From one analysis file to publication-grade limits with MadMiner.

    `run` runs the whole workflow; the steps are also separate commands. Exit codes: 2 for bad
    input, 1 if a step failed.
    """
    os.chdir(directory)


for command in (
    *(new.new, convert.convert, run.validate, run.run, *steps.STEPS, run.step),
    *(looking.plot, looking.compare, crate.crate, crate.rerun, events.export, events.inspect),
    *(tracking.track, tracking.sweep, kubernetes.kubernetes, completion.completion),
):
    main.add_command(command)
