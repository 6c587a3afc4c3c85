"""Typed results of the statistics, in the form of ``results.json``.

The keys of mappings are parameters, confidence levels and kinds of likelihood; a level is written
as in the analysis file, "0.95". ``Number`` is None if a number is not finite. Something that a
result does not have is an attribute that is None by default, and has no key in the file.
"""

from __future__ import annotations

from msgspec import Struct, field

from madminer_workflow.analysis.types import NOMINAL

Number = float | None
Matrix = list[list[Number]]
Interval = tuple[float, float]

IntervalsByLevel = dict[str, list[Interval]]
"""Disjoint intervals of one parameter, lowest first; none if no grid point is inside."""

Intervals = dict[str, IntervalsByLevel]
"""By parameter."""


class Result(Struct, frozen=True, omit_defaults=True):
    """Base class of all results."""


class ObservedData(Result, frozen=True, kw_only=True):
    """Source and number of the observed events, and the point at which pseudo-data were drawn."""

    source: str
    events: int
    theta: list[float] | None


class ParameterError(Result, frozen=True, kw_only=True):
    """The contributions to the 68.3 % interval of a parameter, as standard deviations.

    ``statistical`` is that of the data, ``simulation`` that of the finite simulated sample, and
    ``training`` that of the training; they add in quadrature. None if the likelihood has no edge
    within the grid, or if the error is unknown.
    """

    statistical: Number
    simulation: Number
    training: Number


class Limits(Result, frozen=True, kw_only=True):
    """Limits from one likelihood on the grid.

    ``best_fit`` (n_parameters,); ``intervals`` profile the other parameters; ``allowed_volume``, by
    level, is the volume of the joint region of all parameters. ``member_intervals`` are the
    intervals of the members of an ensemble, in their order, without the error from finite
    simulation. ``errors`` are those of each parameter, None if unknown.
    """

    best_fit: list[float]
    intervals: Intervals
    allowed_volume: dict[str, float]
    member_intervals: dict[str, dict[str, list[list[Interval]]]] | None = None
    errors: dict[str, ParameterError] | None = None


class Shifts(Result, frozen=True, kw_only=True):
    """Shifts of the best fit of a parameter when a nuisance parameter is fixed off its own.

    ``postfit``: fixed at its best fit minus, and plus, its post-fit error; ``prefit``: minus, and
    plus, the width of its constraint, 1.
    """

    postfit: tuple[Number, Number]
    prefit: tuple[Number, Number]


class NuisanceFit(Result, frozen=True, kw_only=True):
    """The result of the fit for one nuisance parameter of the uncertainty ``systematic``.

    ``pull`` is its best fit minus its auxiliary measurement, and ``error`` its post-fit standard
    deviation from the curvature of the likelihood (its constraint), both in units of the prior
    width. ``profile_error`` are the distances at which the profile likelihood has dropped by 1/2,
    below and above. ``impact`` is given by parameter.
    """

    name: str
    systematic: str
    pull: Number
    error: Number
    profile_error: tuple[Number, Number]
    impact: dict[str, Shifts]


class JointFit(Result, frozen=True, kw_only=True):
    """The fit of all parameters and nuisance parameters to one data set, from rate and shape.

    ``best_fit`` and ``error`` (n_parameters,) refer to the parameters; ``correlation`` is the
    matrix for the parameters followed by the nuisance parameters. ``ranking`` lists the names of
    the nuisance parameters for every parameter, the largest post-fit impact first.
    """

    best_fit: list[float]
    error: list[Number]
    nuisance: list[NuisanceFit]
    correlation: Matrix
    ranking: dict[str, list[str]]


class GoodnessTest(Result, frozen=True, kw_only=True):
    """One test of data against the simulation at the best fit.

    ``about`` is what is compared: "count", "pulls", "observable", "score" (with respect to the
    parameter ``name``, as estimated by the method) or "events", all observables together. For an
    observable or score, ``interval`` is the region in which data and simulation differ most, None
    for an open end. ``observed`` and ``expected`` are the numbers of events in it, or in total.
    """

    name: str
    about: str
    p_value: float
    interval: tuple[Number, Number] | None = None
    observed: Number = None
    expected: Number = None


class GoodnessPlot(Result, frozen=True, kw_only=True):
    """Binned events for the largest discrepancy: ``edges`` (n_bins + 1,) span all events.

    ``expected`` events at the best fit are normalised to the number of ``observed`` events.
    """

    name: str
    about: str
    edges: list[float]
    observed: list[float]
    expected: list[Number]


class Goodness(Result, frozen=True, kw_only=True):
    """Whether data look like the simulation at the best fit, from ``n_toys`` toys.

    ``p_value`` is that of the smallest p-value of all ``tests``; no p-value is below 1/(n_toys +
    1).
    """

    p_value: float
    n_toys: int
    best_fit: list[float]
    nuisance_parameters: list[float]
    observed_events: int
    expected_events: float
    tests: list[GoodnessTest]
    plot: GoodnessPlot | None = None

    @property
    def smallest(self) -> GoodnessTest:
        """The test with the smallest p-value; the first one if there are several."""
        return min(self.tests, key=lambda test: test.p_value)

    @property
    def place(self) -> GoodnessTest | None:
        """The test of an observable, or otherwise of a score, that has the smallest p-value."""
        for about in ("observable", "score"):
            tests = [test for test in self.tests if test.about == about]
            if tests:
                return min(tests, key=lambda test: test.p_value)
        return None


