"""Finished runs looked at: ``plot`` draws their figures again, ``compare`` shows two of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from madminer_workflow.cli.commands import Place
from madminer_workflow.errors import InputError

RUN = click.Path(exists=True, file_okay=False, path_type=Path)


def words(_: click.Context, __: click.Parameter, value: str) -> list[str]:
    """The words that commas separate."""
    return [word for word in map(str.strip, value.split(",")) if word]


@contextmanager
def value_of(option: str) -> Iterator[None]:
    """Let errors in the block say which option has the wrong value."""
    try:
        yield
    except InputError as error:
        lines = str(error).splitlines()
        raise InputError("\n".join(f"{option}: {line}" for line in lines)) from None


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--methods",
    default="",
    callback=words,
    help="Methods to draw, such as sally,alices.  [default: all]",
)
@click.option(
    "--figures",
    default="",
    callback=words,
    help="Names of figures in plots/, separated by commas.  [default: all]",
)
@click.option("--style", help="A matplotlib style: a file, or a name such as ggplot.")
@click.option(
    "--output",
    type=Place(file_okay=False, path_type=Path),
    help="Folder for the figures, new or empty.  [default: <name of RUN>-plots]",
)
def plot(
    run: Path, methods: list[str], figures: list[str], style: str | None, output: Path | None
) -> None:
    """Redraw the figures of a finished run, for selected methods or in your own style.

    RUN is a work directory; nothing in it is changed. Figures are written as PNG and PDF.
    """
    from madminer_workflow.report.redrawing import figures_of, redraw, settings, subset
    from madminer_workflow.report.results import read_report

    place = run.resolve()
    output = output or Path(f"{place.name}-plots")
    if output.resolve() == place or output.resolve().is_relative_to(place):
        raise InputError(f"{output}: is in the run; choose another folder with --output")
    if output.is_dir() and any(output.iterdir()):
        raise InputError(f"{output}: is not empty; choose another folder with --output")
    report = read_report(run / "ml" / "plotting" / "results.json")
    with value_of("--methods"):
        report = subset(report, methods) if methods else report
    with value_of("--figures"):
        chosen = figures_of(report, figures)
    with value_of("--style"):
        look = settings(style) if style else {}
    redraw(chosen, output, look)
    click.echo(f"{output}: {len(chosen)} figures")


@click.command()
@click.argument("run1", type=RUN)
@click.argument("run2", type=RUN)
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def compare(run1: Path, run2: Path, as_json: bool) -> None:
    """Compare two runs: differences in limits, settings, inputs and versions.

    RUN1 and RUN2 are work directories of finished runs.
    """
    import msgspec

    from madminer_workflow.compare import as_text, compare_runs

    difference = compare_runs(run1, run2)
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(difference, order="deterministic")).decode()
        click.echo(text)
    else:
        click.echo(as_text(difference))
