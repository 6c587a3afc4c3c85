"""How fast event files are read, beside the libraries they are read with, and in what memory.

    python benchmarks/event_files.py [--copies N]

LHE: weights and momenta of N copies of the reference's 1000 events in one compressed file, and what
decompressing alone takes. ROOT and Parquet: 20 columns, of which four are lists, of as many events,
and what uproot and pyarrow take for the same columns. CPU time on one core, without imports, best
of three. Memory is that of a process of its own for one file, and for as many as there are copies.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uproot
from costs import cost_of, measured
from wbf import EVENTS

from madminer_workflow.analysis.tables import AT_ONCE, open_table
from madminer_workflow.physics.readers.lhe import read_events
from madminer_workflow.physics.readers.lhe_chunks import read_chunks

N_NUMBERS, N_LISTS = 16, 4
NAMES = [f"x{i}" for i in range(N_NUMBERS)] + [f"list{i}" for i in range(N_LISTS)]


def read_lhe(path: Path) -> int:
    """Read weights and momenta of an LHE file, piece by piece."""
    pieces = (
        chunk.read(lambda texts: read_events(path, texts, 1.0)) for chunk in read_chunks(path)
    )
    return sum(map(len, pieces))


def decompress(path: Path) -> int:
    """Only decompress a file."""
    with gzip.open(path) as file:
        return sum(len(piece) for piece in iter(lambda: file.read(1 << 22), b""))


def read_table(path: Path) -> int:
    """Read all columns of a table, piece by piece."""
    return sum(len(entries) for entries, _ in open_table(path).chunks(NAMES))


def with_uproot(path: Path) -> int:
    """The same by uproot alone."""
    batches = uproot.iterate(f"{path}:events", NAMES, step_size=AT_ONCE, library="ak")
    return sum(map(len, batches))


def with_pyarrow(path: Path) -> int:
    """The same by pyarrow alone, as arrays of awkward."""
    with pq.ParquetFile(path) as file:
        batches = file.iter_batches(batch_size=AT_ONCE, columns=NAMES)
        return sum(len(ak.from_arrow(batch)) for batch in batches)


def write_lhe(path: Path, copies: int) -> None:
    """Copies of the reference's events."""
    text = gzip.decompress(EVENTS.read_bytes())
    begin, end = text.index(b"<event>"), text.index(b"</LesHouchesEvents>")
    path.write_bytes(
        gzip.compress(text[:begin] + copies * text[begin:end] + text[end:], 6, mtime=0)
    )


def write_tables(root: Path, parquet: Path, n_events: int) -> None:
    """Random numbers and lists of them."""
    rng = np.random.default_rng(1)
    columns = {f"x{i}": rng.normal(size=n_events) for i in range(N_NUMBERS)}
    counts = rng.poisson(3.0, n_events)
    lists = {f"list{i}": rng.exponential(size=counts.sum()) for i in range(N_LISTS)}
    jagged = {name: ak.unflatten(values, counts) for name, values in lists.items()}
    with uproot.recreate(root) as file:
        file.mktree(
            "events", {**dict.fromkeys(columns, "float64"), **dict.fromkeys(lists, "var * float64")}
        )
        for start in range(0, n_events, AT_ONCE):
            piece = slice(start, start + AT_ONCE)
            file["events"].extend({name: v[piece] for name, v in (columns | jagged).items()})
    arrow = {name: ak.to_arrow(values, extensionarray=False) for name, values in jagged.items()}
    pq.write_table(pa.table({**columns, **arrow}), parquet, row_group_size=AT_ONCE)


READERS = {".gz": read_lhe, ".root": read_table, ".parquet": read_table}


def memory(files: list[Path]) -> float:
    """The largest memory of a process that reads all these files [MB]."""
    command = [sys.executable, "-W", "ignore", __file__, "--read", *map(str, files)]
    return cost_of(command, Path.cwd()).memory


def rate(what: str, reader: Callable[[Path], int], path: Path, n_events: int) -> float:
    """Print and return how many events a reader takes in a second."""
    seconds = min(measured(reader, path)[1].cpu for _ in range(3))
    print(f"{what:44s}{n_events / seconds:12,.0f} events/s")
    return n_events / seconds


def main() -> None:
    """Write files, read them, and print rates and memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--read", nargs="+", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        for path in options.read:
            READERS[path.suffix](path)
        return
    n = 1000 * options.copies
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lhe, root, parquet = (folder / f"large.{kind}" for kind in ("lhe.gz", "root", "parquet"))
        write_lhe(lhe, options.copies)
        write_tables(root, parquet, n)
        alone = rate("LHE, decompressing alone", decompress, lhe, n)
        ours = rate("LHE, weights and momenta", read_lhe, lhe, n)
        print(f"{'':44s}{alone / ours:12.2f} times the time")
        for kind, path, library in (
            ("ROOT", root, with_uproot),
            ("Parquet", parquet, with_pyarrow),
        ):
            alone = rate(f"{kind}, {library.__name__.replace('_', ' ')} alone", library, path, n)
            ours = rate(f"{kind}, columns", read_table, path, n)
            print(f"{'':44s}{alone / ours:12.2f} times the time")
        for path in (lhe, root, parquet):
            copies = [path.with_name(f"{i}{path.suffix}") for i in range(options.copies // 5)]
            for copy in copies:
                copy.symlink_to(path)
            kind = path.name.removeprefix("large.")
            print(
                f"{kind}: one file {memory([path]):.0f} MB, {len(copies)} files of "
                f"{n} events {memory(copies):.0f} MB"
            )


if __name__ == "__main__":
    main()
