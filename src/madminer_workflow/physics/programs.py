"""The external programs: where they are, and how they are run.

They are found by environment variables, or all in one directory, ``SOFTWARE_DIR``: MadGraph by
``MG5_DIR`` and its Python interpreter by ``MG5_PYTHON``, Delphes by ``DELPHES_DIR``. What MadGraph
installs itself (``Delphes``, ``HEPTools``) is found inside of it.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from madminer_workflow.analysis.systematics import weight_variations
from madminer_workflow.analysis.types import Analysis
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import checksum

VARIABLES = ("SOFTWARE_DIR", "MG5_DIR", "MG5_PYTHON", "DELPHES_DIR")
LOG_LINES = 20
"""Lines of a log that an error shows."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

_DELPHES_EXECUTABLES = {2: ("DelphesHepMC2", "DelphesHepMC"), 3: ("DelphesHepMC3",)}
"""Those that read a version of HepMC, by preference; showers write version 2."""


@dataclass(frozen=True)
class MadGraph:
    """MadGraph's directory, the interpreter that runs it, and its version."""

    directory: Path
    python: Path
    version: str


def madgraph() -> MadGraph:
    """Find MadGraph; InputError that says which variable to set if it is not there."""
    directory = _find("MadGraph", "MG5_DIR", ("MG5_aMC*",), ("bin/mg5_aMC",)).parents[1]
    name = os.environ.get("MG5_PYTHON", "python3")
    python = shutil.which(name)
    if python is None:
        raise InputError(
            f"MG5_PYTHON: '{name}' is not a Python interpreter; set this environment variable to "
            "the interpreter that runs MadGraph"
        )
    # An interpreter of a virtual environment is a link that must not be resolved.
    return MadGraph(directory, Path(os.path.abspath(python)), _version(directory))


def delphes(hepmc: int | None = None) -> Path:
    """Find Delphes' executable for HepMC files of a version, or of any.

    InputError that says which variable to set if it is not there.
    """
    versions = _DELPHES_EXECUTABLES if hepmc is None else (hepmc,)
    executables = [name for version in versions for name in _DELPHES_EXECUTABLES[version]]
    names = tuple(f"{folder}{name}" for name in executables for folder in ("", "bin/"))
    program = "Delphes" if hepmc is None else f"Delphes for HepMC files of version {hepmc}"
    return _find(program, "DELPHES_DIR", ("Delphes*", "delphes*", "MG5_aMC*/Delphes"), names)


def delphes_cards() -> Path:
    """The directory of the cards that Delphes ships, and of the files that these include."""
    folder = delphes().parent
    return (folder.parent if folder.name == "bin" else folder) / "cards"


def delphes_card(name: str) -> Path:
    """Find a card that Delphes ships; InputError that names the nearest if there is none."""
    cards = delphes_cards()
    shipped = {path.name: path for path in cards.glob("*.tcl")}
    if name not in shipped:
        close = difflib.get_close_matches(name, shipped, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise InputError(f"Delphes has no card '{name}' (looked in {cards}){hint}")
    return shipped[name]


def lhapdf_config() -> Path | None:
    """LHAPDF's ``lhapdf-config``, or None where it is not installed."""
    folders = ("lhapdf*/", "LHAPDF*/", "HEPTools/lhapdf6*/", "")
    for path in _inside([f"{folder}bin/lhapdf-config" for folder in folders]):
        # A source directory has the program, but not the library.
        if any(path.parents[1].glob("lib*/libLHAPDF*")):
            return path
    on_path = shutil.which("lhapdf-config")
    return Path(on_path) if on_path else None


def require_lhapdf() -> Path:
    """LHAPDF's ``lhapdf-config``; InputError that says what to do if it is not there."""
    config = lhapdf_config()
    if config is None:
        raise InputError(
            "scale and PDF uncertainties of MadGraph's events need LHAPDF 6 with its Python "
            "module, and lhapdf-config was not found in MG5_DIR/HEPTools, SOFTWARE_DIR or the "
            "PATH. Install it (MadGraph: 'install lhapdf6'), or leave out these uncertainties: "
            "all others work without it"
        )
    return config


def lhapdf_environment(config: Path) -> dict[str, str]:
    """Variables with which a Python module of LHAPDF finds its library.

    LHAPDF builds the module without the path of the library that it installs beside it.
    """
    folders = sorted({str(path.parent) for path in config.parents[1].glob("lib*/libLHAPDF*")})
    searched = [*folders, os.environ.get("LD_LIBRARY_PATH", "")]
    return {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, searched))}


def missing(analysis: Analysis, hepmc: Collection[int] = ()) -> list[str]:
    """What an analysis needs and is not installed, a message each.

    ``hepmc`` are the versions, 2 or 3, of HepMC files among its event files.
    """
    generated = [process for process in analysis.processes if process.generator == "madgraph"]
    varied = {name for process in generated for name in process.systematics}
    variations = weight_variations(
        entry for entry in analysis.systematics if entry.systematic_name in varied
    )
    needed: dict[Callable[[], object], bool] = {
        madgraph: bool(generated),
        partial(_delphes_for, analysis, hepmc): analysis.detector.delphes_card is not None,
        require_lhapdf: bool(variations),
    }
    messages = []
    for find, is_needed in needed.items():
        try:
            if is_needed:
                find()
        except InputError as error:
            messages.append(str(error))
    return messages


def _delphes_for(analysis: Analysis, hepmc: Collection[int]) -> None:
    """Find Delphes for HepMC files of some versions, and for those that Pythia writes."""
    delphes_cards()
    showered = any(process.pythia8_card is not None for process in analysis.processes)
    for version in sorted({*hepmc, *([2] if showered else [])}):
        delphes(version)


