"""``export``: the events of a run, for others."""

from __future__ import annotations

from pathlib import Path

import click

from madminer_workflow.errors import InputError


@click.command()
@click.argument("workdir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
def export(workdir: Path, output: Path) -> None:
    """Write the generated events of a run in WORKDIR as LHE files into OUTPUT.

    There is one file per process and sampling benchmark, with weights at all benchmarks, in the
    format that `generator: files` reads.
    """
    from madminer_workflow.files import natural_order
    from madminer_workflow.physics.export import export_events

    archives = sorted(workdir.glob("physics/pythia_*/Events.tar.gz"), key=natural_order)
    if not archives:
        raise InputError(
            f"{workdir}: there is no physics/pythia_*/Events.tar.gz; expected the directory of a "
            "run that has generated events"
        )
    for file, n_events in export_events(archives, output).items():
        click.echo(f"{file}: {n_events} events")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def inspect(file: Path, as_json: bool) -> None:
    """Show the contents of FILE: events, weights with parameter points, particles or branches.

    FILE can be LHE, HepMC, ROOT, MadMiner's HDF5, or an archive written by a step. For LHE files,
    the command also prints lines to paste into an analysis file.
    """
    import msgspec

    from madminer_workflow import inspection
    from madminer_workflow.inspection.summary import as_text

    summary = inspection.inspect(file)
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(summary, order="deterministic")).decode()
        click.echo(text)
    else:
        click.echo(as_text(summary), nl=False)
