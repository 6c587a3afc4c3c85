"""What an analysis will cost, step by step, before anything runs.

Every step has a start (Python and its imports), and costs per event, sample, step of a training,
point of a grid and figure. The constants were measured on one core of an ordinary server;
``python benchmarks/estimates.py`` measures all steps again and puts the estimates beside. They are
right within a factor of 2 for analyses like those in ``inputs``: enough to tell a minute from an
hour, and what fits a machine from what never will.

What nobody knows before are the fraction of events that pass the cuts, here all, and the expected
number of events, here ``EXPECTED``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod

from madminer_workflow.analysis.morphing import n_morphing_components
from madminer_workflow.analysis.systematics import nuisance_parameters
from madminer_workflow.analysis.types import (
    PRIOR,
    Analysis,
    BuiltinProcess,
    Density,
    Histogram,
    Method,
    Parameterized,
    Polynomial,
    Process,
    Ratio,
    Score,
    Trained,
)

KB, MB = 1e3, 1e6
NUMBER = 8
"""Bytes of a number."""

# --- CPU seconds on one core ----------------------------------------------------------------------

START = 0.6
"""Of a process with numpy and h5py."""
START_TORCH = 2.3
"""Of one with a network."""
MORPHING = 14e-6
"""For each trial and test point of the search for a basis, at few terms."""
INTEGRATION = 0.9
"""Of a built-in process at one parameter point."""
MADGRAPH_ONCE, MADGRAPH_POINT = 20.0, 1.0
"""To write and compile a process, and to integrate it at one more point."""
DRAWN, DRAWN_WEIGHT = 10e-6, 3.5e-6
"""An event of a built-in process, and each of its weights."""
MADGRAPH_EVENT = 1e-3
SHOWERED, DETECTED = 14e-3, 8.6e-3
"""An event of Pythia 8 with multiparton interactions, and of Delphes."""
READ, OBSERVED, JOINED = 15e-6, 2e-6, 1e-6
"""An event read from LHE, each of its observables, and the event when jobs are combined."""
SHIFTED, OBSERVED_AGAIN = 0.5e-6, 0.2e-6
"""The objects of an event, with another scale or resolution, and each observable of them."""
SAMPLED = 1.2e-6
BATCH = {"plain": 0.6e-3, "score": 1.25e-3, "polynomial": 1.1e-3, "flow": 1.5e-3}
"""A step of a training, however small the network; of a flow, for each autoregressive layer."""
TRAINED = 2e10
"""Products of numbers a second when networks are trained; they are three times those of a pass."""
EVALUATED, EVALUATED_FLOW = 1.7e10, 5.6e9
"""The same when they are evaluated."""
CHECKED = 0.5
"""Limits, information and checks of a member that need no grid."""
OPENED = 0.6
"""A model that is read and evaluated."""
HISTOGRAM_POINT = 4e-7
"""For each event that the histogram of a point of the grid is made of."""
FITTED = 0.6e-3
"""A toy whose maxima are found by fits, with two parameters."""
TOY_POINT = 1.5e-8
"""A toy at a point of the grid, for each event that it has."""
REWEIGHTED = 1e-8
"""A toy with nuisance parameters of its own, for each simulated event."""
FIGURE = 0.55

# --- Bytes ----------------------------------------------------------------------------------------

PROCESS, PROCESS_TORCH, PROCESS_PLOTS = 60 * MB, 310 * MB, 230 * MB
"""What a process has before it does anything."""
INTEGRATING, DRAWING, SHOWERING = 230 * MB, 55 * MB, 300 * MB
EVENT_COPIES, SAMPLE_COPIES = 3.0, 3.0
"""How many times events and samples are in memory where they are used."""
LHE, LHE_WEIGHT, SHOWERED_EVENT = 170.0, 28.0, 52 * KB
"""An event in Events.tar.gz, each of its weights, and an event after the shower."""
SCRATCH = 300 * KB
"""A showered event while a job works on it."""
PROCESS_FILE, PROCESS_FILE_MADGRAPH = 1 * MB, 6 * MB
PICTURE, REPORT = 250 * KB, 500 * KB
"""A figure in three formats with its table."""
RESULT, RESULT_POINT = 40 * KB, 400.0
"""Results of a method, and each point of its grid for each member."""
NETWORK_COPIES = 5
"""Of each weight: gradient, moments of the optimiser, and what is saved."""

UNITS = {"years": 31_557_600.0, "days": 86_400.0, "h": 3_600.0, "min": 60.0}

EXPECTED = 300
"""Events of a toy, if nobody knows."""


@dataclass(frozen=True)
class Plan:
    """How an analysis is to be run: as ``engines.order.Order``, with its names."""

    njobs: int = 6
    ntrainsamples: int = 1
    workers: int = 1
    part: str = "all"


@dataclass(frozen=True)
class Estimate:
    """What one step costs: CPU seconds and bytes on disk of all its ``jobs``.

    ``memory`` is that of the largest and ``longest`` the CPU time of the longest of them;
    ``scratch`` is what one of them has on disk while it runs, and no longer.
    """

    step: str
    jobs: int
    cpu: float
    memory: float
    disk: float
    longest: float = 0.0
    scratch: float = 0.0

    @property
    def words(self) -> tuple[str, str, str]:
        """CPU time, memory and disk space in words."""
        return time_words(self.cpu), size_words(self.memory), size_words(self.disk)

    def wall(self, workers: int) -> float:
        """Seconds with so many jobs at a time."""
        return max(self.longest, self.cpu / max(1, min(workers, self.jobs)))


@dataclass(frozen=True)
class Whole:
    """The estimates of all steps that the ``plan`` asks for."""

    plan: Plan
    steps: Sequence[Estimate]

    @cached_property
    def by_name(self) -> Mapping[str, Estimate]:
        """The estimates by step."""
        return {estimate.step: estimate for estimate in self.steps}

    @property
    def cpu(self) -> float:
        """CPU seconds."""
        return sum(estimate.cpu for estimate in self.steps)

    @property
    def wall(self) -> float:
        """Seconds on the clock, if each step waits for the one before it."""
        return sum(estimate.wall(self.plan.workers) for estimate in self.steps)

    @property
    def memory(self) -> float:
        """Bytes of the largest job."""
        return max(estimate.memory for estimate in self.steps)

    @property
    def disk(self) -> float:
        """Bytes of all products, and of what jobs have beside them while they run."""
        scratch = max(e.scratch * min(self.plan.workers, e.jobs) for e in self.steps)
        return sum(estimate.disk for estimate in self.steps) + scratch

    @property
    def words(self) -> str:
        """All of it in a line."""
        workers = self.plan.workers
        several = f"{workers} steps" if workers > 1 else "one step"
        return (
            f"about {time_words(self.wall)} with {several} at a time, {time_words(self.cpu)} of "
            f"CPU time, {size_words(self.memory)} of memory per step, {size_words(self.disk)} of "
            "disk space"
        )


def estimate(analysis: Analysis, plan: Plan) -> Whole:
    """Estimate what all steps of the part in ``plan`` cost."""
    size = _Size(analysis, plan)
    physics = _physics(size) if plan.part != "ml" else ()
    learning = _learning(size) if plan.part != "physics" else ()
    return Whole(plan, [*physics, *learning])


def grid_words(analysis: Analysis) -> str:
    """The grid's size, and the CPU time of the methods whose limits need all of it."""
    axes = [axis.resolution for axis in analysis.ml.limits.grid.values()]
    product = f"{' x '.join(map(str, axes))} = " if len(axes) > 1 else ""
    words = f"{product}{prod(axes)} points"
    size = _Size(analysis, Plan())
    costs = {
        method.name: _at_points(method, size, 1)
        for method in analysis.ml.methods
        if isinstance(method, Parameterized) or not method.fitted
    }
    if not costs:
        return f"{words}, only for figures: limits come from fits"
    times = ", ".join(f"{time_words(seconds)} for {name}" for name, seconds in costs.items())
    return f"{words}; CPU time per member, up to {times}"


