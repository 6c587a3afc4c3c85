"""``generation.json`` and ``reconstruction.json``: what configure passes on of an analysis."""

from __future__ import annotations

from pathlib import Path

from madminer_workflow.analysis.types import Generation, Reconstruction
from madminer_workflow.files import read_struct, write_json

GENERATION = "generation.json"
RECONSTRUCTION = "reconstruction.json"


def write_parts(output: Path, generation: Generation, reconstruction: Reconstruction) -> None:
    """Write both files into ``output``."""
    write_json(output / GENERATION, generation)
    write_json(output / RECONSTRUCTION, reconstruction)


def read_generation(path: Path) -> Generation:
    """Read ``generation.json``; InputError if it is another file."""
    return read_struct(path, "configure", Generation)


def read_reconstruction(path: Path) -> Reconstruction:
    """Read ``reconstruction.json``; InputError if it is another file."""
    return read_struct(path, "configure", Reconstruction)
