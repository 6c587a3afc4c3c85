"""Delphes: the detector and the event analysis turn one job's events into a MadMiner file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import awkward as ak
import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from madminer_workflow.analysis.fingerprint import Fingerprint, require_same
from madminer_workflow.analysis.systematics import Nuisance, nuisance_parameters
from madminer_workflow.analysis.types import DelphesCard, Reconstruction
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import named
from madminer_workflow.hdf5_files import require_unchanged
from madminer_workflow.large_arrays import RowsFile
from madminer_workflow.madminer_file import LARGEST_WEIGHT, read_setup
from madminer_workflow.physics.detector import detect
from madminer_workflow.physics.points import benchmark_values
from madminer_workflow.physics.programs import log_end
from madminer_workflow.physics.readers.lhe import LHEEvents, read_lhe
from madminer_workflow.physics.reconstruction import (
    Measurement,
    Reconstructed,
    reconstruct,
    reconstruct_columns,
    reconstruct_delphes,
)
from madminer_workflow.physics.smearing import BlockRandom
from madminer_workflow.physics.weights import event_weights, weight_names
from madminer_workflow.products.columns import SUFFIX, ColumnEvents, read_columns
from madminer_workflow.products.events import Events, GeneratedTask, SampledProcess, read_events
from madminer_workflow.products.measured import (
    Leftover,
    MeasuredTask,
    Report,
    Stage,
    WorstEvent,
    write_measured,
)
from madminer_workflow.products.parts import read_reconstruction
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.observed import Shifted
from madminer_workflow.statistics.sample import (
    Sample,
    event_counts,
    joined,
    without_observations,
)
from madminer_workflow.statistics.setup import Setup
from madminer_workflow.statistics.surplus import relative_errors

BACKGROUND = -1
"""MadMiner's sampling id of events whose weights do not depend on the parameters."""

LARGEST_ERROR = 1e-3
"""Of the weights of an event, relative: what rounding to a few digits makes is below."""

AT_ONCE = 50_000
"""Events that are analysed together: enough that all else costs little, and little memory."""


def delphes(config: Path, reconstruction_file: Path, events: Path, output: Path) -> None:
    """Analyse ``Events.tar.gz`` into ``delphes_data.h5``.

    Weights are in pb and scaled so that those of all jobs together sum, for every sampling
    benchmark, to the cross-section times the k-factor. The file's report lists the tasks with
    their cut flows and with the sums of their shares of the weights before any cut.

    Raises InputError for events of another analysis or without weights.
    """
    setup = read_setup(config)
    settings = read_reconstruction(reconstruction_file)
    try:
        Measurement.compile(settings)
    except InputError as error:
        raise InputError(f"{reconstruction_file}: {error}") from None
    require_same(
        reconstruction_file,
        found=Fingerprint(parameters=tuple(setup.parameters), nuisance=of_objects(settings)),
        expected=setup.objects,
        whose=str(config),
    )
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        generated = read_events(events, directory)
        for name, process in generated.processes.items():
            if process.benchmarks != benchmark_values(setup):
                raise InputError(
                    f"{events}: belongs to another analysis: {name} was generated for other "
                    f"parameters or benchmarks than those of {config}"
                )
            if unknown := unknown_benchmarks(process, setup):
                raise InputError(
                    f"{events}: belongs to another analysis: {name} has an uncertainty with the "
                    f"benchmark {unknown[0]}, which {config} does not have"
                )
        require_unchanged(config)
        samples = [without_observations(no_events(settings, setup))]
        tasks: list[MeasuredTask] = []
        # Observables are most of what there is: they wait in a file.
        with RowsFile(directory, len(settings.observables)) as rows:
            with named(directory, events):
                for sample, task in measure(generated, directory, setup, settings):
                    rows.append(sample.observations)
                    samples.append(without_observations(sample))
                    tasks.append(task)
            write_measured(
                output,
                config,
                joined(samples),
                {observable.name: observable.definition for observable in settings.observables},
                Report(tasks=tuple(tasks), processes=generated.processes),
                rows.pieces(),
            )


def of_objects(settings: Reconstruction) -> tuple[Nuisance, ...]:
    """The nuisance parameters of uncertainties of objects."""
    return tuple(nuisance_parameters(entry.variation for entry in settings.object_systematics))


def unknown_benchmarks(process: SampledProcess, setup: Setup) -> list[str]:
    """The benchmarks of a process's uncertainties that the set-up does not have."""
    names = [
        name
        for parameter in nuisance_parameters(process.systematics)
        for name in parameter.benchmarks
    ]
    return [name for name in names if name not in setup.nuisance_benchmarks]


