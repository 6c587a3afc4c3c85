"""One subcommand a step, from the table of steps: arguments are checked, and its module works."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from madminer_workflow import graph
from madminer_workflow.cli.commands import DIRECTORY, FILE, TRACKING_HELP, warn


class AnalysisFile(click.Path):
    """An analysis file or its folder, or one that comes with this package if there is none here."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The file of that name."""
        from madminer_workflow.analysis.place import analysis_file
        from madminer_workflow.workflow_files import workflow_files

        path = Path(value)
        if not path.is_absolute() and not path.exists():
            shipped = workflow_files() / path
            path = shipped if shipped.exists() else path
        return FILE.convert(analysis_file(path), param, ctx)


TYPES = {
    "inputfile": AnalysisFile(),
    "njobs": click.INT,
    "ntrainsamples": click.INT,
    "observed": click.STRING,
}
"""What the parameters of the workflow are on the command line; all others are settings."""


class StepCommand(click.Command):
    """A step of the workflow, with the record that tracking keeps of it as its context's object."""

    def __init__(self, step: graph.Step) -> None:
        """Make the command of ``step``."""
        super().__init__(step.name, help=inspect.cleandoc(step.help), callback=self.work)
        self.step = step
        self.params = [_parameter(step, option) for option in step.options]
        self.params += [
            click.Option(
                ["--output"],
                type=DIRECTORY,
                required=True,
                help="Directory for the products; created if it does not exist.",
            ),
            click.Option(["--tracking-uri"], help=TRACKING_HELP),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the step inside its record."""
        from madminer_workflow import tracking

        uri = ctx.params.pop("tracking_uri")
        with tracking.recorded(self.step.name, ctx.params, uri, warn) as ctx.obj:
            return super().invoke(ctx)

    def work(self, **given: Any) -> None:
        """Do what the step does."""
        arguments = {o.argument or o.name: given[o.name] for o in self.step.options}
        if "changes" in arguments:
            # Steps without settings need none of this.
            from madminer_workflow.analysis.changes import split_changes

            arguments["changes"] = split_changes(arguments["changes"])
        record = click.get_current_context().obj
        if self.step.epochs and record:
            arguments["on_epoch"] = lambda epoch, losses: record.metrics(losses, epoch)
        function = getattr(import_module(self.step.module), self.step.name)
        function(**arguments, output=given["output"])


def files_in(ctx: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[Path]:
    """The files that texts name, each one or several that blanks separate, or none."""
    names = [n for text in texts for n in ([text] if Path(text).is_file() else text.split())]
    return [FILE.convert(name, option, ctx) for name in names]


def _parameter(step: graph.Step, option: graph.Option) -> click.Parameter:
    """The option on the command line."""
    if not option.word:
        return click.Argument([option.name], type=FILE, nargs=-1, required=True)
    kind: dict[str, Any] = {"help": option.help}
    if graph.is_list(step, option):
        kind |= {"multiple": True, "callback": files_in}
    elif option.is_product:
        kind |= {"type": FILE, "required": True}
    elif option.source in TYPES:
        kind["type"] = TYPES[option.source]
        if option.required:
            kind["required"] = True
        else:
            kind["default"] = ""
    else:
        kind["multiple"] = True
    return click.Option([option.word], **kind)


STEPS = [StepCommand(step) for step in graph.STEPS.values()]
