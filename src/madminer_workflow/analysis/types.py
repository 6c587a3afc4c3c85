"""The parts of a complete analysis file, as types: its keys are the names of their fields.

``schema.json`` says what the keys mean, which values they may have and which are there for which
choice; a test holds these types to it. ``msgspec.convert`` makes plain data such a type, and
``msgspec.to_builtins`` the type plain data.

A choice among kinds is a choice among classes: of a ``Method`` by its ``method``, a ``Process`` by
its ``generator``, a ``Systematic`` by its ``effect``, a ``Prior`` by its ``prior``. What code asks
of a method is an attribute that every method has (``family``, ``trainable``, ``knows_nuisance``,
``reference``, ``members``, ``inputs``), or the class that has the setting (``Trained``,
``Parameterized``, ``Ratio``): never the presence of a key. A new method is one class and one row of
``Method``.

Settings that exist for some choices only are None where they do not (``nesterov_momentum``, which
may be null where it exists, is UNSET); all others are always given: defaults are the schema's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from madminer_workflow.analysis.event_file_names import is_hepmc, is_table
from madminer_workflow.errors import InputError
from madminer_workflow.expressions import compile_expression

Point = str | dict[str, float]
"""A parameter point: the name of a benchmark, or one value per parameter."""

Bins = int | tuple[float, ...]
"""Of one axis of a histogram the number of bins of equal cross-section, or the edges."""

Interval = tuple[float, float]

ONLY_IF = "only if"

CLOSURE_POINT = "closure"
"""Name of a parameter point beyond the morphing basis; its cross-section tests the morphing."""

TRAINING = ("network", "training")
"""The settings of a method that count only once its samples are drawn."""


def OnlyIf(attribute: str) -> msgspec.Meta:  # noqa: N802
    """Marks a setting that only classes with a true class attribute of this name have."""
    return msgspec.Meta(extra={ONLY_IF: attribute})


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mapping of the file. A field with a default is a key that need not exist."""


# --- Theory ---------------------------------------------------------------------------------------


class Parameter(Part, frozen=True, kw_only=True):
    """A theory parameter, as the generation of events knows it."""

    parameter_name: str
    lha_block: str
    lha_id: int
    morphing_max_power: int | tuple[int, ...]
    param_card_transform: str
    parameter_range: Interval

    @property
    def coupling(self) -> tuple[str, int]:
        """Its place in the parameter card: the block, in lower case, and the number."""
        return self.lha_block.lower(), self.lha_id

    def card_value(self, theta: float) -> float:
        """The value in the parameter card for a value in the analysis.

        Raises InputError if the transform has no finite value there.
        """
        transform = compile_expression(self.param_card_transform, names=["theta"], particles=False)
        value = float(transform({"theta": theta}))
        if not math.isfinite(value):
            raise InputError(
                f"parameters.{self.parameter_name}.param_card_transform: "
                f"'{self.param_card_transform}' has no finite value at theta = {theta}"
            )
        return value


class LabelledParameter(Parameter, frozen=True, kw_only=True):
    """A theory parameter and its label in plots."""

    latex: str


class Morphing(Part, frozen=True, kw_only=True):
    """The interpolation between benchmarks."""

    max_overall_power: int | tuple[int, ...]
    n_trials: int
    n_test_thetas: int


# --- Systematic uncertainties ---------------------------------------------------------------------


class _Uncertainty(Part, frozen=True, kw_only=True, tag_field="effect"):
    systematic_name: str

    @property
    def effect(self) -> str:
        """What varies."""
        return _tag(self)


class NormVariation(_Uncertainty, frozen=True, kw_only=True, tag="norm"):
    """An uncertain normalisation."""

    norm_variation: float


class ScaleVariation(_Uncertainty, frozen=True, kw_only=True, tag="scale"):
    """Uncertain renormalisation and factorisation scales."""

    scale: str
    scale_variations: tuple[float, ...]


class PDFVariation(_Uncertainty, frozen=True, kw_only=True, tag="pdf"):
    """Uncertain parton densities."""

    pdf_variation: str
    pdf_members: int
    pdf_error_type: str
    pdf_confidence_level: float


