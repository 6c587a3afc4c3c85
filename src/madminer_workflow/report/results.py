"""``results.json``: everything that the report and its figures show, typed.

What a result does not have, an attribute that is None by default, has no key in the file; any other
None is a null there. Cross-sections of benchmarks are in fb, those that the physics steps noted in
pb; arrays that only figures need carry six significant digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from madminer_workflow.analysis.types import (
    BuiltinProcess,
    Cut,
    Detector,
    Efficiency,
    LabelledObservable,
    LabelledParameter,
    Method,
    Morphing,
    Point,
    Process,
    Systematic,
)
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json
from madminer_workflow.products.combined import ClosureCheck, CutFlow, SurplusCheck
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import (
    Check,
    Estimate,
    FisherInformation,
    Goodness,
    JointFit,
    Limits,
    Matrix,
    Number,
    ObservedData,
    ProvenInformation,
    Result,
    Shares,
    ToySummary,
)

SCHEMA_VERSION = 1
"""Of the file: another number where what is there already gets another name, place or meaning."""

ValueAndError = tuple[float, float]


class Title(Result, frozen=True, kw_only=True):
    """Which analysis it is."""

    name: str
    title: str
    seed: int


class EventNumbers(Result, frozen=True, kw_only=True):
    """Simulated events after cuts."""

    all: int
    train: int
    test: int


class BenchmarkPoint(Result, frozen=True, kw_only=True):
    """A benchmark with its values."""

    benchmark: str
    theta: list[float]


class NamedPoint(Result, frozen=True, kw_only=True):
    """A point as the analysis file gives it, with its values in the order of the parameters."""

    point: Point
    theta: list[float]


class Setup(Result, frozen=True, kw_only=True):
    """The analysis as far as it defines the problem, with parameter points resolved."""

    parameters: list[LabelledParameter]
    morphing: Morphing
    processes: list[Process]
    detector: Detector
    observables: list[LabelledObservable]
    cuts: list[Cut]
    efficiencies: list[Efficiency]
    luminosity_fb: float
    events: EventNumbers
    theta_ref: BenchmarkPoint
    theta_true: NamedPoint
    fisher_theta: BenchmarkPoint
    published_source: str

    @property
    def energy_tev(self) -> float | None:
        """√s [TeV] if the run settings of all processes say the same; massless beams."""
        energies = {
            2e-3 * math.sqrt(process.run.ebeam1 * process.run.ebeam2)
            if isinstance(process, BuiltinProcess)
            else None
            for process in self.processes
        }
        return energies.pop() if len(energies) == 1 else None


class Benchmark(Result, frozen=True, kw_only=True):
    """A benchmark with its cross-section after cuts and the events it means."""

    name: str
    theta: list[float]
    added_by_morphing: bool
    cross_section_fb: ValueAndError
    expected_events: float


class Closure(Result, frozen=True, kw_only=True):
    """All closure checks of cross-sections, and of weights at more benchmarks than terms."""

    checks: list[ClosureCheck]
    max_pull: float | None = None
    surplus: list[SurplusCheck] = msgspec.field(default_factory=list)


class PhysicsNotes(Result, frozen=True, kw_only=True):
    """What the physics steps noted in the data."""

    cut_flow: list[CutFlow] = msgspec.field(default_factory=list)
    closure: Closure = Closure(checks=[])
    cross_sections: dict[str, dict[str, ValueAndError]] = msgspec.field(default_factory=dict)


class DensityCurve(Result, frozen=True, kw_only=True):
    """A normalised distribution at a point, and its statistical error, each (n_bins,).

    ``benchmark`` is the name of the point ``theta``, "" for one that has none.
    """

    benchmark: str
    theta: list[float]
    density: list[Number]
    error: list[Number]


class Distribution(Result, frozen=True, kw_only=True):
    """An observable at the reference point, first, and at points near the limits."""

    name: str
    latex: str
    unit: str
    edges: list[float]
    curves: list[DensityCurve]


class Uncertainty(Result, frozen=True, kw_only=True):
    """A systematic uncertainty; ``rate_change`` is that of the expected events at -1 and +1."""

    name: str
    settings: Systematic
    processes: list[str]
    nuisance_parameters: list[str]
    rate_change: list[Number]


class Plane(Result, frozen=True, kw_only=True):
    """q in the plane of two parameters, the first along the rows."""

    parameters: tuple[str, str]
    q: list[list[Number]]


class Curves(Result, frozen=True, kw_only=True):
    """q along each parameter, on its axis of the grid, and in the plane of each pair.

    ``profiles`` and ``pairs`` are minimised over the other parameters; ``slices`` and
    ``slice_pairs`` have these at the nodes nearest to the assumed truth.
    """

    profiles: dict[str, list[Number]]
    slices: dict[str, list[Number]]
    pairs: list[Plane]
    slice_pairs: list[Plane]
    member_profiles: dict[str, list[list[Number]]] | None = None


class Impact(Result, frozen=True, kw_only=True):
    """Relative growth of each parameter's standard deviation from profiling."""

    all: list[Number]
    single: dict[str, list[Number]]