def madgraph_files(models: Iterable[str], compiled: bool) -> list[Path]:
    """Whatever of MadGraph's installation decides what it computes; nothing if there is none.

    That includes these of the ``models`` that it ships and, if processes are to be ``compiled``,
    the compiler.
    """
    try:
        program = madgraph()
    except InputError:
        return []
    folder = program.directory
    parts = ("VERSION", "bin/mg5_aMC", "madgraph", "aloha", "Template/LO", "Template/Common")
    files = [*(folder / part for part in parts), program.python.resolve()]
    files += [folder / "models" / model for model in models]
    lhapdf = lhapdf_config()
    files += [lhapdf] if lhapdf else []
    files += [Path(v).resolve() for v in [shutil.which("gfortran")] if compiled and v]
    return [file for file in files if file.exists()]


def delphes_files() -> list[Path]:
    """Delphes, its libraries and the cards that it ships; nothing if it is not installed."""
    try:
        executable = delphes()
    except InputError:
        return []
    folder = delphes_cards().parent
    libraries = [path for place in (folder, folder / "lib") for path in place.glob("libDelphes.*")]
    names = [name for names in _DELPHES_EXECUTABLES.values() for name in names]
    executables = [executable.with_name(name) for name in names]
    return [file for file in (*executables, *sorted(libraries), delphes_cards()) if file.exists()]


def program_versions(analysis: Analysis) -> dict[str, str]:
    """The versions of the programs that an analysis needs and that are here."""
    known: dict[str, str] = {}
    with suppress(InputError):
        if any(process.generator == "madgraph" for process in analysis.processes):
            known["madgraph5_amc"] = madgraph().version
    with suppress(InputError, OSError):
        if analysis.detector.delphes_card is not None:
            program = delphes()
            told = delphes_cards().parent / "VERSION"
            # What CMake has installed does not say which version it is.
            version = told.read_text().strip() if told.is_file() else f"sha256.{checksum(program)}"
            known["delphes"] = version
    return known


def run_program(
    command: Sequence[str | Path],
    cwd: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    name: str | None = None,
) -> None:
    """Run ``command`` in ``cwd``, without input, and append its output to ``log``.

    ``environment`` is added to this process' own; ``name`` is what errors call the program, if not
    by its file. Raises StepError, with the end of the log, if the program cannot be started or its
    exit code is not zero. Stays in the process group, so that whoever ends this process' group ends
    the program too, and ends the program with all its children when interrupted.
    """
    name = name or Path(command[0]).name
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise StepError(f"{name}: cannot be started ({error.strerror}): {command[0]}") from None
        try:
            code = process.wait()
        except BaseException:
            _end(process)
            raise
    if code != 0:
        ended = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise StepError(f"{name} {ended}; the end of its log:\n{log_end(log)}")


def log_end(log: Path) -> str:
    """The last lines of a log, for an error message."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return "  (there is no log)"
    plain = _COLOURS.sub("", text)
    shown = [line.rstrip() for line in plain.splitlines() if line.strip()][-LOG_LINES:]
    return "\n".join(f"  {line}" for line in shown) or "  (the log is empty)"


def _find(program: str, variable: str, folders: Sequence[str], names: Sequence[str]) -> Path:
    """The first of ``names`` in the directory that ``variable`` or ``SOFTWARE_DIR`` gives."""
    chosen = os.environ.get(variable)
    if chosen:
        searched = [Path(chosen)]
    elif variable == "DELPHES_DIR" and os.environ.get("MG5_DIR"):
        searched = [Path(os.environ["MG5_DIR"]) / "Delphes", *_software(folders)]
    else:
        searched = _software(folders)
    for directory in searched:
        for name in names:
            if (directory / name).is_file():
                return (directory / name).absolute()
    expected = " or ".join(names)
    if chosen:
        raise InputError(f"{variable}: {chosen} does not contain {program} (it has no {expected})")
    software = os.environ.get("SOFTWARE_DIR")
    where = f"; SOFTWARE_DIR, {software}, does not contain it" if software else ""
    raise InputError(
        f"{program} is needed and was not found{where}. Set {variable} to its directory (which "
        f"contains {expected}), or SOFTWARE_DIR to a directory with {folders[0]}"
    )


def _software(folders: Sequence[str]) -> list[Path]:
    """Directories inside ``SOFTWARE_DIR`` that match, the highest version first."""
    software = os.environ.get("SOFTWARE_DIR")
    if not software:
        return []
    return [path for f in folders for path in sorted(Path(software).glob(f), reverse=True)]


def _inside(patterns: Sequence[str]) -> Iterator[Path]:
    """Files that match in the directories of MadGraph and ``SOFTWARE_DIR``."""
    roots = [Path(os.environ[v]) for v in ("MG5_DIR", "SOFTWARE_DIR") if os.environ.get(v)]
    roots += _software(("MG5_aMC*",))
    for root in roots:
        for pattern in patterns:
            for path in sorted(root.glob(pattern), reverse=True):
                if path.is_file():
                    yield path.absolute()


def _version(directory: Path) -> str:
    try:
        text = (directory / "VERSION").read_text()
    except OSError:
        text = ""
    version = re.search(r"version\s*=\s*(\S+)", text)
    if version is None:
        raise InputError(f"{directory}: has no file with the version of MadGraph (VERSION)")
    return version.group(1)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all its children and theirs."""
    with suppress(psutil.NoSuchProcess):
        program = psutil.Process(process.pid)
        for child in [*program.children(recursive=True), program]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                child.kill()
    process.wait()
