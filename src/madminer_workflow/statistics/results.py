"""What statistics finds, typed, in the form that ``results.json`` has.

Parameters, confidence levels and kinds of likelihood are the keys of mappings; a level is written
as in the analysis file, "0.95". ``Number`` is None where a number is not finite. What a result does
not have, an attribute that is None by default, has no key in the file.
"""

from __future__ import annotations

from msgspec import Struct, field

from madminer_workflow.analysis.types import NOMINAL

Number = float | None
Matrix = list[list[Number]]
Interval = tuple[float, float]

IntervalsByLevel = dict[str, list[Interval]]
"""Disjoint intervals of one parameter, lowest first; none where the grid has no such point."""

Intervals = dict[str, IntervalsByLevel]
"""By parameter."""


class Result(Struct, frozen=True, omit_defaults=True):
    """Base of all."""


class ObservedData(Result, frozen=True, kw_only=True):
    """Where observed events come from, how many there are, and where pseudo-data were drawn."""

    source: str
    events: int
    theta: list[float] | None


class ParameterError(Result, frozen=True, kw_only=True):
    """What the 68.3 % interval of a parameter is made of, as standard deviations.

    ``statistical`` is that of the data, ``simulation`` of other simulated events and ``training``
    of other trainings on the same ones; squares add up. None where the likelihood has no edge
    within the grid, or the error is not known.
    """

    statistical: Number
    simulation: Number
    training: Number


class Limits(Result, frozen=True, kw_only=True):
    """Limits from one likelihood on the grid.

    ``best_fit`` (n_parameters,); ``intervals`` have the other parameters profiled;
    ``allowed_volume``, by level, is what the joint region of all parameters encloses.
    ``member_intervals`` are those of the members of an ensemble, in their order, without the error
    from finite simulation. ``errors`` are those of each parameter, None where that is not known.
    """

    best_fit: list[float]
    intervals: Intervals
    allowed_volume: dict[str, float]
    member_intervals: dict[str, dict[str, list[list[Interval]]]] | None = None
    errors: dict[str, ParameterError] | None = None


class Shifts(Result, frozen=True, kw_only=True):
    """How far the best fit of a parameter moves with a nuisance parameter fixed off its own.

    ``postfit`` with the latter at its best fit minus, and plus, its post-fit error; ``prefit``
    minus, and plus, the width of its constraint, 1.
    """

    postfit: tuple[Number, Number]
    prefit: tuple[Number, Number]


class NuisanceFit(Result, frozen=True, kw_only=True):
    """What data say of one nuisance parameter of the uncertainty ``systematic``.

    ``pull`` is its best fit less what measured it, and ``error`` its post-fit standard deviation
    from the curvature of the likelihood, both in units of the prior width: the latter is what is
    called its constraint. ``profile_error`` are the distances at which the profile likelihood has
    dropped by 1/2, below and above. ``impact``, by parameter.
    """

    name: str
    systematic: str
    pull: Number
    error: Number
    profile_error: tuple[Number, Number]
    impact: dict[str, Shifts]


class JointFit(Result, frozen=True, kw_only=True):
    """The fit of all parameters and nuisance parameters to one data set, from rate and shape.

    ``best_fit`` and ``error`` (n_parameters,) are those of the parameters; ``correlation`` that of
    the parameters and, after them, the nuisance parameters. ``ranking`` has the names of the latter
    by parameter, the largest post-fit impact first.
    """

    best_fit: list[float]
    error: list[Number]
    nuisance: list[NuisanceFit]
    correlation: Matrix
    ranking: dict[str, list[str]]


class GoodnessTest(Result, frozen=True, kw_only=True):
    """One test of data against the simulation at the best fit.

    ``about`` is what is compared: "count", "pulls", "observable", "score" (of the parameter
    ``name``, as a method estimates it) or "events", all observables together. ``interval`` of an
    observable or score is where data and simulation differ most, None for an end that is open;
    ``observed`` events are there, or in all, and ``expected`` ones.
    """

    name: str
    about: str
    p_value: float
    interval: tuple[Number, Number] | None = None
    observed: Number = None
    expected: Number = None


class GoodnessPlot(Result, frozen=True, kw_only=True):
    """Events by bins of what differs most: ``edges`` (n_bins + 1,), the outer ones of all events.

    Events ``expected`` at the best fit are as many in all as those ``observed``.
    """

    name: str
    about: str
    edges: list[float]
    observed: list[float]
    expected: list[Number]


