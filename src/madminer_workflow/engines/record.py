"""What is written down of every run that ends well: an RO-Crate in its work directory.

``ro-crate-metadata.json`` says what the run was (``provenance.description``), and the folder
``_crate`` holds what it was given, so that the work directory can be repeated as it is. Hashes are
those that the cache knows already. Only times depend on when a run was: those of a step stay as
long as its product does, and a run that finds all of it unchanged leaves its record as it is.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

import madminer_workflow
from madminer_workflow.analysis.cards import IGNORED, mentioned_files
from madminer_workflow.analysis.event_file_names import EVENTS
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.types import Analysis
from madminer_workflow.engines.cache import NOTES, Cache, scratch_directory
from madminer_workflow.engines.code import code_checksum
from madminer_workflow.engines.executors.local import THREADS
from madminer_workflow.engines.surroundings import surroundings
from madminer_workflow.errors import InputError
from madminer_workflow.files import checksum, link, remove_directory, write_json
from madminer_workflow.physics.programs import program_versions
from madminer_workflow.provenance.crate import RUN, Crate, file_id, read_crate
from madminer_workflow.provenance.description import Run, StepRun, Times, document
from madminer_workflow.provenance.entities import METADATA, ids
from madminer_workflow.workflow_files import workflow_files

FOLDER = "_crate"
"""Where a work directory keeps what its run was given."""
INPUTS, WORKFLOW = f"{FOLDER}/inputs", f"{FOLDER}/workflow"
_PARAMETERS = ("inputfile", "data", "njobs", "ntrainsamples", "settings", "observed")
_PACKAGES = {"madminer_workflow", "matplotlib", "numpy", "pythia8mc", "torch"}
"""This package with all that it requires, and those that are told something by variables."""
_OPTIONS = {"settings": "set"}

Identity = tuple[int, int, int]


class Recording:
    """The record of a run, from before its first step on, so that no change of a file is missed."""

    def __init__(self, part: str, workflow: str, parameters: Mapping[str, Any], workdir: Path):
        """Look at the files that the run is given; ``workflow`` is relative to all workflow files.

        ``parameters`` are those of the workflow, with absolute paths. ``given`` has the files of
        the user by their places in the record.
        """
        self._part, self._workdir = part, workdir
        self._workflow = f"{WORKFLOW}/{workflow}"
        self._parameters = {n: str(parameters.get(n, "")).strip() for n in _PARAMETERS}
        self._began = time.time()
        self._files = recorded_workflow()
        self.given, self._places = _given(self._parameters, workdir)
        everything = [*self._files.values(), *self.given.values()]
        self._before = {path: _identity(path) for path in everything}

    def write(self, jobs: Sequence[Any], cache: Cache, warn: Callable[[str], None]) -> None:
        """Write the record of the finished ``jobs`` (``backend.Job``), or say why there is none."""
        try:
            self._write(jobs, cache)
        except (InputError, OSError, UnicodeError) as error:
            # Whatever an earlier run has left says nothing of this one.
            (self._workdir / METADATA).unlink(missing_ok=True)
            warn(f"warning: this run has no record ({METADATA}): {error}")

    def _write(self, jobs: Sequence[Any], cache: Cache) -> None:
        changed = [path for path, before in self._before.items() if _identity(path) != before]
        if changed:
            raise InputError(f"{changed[0]} changed while it was in use")
        previous = _previous(self._workdir)
        run = self._run(jobs, cache, previous)
        if previous and run.times == Times():
            run = replace(run, times=_times(previous, RUN))
        self._keep({**self._files, **self.given}, {**run.workflow_files, **run.given})
        content = document(run)
        if not previous or {e.id: e for e in content.graph} != previous.entities:
            write_json(self._workdir / METADATA, msgspec.to_builtins(content))

    def _run(self, jobs: Sequence[Any], cache: Cache, previous: Crate | None) -> Run:
        analysis = read_analysis(self._parameters["inputfile"], cards=False)
        hashes = {n: cache.file_checksum(p) for n, p in {**self._files, **self.given}.items()}
        steps = [step for job in jobs if (step := self._step(job, cache, previous))]
        nothing_new = previous and all(job.status == "reused" for job in jobs)
        versions = current_versions(analysis)
        machine, environment = versions.pop("machine"), _variables(versions)
        return Run(
            title=analysis.title.encode(errors="replace").decode(),
            command=self._command(),
            workflow=self._workflow,
            workflow_files={name: hashes[name] for name in self._files},
            given={name: hashes[name] for name in self.given},
            parameters={n: self._relative(v) for n, v in self._parameters.items()},
            seed=analysis.seed,
            steps=sorted(steps, key=lambda step: step.name),
            versions={n: v for n, v in versions.items() if n not in environment},
            environment=environment,
            engine_version=versions["yadage"],
            machine=machine,
            image=os.environ.get("MADMINER_WORKFLOW_IMAGE", ""),
            times=Times() if nothing_new else Times(_iso(self._began), _iso(time.time())),
        )

    def _step(self, job: Any, cache: Cache, previous: Crate | None) -> StepRun:
        folder = PurePosixPath(job.target.relative_to(self._workdir))
        key = (job.target / NOTES / "key").read_text().strip()
        made = {str(folder / name): hashed for name, hashed in cache.manifest(key).items()}
        words = shlex.split(job.command)
        used = [self._relative(path) for word in words for path in word.split()]
        step = StepRun(
            name=job.name,
            step=job.stage,
            command=shlex.join(self._told(words)),
            uses=sorted({*self._used(used, job.stage)} - made.keys()),
            made=made,
        )
        if job.status == "done":
            offset = time.time() - time.monotonic()
            return replace(step, times=Times(_iso(job.started + offset), _iso(job.ended + offset)))
        return replace(step, times=_known_times(step, previous))

    def _used(self, paths: Sequence[str], stage: str) -> Iterator[str]:
        """The files among the words of a command, in the crate; with an analysis its cards."""
        for path in paths:
            if path in self.given and stage == "configure":
                yield from (name for name in self.given if name.startswith((f"{INPUTS}/", "file:")))
            elif path in self.given or (self._workdir / path).is_file():
                yield path

    def _told(self, words: Sequence[str]) -> Iterator[str]:
        """The words of a command with paths in the crate, and nothing of where it is tracked."""
        hidden = False
        for word in words:
            if word == "--tracking-uri":
                hidden = True
            elif hidden:
                hidden = False
            else:
                yield " ".join(map(self._relative, word.split(" ")))

    def _relative(self, value: str) -> str:
        """A path as the crate has it; any other text as it is."""
        if value in self._places:
            return self._places[value]
        return value.removeprefix(f"{self._workdir}/")

    def _command(self) -> str:
        told = {n: self._relative(v) for n, v in self._parameters.items() if v}
        words = ["madminer-workflow", "run", told.pop("inputfile"), "--part", self._part]
        for name, value in told.items():
            words += [f"--{_OPTIONS.get(name, name)}", value]
        return shlex.join(words)

    def _keep(self, sources: Mapping[str, Path], hashes: Mapping[str, str]) -> None:
        """Let the folder of the record hold what the run was given."""
        kept = {n: path for n, path in sources.items() if n.startswith(f"{FOLDER}/")}
        folder = self._workdir / FOLDER
        there = {str(p.relative_to(self._workdir)) for p in folder.rglob("*") if p.is_file()}
        if there == kept.keys() and all(checksum(self._workdir / n) == hashes[n] for n in kept):
            return
        with scratch_directory(folder) as scratch:
            for name, source in kept.items():
                copy = scratch / PurePosixPath(name).relative_to(FOLDER)
                copy.parent.mkdir(parents=True, exist_ok=True)
                # Events may be large and are replaced, not changed; all the rest is being edited.
                if name.startswith(f"{FOLDER}/data/") or name.endswith(EVENTS):
                    link(source, copy)
                else:
                    shutil.copyfile(source, copy)
                    if checksum(copy) != hashes[name]:
                        raise InputError(f"{source} changed while it was in use")
            remove_directory(folder)
            scratch.rename(folder)


def current_versions(analysis: Analysis) -> dict[str, str]:
    """What an analysis is computed with here: versions, the machine, and variables, by name."""
    package = Path(madminer_workflow.__file__).parent
    # The code itself, too: between releases one version is many states of it.
    code = f"{madminer_workflow.__version__}+code.{code_checksum(package, None)[:16]}"
    variables = {**dict.fromkeys(THREADS, "1"), **os.environ}
    return {
        **surroundings(_PACKAGES, variables),
        **program_versions(analysis),
        "madminer-workflow": code,
    }


def _variables(versions: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in versions.items() if name.isupper()}


def recorded_workflow() -> dict[str, Path]:
    """All files that describe the workflow, by their places in a crate."""
    root = workflow_files()
    patterns = ("workflow.yml", "workflows/*.yml", "steps/*.yml", "inputs/parameters.yml")
    paths = sorted(path for pattern in patterns for path in root.glob(pattern))
    return {f"{WORKFLOW}/{path.relative_to(root)}": path for path in paths}


def _given(parameters: Mapping[str, str], workdir: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The files that a run is given, by their place in the crate, and the place of each path."""
    file = Path(parameters["inputfile"])
    given = _analysis_files(file)
    places = {str(file): next(iter(given))}
    for name in ("data", "observed"):
        path = Path(parameters[name])
        if parameters[name] and path.is_file():
            inside = path.is_relative_to(workdir)
            place = str(path.relative_to(workdir)) if inside else f"{FOLDER}/{name}/{path.name}"
            given[place] = path
            places[str(path)] = place
    return given, places


