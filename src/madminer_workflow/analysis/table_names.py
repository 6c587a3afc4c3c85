"""Which files are tables, by their names."""

from __future__ import annotations

READERS = {".root": "root", ".h5": "hdf5", ".hdf5": "hdf5", ".parquet": "parquet"}
"""The module in ``analysis.tables`` that reads files with such an ending."""

SUFFIXES = tuple(READERS)


def is_table(name: str) -> bool:
    """Whether a file of this name, or those of a pattern, are tables."""
    return name.endswith(SUFFIXES)
