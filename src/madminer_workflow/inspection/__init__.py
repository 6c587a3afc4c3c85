"""What a file holds, of events or of the products of steps: one module a kind of file."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from madminer_workflow import archives
from madminer_workflow.errors import InputError
from madminer_workflow.inspection.summary import Summary

_STARTS = {
    b"<LesHouchesEvents": "lhe",
    b"root": "root",
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"HepMC::": "hepmc",
    b"PAR1": "tables",
}
_START = 4096


def inspect(path: Path) -> Summary:
    """What is in a file; InputError if it cannot be read, or is of no kind that is known."""
    try:
        with archives.opened(path) as stream:
            start = stream.read(_START).lstrip(b"\n ")
    except archives.ArchiveError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    for begins, module in _STARTS.items():
        if begins in (start[:100] if begins.startswith(b"<") else start[: len(begins)]):
            return _reader(module)(path)
    if path.name.endswith((".tar.gz", ".tar", ".tgz")):
        return _reader("products")(path)
    raise InputError(
        f"{path}: is of an unknown kind; expected events (LHE, HepMC, ROOT, HDF5 or Parquet), or "
        "an archive that a step writes"
    )


def _reader(module: str) -> Callable[[Path], Summary]:
    return cast(Callable[[Path], Summary], import_module(f"{__name__}.{module}").inspect)