class BaselineInformation(Result, frozen=True, kw_only=True):
    """Fisher information with its error; ``sigma`` are standard deviations, all others free."""

    matrix: Matrix
    error: Matrix
    sigma: list[Number]


class ProfiledBaselineInformation(BaselineInformation, frozen=True, kw_only=True):
    """Information with the nuisance parameters profiled, and ``full``, on all parameters."""

    full: Matrix
    full_parameters: list[str]
    impact: Impact


class MethodInformation(FisherInformation, frozen=True, kw_only=True):
    """A method's information; ``error`` joins statistics and spread between members.

    ``ratio`` compares it with the published one, whose errors are not known.
    """

    error: Matrix
    sigma: list[Number]
    ratio: Matrix | None = None
    published: list[list[float]] | None = None


class ProfiledMethodInformation(MethodInformation, frozen=True, kw_only=True):
    """Information with the nuisance parameters profiled."""

    full_parameters: list[str]
    impact: Impact
    nuisance_parameters_in: str


class Subject(Result, frozen=True, kw_only=True):
    """What has limits: a method, or a baseline. Limits and curves are by kind of likelihood.

    ``limits_statistical`` and ``observed_statistical`` are what limits would be if the simulation
    were exact, where the others have its error.
    """

    name: str
    limits: dict[str, Limits]
    curves: dict[str, Curves]
    limits_statistical: dict[str, Limits] | None = None
    limits_fixed: dict[str, Limits] | None = None
    observed: dict[str, Limits] | None = None
    observed_statistical: dict[str, Limits] | None = None
    observed_curves: dict[str, Curves] | None = None


class Baseline(Subject, frozen=True, kw_only=True):
    """The rate alone, or the parton-level truth, which nothing can beat."""

    fisher_information: BaselineInformation
    fisher_information_profiled: ProfiledBaselineInformation | None = None


class Baselines(Result, frozen=True, kw_only=True):
    """What methods are compared with."""

    rate: Baseline
    truth: Baseline


class Calibration(Result, frozen=True, kw_only=True):
    """Mean parton-level score on one parameter in bins of the estimated one."""

    parameter: str
    estimated: list[Number]
    true: list[Number]
    error: list[Number]


class InformationEfficiency(Result, frozen=True, kw_only=True):
    """A method's proven information over that of the ``best`` method, and over the partons'."""

    best: str
    of_best: Shares
    of_partons: Shares


class IntervalComparison(Result, frozen=True, kw_only=True):
    """Lengths of a method's expected intervals over those of the ``best`` that may be believed.

    From rate and shape, at the highest confidence level: of each of ``parameters``, and their
    geometric mean ``together``. Errors are those of the ratio, from the events that both have in
    common and from the training of each; not known where an ensemble has one member.
    """

    best: str
    parameters: dict[str, Estimate]
    together: Estimate


