"""A run that a crate tells of, done again, and compared with it byte by byte."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from rich.console import Console

from madminer_workflow.analysis.changes import split_changes
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.engines.order import Order
from madminer_workflow.engines.record import WORKFLOW, current_versions, recorded_workflow
from madminer_workflow.engines.run import PARTS, run_workflow
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import checksum
from madminer_workflow.provenance.crate import Crate, read_crate
from madminer_workflow.provenance.entities import METADATA
from madminer_workflow.provenance.packing import pack_zip, unpack_zip

FOLDER = "_rerun"
"""Where the work directory of a repeated run keeps what the crate had."""


@dataclass(frozen=True)
class Repetition:
    """How a crate is repeated: in ``workdir``, and whether with ``other_versions`` than it had."""

    workdir: Path
    other_versions: bool = False
    workers: int | None = None
    on: str = "local"
    step_timeout: float | None = None


def pack_crate(workdir: Path, archive: Path) -> int:
    """Pack the record of a finished run and all files that it tells of; return their number.

    Raises InputError if one of them is not what was recorded.
    """
    crate = read_crate(workdir)
    hashes = {id: h for id, h in {**crate.inputs, **crate.outputs}.items() if not _outside(id)}
    crate.check(hashes)
    names = [crate.file(id).relative_to(workdir).as_posix() for id in hashes]
    pack_zip(workdir, [METADATA, *names], archive)
    return len(names)


def rerun(
    place: Path,
    how: Repetition,
    warn: Callable[[str], None],
    check: Callable[[Order], object] = lambda order: None,
    console: Console | None = None,
) -> int:
    """Repeat the run of the crate in ``place``, a folder or a zip file.

    ``check`` is asked before anything is made whether the order may be run. Returns the number of
    files that are equal to those recorded. Raises InputError, before anything
    runs, if a file of the crate is not what it says, or versions differ; StepError that names each
    product that came out differently.
    """
    with _opened(place, how.workdir) as crate:
        crate.check(crate.inputs)
        crate.check(crate.outputs, missing_allowed=True)
        order = order_of(crate, how)
        analysis = read_analysis(order.analysis, cards=False)
        differences = [
            *_differences(crate.versions, current_versions(analysis)),
            *_workflow_differences(crate),
        ]
        if differences and not how.other_versions:
            lines = "\n".join(f"{place}: {line}" for line in differences)
            raise InputError(
                f"{lines}\n{place}: was made with other versions than the installed ones; "
                "install those, or continue with --other-versions"
            )
        for line in differences:
            warn(line)
        check(order)
        outputs = crate.outputs
        root = how.workdir / FOLDER
        _keep(crate, root)
        order = order_of(replace(crate, root=root), how)
    run_workflow(order, console)
    problems = [*_compare(outputs, read_crate(how.workdir).outputs, how.workdir)]
    if problems:
        raise StepError("\n".join(problems))
    return len(outputs)


@contextmanager
def _opened(place: Path, workdir: Path) -> Iterator[Crate]:
    """A crate, unpacked for a while if it is a zip file."""
    if workdir.resolve() == place.resolve():
        raise InputError(f"{workdir}: is the crate itself; choose another folder with --workdir")
    if place.is_dir():
        yield read_crate(place)
        return
    workdir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{workdir.name}.", dir=workdir.parent) as scratch:
        unpack_zip(place, Path(scratch))
        yield read_crate(Path(scratch), str(place))


def order_of(crate: Crate, how: Repetition) -> Order:
    """What the run of a crate had been asked for, with the files that the crate has."""
    part = _part(crate)
    data, observed = crate.parameter("data"), crate.parameter("observed")
    is_file = observed in crate.inputs
    return Order(
        analysis=crate.file(crate.parameter("inputfile")),
        workdir=how.workdir,
        njobs=_number(crate, "njobs") if part != "ml" else 1,
        ntrainsamples=_number(crate, "ntrainsamples") if part != "physics" else 1,
        changes=split_changes([crate.parameter("settings")]),
        observed=str(crate.file(observed)) if is_file else observed,
        part=part,
        data=crate.file(data) if data else None,
        workers=how.workers,
        on=how.on,
        step_timeout=how.step_timeout,
    )


def _part(crate: Crate) -> str:
    """The part of the workflow that was run, by its file."""
    workflow = PurePosixPath(crate.workflow)
    for part, (file, folder) in PARTS.items():
        if workflow == PurePosixPath(WORKFLOW, folder, file):
            return part
    raise InputError(f"{crate.shown}: {workflow}: is not a workflow of madminer-workflow")


def _number(crate: Crate, name: str) -> int:
    text = crate.parameter(name)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"{crate.shown}: {name} = {text!r}: expected a whole number")
    return int(text)


def _differences(recorded: Mapping[str, str], here: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*recorded, *here}):
        then, now = recorded.get(name), here.get(name)
        if then != now:
            yield f"{name}: {then or 'none'} was used, {now or 'none'} is here"


def _workflow_differences(crate: Crate) -> Iterator[str]:
    """The workflow files of the crate that are not those of this installation."""
    here = recorded_workflow()
    recorded = {id: h for id, h in crate.inputs.items() if id.startswith(f"{WORKFLOW}/")}
    for name in sorted({*recorded, *here}):
        if name not in here or recorded.get(name) != checksum(here[name]):
            yield f"{name.removeprefix(f'{WORKFLOW}/')}: differs from the installed file"


def _keep(crate: Crate, root: Path) -> None:
    """Copy what the run was given into the new work directory, which nobody else may have used."""
    workdir, metadata = root.parent, (crate.root / METADATA).read_bytes()
    if workdir.exists() and any(workdir.iterdir()):
        if (root / METADATA).is_file() and (root / METADATA).read_bytes() == metadata:
            replace(crate, root=root).check(_inside(crate.inputs))
            return
        raise InputError(f"{workdir}: is not empty; expected an empty or new folder")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{FOLDER}.", dir=root.parent) as folder:
        copy = replace(crate, root=Path(folder) / FOLDER)
        for id in _inside(crate.inputs):
            copy.file(id).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(crate.file(id), copy.file(id))
        (copy.root / METADATA).write_bytes(metadata)
        copy.root.rename(root)


def _inside(hashes: Mapping[str, str]) -> dict[str, str]:
    return {id: hashed for id, hashed in hashes.items() if not _outside(id)}


def _outside(id: str) -> bool:
    return id.startswith("file:")


def _compare(recorded: Mapping[str, str], made: Mapping[str, str], workdir: Path) -> Iterator[str]:
    for id in sorted({*recorded, *made}):
        if id not in made:
            yield f"{workdir / id}: is missing from the repeated run"
        elif id not in recorded:
            yield f"{workdir / id}: is not in the recorded run"
        elif recorded[id] != made[id]:
            yield f"{workdir / id}: differs from the recorded file"
