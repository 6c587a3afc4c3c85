"""Replicas of an analysis: its events drawn again with other seeds, and models trained on them.

What every replica is asked: to fit data sets that all of them are given, and to test the truth on
data sets of its own. Data are drawn from a large sample that no model has seen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from coverage_summary import RATE
from scipy import sparse

from madminer_workflow.analysis.types import Generation, Method, Reconstruction
from madminer_workflow.files import atomic_path
from madminer_workflow.madminer_file import read_setup
from madminer_workflow.ml import methods
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.sampling import draw_member
from madminer_workflow.ml.scan import closed_forms
from madminer_workflow.ml.training import fit
from madminer_workflow.physics.closure import check_closure
from madminer_workflow.physics.combine import require_closure
from madminer_workflow.physics.configure import configure
from madminer_workflow.physics.delphes import measure
from madminer_workflow.physics.generate import generate
from madminer_workflow.physics.pythia import draw as draw_block
from madminer_workflow.physics.tasks import all_tasks
from madminer_workflow.products.events import Events as Generated
from madminer_workflow.products.events import SampledProcess
from madminer_workflow.products.parts import read_generation, read_reconstruction
from madminer_workflow.products.processes import Library
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.events import Events, draw, union
from madminer_workflow.statistics.fits import climb
from madminer_workflow.statistics.fluctuations import Fluctuations, of_counts
from madminer_workflow.statistics.likelihood import DataSets
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Observation, Problem
from madminer_workflow.statistics.sample import Sample, joined, reordered_shifted
from madminer_workflow.statistics.setup import Setup
from madminer_workflow.statistics.simulation import Simulated

STEP = 0.05
"""Of differences, in standard deviations."""


@dataclass(frozen=True)
class Generator:
    """An analysis whose processes are integrated, once for all samples."""

    setup: Setup
    generation: Generation
    reconstruction: Reconstruction
    library: Library

    @classmethod
    def prepare(cls, analysis: Path, directory: Path) -> None:
        """Make what all need of an ``input.yml`` in ``directory``, unless it is there."""
        if directory.exists():
            return
        with atomic_path(directory) as folder:
            configured = folder / "configure"
            configure(analysis, configured)
            generate(
                configured / "config.h5",
                configured / "generation.json",
                configured / "Models.tar.gz",
                1,
                folder / "generate",
            )

    @classmethod
    @contextmanager
    def opened(cls, directory: Path) -> Iterator[Generator]:
        """What ``prepare`` has made."""
        configured = directory / "configure"
        with tempfile.TemporaryDirectory() as scratch:
            yield cls(
                read_setup(configured / "config.h5"),
                read_generation(configured / "generation.json"),
                read_reconstruction(configured / "reconstruction.json"),
                Library(directory / "generate/Processes.tar.gz", Path(scratch), blocks=()),
            )

    def events(self, n_events: int, seed: int) -> Events:
        """So many events, in the analysis' shares, after detector and cuts, in random order."""
        generation = resized(self.generation, n_events, seed)
        processes = {
            process.name: SampledProcess.of(
                msgspec.structs.replace(self.library.read(process.name), process=process)
            )
            for process in generation.processes
        }
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch)
            tasks = tuple(
                draw_block(
                    task,
                    {process.name: process for process in generation.processes}[task.process],
                    self.library.folder(task.process),
                    directory,
                )
                for task in all_tasks(generation)
            )
            drawn = Generated(index=0, tasks=tasks, processes=processes)
            measured = list(measure(drawn, directory, self.setup, self.reconstruction))
        sample, done = joined([part for part, _ in measured]), [task for _, task in measured]
        # The held-out point follows from the seed that the processes were integrated with.
        closure = check_closure(self.generation, done, processes, sample, self.setup)
        require_closure(closure, Path())
        numbers = np.zeros(len(self.setup.benchmark_names) + 1, dtype=int)
        for task in done:
            numbers[self.setup.benchmark_names.index(task.sampling_benchmark)] += task.n_events
        rng = np.random.default_rng(derive_seed(seed, "shuffle"))
        return union(reordered(sample, rng.permutation(len(sample.weights))), self.setup, numbers)


