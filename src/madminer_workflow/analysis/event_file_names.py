"""Which files hold events, and in which format, by their names."""

from __future__ import annotations

LHE = (".lhe", ".lhe.gz")
HEPMC = tuple(f".hepmc{version}{zipped}" for version in ("", "2", "3") for zipped in ("", ".gz"))

READERS = {".root": "root", ".h5": "hdf5", ".hdf5": "hdf5", ".parquet": "parquet"}
"""The module in ``analysis.tables`` that reads tables whose names end so."""

TABLES = tuple(READERS)

EVENTS = (*LHE, *HEPMC, *TABLES)


def is_hepmc(name: str) -> bool:
    """Whether a file of this name, or those of a pattern, have events of HepMC."""
    return name.endswith(HEPMC)


def is_table(name: str) -> bool:
    """Whether a file of this name, or those of a pattern, are tables."""
    return name.endswith(TABLES)
