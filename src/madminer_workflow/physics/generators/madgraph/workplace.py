"""A private place to run MadGraph in: nothing is asked, opened, downloaded or left behind.

MadGraph reads a configuration in the user's home directory, writes into its own directory and
takes models from ``PYTHONPATH``. Here it gets a home of its own, so that what it does depends on
the analysis only, and works where neither of the two can be written.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madminer_workflow import cores
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import write_json
from madminer_workflow.physics.programs import MadGraph, log_end, madgraph, run_program

_INSIDE = Path(__file__).parent / "inside"

_CONFIGURATION = {
    "auto_update": "0",
    "automatic_html_opening": "False",
    "notification_center": "False",
    "timeout": "1",
    "auto_convert_model": "True",
    "text_editor": "true",
    "eps_viewer": "true",
    "web_browser": "true",
}

_MOST_CORES = 8

_CHECK = """
import json, platform, sys
problem = None
try:
    import six
    import numpy.f2py
    if sys.version_info >= (3, 12):
        import mesonbuild
except ImportError as error:
    problem = str(error)
tag = "-".join([sys.implementation.cache_tag, platform.machine(), platform.system()])
print(json.dumps({"problem": problem, "tag": tag}))
"""


@dataclass(frozen=True)
class Workplace:
    """MadGraph, and a directory that is its home and holds its log."""

    program: MadGraph
    directory: Path
    cores: int

    @staticmethod
    def create(directory: Path, cores: int = 1) -> Workplace:
        """Prepare ``directory``; InputError if MadGraph or its interpreter is not there."""
        workplace = Workplace(madgraph(), directory, cores)
        settings = workplace.home / ".mg5" / "mg5_configuration.txt"
        settings.parent.mkdir(parents=True)
        settings.write_text(workplace.configuration())
        return workplace

    @property
    def home(self) -> Path:
        """The home directory that MadGraph sees."""
        return self.directory / "home"

    @property
    def log(self) -> Path:
        """What MadGraph, the compilers and the generated programs print."""
        return self.directory / "madgraph.log"

    def configuration(self, **more: str) -> str:
        """MadGraph's configuration file: ask, open and download nothing, use ``cores``."""
        parallel = {"run_mode": "2" if self.cores > 1 else "0", "nb_core": str(self.cores)}
        settings = {**_CONFIGURATION, **parallel, **more}
        return "".join(f"{key} = {value}\n" for key, value in settings.items())

    def configure(self, process: Path) -> None:
        """Configure a process that MadGraph wrote."""
        configuration = self.configuration(mg5_path=str(self.program.directory))
        (process / "Cards" / "me5_configuration.txt").write_text(configuration)

    def run_commands(self, commands: Sequence[str]) -> None:
        """Run commands of MadGraph's own language. Its exit code says little: check the result."""
        script = self.directory / "commands.mg5"
        script.write_text("\n".join([*commands, "quit", ""]))
        self.run([self.program.directory / "bin" / "mg5_aMC", script], self.directory)

    def run_inside(
        self,
        script: str,
        instructions: Mapping[str, Any],
        cwd: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run one of the scripts in ``inside`` with MadGraph's interpreter."""
        settings = self.directory / f"{script}.json"
        write_json(settings, instructions)
        self.run([_INSIDE / "run.py", script, settings], cwd, environment)

    def run(
        self,
        command: Sequence[str | Path],
        cwd: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run a Python program with MadGraph's interpreter; StepError with the log's end.

        ``environment`` is added to what all programs get.
        """
        variables = {**self.environment(), **(environment or {})}
        run_program([self.program.python, *command], cwd, self.log, variables)

    def make(self, target: str, directory: Path) -> None:
        """Build ``target`` with ``directory``'s makefile, f2py from MadGraph's interpreter."""
        f2py = f"F2PY={self.program.python} -m numpy.f2py"
        command = ["make", f"-j{self.cores}", target, f2py, "MENUM=2"]
        run_program(command, directory, self.log, self.environment())

    def environment(self) -> dict[str, str]:
        """Variables that differ from this process' own."""
        path = os.pathsep.join([str(self.program.python.parent), os.environ.get("PATH", "")])
        return {
            "HOME": str(self.home),
            "PATH": path,
            "PYTHONPATH": "",
            # MadGraph writes code in the order of its sets.
            "PYTHONHASHSEED": "0",
            "LC_ALL": "C",
            "MPLBACKEND": "agg",
        }

    def failure(self, what: str) -> StepError:
        """The error for something that MadGraph did not do, with the end of its log."""
        return StepError(f"MadGraph {what}; the end of its log:\n{log_end(self.log)}")

    def interpreter(self) -> str:
        """Implementation and machine that compiled modules depend on; InputError if unsuitable."""
        return _interpreter(self.program.python)


@functools.lru_cache(maxsize=4)
def _interpreter(python: Path) -> str:
    answer = subprocess.run(
        [python, "-c", _CHECK], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    try:
        report = json.loads(answer.stdout)
    except json.JSONDecodeError:
        raise InputError(
            f"MG5_PYTHON: {python} cannot be run: {answer.stderr.strip()[-300:]}"
        ) from None
    if report["problem"]:
        raise InputError(
            f"MG5_PYTHON: {python} cannot run MadGraph and compile matrix elements "
            f"({report['problem']}); install six and numpy (and, for Python 3.12 and later, "
            "meson and ninja) for it, or set MG5_PYTHON to another interpreter"
        )
    return report["tag"]


def check_compilers() -> None:
    """InputError unless the programs that build a process are there."""
    missing = [name for name in ("gfortran", "make", "gcc", "strip") if shutil.which(name) is None]
    if missing:
        raise InputError(
            f"{', '.join(missing)}: not found; MadGraph compiles its processes with gfortran and "
            "make: install them (on Debian the packages gfortran and make)"
        )


def available_cores() -> int:
    """Cores to compile and integrate on, no more than eight: memory is for a few programs."""
    return min(cores.available_cores(), _MOST_CORES)