class _OfParticles(_Uncertainty, frozen=True, kw_only=True):
    particles: tuple[str, ...]
    pt_range: Interval | None
    eta_range: Interval | None


class EnergyScaleVariation(_OfParticles, frozen=True, kw_only=True, tag="energy_scale"):
    """An uncertain energy of reconstructed objects, all together."""

    energy_scale_variation: float


class EnergyResolutionVariation(_OfParticles, frozen=True, kw_only=True, tag="energy_resolution"):
    """An uncertain resolution of the energy of reconstructed objects."""

    energy_resolution_variation: float


class METScaleVariation(_Uncertainty, frozen=True, kw_only=True, tag="met_scale"):
    """An uncertain scale of the missing transverse momentum."""

    met_scale_variation: float


class EfficiencyVariation(_OfParticles, frozen=True, kw_only=True, tag="efficiency"):
    """An uncertain efficiency of reconstructed objects."""

    efficiency_variation: float


ParticleVariation = EnergyScaleVariation | EnergyResolutionVariation | EfficiencyVariation
"""What concerns objects of some kinds."""

ObjectVariation = ParticleVariation | METScaleVariation
"""What is known once objects are reconstructed."""

Systematic = NormVariation | ScaleVariation | PDFVariation | ObjectVariation


# --- Processes ------------------------------------------------------------------------------------


class RunSettings(Part, frozen=True, kw_only=True):
    """Beams, generation cuts and scale of the built-in generator."""

    ebeam1: float
    ebeam2: float
    ptj: float
    etaj: float
    drjj: float
    mmjj: float
    deltaeta: float
    fixed_fac_scale: bool
    scale: float

    @property
    def invariant_s(self) -> float:
        """The squared centre-of-mass energy of the beams [GeV²]."""
        return 4.0 * self.ebeam1 * self.ebeam2


class _Process(Part, frozen=True, kw_only=True, tag_field="generator"):
    """What all processes have; events are ``drawn`` by a generator unless they exist already."""

    drawn: ClassVar[bool] = True

    name: str
    pythia8_card: str | None
    systematics: tuple[str, ...]
    is_background: bool
    k_factor: float
    events: Annotated[dict[str, int], OnlyIf("drawn")]

    @property
    def generator(self) -> str:
        """What generates the events."""
        return _tag(self)

    @property
    def n_events(self) -> int:
        """The number of events from all benchmarks."""
        return sum(self.events.values())


class BuiltinProcess(_Process, frozen=True, kw_only=True, tag="builtin"):
    """A process of the built-in library."""

    process: str
    run: RunSettings


class MadGraphProcess(_Process, frozen=True, kw_only=True, tag="madgraph"):
    """A process for MadGraph; cards are names of files, or their text after ``cards.parts``."""

    proc_card: str
    run_card: str | None
    param_card: str | None
    ufo_model: str | None


class FilesProcess(_Process, frozen=True, kw_only=True, tag="files"):
    """A process whose events exist in ``files``, by the benchmark that they were drawn from.

    Their numbers, ``events``, are no setting: they are counted (``event_files.counted``).
    """

    drawn: ClassVar[bool] = False

    events: Annotated[dict[str, int], OnlyIf("drawn")] = {}
    files: dict[str, tuple[str, ...]]
    weights: dict[str, str | int]
    cross_section: dict[str, float]
    sum_of_weights: dict[str, float | str]
    table: str | None
    variations: dict[str, str | tuple[str | int, ...]]

    @property
    def has_tables(self) -> bool:
        """Whether its files are tables, and not LHE files."""
        return any(is_table(name) for names in self.files.values() for name in names)

    @property
    def has_hepmc(self) -> bool:
        """Whether its files are of HepMC, of events after the shower."""
        return any(is_hepmc(name) for names in self.files.values() for name in names)


Process = BuiltinProcess | MadGraphProcess | FilesProcess


# --- Detector -------------------------------------------------------------------------------------


