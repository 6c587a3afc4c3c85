"""``new``: a folder with an analysis to start one's own from."""

from __future__ import annotations

from pathlib import Path

import click

from madminer_workflow.cli.commands import Place


@click.command()
@click.argument("folder", metavar="NAME", type=Place(path_type=Path))
@click.option(
    "--from",
    "start",
    type=click.Choice(["wbf", "madgraph", "files"]),
    default="wbf",
    show_default=True,
    help="Starting point. wbf: the built-in generator, ready to run. madgraph: a process and cards "
    "for MadGraph. files: existing events, with example LHE files.",
)
def new(folder: Path, start: str) -> None:
    """Create a folder with a small analysis to start from.

    NAME is the folder, new or empty. Its input.yml is valid, has a comment on every section, and
    runs with the printed command.
    """
    from madminer_workflow.scaffold import new_analysis

    click.echo(new_analysis(folder, start))
    click.echo(f"    madminer-workflow validate {folder}")
    click.echo(f"    madminer-workflow run {folder}")