def time_words(seconds: float) -> str:
    """With the unit that makes it a small number."""
    for unit, length in UNITS.items():
        if seconds >= 2.0 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{max(seconds, 1.0):.0f} s"


def size_words(size: float) -> str:
    """Bytes with the unit that makes them a small number."""
    for unit, length in (("TB", 1e12), ("GB", 1e9)):
        if size >= length:
            return f"{size / length:,.1f} {unit}" if size < 1e15 else f"{size / length:.3g} {unit}"
    return f"{max(size / MB, 1.0):.0f} MB"


class _Size:
    """The numbers that costs are proportional to."""

    def __init__(self, analysis: Analysis, plan: Plan) -> None:
        self.analysis, self.plan = analysis, plan
        powers = [parameter.morphing_max_power for parameter in analysis.parameters]
        self.terms = n_morphing_components(powers, analysis.morphing.max_overall_power)
        self.points = max(len(analysis.benchmarks), self.terms)
        nuisance = nuisance_parameters(analysis.systematics)
        self.weights = self.points + sum(len(parameter.benchmarks) for parameter in nuisance)
        self.generated = self.points + sum(
            len(parameter.benchmarks) for parameter in nuisance if not parameter.of_objects
        )
        self.shifts = sum(len(parameter.benchmarks) for parameter in nuisance if parameter.shifts)
        self.events = sum(process.n_events for process in analysis.processes)
        self.test = analysis.ml.test_split * self.events
        self.n_parameters = len(analysis.parameters)
        self.n_observables = len(analysis.observables)
        self.grid = prod(axis.resolution for axis in analysis.ml.limits.grid.values())

    @property
    def event(self) -> float:
        """Bytes of an event with its weights in MadMiner's format, and of it shifted."""
        shifted = self.shifts * (self.n_observables + self.points + 2)
        return NUMBER * (self.n_observables + self.weights + 2.5 + shifted)

    @property
    def data(self) -> float:
        """Bytes that all events have in memory."""
        return EVENT_COPIES * self.event * self.events