class Acceptance(Part, frozen=True, kw_only=True):
    """What counts as an object after Delphes."""

    pt_min_e: float | None
    pt_min_mu: float | None
    pt_min_a: float | None
    pt_min_j: float | None
    eta_max_e: float | None
    eta_max_mu: float | None
    eta_max_a: float | None
    eta_max_j: float | None


class Smearing(Part, frozen=True, kw_only=True):
    """Gaussian resolutions of some particles."""

    particles: tuple[str | int, ...] | None
    energy_resolution_abs: float | None
    energy_resolution_rel: float | None
    pt_resolution_abs: float | None
    pt_resolution_rel: float | None
    eta_resolution_abs: float
    eta_resolution_rel: float
    phi_resolution_abs: float
    phi_resolution_rel: float


class METNoise(Part, frozen=True, kw_only=True):
    """Gaussian noise on the missing transverse momentum."""

    abs_: float
    rel: float


class _Response(Part, frozen=True, kw_only=True):
    use_generator_truth: bool
    acceptance: Acceptance
    smearing: tuple[Smearing, ...]
    met_noise: METNoise


class Detector(_Response, frozen=True, kw_only=True):
    """The detector; ``delphes_card`` is the name of a file, or of a card that Delphes ships."""

    delphes_card: str | None


class DelphesCard(Part, frozen=True, kw_only=True):
    """A card of Delphes; ``text`` is None for one that Delphes ships."""

    name: str
    text: str | None


class DetectorWithCard(_Response, frozen=True, kw_only=True):
    """The detector with the text of its card."""

    delphes_card: DelphesCard | None


# --- Observables ----------------------------------------------------------------------------------


class Observable(Part, frozen=True, kw_only=True):
    """An observable, as the analysis of events knows it."""

    name: str
    definition: str
    required: bool
    default: float | None


class LabelledObservable(Observable, frozen=True, kw_only=True):
    """An observable and how it is plotted."""

    latex: str
    unit: str
    range: Interval | None


class Cut(Part, frozen=True, kw_only=True):
    """A condition that events have to pass."""

    definition: str
    required: bool


class Efficiency(Part, frozen=True, kw_only=True):
    """A probability that multiplies the weights of events."""

    definition: str
    default: float


# --- Methods --------------------------------------------------------------------------------------


class GaussianPrior(Part, frozen=True, kw_only=True, tag_field="prior", tag="gaussian"):
    """A normal distribution."""

    mean: float
    std: float


class FlatPrior(Part, frozen=True, kw_only=True, tag_field="prior", tag="flat"):
    """A uniform distribution."""

    min: float
    max: float


Prior = GaussianPrior | FlatPrior


class Thetas(Part, frozen=True, kw_only=True):
    """Parameter points drawn at random, each parameter from its prior."""

    n_thetas: int
    priors: dict[str, Prior]


class Network(Part, frozen=True, kw_only=True):
    """A neural network."""

    n_hidden: tuple[int, ...]
    activation: str


class DenseNetwork(Network, frozen=True, kw_only=True):
    """A fully connected network."""

    dropout_prob: float


class FlowNetwork(Network, frozen=True, kw_only=True):
    """A normalising flow."""

    n_mades: int
    n_components: int
    batch_norm: float | None


class Training(Part, frozen=True, kw_only=True):
    """How a network is trained; the keys are arguments of MadMiner's ``train``."""

    optimizer: str
    nesterov_momentum: float | UnsetType | None = UNSET
    n_epochs: int
    batch_size: int
    initial_lr: float
    final_lr: float
    validation_split: float | None
    early_stopping: bool
    early_stopping_patience: int | None
    alpha: Annotated[float | None, OnlyIf("learns_score")] = None
    scale_inputs: bool
    scale_parameters: Annotated[bool | None, OnlyIf("parameterized")] = None
    limit_samplesize: int | None
    clip_gradient: float | None


class Binning(Part, frozen=True, kw_only=True):
    """The histogram of an estimated score; not every method has a choice of its ``kind``."""

    kind: Annotated[str | None, OnlyIf("binned_by_components")] = None
    bins: int | dict[str, Bins] | None


