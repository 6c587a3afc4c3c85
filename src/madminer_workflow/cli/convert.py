"""``convert``: analyses of the predecessor of this workflow."""

from __future__ import annotations

from pathlib import Path

import click

from madminer_workflow.cli.commands import DIRECTORY, FILE, warn


@click.command()
@click.argument("ph_input", type=FILE)
@click.argument("ml_input", type=FILE)
@click.option(
    "--output", type=DIRECTORY, required=True, help="Folder for the analysis, new or empty."
)
def convert(ph_input: Path, ml_input: Path, output: Path) -> None:
    """Merge the two files of madminer-workflow-ph and -ml into one analysis.

    PH_INPUT and ML_INPUT are their workflow/input.yml. The command lists every setting that no
    longer has a meaning, or that was set elsewhere.
    """
    from madminer_workflow.conversion import convert as converted
    from madminer_workflow.conversion import write

    done = converted(ph_input, ml_input, output.resolve().name)
    file = write(done, output)
    for note in done.notes:
        warn(note)
    click.echo(f"{file}: written. Copy the cards (code/cards) into {output / 'cards'}, then:")
    click.echo(f"    madminer-workflow validate {output}")