def _jobs(step: str, costs: Sequence[tuple[float, float]], disk: float) -> Estimate:
    """From CPU time and memory of each job."""
    cpu = [seconds for seconds, _ in costs]
    memory = max(size for _, size in costs)
    return Estimate(step, len(costs), sum(cpu), memory, disk, max(cpu))


def _shared(
    step: str, jobs: int, work: float, start: float, memory: float, disk: float, scratch: float = 0
) -> Estimate:
    """From the work that jobs share, besides the start of each, and the memory of one."""
    return Estimate(step, jobs, work + jobs * start, memory, disk, start + work / jobs, scratch)


def _physics(size: _Size) -> Iterator[Estimate]:
    analysis, jobs = size.analysis, max(1, min(size.plan.njobs, size.events))
    morphing = analysis.morphing
    trials = morphing.n_trials * morphing.n_test_thetas * MORPHING * (1 + size.terms**2 / 1000)
    yield _jobs("configure", [(0.4 + trials, PROCESS)], 60 * KB)
    cost, disk = START, 0.0
    for process in analysis.processes:
        points = 1 if process.is_background else size.points + 1
        built_in = isinstance(process, BuiltinProcess)
        cost += INTEGRATION * points if built_in else MADGRAPH_ONCE + MADGRAPH_POINT * points
        disk += PROCESS_FILE if built_in else PROCESS_FILE_MADGRAPH
    yield _jobs("generate", [(cost, PROCESS + INTEGRATING)], disk)
    drawn = detected = lhe = 0.0
    for process in analysis.processes:
        one, measured, stored = _event(process, size)
        drawn, detected = drawn + one * process.n_events, detected + measured * process.n_events
        lhe += stored * process.n_events
    share = size.events / jobs
    showers = any(process.pythia8_card is not None for process in analysis.processes)
    memory = PROCESS + (SHOWERING if showers else DRAWING) + share * 64 * (8 + size.generated)
    scratch = SCRATCH * share if showers else 0.0
    yield _shared("pythia", jobs, drawn, START, memory, lhe, scratch)
    memory = PROCESS + DRAWING + share * (1.0 * KB + EVENT_COPIES * size.event)
    disk = size.event * size.events
    yield _shared("delphes", jobs, detected, START, memory, disk, scratch)
    joined = START + JOINED * (1 + size.shifts) * size.events
    yield _jobs("combine", [(joined, PROCESS + size.data)], disk)