class Settings(Part, frozen=True, kw_only=True, tag_field="method"):
    """What all methods have; ``Method`` is any one of them.

    ``family`` names the module of ``ml.methods``; a method is ``trainable`` if members of an
    ensemble differ, ``knows_nuisance`` if nuisance parameters enter the shape it learns, and
    ``parameterized`` if it knows parameter points. Of the parameterized, some ``learns_score``: the
    joint score enters the loss, with the weight ``training.alpha``. Of scores, some are
    ``binned_by_components`` rather than along one direction.
    """

    family: ClassVar[str]
    trainable: ClassVar[bool] = True
    knows_nuisance: ClassVar[bool] = False
    parameterized: ClassVar[bool] = False
    learns_score: ClassVar[bool] = False
    binned_by_components: ClassVar[bool] = False

    name: str

    @property
    def profiles_shapes(self) -> bool:
        """Whether limits know how nuisance parameters change shapes, not the rate only."""
        return self.knows_nuisance

    @property
    def fitted(self) -> bool:
        """Whether limits are fits of a density that is a polynomial in the parameters."""
        return True

    @property
    def method(self) -> str:
        """The name of the method itself; ``name`` is that of the entry in the file."""
        return _tag(self)

    def sampled_like(self, other: Settings) -> bool:
        """Whether the same samples serve both: whether they differ in TRAINING at most."""
        return self == other

    def members(self, ntrainsamples: int) -> int:
        """The size of the ensemble, ``ntrainsamples`` unless the method says another: 1 where
        nothing is random.
        """
        return 1

    @property
    def of_member(self) -> Self:
        """The settings of each member, which do not depend on how many there are."""
        return self

    def inputs(self, observables: Sequence[str]) -> list[str]:
        """Those of an analysis's ``observables`` that the method uses."""
        raise NotImplementedError

    @property
    def reference(self) -> str:
        """The benchmark that the method is about: a denominator, or where it is learned."""
        raise NotImplementedError


class Histogram(Settings, frozen=True, kw_only=True, tag="histogram"):
    """A histogram of observables."""

    family = "histogram"
    trainable = False
    knows_nuisance = True

    observables: tuple[str, ...]
    bins: dict[str, Bins]
    theta: str

    def inputs(self, observables: Sequence[str]) -> list[str]:
        """The axes of the histogram."""
        return list(self.observables)

    @property
    def reference(self) -> str:
        """Where bins have equal cross-section."""
        return self.theta


class PolynomialNetwork(Part, frozen=True, kw_only=True):
    """A fully connected network; its activation function is the one that training is made for."""

    n_hidden: tuple[int, ...]


class PolynomialTraining(Part, frozen=True, kw_only=True):
    """One cycle of the learning rate, of ``n_steps`` or ``n_epochs``, whichever is shorter."""

    n_epochs: int
    n_steps: int
    batch_size: int
    max_lr: float


class Learned(Settings, frozen=True, kw_only=True):
    """A method with a neural network."""

    n_estimators: int | None
    features: tuple[str, ...] | None
    network: Network | PolynomialNetwork
    training: Training | PolynomialTraining

    def members(self, ntrainsamples: int) -> int:
        """The size of the ensemble: ``n_estimators``, or else ``ntrainsamples``."""
        return ntrainsamples if self.n_estimators is None else self.n_estimators

    @property
    def of_member(self) -> Self:
        """Without ``n_estimators``: a larger ensemble has the same members, and more."""
        return replace(self, n_estimators=None)

    def sampled_like(self, other: Settings) -> bool:
        """Whether network and training are all that differs."""
        if not isinstance(other, Learned):
            return False
        return self == replace(other, network=self.network, training=self.training)

    def inputs(self, observables: Sequence[str]) -> list[str]:
        """What the network sees: the features, or all ``observables``."""
        return list(observables if self.features is None else self.features)


class Trained(Learned, frozen=True, kw_only=True):
    """A method with one of MadMiner's networks."""

    n_samples: int
    network: Network
    training: Training