class FisherInformation(Result, frozen=True, kw_only=True):
    """Information of an ensemble, (n_parameters, n_parameters) in the order of the parameters.

    ``statistical_error`` are standard errors from the events, ``ensemble_spread`` is the standard
    deviation between the matrices of the ``members``, 0 for one member. ``full``, for profiled
    information only, is the information on physics and nuisance parameters together, without
    constraints.
    """

    matrix: Matrix
    statistical_error: Matrix
    ensemble_spread: Matrix
    members: list[Matrix]
    full: Matrix | None = None


class Estimate(Result, frozen=True, kw_only=True):
    """A number and its standard error."""

    value: Number
    error: Number


class Shares(Result, frozen=True, kw_only=True):
    """The ratio of two informations, for each of ``parameters`` and ``together``.

    For each, all others are fixed; ``together`` is the geometric mean over independent directions
    of parameter space.
    """

    parameters: dict[str, Estimate]
    together: Estimate


class ProvenInformation(Result, frozen=True, kw_only=True):
    """The information that the test events prove to be in a method's scores, with errors.

    From rate and shape, with nuisance parameters fixed; ``claimed`` is the ratio to it of the
    information that the scores would have if they were true ones.
    """

    matrix: Matrix
    error: Matrix
    claimed: Shares


class Thresholds(Result, frozen=True, kw_only=True):
    """Results from toys for one test statistic, by level.

    ``coverage`` is that of the asymptotic threshold, ``critical`` the threshold with nominal
    coverage.
    """

    coverage: dict[str, Estimate]
    critical: dict[str, Estimate]


class JointThresholds(Thresholds, frozen=True, kw_only=True):
    """Thresholds for all parameters jointly, and for each of ``parameters``, the others profiled.

    ``q`` are numbers of toys between ``edges``; the last bin contains the overflow.
    """

    edges: list[float]
    q: list[int]
    parameters: dict[str, Thresholds]


class PointCoverage(Result, frozen=True, kw_only=True):
    """Coverage at one parameter point, by kind of likelihood."""

    name: str
    theta: list[float]
    kinds: dict[str, JointThresholds]


class ToySummary(Result, frozen=True, kw_only=True):
    """Results of a method's toys: ``n_toys`` at each of ``points``.

    ``nuisance_parameters`` are "nominal" or drawn from their "prior", see ``statistics.toys``.

    ``intervals``, by kind of likelihood, use thresholds from toys (Neyman's construction), for
    expected data, and for observed data if there are any.
    """

    n_toys: int
    points: list[PointCoverage]
    intervals: dict[str, Intervals]
    observed_intervals: dict[str, Intervals] | None = None
    nuisance_parameters: str = NOMINAL


class Plot(Result, frozen=True, kw_only=True, tag_field="kind"):
    """The data of a figure of a check."""


class ClosurePlot(Plot, frozen=True, kw_only=True, tag="closure"):
    """Mean ratio and error at ``points`` (n_points, n_parameters)."""

    points: list[list[float]]
    mean: list[Number]
    error: list[Number]
    tolerance: float


class ReliabilityCurve(Result, frozen=True, kw_only=True):
    """Fractions of denominator events in bins of the prediction, each (n_bins,)."""

    predicted: list[Number]
    true: list[Number]
    error: list[Number]


class ReliabilityTolerance(Result, frozen=True, kw_only=True):
    """Differences that are accepted, whatever the statistics."""

    overconfident: float
    cautious: float


class ReliabilityPlot(Plot, frozen=True, kw_only=True, tag="reliability"):
    """A curve for each of ``points`` (n_points, n_parameters)."""

    points: list[list[float]]
    curves: list[ReliabilityCurve]
    tolerance: ReliabilityTolerance


class ReweightingPlot(Plot, frozen=True, kw_only=True, tag="reweighting"):
    """Largest difference of the distributions of each observable, its error, and the tolerance."""

    observables: list[str]
    difference: list[Number]
    error: list[Number]
    allowed: list[Number]
    tolerance: float


class EnsemblePlot(Plot, frozen=True, kw_only=True, tag="ensemble"):
    """Outermost edges of the intervals of an ensemble and of its members, by parameter."""

    parameters: list[str]
    intervals: list[list[Number]]
    members: list[list[list[Number]]]


class ExtrapolationPlot(Plot, frozen=True, kw_only=True, tag="extrapolation"):
    """Ends of the prior and of the confidence region, (n_parameters, 2) each."""

    prior: list[list[float]]
    region: list[list[Number]]


class SizesPlot(Plot, frozen=True, kw_only=True, tag="sizes"):
    """Effective numbers of simulated events at named points, and the number needed."""

    points: list[str]
    size: list[Number]
    needed: float


class BinsPlot(Plot, frozen=True, kw_only=True, tag="bins"):
    """Effective numbers of simulated events in bins, and the number needed."""

    size: list[Number]
    needed: float


AnyPlot = (
    ClosurePlot
    | ReliabilityPlot
    | ReweightingPlot
    | EnsemblePlot
    | ExtrapolationPlot
    | SizesPlot
    | BinsPlot
)


class Check(Result, frozen=True, kw_only=True):
    """Whether a model can be trusted in one respect.

    ``value`` is the measured value and ``error`` its standard error. ``expected`` says which values
    pass, ``meaning`` what is measured, ``reason`` why the threshold is what it is, ``sentence``
    what was measured, for a reader, and ``proves`` what passing shows, for a list. ``concerns``
    names what the check is about, if not the limits. A check that passes without a value could not
    be decided.
    """

    name: str = field(name="check")
    value: Number
    error: Number
    passed: bool
    expected: str
    meaning: str
    reason: str
    sentence: str
    proves: str
    concerns: str | None = None
    plot: AnyPlot | None = None