def _analysis_files(file: Path) -> dict[str, Path]:
    """An analysis file and all that it refers to, by places that are so to each other."""
    mentioned = mentioned_files(file)
    names = {
        place: os.path.normpath(place.relative_to(file.parent))
        for place in mentioned
        if place.is_relative_to(file.parent)
    }
    up = max((Path(name).parts.count("..") for name in names.values()), default=0)
    folder = "/".join([INPUTS, *(file.parent.parts[1:][-up:] if up else ())])
    files = {f"{folder}/{file.name}": file}
    for place in mentioned:
        inside = place in names
        name = os.path.normpath(f"{folder}/{names[place]}") if inside else place.as_uri()
        for path in _files_of(place):
            below = path.relative_to(place).as_posix() if path != place else ""
            files["/".join(filter(None, [name, below]))] = path
    return files


def _files_of(place: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """A file, or all files of a model, also those behind links, but for links in a circle."""
    if not place.is_dir():
        # What is neither a file nor a folder has no content, and might never end.
        yield from [place] if place.is_file() else []
        return
    real = place.resolve()
    names = sorted(path.name for path in place.iterdir()) if real not in above else []
    ignored = shutil.ignore_patterns(*IGNORED)(str(place), names)
    for name in names:
        if name not in ignored:
            yield from _files_of(place / name, above | {real})


def _identity(path: Path) -> Identity:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _previous(workdir: Path) -> Crate | None:
    try:
        return read_crate(workdir)
    except InputError:
        return None


def _times(crate: Crate, id: str) -> Times:
    entity = crate.entities[id]
    return Times(entity.start_time or "", entity.end_time or "")


def _known_times(step: StepRun, previous: Crate | None) -> Times:
    """When the product of a step was made, if an earlier record tells of the same."""
    id = f"{RUN}/{file_id(step.name)}"
    if previous is None or id not in previous.entities:
        return Times()
    made = {file_id(path): hashed for path, hashed in step.made.items()}
    results = ids(previous.entities[id].result)
    then = {result: previous.entities[result].sha256 for result in results}
    return _times(previous, id) if then == made else Times()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