def score_axes(kind: str | None, parameters: Sequence[str]) -> list[str]:
    """The axes of the histogram of a score, by the ``kind`` of its binning."""
    if kind is None:
        return ["along"]
    if kind == "fixed":
        return list(parameters)
    # Of two components, the one across is all that is left beside the one along.
    return ["along", *({1: [], 2: ["across"]}.get(len(parameters), parameters))]


class Score(Trained, frozen=True, kw_only=True):
    """A network for the score at ``theta``."""

    family = "score"

    network: DenseNetwork
    binning: Binning
    theta: str

    @property
    def fitted(self) -> bool:
        """Bins that depend on the parameters have no such density."""
        return self.binning.kind == "fixed"

    @property
    def reference(self) -> str:
        """Where the score is learned."""
        return self.theta

    def axes(self, parameters: Sequence[str]) -> list[str]:
        """The axes of the histogram of the score, as its ``binning`` names them."""
        return score_axes(self.binning.kind, parameters)


class Sally(Score, frozen=True, kw_only=True, tag="sally"):
    """The score, binned."""

    knows_nuisance = True
    binned_by_components = True

    @property
    def profiles_shapes(self) -> bool:
        """Bins that depend on the parameters have no response to nuisance parameters."""
        return self.fitted


class Sallino(Score, frozen=True, kw_only=True, tag="sallino"):
    """The score along the direction from the reference, binned."""


class Parameterized(Trained, frozen=True, kw_only=True):
    """A network that knows parameter points; ``theta0`` are those it learns from."""

    parameterized = True

    theta0: Thetas

    @property
    def fitted(self) -> bool:
        """The network is evaluated at points of a grid."""
        return False


class Ratio(Parameterized, frozen=True, kw_only=True):
    """A network for the likelihood ratio of theta0 to ``theta1``."""

    family = "ratio"

    network: DenseNetwork
    estimator: str
    theta1: str | Thetas
    theta: str | None = None

    @property
    def reference(self) -> str:
        """The denominator in evaluation."""
        if isinstance(self.theta1, str):
            return self.theta1
        assert self.theta is not None, "theta is there where theta1 is drawn"
        return self.theta

    @property
    def doubly_parameterized(self) -> bool:
        """Whether the network knows the denominator, too."""
        return self.estimator == "doubly_parameterized"


class Alice(Ratio, frozen=True, kw_only=True, tag="alice"):
    """The cross-entropy of the joint ratio."""


class Alices(Ratio, frozen=True, kw_only=True, tag="alices"):
    """The cross-entropy of the joint ratio, and the joint score."""

    learns_score = True


class Carl(Ratio, frozen=True, kw_only=True, tag="carl"):
    """A classifier."""


class Rolr(Ratio, frozen=True, kw_only=True, tag="rolr"):
    """A regression of the joint ratio."""


class Cascal(Ratio, frozen=True, kw_only=True, tag="cascal"):
    """A classifier, and the joint score."""

    learns_score = True


class Rascal(Ratio, frozen=True, kw_only=True, tag="rascal"):
    """A regression of the joint ratio, and the joint score."""

    learns_score = True


class Density(Parameterized, frozen=True, kw_only=True):
    """A normalising flow for the density at theta0."""

    family = "density"

    network: FlowNetwork
    theta: str

    @property
    def reference(self) -> str:
        """Where the density is checked."""
        return self.theta


class Scandal(Density, frozen=True, kw_only=True, tag="scandal"):
    """The likelihood, and the joint score."""

    learns_score = True


class Nde(Density, frozen=True, kw_only=True, tag="nde"):
    """The likelihood alone."""


class Polynomial(Learned, frozen=True, kw_only=True, tag="polynomial"):
    """A network for the coefficients of the likelihood ratio to ``theta``, a polynomial."""

    family = "polynomial"
    knows_nuisance = True

    network: PolynomialNetwork
    training: PolynomialTraining
    theta: str

    @property
    def reference(self) -> str:
        """The denominator."""
        return self.theta


TrainedMethod = Sally | Sallino | Alice | Alices | Carl | Rolr | Cascal | Rascal | Scandal | Nde
"""An entry of ``ml.methods`` that has a network."""