@dataclass(frozen=True)
class Block:
    """The events of one task, as they were generated, or as the ``columns`` of a table.

    ``weights`` has one column for each benchmark, then one for each nuisance benchmark, in pb;
    ``shares`` (n_events,) make one sample of all.
    """

    task: GeneratedTask
    lhe: LHEEvents | ColumnEvents
    weights: np.ndarray
    shares: np.ndarray

    @property
    def particles(self) -> LHEEvents:
        """The events as they were generated; InputError if they are those of a table."""
        if isinstance(self.lhe, ColumnEvents):
            raise InputError(
                f"{self.task.file}: has the columns of tables, but the expressions in the "
                "analysis use particles; repeat the steps that made it"
            )
        return self.lhe


Varied = TypeVar("Varied")

Measured = tuple[Sample, MeasuredTask]
"""The events of one task that pass all cuts, and what the combination needs to know."""


def measure(
    events: Events, directory: Path, setup: Setup, settings: Reconstruction
) -> Iterator[Measured]:
    """Analyse the files in ``directory`` task by task, as many events at once as fit.

    Raises InputError when they do not hold the tasks' numbers of events.
    """
    card = settings.detector.delphes_card
    for tasks in batches(events.tasks):
        blocks = [
            read_block(task, events.processes[task.process], directory, setup) for task in tasks
        ]
        if settings.tables:
            for block in blocks:
                yield measure_columns(block, settings, setup)
        elif card is None:
            parts = reconstruct_partons(blocks, settings)
            for block, part in zip(blocks, parts, strict=True):
                yield summarise(block, part, np.arange(len(block.lhe)), settings, setup)
        else:
            for block in blocks:
                yield reconstruct_showered(block, card, directory, settings, setup)


def batches(tasks: Sequence[GeneratedTask]) -> Iterator[list[GeneratedTask]]:
    """The tasks in their order, in lists of up to ``AT_ONCE`` events, or of one task."""
    batch: list[GeneratedTask] = []
    for task in tasks:
        if batch and sum(other.n_events for other in batch) + task.n_events > AT_ONCE:
            yield batch
            batch = []
        batch.append(task)
    if batch:
        yield batch


def read_block(
    task: GeneratedTask, process: SampledProcess, directory: Path, setup: Setup
) -> Block:
    """Read the events of a task; InputError unless there are as many as it says."""
    file = directory / task.file
    names = weight_names(task, process, setup)
    lhe: LHEEvents | ColumnEvents
    if task.file.endswith(SUFFIX):
        lhe = read_columns(file)
        if list(lhe.weight_names) != names:
            raise InputError(f"{file}: its weights are {', '.join(lhe.weight_names)}")
    else:
        lhe = read_lhe(file, names, task.sampling_benchmark)
    if len(lhe) != task.n_events:
        raise InputError(
            f"{file}: damaged: it has {len(lhe)} events instead of {task.n_events}; repeat the "
            "steps that made it"
        )
    check_weights(file, lhe, task.sampling_benchmark)
    weights, shares = event_weights(lhe.weights, task, process, setup)
    bad = np.flatnonzero(~np.isfinite(shares) | ~np.isfinite(weights).all(axis=1))
    if len(bad):
        raise InputError(
            f"{file}: event {bad[0] + 1}: its weights at the sampling benchmarks cancel, so that "
            "it cannot be combined with other events"
        )
    return Block(task, lhe, weights, shares)


def check_weights(file: Path, lhe: LHEEvents | ColumnEvents, sampled: str) -> None:
    """Raise InputError for weights that no event has.

    Those of either sign may be, but not none at all at the benchmark that events were drawn from,
    or at any benchmark no event with one.
    """
    large = np.argwhere(np.abs(lhe.weights) > LARGEST_WEIGHT)
    if len(large):
        event, column = large[0].tolist()
        raise InputError(
            f"{file}: event {event + 1}: its weight {lhe.weight_names[column]} is "
            f"{lhe.weights[event, column]:.3g} pb; expected {LARGEST_WEIGHT:g} pb at most"
        )
    drawn = np.flatnonzero(lhe.weights[:, lhe.weight_names.index(sampled)] == 0.0)
    if len(drawn):
        raise InputError(
            f"{file}: event {drawn[0] + 1}: its weight at {sampled}, at which it was drawn, is 0"
        )
    for name, weights in zip(lhe.weight_names, lhe.weights.T, strict=True):
        if not np.any(weights):
            raise InputError(f"{file}: all weights of {name} are 0; expected a cross-section")


