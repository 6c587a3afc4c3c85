"""Generate: integrate every process once and cut the event sample into jobs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from madminer_workflow.analysis.fingerprint import of_analysis, require_same
from madminer_workflow.analysis.types import CLOSURE_POINT, Generation, Process
from madminer_workflow.errors import InputError
from madminer_workflow.files import unpack, write_json
from madminer_workflow.hdf5_files import require_unchanged
from madminer_workflow.madminer_file import read_setup
from madminer_workflow.physics import generators
from madminer_workflow.physics.points import benchmark_values, held_out_point
from madminer_workflow.physics.shower.card import read_card
from madminer_workflow.physics.tasks import all_tasks, block_size, split_into_jobs
from madminer_workflow.products.jobs import write_jobs
from madminer_workflow.products.parts import read_generation
from madminer_workflow.products.processes import (
    NOTE,
    IntegratedProcess,
    Points,
    write_processes,
)
from madminer_workflow.seeds import derive_seed


def generate(config: Path, generation_file: Path, models: Path, njobs: int, output: Path) -> None:
    """Integrate the processes into ``Processes.tar.gz`` and write ``jobs/job_*.json``.

    Raises InputError for njobs < 1, for files of different analyses and whatever the generators
    refuse.
    """
    if njobs < 1:
        raise InputError(f"njobs: is {njobs}; expected a number of jobs of at least 1")
    generation = read_generation(generation_file)
    setup = read_setup(config)
    require_same(config, found=setup.generated, expected=of_analysis(generation))
    require_unchanged(config)
    benchmarks = benchmark_values(setup)
    # Told now, a mistake in a card of the shower does not cost an integration.
    for process in generation.processes:
        if process.pythia8_card is not None:
            read_card(process.pythia8_card, f"processes.{process.name}.pythia8_card")

    with tempfile.TemporaryDirectory() as scratch:
        library = unpack(models, Path(scratch) / "models")
        for process in generation.processes:
            directory = Path(scratch) / "processes" / process.name
            directory.mkdir(parents=True)
            asked = request(process, generation, benchmarks, library)
            report = generators.get(process.generator).integrate(asked, directory)
            integrated = IntegratedProcess(
                process=process,
                benchmarks=benchmarks,
                systematics=tuple(asked.systematics),
                report=report,
            )
            write_json(directory / NOTE, integrated)
        write_processes(Path(scratch) / "processes", output)
    write_jobs(output, split_into_jobs(all_tasks(generation), njobs))


def request(
    process: Process, generation: Generation, benchmarks: Points, models: Path
) -> generators.Request:
    """What the generator of a process is asked for.

    A background is the same at every benchmark: only the one it is drawn from counts.
    """
    background = process.is_background
    return generators.Request(
        process=process,
        parameters=generation.parameters,
        benchmarks={name: benchmarks[name] for name in process.events}
        if background
        else benchmarks,
        check_points={} if background else {CLOSURE_POINT: held_out_point(generation)},
        reference=next(iter(benchmarks)),
        systematics=[
            systematic
            for systematic in generation.systematics
            if systematic.systematic_name in process.systematics
        ],
        models=models,
        columns=generation.columns,
        seed=derive_seed(generation.seed, "integrate", process.name),
        block_size=block_size(generation),
    )
