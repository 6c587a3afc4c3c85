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

    There is one for each process and benchmark that events were drawn from, with the weights of all
    benchmarks, as `generator: files` reads them.
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
    """Say what FILE holds: events, weights with their points, particles or branches.

    FILE is LHE, HepMC, ROOT, HDF5 of MadMiner, or an archive that a step wrote. Of LHE files there
    is a part of an analysis file to paste.
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