def random_of(block: Block, *names: str) -> np.random.Generator:
    """Random numbers of the detector, or of a purpose of its own, for the events of a block."""
    return np.random.default_rng(derive_seed(block.task.seed, "detector", *names))


def measure_columns(block: Block, settings: Reconstruction, setup: Setup) -> Measured:
    """Measure events whose columns are what was measured."""
    if not isinstance(block.lhe, ColumnEvents):
        raise InputError(
            f"{block.task.file}: has particles, but the expressions in the analysis use the "
            "columns of tables; repeat the steps that made it"
        )
    reconstructed = reconstruct_columns(block.lhe, settings)
    return summarise(block, reconstructed, np.arange(len(block.lhe)), settings, setup)


def reconstruct_partons(
    blocks: Sequence[Block], settings: Reconstruction
) -> Iterator[Reconstructed]:
    """Measure events at parton level, those of all blocks at once."""
    sizes = [len(block.lhe) for block in blocks]
    random = BlockRandom([random_of(block) for block in blocks], sizes)
    reconstructed = reconstruct(
        ak.concatenate([block.particles.particles for block in blocks]),
        settings,
        random,
        {
            name: np.concatenate([block.particles.variables[name] for block in blocks])
            for name in blocks[0].particles.variables
        },
        lambda *names: BlockRandom([random_of(block, *names) for block in blocks], sizes),
    )
    for end, size in zip(np.cumsum(sizes).tolist(), sizes, strict=True):
        yield reconstructed.part(slice(end - size, end))


def reconstruct_showered(
    block: Block, card: DelphesCard, directory: Path, settings: Reconstruction, setup: Setup
) -> Measured:
    """Measure the showered events of a block with Delphes.

    Removes the HepMC file. Raises StepError unless every showered event comes out of Delphes.
    """
    task = block.task
    if task.hepmc is None:
        raise InputError(
            f"{directory / task.file}: these events are not showered, but Delphes needs showered "
            "events; run pythia again for this analysis"
        )
    hepmc = directory / task.hepmc
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        root, log = detect(hepmc, card, derive_seed(task.seed, "detector"), Path(scratch))
        hepmc.unlink()
        reconstructed, numbers = reconstruct_delphes(
            root,
            settings,
            len(block.lhe),
            block.particles.variables,
            lambda *names: random_of(block, *names),
        )
        if len(numbers) != task.counts.showered:
            raise StepError(
                f"{hepmc}: Delphes reconstructed {len(numbers)} of {task.counts.showered} "
                f"showered events; the end of its log:\n{log_end(log)}"
            )
    return summarise(block, reconstructed, numbers, settings, setup)


def summarise(
    block: Block,
    reconstructed: Reconstructed,
    numbers: np.ndarray,
    settings: Reconstruction,
    setup: Setup,
) -> Measured:
    """Those events of a block that pass all cuts.

    ``numbers`` (n,) are the places in the block of those that were ``reconstructed``.
    """
    passed = reconstructed.passed
    chosen = numbers[passed]
    weights = block.weights[chosen] * reconstructed.efficiency[passed, None]
    for benchmark, factors in affecting(block.task.process, reconstructed.factors, settings):
        weights[:, len(setup.benchmark_names) + setup.nuisance_benchmarks.index(benchmark)] *= (
            factors[passed]
        )
    physical = block.weights[:, : len(setup.benchmark_names)]
    leftover = UNSET if block.task.is_background else left_over(block, physical, setup)
    counts = msgspec.structs.replace(block.task.counts, analysed=len(passed))
    cut_flow = reconstructed.cut_flow
    if block.task.hepmc is not None:
        lost = Stage(cut="shower", passed=len(numbers), of=len(block.lhe))
        cut_flow = [lost, *cut_flow]
        counts = msgspec.structs.replace(counts, reconstructed=len(numbers))
    task = MeasuredTask(
        **{**msgspec.structs.asdict(block.task), "counts": counts},
        cut_flow=tuple(cut_flow),
        passed=int(passed.sum()),
        passed_weights=tuple(weights.sum(axis=0).tolist()),
        sum_weights=tuple((block.shares @ physical).tolist()),
        sum_weights_squared=tuple(map(tuple, ((block.shares**2 * physical.T) @ physical).tolist())),
        leftover=leftover,
    )
    background = task.is_background
    sampled = BACKGROUND if background else setup.benchmark_names.index(task.sampling_benchmark)
    observations, shares = reconstructed.observations[passed], block.shares[chosen]
    sample = as_sample(observations, weights, shares, sampled, settings, setup)
    if not setup.shifted_benchmarks:
        return sample, task
    place = np.random.default_rng(derive_seed(block.task.seed, "place")).random(len(block.lhe))
    weights = (block.shares[:, None] * physical)[numbers]
    moved = dict(affecting(block.task.process, reconstructed.shifted, settings))
    shifted = {
        benchmark: shifted_events(
            moved.get(benchmark, reconstructed), passed, weights, place[numbers], settings
        )
        for benchmark in setup.shifted_benchmarks
    }
    return replace(sample, shifted=shifted), task