class Goodness(Result, frozen=True, kw_only=True):
    """Whether data look like the simulation at the best fit, from ``n_toys`` toys.

    ``p_value`` is that of the smallest p-value of all ``tests``; none is below 1/(n_toys + 1).
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
        """The test with the smallest p-value; of several, the first."""
        return min(self.tests, key=lambda test: test.p_value)

    @property
    def place(self) -> GoodnessTest | None:
        """The test of an observable, or else of a score, that has the smallest p-value."""
        for about in ("observable", "score"):
            tests = [test for test in self.tests if test.about == about]
            if tests:
                return min(tests, key=lambda test: test.p_value)
        return None


class FisherInformation(Result, frozen=True, kw_only=True):
    """Information of an ensemble, (n_parameters, n_parameters) in the order of the parameters.

    ``statistical_error`` are standard errors from the events, ``ensemble_spread`` the standard
    deviation between the ``members``' matrices, 0 for one member. ``full``, of profiled
    information only, is that on physics and nuisance parameters together, unconstrained.
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
    """One information over another: on each of ``parameters``, all others fixed, and ``together``.

    That is the geometric mean over independent directions of the parameter space.
    """

    parameters: dict[str, Estimate]
    together: Estimate


class ProvenInformation(Result, frozen=True, kw_only=True):
    """The information that a method's scores of the test events have for certain, with errors.

    Of rate and shape, nuisance parameters fixed; ``claimed`` is what the scores have if they are
    taken for true ones, over it.
    """

    matrix: Matrix
    error: Matrix
    claimed: Shares


class Thresholds(Result, frozen=True, kw_only=True):
    """What toys say of one test statistic, by level.

    ``coverage`` is that of the asymptotic threshold, ``critical`` the threshold that covers.
    """

    coverage: dict[str, Estimate]
    critical: dict[str, Estimate]


class JointThresholds(Thresholds, frozen=True, kw_only=True):
    """Of the test statistic of all parameters, and of each ``parameters``, the others profiled.

    ``q`` are numbers of toys between ``edges``; the last bin has what lies beyond.
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
    """What toys of a method say: ``n_toys`` at each of ``points``.

    ``nuisance_parameters`` are "nominal" or drawn from their "prior", see ``statistics.toys``.

    ``intervals`` by kind of likelihood have their thresholds from toys (Neyman's construction), of
    expected data, and of observed ones if there are any.
    """

    n_toys: int
    points: list[PointCoverage]
    intervals: dict[str, Intervals]
    observed_intervals: dict[str, Intervals] | None = None
    nuisance_parameters: str = NOMINAL


class Plot(Result, frozen=True, kw_only=True, tag_field="kind"):
    """What there is to draw of a check."""


class ClosurePlot(Plot, frozen=True, kw_only=True, tag="closure"):
    """Mean ratio and error at ``points`` (n_points, n_parameters)."""

    points: list[list[float]]
    mean: list[Number]
    error: list[Number]
    tolerance: float


class ReliabilityCurve(Result, frozen=True, kw_only=True):
    """Fractions of the denominator's events in bins of the prediction, each (n_bins,)."""

    predicted: list[Number]
    true: list[Number]
    error: list[Number]


class ReliabilityTolerance(Result, frozen=True, kw_only=True):
    """Differences that pass, whatever the statistics."""

    overconfident: float
    cautious: float


class ReliabilityPlot(Plot, frozen=True, kw_only=True, tag="reliability"):
    """A curve for each of ``points`` (n_points, n_parameters)."""

    points: list[list[float]]
    curves: list[ReliabilityCurve]
    tolerance: ReliabilityTolerance


class ReweightingPlot(Plot, frozen=True, kw_only=True, tag="reweighting"):
    """Largest difference of the distributions of each observable, its error, and what passes."""

    observables: list[str]
    difference: list[Number]
    error: list[Number]
    allowed: list[Number]
    tolerance: float


class EnsemblePlot(Plot, frozen=True, kw_only=True, tag="ensemble"):
    """First and last edge of the intervals of an ensemble, and of its members, by parameter."""

    parameters: list[str]
    intervals: list[list[Number]]
    members: list[list[list[Number]]]


class ExtrapolationPlot(Plot, frozen=True, kw_only=True, tag="extrapolation"):
    """Both ends of the prior, and of the confidence region, (n_parameters, 2) each."""

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
    """Whether a model may be believed in one respect.

    ``value`` is what was measured and ``error`` its standard error; ``expected`` what passes, in
    words; ``meaning`` what is measured; ``reason`` why it must pass at this threshold;
    ``sentence`` what was seen, for a reader; ``proves`` what passing shows, as in a list.
    ``concerns`` names what the check is about if it is not the limits. A check that passes without
    a value could not tell.
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