class MethodReport(Subject, frozen=True, kw_only=True):
    """One method: its results, whether they may be believed, and the curves of its figures.

    ``shapes_left_out`` are the systematic uncertainties that change shapes, which the method's
    limits take to change the rate only; ``joint_fits`` of parameters and nuisance parameters are
    those to "expected" and "observed" data; ``goodness`` by kind says whether the latter look like
    the simulation at the best fit.
    """

    settings: Method
    members: int
    losses: list[Mapping[str, Sequence[Number]]]
    believed: bool
    checks: list[Check]
    diagnostics: list[list[Check]]
    reason: str
    remarks: list[str]
    fisher_information: MethodInformation
    fisher_information_profiled: ProfiledMethodInformation | None = None
    proven_information: ProvenInformation | None = None
    efficiency: InformationEfficiency | None = None
    comparison: IntervalComparison | None = None
    shapes_left_out: list[str] = msgspec.field(default_factory=list)
    joint_fits: dict[str, JointFit] | None = None
    goodness: dict[str, Goodness] | None = None
    calibration: list[Calibration] | None
    toys: ToySummary | None = None


class Verdict(Result, frozen=True, kw_only=True):
    """The order by sensitivity, the method to use (or None) and a sentence that says why.

    ``indistinguishable`` are other methods that may be believed and are as sensitive for all that
    the events can tell.
    ``goodness`` says whether observed data look like the simulation; where they do not, it is a
    ``warning``, the first thing to be read.
    """

    kind: str
    confidence_level: str
    order: list[str]
    recommended: str | None
    indistinguishable: list[str] = msgspec.field(default_factory=list)
    sentence: str
    warning: bool = False
    goodness: str | None = None

    @property
    def use(self) -> list[str]:
        """The method to use, and those that serve as well."""
        return [self.recommended, *self.indistinguishable] if self.recommended else []


class Report(Result, frozen=True, kw_only=True):
    """The content of ``results.json``.

    ``grid`` has the axis of each parameter; ``missing`` are methods without results. ``part_of``
    are the names of all methods of the run, where the report is one of some of them.
    ``schema_version`` is that of the file's structure, ``version`` that of the package.
    """

    schema_version: int
    version: str
    versions: dict[str, str]
    analysis: Title
    setup: Setup
    parameters: list[str]
    grid: dict[str, list[float]]
    confidence_levels: list[str]
    benchmarks: list[Benchmark]
    expected_events: float
    observed: ObservedData | None
    cut_flow: list[CutFlow]
    closure: Closure
    cross_sections: dict[str, dict[str, ValueAndError]]
    observables: list[Distribution]
    systematics: list[Uncertainty]
    baselines: Baselines
    methods: list[MethodReport]
    missing: list[str]
    verdict: Verdict
    part_of: list[str] = msgspec.field(default_factory=list)

    @property
    def levels(self) -> list[str]:
        """Confidence levels from the lowest to the highest."""
        return sorted(self.confidence_levels, key=float)

    @property
    def truth(self) -> dict[str, float]:
        """The assumed truth, by parameter."""
        return dict(zip(self.parameters, self.setup.theta_true.theta, strict=True))


def as_read(report: Report) -> Report:
    """The report as reading ``results.json`` gives it: None for what is not finite."""
    return report_of(plain(report))


def report_of(content: Any) -> Report:
    """The report of the content of ``results.json``; msgspec.ValidationError if it is none."""
    return msgspec.convert(content, Report)


def read_report(path: Path) -> Report:
    """Read ``results.json``; InputError if it is not what plotting writes."""
    content = read_json(path)
    if isinstance(content, dict) and "verdict" in content:
        version = content.get("schema_version", "missing")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{path}: schema_version: is {version}; this version of madminer-workflow reads "
                f"{SCHEMA_VERSION}: run plotting again, or use the version that wrote the file"
            )
    try:
        return report_of(content)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: is not a results.json from plotting: {error}") from None
