"""What computes a step beside this package's code: packages, programs, and variables.

An upgrade of any of them makes the steps run again that use it, and only these; where it is
installed does not matter.
"""

from __future__ import annotations

import platform
import re
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from madminer_workflow.analysis.madgraph_cards import read_process_card
from madminer_workflow.analysis.types import MadGraphProcess, Process
from madminer_workflow.errors import InputError
from madminer_workflow.physics.programs import delphes_files, madgraph_files
from madminer_workflow.products import parts, processes

_READING = threading.Lock()
"""For the engine's threads: msgspec learns a type at its first use, and two at once crash it."""

_DISTRIBUTIONS = {"yaml": "pyyaml", "PIL": "pillow"}
"""Distributions that are not called like what they install."""

_NOT_COMPUTING = {
    *("attrs", "cachetools", "filelock", "fsspec", "importlib-metadata", "jinja2", "markupsafe"),
    *("matplotlib", "mpmath", "networkx", "packaging", "python-dateutil", "setuptools", "six"),
    *("sympy", "typing-extensions", "zipp"),
}
"""What others require, but not for numbers; where our code imports one itself, it does count."""

_NEVER = {"psutil"}
"""What only looks after processes."""

_VARIABLES: Mapping[str, Sequence[str]] = {
    "numpy": (
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE"),
        *("MKL_CBWR", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"),
    ),
    "torch": ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
    "pythia8mc": ("PYTHIA8DATA",),
    "matplotlib": ("SOURCE_DATE_EPOCH",),
}
"""Variables that change numbers, by the package that reads them. Those of programs: programs.py."""

VARIABLES = frozenset(name for names in _VARIABLES.values() for name in names)


def surroundings(packages: Collection[str], variables: Mapping[str, str]) -> dict[str, str]:
    """Python, the versions of ``packages`` and of what they require, and what they are told.

    ``packages`` are names of imports, ``variables`` is the environment of the step.
    """
    told = [variable for package in packages for variable in _VARIABLES.get(package, ())]
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": platform.machine(),
        **versions(packages),
        **{name: variables[name] for name in sorted(told) if name in variables},
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of the distributions behind imports of ``packages``, and of all they require."""
    direct = {_normal(_DISTRIBUTIONS.get(name, name)) for name in packages} - _NEVER
    known: dict[str, str] = {}
    waiting = set(direct)
    while waiting:
        name = waiting.pop()
        if name in known or (name in _NOT_COMPUTING and name not in direct):
            continue
        installed, required = _distribution(name)
        if installed:
            known[name] = installed
            waiting.update(required)
    return dict(sorted(known.items()))


@cache
def _distribution(name: str) -> tuple[str, list[str]]:
    """The version of a distribution and what it requires; nothing if it is not installed."""
    try:
        found, wanted = version(name), requires(name) or []
    except PackageNotFoundError:
        return "", []
    required = [line for line in wanted if "extra" not in line.partition(";")[2]]
    return found, [_normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in required]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def program_files(step: str, inputs: Iterable[Path]) -> list[Path]:
    """The files of external programs that the step runs for these ``inputs``, if it runs any.

    Only what an analysis asks for counts: whoever installs MadGraph later computes nothing anew.
    """
    readers = {
        ("generate", parts.GENERATION): _of_generate,
        ("pythia", processes.ARCHIVE): _of_pythia,
        ("delphes", parts.RECONSTRUCTION): _of_delphes,
    }
    known = [(readers.get((step, file.name)), file) for file in dict.fromkeys(inputs)]
    try:
        with _READING:
            return [used for reader, file in known if reader for used in reader(file)]
    except InputError:
        # The step will say what is wrong with its input.
        return []


def _of_generate(file: Path) -> list[Path]:
    analysed = parts.read_generation(file).processes
    return _madgraph(analysed, compiled=True)


def _of_pythia(archive: Path) -> list[Path]:
    return _madgraph(_integrated(archive, archive.stat().st_mtime_ns), compiled=False)


@cache
def _integrated(archive: Path, _changed: int) -> list[Process]:
    """The processes in an archive, which is read once for all jobs."""
    return [integrated.process for integrated in processes.peek(archive)]


def _of_delphes(file: Path) -> list[Path]:
    card = parts.read_reconstruction(file).detector.delphes_card
    return delphes_files() if card else []


def _madgraph(analysed: Iterable[Process], compiled: bool) -> list[Path]:
    ours = [process for process in analysed if isinstance(process, MadGraphProcess)]
    shipped = [process for process in ours if process.ufo_model is None and compiled]
    models = [read_process_card(p.proc_card, p.name).model for p in shipped]
    return madgraph_files(models, compiled) if ours else []