def _event(process: Process, size: _Size) -> tuple[float, float, float]:
    """CPU seconds of an event until it is written, to measure it, and its bytes."""
    drawn = MADGRAPH_EVENT
    if isinstance(process, BuiltinProcess):
        drawn = DRAWN + DRAWN_WEIGHT * size.generated
    shifted = size.shifts * (SHIFTED + OBSERVED_AGAIN * size.n_observables)
    detected = READ + OBSERVED * size.n_observables + shifted
    stored = LHE + LHE_WEIGHT * size.generated
    if process.pythia8_card is None:
        return drawn, detected, stored
    return drawn + SHOWERED, detected + DETECTED, stored + SHOWERED_EVENT


def _learning(size: _Size) -> Iterator[Estimate]:
    analysis = size.analysis
    methods = [(m, m.members(size.plan.ntrainsamples)) for m in analysis.ml.methods]
    samples = {method.name: _samples(method, size) for method in analysis.ml.methods}
    stored = sum(
        members * samples[method.name][0] * _row_stored(method, size) for method, members in methods
    )
    largest = max(prod(rows) for rows in samples.values())
    drawn = sum(members * samples[method.name][0] for method, members in methods)
    cost = START + SAMPLED * drawn + JOINED * size.events
    memory = PROCESS + size.data + SAMPLE_COPIES * largest
    yield _jobs("sampling", [(cost, memory)], stored)
    trainings, models = [], 0.0
    for method, members in methods:
        rows, width = samples[method.name]
        trainings += [_training(method, size, rows, width)] * members
        models += members * (20 * KB + 4 * _weights(method, size))
    yield _jobs("training", trainings, models)
    evaluations, results = [], 0.0
    for method, members in methods:
        evaluations.append(_evaluation(method, size, members))
        results += RESULT + RESULT_POINT * size.grid * (members + 1)
    yield _jobs("evaluating", evaluations, results)
    if analysis.ml.limits.toys.n_toys:
        jobs = [job for method, members in methods for job in _toys(method, size, members)]
        kept = 2 * NUMBER * (1 + size.n_parameters) * _n_toys(size) * len(methods)
        yield _jobs("toys", jobs, kept + 10 * KB * len(jobs))
    figures = _figures(size)
    cost = START_TORCH + FIGURE * figures + size.grid * len(methods) * 2e-6
    memory = PROCESS_PLOTS + size.data + 10.0 * RESULT_POINT * size.grid * len(methods)
    yield _jobs("plotting", [(cost, memory)], REPORT + PICTURE * figures)


def _samples(method: Method, size: _Size) -> tuple[float, float]:
    """Rows of the training set of a member, and the bytes of each."""
    if isinstance(method, Histogram):
        return 0.0, 0.0
    inputs = len(method.inputs(size.analysis.observable_names))
    if isinstance(method, Polynomial):
        return size.events - size.test, NUMBER * (inputs + size.terms)
    others = 2.5 * size.n_parameters
    if isinstance(method, Parameterized):
        others = 3.0 + 3.0 * size.n_parameters
    return method.n_samples, NUMBER * (inputs + others)


def _row_stored(method: Method, size: _Size) -> float:
    """Bytes of a row of the training set in its file, where rows that are alike share numbers."""
    if isinstance(method, Parameterized):
        return 14.0 + 4.0 * len(method.inputs(size.analysis.observable_names))
    return _samples(method, size)[1]


def _weights(method: Method, size: _Size) -> float:
    """How many numbers the network of a member has, and products one pass of an event needs."""
    if isinstance(method, Histogram):
        return 0.0
    inputs = len(method.inputs(size.analysis.observable_names))
    outputs = size.terms if isinstance(method, Polynomial) else 1
    if isinstance(method, Score):
        outputs = size.n_parameters
    if isinstance(method, Parameterized):
        inputs += size.n_parameters
    layers = [inputs, *method.network.n_hidden, outputs]
    products = float(sum(a * b for a, b in pairwise(layers)))
    if isinstance(method, Density):
        products *= method.network.n_mades * (1 + method.network.n_components / 10)
    return products


