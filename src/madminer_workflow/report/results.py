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
    """The name, title and seed of the analysis."""

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
    """The parts of the analysis that define the measurement, with points as numbers."""

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
    """A benchmark with its cross-section after cuts and the expected number of events."""

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

    ``benchmark`` is the name of the point ``theta``, "" if it has none.
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
    """A systematic uncertainty, and the change of the expected number of events at -1 and +1."""

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
    """A method's information; ``error`` combines statistics and the spread between members.

    ``ratio`` is that to the published information, whose errors are not known.
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
    """Something with limits: a method or a baseline. Limits and curves are by kind of likelihood.

    ``limits_statistical`` and ``observed_statistical`` are the limits without the error of finite
    simulation, if the others include it.
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
    """The rate alone, or the parton-level truth, which no method can surpass."""

    fisher_information: BaselineInformation
    fisher_information_profiled: ProfiledBaselineInformation | None = None


class Baselines(Result, frozen=True, kw_only=True):
    """The two references with which methods are compared."""

    rate: Baseline
    truth: Baseline


class Calibration(Result, frozen=True, kw_only=True):
    """Mean parton-level score on one parameter in bins of the estimated one."""

    parameter: str
    estimated: list[Number]
    true: list[Number]
    error: list[Number]


class InformationEfficiency(Result, frozen=True, kw_only=True):
    """A method's share of the information that the ``best`` method proves, and of the partons'."""

    best: str
    of_best: Shares
    of_partons: Shares


class IntervalComparison(Result, frozen=True, kw_only=True):
    """Lengths of a method's expected intervals, divided by those of the ``best`` trusted method.

    From rate and shape, at the highest confidence level: for each of ``parameters``, and the
    geometric mean, ``together``. The errors of the ratios include common test events, the
    simulation and the training; they are unknown if an ensemble has only one member.
    """

    best: str
    parameters: dict[str, Estimate]
    together: Estimate


class MethodReport(Subject, frozen=True, kw_only=True):
    """The results of one method, whether to trust them, and the curves of its figures.

    ``shapes_left_out`` are systematic uncertainties that change shapes, but only the rate in the
    limits of this method. ``joint_fits`` are the fits of parameters and nuisance parameters to
    "expected" and "observed" data. ``goodness``, by kind, says whether observed data look like the
    simulation at the best fit.
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
    """The methods by sensitivity, the recommended one (or None), and a sentence that says why.

    ``indistinguishable`` are other trusted methods that are as sensitive, within the error of the
    comparison. ``goodness`` says whether observed data look like the simulation; if they do not,
    ``warning`` is true, and the report starts with this.
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

    ``grid`` has the axis of each parameter; ``missing`` are methods without results. If a report
    covers only some methods of a run, ``part_of`` names all of them.
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
    if not path.exists():
        raise InputError(
            f"{path}: no such file; a run writes it at its end, so finish the run first"
        )
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
