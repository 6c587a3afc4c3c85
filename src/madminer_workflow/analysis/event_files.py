"""The event files of an analysis: found by pattern, checked by how they begin, and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from glob import escape, glob
from pathlib import Path
from typing import Any, get_args

import msgspec

from madminer_workflow.analysis import hepmc_files
from madminer_workflow.analysis.event_file_names import LHE, is_hepmc, is_table
from madminer_workflow.analysis.lhe_files import (
    LHEStart,
    count_events,
    estimate_events,
    read_start,
)
from madminer_workflow.analysis.problems import Entry, Finding, KeyPath
from madminer_workflow.analysis.sound import Sound
from madminer_workflow.analysis.tables import checks, open_table
from madminer_workflow.analysis.types import (
    Analysis,
    FilesProcess,
    Parameter,
    PDFVariation,
    ScaleVariation,
    TrainedMethod,
)
from madminer_workflow.analysis.varied_weights import weights_of
from madminer_workflow.analysis.weight_columns import columns, varied_columns
from madminer_workflow.errors import InputError
from madminer_workflow.files import natural_order
from madminer_workflow.regular import what_else

LARGEST_NEGATIVE_SHARE = 0.01
"""Of weights that methods leave out that draw events; what rounding makes is far below."""

EXACT = 5_000_000
"""Up to so many bytes of a sample are read to count its events; of more, the start only."""


def found(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """The files that ``patterns`` name in ``folder``, each once, those of a pattern in order.

    A folder stands for the event files in it. Raises InputError for a pattern that finds nothing.
    """
    files: dict[Path, None] = {}
    for pattern in patterns:
        places = _places(folder, pattern)
        inside = [path for place in places for path in _inside(place)]
        if not inside:
            what = "contains no event files" if places else "there is no such file"
            raise InputError(
                f"{folder / pattern}: {what}; expected files named {', '.join(LHE)}, or a "
                "pattern for tables such as ntuples/*.root"
            )
        files.update(dict.fromkeys(inside))
    return list(files)


def _places(folder: Path, pattern: str) -> list[Path]:
    try:
        if (folder / pattern).exists():
            return [folder / pattern]
        root = "" if Path(pattern).is_absolute() else f"{escape(str(folder))}/"
        return sorted(map(Path, glob(f"{root}{pattern}", recursive=True)), key=natural_order)
    except (OSError, ValueError):
        # No file can have such a name.
        return []


def _inside(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    paths = (path for path in place.iterdir() if path.name.endswith(LHE))
    return sorted(paths, key=natural_order)


def check(path: KeyPath, process: Entry, sound: Sound, folder: Path) -> Iterator[Finding]:
    """Find what is wrong with the files of a process, by what they say before their events."""
    parameters, benchmarks = sound.get("parameters"), sound.get("benchmarks")
    theory = None
    if parameters is not None and benchmarks is not None and sound.parameters:
        needed = [*map(_parameter, parameters)]
        if all(set(point) == set(sound.parameters) for point in benchmarks.values()):
            theory = needed, benchmarks
    varied = _varied(process, sound)
    seen: dict[Path, str] = {}
    for sampled, patterns in process["files"].items():
        for i, pattern in enumerate(patterns):
            key = (*path, "files", sampled, i)
            try:
                files = found(folder, [pattern])
            except InputError as error:
                yield Finding(key, str(error))
                continue
            for file in files:
                if file in seen and seen[file] != sampled:
                    yield Finding(key, f"{file} is already listed under {seen[file]}")
                seen.setdefault(file, sampled)
                if is_table(pattern):
                    yield from checks.of_file(path, key, file, sampled, process, varied, sound)
                else:
                    yield from _start(key, file, sampled, process, theory, varied)
    yield from _negative(process, sound, folder)


def _negative(process: Entry, sound: Sound, folder: Path) -> Iterator[Finding]:
    """Warn of what draws events by their weights if many of these are negative."""
    drawing = {kind.__struct_config__.tag for kind in get_args(TrainedMethod)}
    for sampled, patterns in process["files"].items():
        with suppress(InputError):
            file = found(folder, patterns)[0]
            share = (
                checks.negative(file, sampled, process)
                if is_table(file.name)
                else _negative_share(file)
            )
            if share <= LARGEST_NEGATIVE_SHARE:
                continue
            if sound.get("ml", "limits", "toys", "n_toys"):
                message = (
                    f"toys are drawn in proportion to positive weights, but {share:.0%} of the "
                    f"first weights in {file.name} ({sampled}) are negative: the toys would give "
                    "the coverage for a different density; leave toys out"
                )
                yield Finding(("ml", "limits", "toys", "n_toys"), message, warning=True)
            for path, method in sound.entries("ml", "methods"):
                if method["method"] in drawing:
                    message = (
                        f"draws events in proportion to positive weights, but {share:.0%} of the "
                        f"first weights in {file.name} ({sampled}) are negative; polynomial and "
                        "histogram can use negative weights"
                    )
                    yield Finding((*path, "method"), message, warning=True)


def _negative_share(file: Path) -> float:
    if is_hepmc(file.name):
        return hepmc_files.negative_share(hepmc_files.read_start(file))
    return read_start(file).negative


def scale_and_pdf(process: Entry, sound: Sound) -> Iterator[ScaleVariation | PDFVariation]:
    """The uncertainties of a process, in the sound part of a file, that need varied weights."""
    kinds: dict[str, type[ScaleVariation | PDFVariation]] = {
        "scale": ScaleVariation,
        "pdf": PDFVariation,
    }
    for _, entry in sound.entries("systematics"):
        if entry["effect"] not in kinds or entry["systematic_name"] not in process["systematics"]:
            continue
        varied = [factor for factor in entry.get("scale_variations", ()) if factor != 1.0]
        # Another number of factors is reported where they are listed.
        if entry["effect"] == "pdf" or len(varied) in (1, 2):
            yield msgspec.convert(entry, kinds[entry["effect"]])


def _varied(process: Entry, sound: Sound) -> dict[str, dict[str, str | int]]:
    """The weights of the uncertainties that they are right for; the others are reported."""
    varied = {}
    for systematic in scale_and_pdf(process, sound):
        with suppress(InputError):
            weights = weights_of(systematic, process["variations"])
            varied[systematic.systematic_name] = weights
    return varied


def _parameter(entry: Entry) -> Parameter:
    fields = [field.name for field in msgspec.structs.fields(Parameter)]
    return msgspec.convert({name: entry[name] for name in fields}, Parameter)


def _start(
    key: KeyPath,
    file: Path,
    sampled: str,
    process: Entry,
    theory: tuple[list[Parameter], dict[str, Any]] | None,
    varied: Mapping[str, Mapping[str, str | int]],
) -> Iterator[Finding]:
    if other := what_else(file):
        yield Finding(key, f"{file} is {other}; expected an event file")
        return
    if is_table(file.name):
        yield Finding(key, f"{file} is a table: the pattern must end with *{file.suffix}")
        return
    if is_hepmc(file.name):
        if not is_hepmc(str(process["files"][sampled][key[-1]])):
            message = f"{file} is a HepMC file: the pattern must end with .hepmc or .hepmc.gz"
            yield Finding(key, message)
            return
    elif not file.name.endswith(LHE):
        yield Finding(key, f"{file}: expected an event file, {' or '.join(LHE)}")
        return
    try:
        start = _read_start(file)
        if start.cross_section is None and sampled not in process["cross_section"]:
            where = "its first event" if is_hepmc(file.name) else "<init>"
            message = (
                f"{file}: {where} has no cross-section above 0, or its error is not smaller; "
                "give it under `cross_section`"
            )
            yield Finding(key, message)
        if theory is not None and sampled in theory[1]:
            parameters, benchmarks = theory
            background = process["is_background"]
            points = {sampled: benchmarks[sampled]} if background else benchmarks
            columns(start, points, parameters, process["weights"], sampled)
        varied_columns(start, varied)
    except InputError as error:
        yield Finding(key, str(error))


def _read_start(file: Path) -> LHEStart:
    if not is_hepmc(file.name):
        return read_start(file)
    start = hepmc_files.read_start(file)
    return hepmc_files.as_lhe(start, start.first.cross_section)


def counted(analysis: Analysis, folder: Path, exactly: bool = False) -> Analysis:
    """The analysis with the numbers of events in its files, which lie in ``folder``.

    Those of large samples are estimates unless they are to be counted ``exactly``. Raises
    InputError for files that are missing or damaged.
    """
    processes = []
    for process in analysis.processes:
        if isinstance(process, FilesProcess):
            numbers = {}
            for sampled, patterns in process.files.items():
                files = found(folder, patterns)
                whole = exactly or sum(file.stat().st_size for file in files) <= EXACT
                counting = _counting_rows(process.table) if process.has_tables else _counting(whole)
                numbers[sampled] = sum(map(counting, files))
            process = msgspec.structs.replace(process, events=numbers)
        processes.append(process)
    return msgspec.structs.replace(analysis, processes=tuple(processes))


def hepmc_versions(analysis: Analysis, folder: Path) -> set[int]:
    """The versions of HepMC, 2 or 3, of the event files that an analysis in a ``folder`` has."""
    return {
        hepmc_files.read_start(file).version
        for process in analysis.processes
        if isinstance(process, FilesProcess) and process.has_hepmc
        for patterns in process.files.values()
        for file in found(folder, patterns)
    }


def _counting(exactly: bool) -> Callable[[Path], int]:
    def counting(file: Path) -> int:
        if is_hepmc(file.name):
            return (hepmc_files.count_events if exactly else hepmc_files.estimate_events)(file)
        return (count_events if exactly else estimate_events)(file)

    return counting


def _counting_rows(table: str | None) -> Callable[[Path], int]:
    return lambda file: open_table(file, table).n_events


def packed_places(
    name: str, files: Mapping[str, Sequence[str]], folder: Path
) -> dict[str, dict[str, Path]]:
    """The files of the process ``name`` in ``folder``, by benchmark and place in ``Models.tar.gz``.

    Places begin with what no model is called.
    """
    return {
        sampled: {
            f"{name}.events/{sampled}/{number:05d}.{file.name}": file
            for number, file in enumerate(found(folder, patterns))
        }
        for sampled, patterns in files.items()
    }