Method = Histogram | TrainedMethod | Polynomial
"""An entry of ``ml.methods``; a product that holds one can name this as the type of its field."""


# --- Inference ------------------------------------------------------------------------------------


class GridAxis(Part, frozen=True, kw_only=True):
    """The points of one parameter at which the likelihood is computed."""

    range: Interval
    resolution: int


NOMINAL, PRIOR = "nominal", "prior"
"""Nuisance parameters of toys: 0 in nature, or drawn from their prior."""


class ToySettings(Part, frozen=True, kw_only=True):
    """Pseudo-experiments; ``nuisance_parameters`` are NOMINAL or PRIOR."""

    n_toys: int
    points: tuple[Point, ...]
    resolution: int
    njobs: int
    nuisance_parameters: str = NOMINAL

    @property
    def jobs(self) -> int:
        """The number of jobs that share the toys of a method; 0 if no toys are wanted."""
        return min(self.njobs, self.n_toys)


class LimitSettings(Part, frozen=True, kw_only=True):
    """How limits are set."""

    theta_true: Point
    grid: dict[str, GridAxis]
    confidence_levels: tuple[float, ...]
    toys: ToySettings


class FisherSettings(Part, frozen=True, kw_only=True):
    """Where the Fisher information is computed, and what it is compared with."""

    theta: str
    published: dict[str, tuple[tuple[float, ...], ...]]
    published_source: str


class Learning(Part, frozen=True, kw_only=True):
    """Inference: the methods, their training, and the results wanted."""

    luminosity: float
    theta_ref: str
    test_split: float
    methods: tuple[Method, ...]
    limits: LimitSettings
    fisher: FisherSettings

    @property
    def by_name(self) -> dict[str, Method]:
        """The methods by name, in the order of the file."""
        return {method.name: method for method in self.methods}


class Analysis(Part, frozen=True, kw_only=True):
    """A complete analysis file. ``benchmarks`` are in its order: the first is the reference."""

    version: int
    name: str
    title: str
    seed: int
    parameters: tuple[LabelledParameter, ...]
    benchmarks: dict[str, dict[str, float]]
    morphing: Morphing
    systematics: tuple[Systematic, ...]
    processes: tuple[Process, ...]
    detector: Detector
    observables: tuple[LabelledObservable, ...]
    cuts: tuple[Cut, ...]
    efficiencies: tuple[Efficiency, ...]
    ml: Learning

    @property
    def parameter_names(self) -> list[str]:
        """The names of the parameters, in their order."""
        return [parameter.parameter_name for parameter in self.parameters]

    @property
    def observable_names(self) -> list[str]:
        """The names of the observables, in their order."""
        return [observable.name for observable in self.observables]


class Columns(Part, frozen=True, kw_only=True):
    """What expressions use of tables: columns, and particles with attributes of theirs."""

    names: tuple[str, ...]
    particles: tuple[str, ...]
    attributes: tuple[str, ...]


class Generation(Part, frozen=True, kw_only=True):
    """What the generation of events depends on; of uncertainties, all but those of objects.

    ``columns`` are those that the analysis uses of tables, None if it has no tables.
    """

    version: int
    seed: int
    parameters: tuple[Parameter, ...]
    benchmarks: dict[str, dict[str, float]]
    morphing: Morphing
    systematics: tuple[Systematic, ...]
    processes: tuple[Process, ...]
    columns: Columns | None = None


class ObjectSystematic(Part, frozen=True, kw_only=True):
    """An uncertainty of objects, and the processes that it affects."""

    variation: ObjectVariation
    processes: tuple[str, ...]


class Reconstruction(Part, frozen=True, kw_only=True):
    """What the reconstruction of events depends on.

    With ``tables``, expressions name the columns of these.
    """

    seed: int
    detector: DetectorWithCard
    observables: tuple[Observable, ...]
    cuts: tuple[Cut, ...]
    efficiencies: tuple[Efficiency, ...]
    object_systematics: tuple[ObjectSystematic, ...] = ()
    tables: bool = False


def _tag(part: Struct) -> str:
    return str(part.__struct_config__.tag)
