"""What all commands share: their order, how they fail, and the options of several of them."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from madminer_workflow.cli import output
from madminer_workflow.engines.executors import EXECUTORS
from madminer_workflow.engines.order import NJOBS, NTRAINSAMPLES
from madminer_workflow.errors import InputError, StepError, not_installed
from madminer_workflow.graph import OBSERVED_HELP
from madminer_workflow.regular import what_else
from madminer_workflow.stopping import Stopped, exit_code, stoppable
from madminer_workflow.system_errors import explain, reserve

TRACKING_HELP = (
    "MLflow server or database for tracking; after #, the name of the run to which all steps "
    "belong.  [default: MLFLOW_TRACKING_URI, or no tracking]"
)


class Place(click.Path):
    """A file or directory that has a name: no text at all would be the current directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path of that name."""
        if not os.fspath(value).strip():
            self.fail("is empty; expected the name of a file or directory", param, ctx)
        return super().convert(value, param, ctx)


class RegularFile(click.Path):
    """A file that is there, and not a pipe or a device, which would never end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path of the file."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if other := what_else(path):
            self.fail(f"File '{path}' is {other}; expected a file", param, ctx)
        return path


class On(click.ParamType):
    """An executor, with or without the place that it runs steps in: ``local``, ``name=place``."""

    name = "on"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The same text, if there is such an executor."""
        name, equals, place = value.partition("=")
        if name not in EXECUTORS or (equals and not place.strip()):
            self.fail(
                f"{value!r}: expected one of {', '.join(EXECUTORS)}, optionally as NAME=PLACE",
                param,
                ctx,
            )
        return value


FILE = RegularFile(exists=True, dir_okay=False, path_type=Path)
DIRECTORY = Place(file_okay=False, path_type=Path)
njobs_option = click.option(
    "--njobs", type=int, default=NJOBS, show_default=True, help="Number of jobs for the events."
)
ntrainsamples_option = click.option(
    "--ntrainsamples",
    type=int,
    default=NTRAINSAMPLES,
    show_default=True,
    help="Ensemble members of methods without their own n_estimators.",
)
allow_large_option = click.option(
    "--allow-large",
    is_flag=True,
    help="Accept estimates of memory, disk space or time beyond the limits of this machine.",
)
on_option = click.option(
    "--on",
    type=On(),
    metavar="ENGINE",
    default="local",
    show_default=True,
    help="Where steps run. " + " ".join(f"{name}: {what}" for name, what in EXECUTORS.items()),
)
workers_option = click.option(
    "--workers",
    type=int,
    help="Number of parallel steps.  [default: number of cores; on engines other than local, NJOBS "
    "or the number of threads of a Dask scheduler]",
)
observed_option = click.option("--observed", default="", help=OBSERVED_HELP)


IMPOSSIBLE_NAMES = (errno.ENAMETOOLONG, errno.ELOOP)


class Commands(click.Group):
    """Lists commands in the order of the workflow and reports failures in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which they were added."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with whole sentences, where click cuts them off."""
        rows = [(name, _first_sentence(self.commands[name])) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; exit with 2 for bad input and 1 for a failed step."""
        output.prepare()
        reserve()
        try:
            with stoppable():
                result = super().main(*args, **{**kwargs, "standalone_mode": False})
            if problem := output.lost():
                fail(f"standard output: {problem}", 1)
            sys.exit(result)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(2)
        except click.ClickException as error:
            fail(usage(error), 2)
        except InputError as error:
            fail(str(error), 2)
        except StepError as error:
            fail(str(error), 1)
        except ModuleNotFoundError as error:
            fail(str(not_installed(error)), 2)
        except click.Abort as error:
            if isinstance(error.__cause__, EOFError):
                fail(str(explain(error.__cause__)), 1)
            if isinstance(error.__cause__, Stopped):
                click.echo(f"stopped by {error.__cause__.name}", err=True)
            sys.exit(exit_code(error.__cause__))
        except (OSError, MemoryError, RuntimeError, ImportError) as error:
            message = explain(error)
            if message is None:
                raise
            # A name that no file can have is a wrong input.
            fail(message, 2 if getattr(error, "errno", None) in IMPOSSIBLE_NAMES else 1)


def _first_sentence(command: click.Command) -> str:
    return command.get_short_help_str(limit=1000)


def warn(message: str) -> None:
    """Print a warning."""
    click.echo(f"warning: {message}", err=True)


def fail(message: str, code: int) -> NoReturn:
    """Print what is wrong, one problem per line, and exit."""
    for line in message.splitlines():
        click.echo(f"error: {line}", err=True)
    sys.exit(code)


def usage(error: click.ClickException) -> str:
    """What click has to say about the arguments, in one line."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message}; see {context.command_path} --help" if context else message