def left_over(block: Block, weights: np.ndarray, setup: Setup) -> Leftover | UnsetType:
    """What the ``weights`` (n, n_benchmarks) of a block have that no polynomial has."""
    fit = setup.surplus
    if fit is None:
        return UNSET
    shared = block.shares[:, None] * weights
    squares, residuals = shared**2, fit.residuals(shared) ** 2
    errors = relative_errors(residuals.sum(axis=1), fit.error_squares(squares).sum(axis=1))
    off, worst = int(np.sum(errors > LARGEST_ERROR)), int(np.argmax(errors))
    suspects = fit.suspects(residuals[worst], squares[worst])
    return Leftover(
        squares=tuple(residuals.sum(axis=0).tolist()),
        off=off,
        worst=WorstEvent(
            event=worst,
            relative_error=float(errors[worst]),
            suspects=tuple(setup.benchmark_names[i] for i in suspects),
        )
        if off
        else None,
    )


def shifted_events(
    measured: Reconstructed,
    passed: np.ndarray,
    weights: np.ndarray,
    place: np.ndarray,
    settings: Reconstruction,
) -> Shifted:
    """Those events that pass all cuts as they are ``measured`` at one nuisance benchmark.

    For all n events, ``passed`` (n,) is whether they do without it, ``weights`` (n, n_benchmarks)
    are those before efficiencies, with shares, and ``place`` (n,) random numbers in [0, 1).
    """
    survives = measured.passed
    event = np.where(passed, np.cumsum(passed) - 1, -1)
    shifted = Shifted(
        observables=[observable.name for observable in settings.observables],
        x=measured.observations[survives],
        weights=(weights * measured.efficiency[:, None])[survives],
        event=event[survives],
        place=place[survives],
    )
    return shifted.ordered(shifted.event, int(passed.sum()))


def affecting(
    process: str, values: Mapping[str, Varied], settings: Reconstruction
) -> Iterator[tuple[str, Varied]]:
    """Those of the ``values`` by nuisance benchmark whose uncertainty affects a process."""
    for systematic in settings.object_systematics:
        for parameter in nuisance_parameters([systematic.variation]):
            for benchmark in parameter.benchmarks:
                if process in systematic.processes and benchmark in values:
                    yield benchmark, values[benchmark]


def as_sample(
    observations: np.ndarray,
    weights: np.ndarray,
    shares: np.ndarray,
    sampling_id: int,
    settings: Reconstruction,
    setup: Setup,
) -> Sample:
    """Events drawn from the benchmark with this index; weights are those of a ``Block``."""
    ids = np.full(len(shares), sampling_id)
    generated, background = event_counts(ids, setup)
    n_benchmarks = len(setup.benchmark_names)
    return Sample(
        observables=[observable.name for observable in settings.observables],
        observations=observations,
        weights=weights[:, :n_benchmarks],
        nuisance_weights=weights[:, n_benchmarks:],
        shares=shares,
        sampling_ids=ids,
        generated=generated,
        background=background,
    )


def no_events(settings: Reconstruction, setup: Setup) -> Sample:
    """What a job without tasks measures."""
    n_weights = len(setup.benchmark_names) + len(setup.nuisance_benchmarks)
    observations, weights = np.empty((0, len(settings.observables))), np.empty((0, n_weights))
    sample = as_sample(observations, weights, np.empty(0), 0, settings, setup)
    nothing = Shifted(
        observables=sample.observables,
        x=observations,
        weights=sample.weights,
        event=np.empty(0, dtype=int),
        place=np.empty(0),
    )
    return replace(sample, shifted=dict.fromkeys(setup.shifted_benchmarks, nothing))
