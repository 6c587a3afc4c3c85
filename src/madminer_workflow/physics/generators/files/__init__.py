"""The generator of events that exist already: LHE files, HepMC files, or tables.

``integrate`` cuts the files into blocks, with the weights of the benchmarks under their names;
``generate_events`` hands out a block. From there on they are like those of any generator.
"""

from __future__ import annotations

from pathlib import Path

from madminer_workflow import archives
from madminer_workflow.analysis.types import FilesProcess
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, named
from madminer_workflow.physics.generators import Request, check_draw
from madminer_workflow.physics.generators.files.hepmc import SUFFIX as HEPMC
from madminer_workflow.physics.generators.files.hepmc import HepMCSample
from madminer_workflow.physics.generators.files.samples import LHESample, block_file
from madminer_workflow.physics.generators.files.tables import TableSample
from madminer_workflow.products.columns import SUFFIX, read_columns, write_columns
from madminer_workflow.products.events import Draw
from madminer_workflow.products.processes import Integration


def integrate(request: Request, output: Path) -> Integration:
    """Check the files of a process and write their events into ``output``, block by block.

    Cross-sections are those that the events were drawn from. Raises InputError for files that are
    damaged, or have no weights or no cross-section.
    """
    process = request.process
    assert isinstance(process, FilesProcess)
    cross_sections = {}
    with named(request.models, f"processes.{process.name}.files: Models.tar.gz"):
        for sampled, names in process.files.items():
            files = [request.models / name for name in names]
            sample = _kind(process)(request, process, sampled, files)
            cross_sections[sampled] = sample.write(output / sampled)
    return Integration(cross_sections=cross_sections)


def _kind(process: FilesProcess) -> type[TableSample | HepMCSample | LHESample]:
    if process.has_tables:
        return TableSample
    return HepMCSample if process.has_hepmc else LHESample


def generate_events(
    directory: Path,
    sampling_benchmark: str,
    n_events: int,
    seed: int,
    output: Path,
    block: int = 0,
) -> Draw:
    """Write the ``n_events`` events of a ``block`` from ``sampling_benchmark`` into ``output``.

    Of events that are showered, a HepMC file beside it has the text. Raises InputError for an
    unknown benchmark or block.
    """
    known = sorted(path.name for path in directory.iterdir() if path.is_dir())
    check_draw(n_events, sampling_benchmark, known)
    table = directory / sampling_benchmark / f"{block:06d}{SUFFIX}"
    if table.is_file():
        events = read_columns(table)
        write_columns(output, events)
        return Draw(n_events=len(events), fraction_above_maximum=0.0)
    source = block_file(directory / sampling_benchmark, block)
    if not source.is_file():
        raise InputError(f"{source}: does not exist; run generate again")
    text = archives.decompressed(source)
    hepmc = source.with_name(f"{block:06d}{HEPMC}")
    if hepmc.is_file():
        with atomic_path(output.with_suffix(".hepmc")) as product:
            product.write_bytes(archives.decompressed(hepmc))
    with atomic_path(output) as product:
        product.write_bytes(text)
    return Draw(n_events=text.count(b"</event>"), fraction_above_maximum=0.0)