def reordered(sample: Sample, order: np.ndarray) -> Sample:
    """The same events in another order."""
    columns: dict[str, Any] = {
        name: getattr(sample, name)[order]
        for name in ("observations", "weights", "nuisance_weights", "shares", "sampling_ids")
    }
    return replace(sample, **columns, shifted=reordered_shifted(sample, order))


def resized(generation: Generation, n_events: int, seed: int) -> Generation:
    """The same with ``n_events`` a process, shared by its samples as before, and another seed."""
    processes = []
    for process in generation.processes:
        share = n_events / sum(process.events.values())
        events = {name: round(share * n) for name, n in process.events.items()}
        processes.append(msgspec.structs.replace(process, events=events))
    return msgspec.structs.replace(generation, processes=tuple(processes), seed=seed)


def together(parts: Sequence[Events]) -> Events:
    """One sample of samples that are alike."""

    def of_all(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return replace(
        parts[0],
        x=of_all("x"),
        weights=of_all("weights") / len(parts),
        slopes=of_all("slopes"),
        curvatures=of_all("curvatures"),
    )


@dataclass(frozen=True)
class Drawn:
    """Data sets: rows of all their events in the large sample, their ``sizes``, and ``weights``."""

    chosen: np.ndarray
    sizes: np.ndarray
    weights: np.ndarray

    @classmethod
    def at(
        cls,
        theta: np.ndarray,
        luminosity: float,
        n_sets: int,
        nature: Events,
        rng: np.random.Generator,
    ) -> Drawn:
        """As nature makes them; numbers of events follow Poisson's law."""
        sizes = rng.poisson(luminosity * nature.cross_section(theta), n_sets)
        chosen = draw(nature.weights_at(theta), int(sizes.sum()), rng)
        return cls(chosen, sizes, np.ones(len(chosen)))

    @classmethod
    def asimov(cls, theta: np.ndarray, luminosity: float, n_events: int, nature: Events) -> Drawn:
        """One of the first ``n_events``, weighted to the expected number."""
        weights = nature.weights_at(theta)[:n_events]
        weights *= float(luminosity * nature.cross_section(theta)) / weights.sum()
        return cls(np.arange(len(weights)), np.array([len(weights)]), weights)

    def __len__(self) -> int:
        """Number of events of all data sets."""
        return len(self.chosen)

    def sets(self, start: int, n_events: int) -> DataSets:
        """The data sets as such of observed events, of which theirs begin at ``start``."""
        ends = np.concatenate([[0], np.cumsum(self.sizes)])
        columns = np.arange(start, start + len(self))
        times = sparse.csr_array((self.weights, columns, ends), (len(self.sizes), n_events))
        return DataSets("observed", times, np.zeros((len(self.sizes), 0)))


def posed(
    events: Events,
    drawn: Mapping[str, Drawn],
    nature: Events,
    theta_ref: np.ndarray,
    luminosity: float,
    test_split: float,
    seed: int,
) -> tuple[Problem, dict[str, DataSets]]:
    """The problem of a replica, with all data to be observed, and these by name."""
    chosen = np.concatenate([one.chosen for one in drawn.values()])
    starts = np.cumsum([0, *(len(one) for one in drawn.values())]).tolist()
    problem = Problem(
        setup=events.setup,
        everything=events,
        train=events.part(0.0, 1.0 - test_split),
        test=events.part(1.0 - test_split, 1.0),
        theta_ref=theta_ref,
        theta_true=theta_ref,
        fisher_theta=theta_ref,
        luminosity=luminosity,
        seed=seed,
        observed=Observation(nature.observables, nature.x[chosen], "the large sample"),
    )
    return problem, {
        name: one.sets(start, len(chosen))
        for (name, one), start in zip(drawn.items(), starts, strict=False)
    }


@contextmanager
def models(
    events: Events, settings: Method, n_members: int, seed: int
) -> Iterator[Sequence[Member]]:
    """The members of a method's ensemble, trained on ``events``."""
    with tempfile.TemporaryDirectory() as scratch:
        members = []
        for k in range(n_members):
            directory = Path(scratch) / str(k)
            directory.mkdir()
            samples = draw_member(events, settings, k, seed)
            members.append(Member(fit(samples, settings, directory), directory))
        yield members


@dataclass(frozen=True)
class Known:
    """The density of a method in closed form, and how far it may be off, by source."""

    density: PolynomialDensity
    fluctuations: Mapping[str, Fluctuations]


def known_by(members: Sequence[Member], problem: Problem) -> Known:
    """What an ensemble knows."""
    [density] = closed_forms(members, problem, each=False)
    family = methods.family_of(members[0].note.settings)
    return Known(density, family.fluctuations(members, problem))


def rate(problem: Problem) -> Known:
    """A single cell: its number of events is all that data say."""
    monomials = Monomials(problem.setup.components)
    totals = problem.everything.weights.sum(axis=0) @ problem.setup.morphing_matrix
    cells = {name: np.zeros(len(events), int) for name, events in problem.samples().items()}
    fluctuations = of_counts(problem, cells["train"], 1, {})
    return Known(PolynomialDensity(monomials, totals[None], totals, cells), {RATE: fluctuations})


def narrowed(known: Known, problem: Problem, data: DataSets) -> tuple[Known, Problem, DataSets]:
    """The same where cells are single events: those of these data, and some test events."""
    if known.density.varied is not None:
        return known, problem, data
    rows = np.unique(data.multiplicities.indices)
    few = problem.test.part(0.0, min(1.0, closed_form.CELLS / len(problem.test)))
    cells = known.density.cells
    filled = np.concatenate([cells["test"][: len(few)], cells["observed"][rows]])
    used, places = np.unique(filled, return_inverse=True)
    of_few, of_data = np.split(places, [len(few)])
    density = replace(
        known.density,
        coefficients=known.density.coefficients[used],
        cells={"test": of_few, "observed": of_data},
    )
    fluctuations = {
        source: one if one.cells is None else replace(one, cells=one.cells[used])
        for source, one in known.fluctuations.items()
    }
    sets = replace(data, multiplicities=data.multiplicities[:, rows])
    return Known(density, fluctuations), replace(problem, test=few), sets


def fits(
    known: Known, problem: Problem, kind: str, data: DataSets, theta: np.ndarray
) -> dict[str, np.ndarray]:
    """The maxima near ``theta`` of data sets, "", and their variances, " stat" and " sim".

    Each (n_sets, n_parameters). Likelihoods may have other maxima far away. What the simulation
    adds follows from how it moves the slope of the likelihood.
    """
    model = closed_form.Model(known.density, problem, kind, fluctuations=known.fluctuations)
    simulated, units, done = model.simulated(data), model.units(theta), 0
    found: dict[str, list[np.ndarray]] = {"": [], " stat": [], " sim": []}
    for some in model.likelihoods(data):
        starts, sets = np.tile(theta, (len(some), 1)), np.arange(len(some))
        best, derivatives = climb(some, sets, starts, units)
        covariance = np.linalg.pinv(-derivatives.hessian)
        slopes = [slopes_of(one, best, done + sets, STEP * units) for one in simulated]
        moved = covariance @ np.concatenate(slopes, axis=2)
        found[""].append(best)
        found[" stat"].append(np.diagonal(covariance, axis1=1, axis2=2))
        found[" sim"].append(np.sum(moved**2, axis=2))
        done += len(some)
    return {name: np.concatenate(pieces) for name, pieces in found.items()}


def slopes_of(
    simulated: Simulated, points: np.ndarray, sets: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    """How the slope of the likelihood of ``sets`` at ``points`` changes along each direction.

    (n, n_parameters, n_directions), from differences over two ``steps``.
    """
    return np.stack(
        [
            (simulated.changes(points + step, sets) - simulated.changes(points - step, sets))
            / (2.0 * step.sum())
            for step in np.diag(steps)
        ],
        axis=1,
    )