def _training(method: Method, size: _Size, rows: float, width: float) -> tuple[float, float]:
    if isinstance(method, Histogram):
        return START, PROCESS + 15 * MB
    training, weights = method.training, _weights(method, size)
    held = (method.training.validation_split or 0.0) if isinstance(method, Trained) else 0.1
    if isinstance(method, Trained) and method.training.limit_samplesize is not None:
        rows = min(rows, method.training.limit_samplesize)
    batch = min(training.batch_size, max(1.0, rows))
    steps = training.n_epochs * max(1.0, (1.0 - held) * rows / batch)
    kind, times = "plain", 1.0
    if isinstance(method, Polynomial):
        kind, steps = "polynomial", min(steps, method.training.n_steps)
    elif isinstance(method, Density):
        kind, times = "flow", float(method.network.n_mades)
    elif isinstance(method, Ratio) and method.learns_score:
        kind = "score"
    passes = 3.0 * batch + held * batch
    cost = START_TORCH + steps * (times * BATCH[kind] + passes * weights / TRAINED)
    hidden = sum(method.network.n_hidden) * times
    memory = PROCESS_TORCH + SAMPLE_COPIES * rows * width + 4 * NETWORK_COPIES * weights
    # What passes keep of a batch, and of all events where losses are validated.
    return cost, memory + 4 * 6 * batch * hidden


def _evaluation(method: Method, size: _Size, members: int) -> tuple[float, float]:
    torch = isinstance(method, Trained)
    cost = START_TORCH if torch else START
    cost += 0.0 if isinstance(method, Histogram) else OPENED * members
    cost += CHECKED * (1.0 + 2e-6 * size.events) + _at_points(method, size, members)
    tables = 2 * 3 * NUMBER * (members + 1) * size.grid
    memory = (PROCESS_TORCH if torch else PROCESS + 15 * MB) + size.data + tables
    return cost, memory + 4 * NETWORK_COPIES * _weights(method, size)


def _at_points(method: Method, size: _Size, members: int) -> float:
    """CPU seconds for the likelihood at all points of the grid; 0 if it is fitted."""
    if isinstance(method, Parameterized):
        speed = EVALUATED_FLOW if isinstance(method, Density) else EVALUATED
        return members * size.grid * size.test * _weights(method, size) / speed
    if method.fitted:
        return size.grid * 2e-5 * (members + 1)
    return members * size.grid * size.events * HISTOGRAM_POINT


def _toys(method: Method, size: _Size, members: int) -> Iterator[tuple[float, float]]:
    """CPU time and memory of each job of toys of a method."""
    jobs = size.analysis.ml.limits.toys.jobs
    drawn = _n_toys(size) / jobs
    events = min(EXPECTED, size.test)
    if method.fitted:
        work = drawn * FITTED * size.n_parameters / 2.0
    else:
        work = drawn * size.grid * events * TOY_POINT + _at_points(method, size, members)
    if size.analysis.ml.limits.toys.nuisance_parameters == PRIOR:
        work += drawn * size.test * REWEIGHTED
    torch = isinstance(method, Trained)
    start, base = (START_TORCH, PROCESS_TORCH) if torch else (START, PROCESS + 15 * MB)
    memory = base + size.data + 3 * 2 * NUMBER * drawn * events
    # log likelihoods of toys at points of the grid, of which so many are kept at a time.
    if not method.fitted:
        memory += min(240 * MB, 2 * NUMBER * drawn * size.grid)
    yield from [(start + work, memory)] * jobs


def _n_toys(size: _Size) -> int:
    """The toys of a method at all points together."""
    limits = size.analysis.ml.limits
    along = sum(min(limits.toys.resolution, axis.resolution) for axis in limits.grid.values())
    return limits.toys.n_toys * (1 + len(limits.toys.points) + along)


def _figures(size: _Size) -> int:
    """About how many figures the report has."""
    n, limits = size.n_parameters, size.analysis.ml.limits
    pairs = n * (n - 1) // 2
    trained = sum(method.trainable for method in size.analysis.ml.methods)
    toys = 6 * bool(limits.toys.n_toys)
    rankings = n * len(size.analysis.ml.methods) * bool(size.analysis.systematics)
    return 6 + 3 * pairs + size.n_observables + trained + 7 + toys + rankings
