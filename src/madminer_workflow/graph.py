"""The steps of the workflow: the one place where Python states what they take and make.

The command line of a step, its folder and arguments in a work directory, the order of Jobs on
Kubernetes, the entry points of the MLflow project and the names of runs all follow from STEPS; a
test holds the workflow files of yadage to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from glob import escape
from pathlib import PurePath
from string import Formatter
from types import MappingProxyType

INDICES = {
    "job": "generate.jobs",
    "method": "sampling.evaluations",
    "member": "sampling.samples",
    "toys": "sampling.jobs",
}
"""What steps are done for each of, and the product that has one file for each."""
OPTIONAL = ("toys",)
"""The indices that may have no value at all."""
SELECTORS = {"job": "index", "method": "method", "member": "member", "toys": "index"}
"""The options that choose among them."""

ALL = "all"
"""What chooses all of them."""

Key = Mapping[str, str | int]
"""One value for each of some indices."""

SETTINGS_HELP = (
    "Change a setting of a method, e.g. sally.training.n_epochs=20, or of all methods that have "
    "it, e.g. training.n_epochs=20. Can be repeated, or contain several changes separated by "
    "spaces."
)
OBSERVED_HELP = (
    "Observed data: a file of events, or pseudo-data at a benchmark or a point such as p0=0.2,p1=0."
    "  [default: none]"
)


@dataclass(frozen=True)
class Option:
    """An option of a step: ``source`` is where its value comes from.

    That is a product ``step.product``, or a parameter of the workflow; empty for an option that is
    given by hand only. ``argument`` is what the function of the step calls it, if that differs. The
    files of one that is ``positional`` are at the end of the command line.
    """

    name: str
    source: str
    help: str = ""
    argument: str = ""
    required: bool = True
    positional: bool = False

    @property
    def is_product(self) -> bool:
        """Whether it is files that another step makes."""
        return "." in self.source

    @property
    def word(self) -> str:
        """How it is written on the command line."""
        return "" if self.positional else f"--{self.name}"


@dataclass(frozen=True)
class Step:
    """A step: the function ``name`` of the module ``name`` of ``package``.

    It is done once for each value of the indices ``each``. ``part`` is its half of the workflow.
    ``products`` are files in the step's folder by the name under which they are published; one with
    indices in its name is a file for each of their values. ``epochs`` says that the function tells
    of epochs while it runs.
    """

    name: str
    part: str
    help: str
    options: Sequence[Option]
    products: Mapping[str, str]
    each: Sequence[str] = ()
    package: str = ""
    epochs: bool = False

    @property
    def module(self) -> str:
        """The module that does the work."""
        return f"madminer_workflow.{self.package or self.part}.{self.name}"

    @property
    def parameters(self) -> list[str]:
        """The parameters of the workflow that it needs."""
        return [o.source for o in self.options if o.source and not o.is_product]

    @cached_property
    def before(self) -> list[Step]:
        """The steps whose products it takes."""
        sources = [option.source for option in self.options if option.is_product]
        return [STEPS[name] for name in dict.fromkeys(s.partition(".")[0] for s in sources)]

    def title(self, key: Key) -> str:
        """Its name for one value of its indices, unlike that of any other: ``training_sally_0``."""
        return "_".join([self.name, *(str(key[index]) for index in self.each)])

    def folder(self, key: Key, methods: Sequence[str | int]) -> str:
        """Its folder in the work directory; yadage numbers the ``methods``, and all the rest."""
        names = [self.part]
        if "method" in self.each:
            names.append(f"method_{methods.index(key['method'])}")
        numbers = [str(key[index]) for index in self.each if index != "method"]
        return "/".join([*names, "_".join([self.name, *numbers])])


_INPUT = Option("input", "inputfile", "The analysis file.", argument="input_file")
_CONFIG = Option("config", "configure.config", "MadMiner set-up `config.h5` from configure.")
_GENERATION = Option(
    "generation",
    "configure.generation",
    "`generation.json` from configure.",
    argument="generation_file",
)
_DATA = Option("data", "combine.data", "MadMiner data file `combined_delphes.h5`.")
_EVALUATION = Option(
    "evaluation",
    "sampling.evaluations",
    "`evaluation.json` from sampling.",
    argument="evaluation_file",
)
_MODELS = Option("models", "training.model", positional=True)
_OBSERVED = Option("observed", "observed", OBSERVED_HELP, required=False)

_STEPS = (
    Step(
        "configure",
        "physics",
        """Turn the analysis file into MadMiner's set-up.

        Writes config.h5 (parameters, benchmarks, morphing), analysis.json (everything, with
        defaults), generation.json and reconstruction.json (the inputs of the two halves of the
        physics part, including cards) and Models.tar.gz (the UFO models of the analysis).
        """,
        [_INPUT],
        {
            "config": "config.h5",
            "generation": "generation.json",
            "reconstruction": "reconstruction.json",
            "models": "Models.tar.gz",
            "analysis": "analysis.json",
        },
    ),
    Step(
        "generate",
        "physics",
        """Integrate every process once and define the jobs.

        Writes Processes.tar.gz and jobs/job_*.json. The events do not depend on njobs.
        """,
        [
            _CONFIG,
            _GENERATION,
            Option("models", "configure.models", "`Models.tar.gz` from configure."),
            Option("njobs", "njobs", "Number of jobs to which the events are distributed."),
        ],
        {"jobs": "jobs/job_{job:04d}.json", "processes": "Processes.tar.gz"},
    ),
    Step(
        "pythia",
        "physics",
        """Draw the events of one job.

        Writes Events.tar.gz: LHE files with one weight per benchmark.
        """,
        [
            Option("job", "generate.jobs", "One `job_*.json` from generate.", argument="job_file"),
            Option("processes", "generate.processes", "`Processes.tar.gz` from generate."),
        ],
        {"events": "Events.tar.gz"},
        each=["job"],
    ),
    Step(
        "delphes",
        "physics",
        """Apply the detector, the observables and the cuts to the events of one job.

        Writes delphes_data.h5: observables and weights in MadMiner's format.
        """,
        [
            _CONFIG,
            Option(
                "reconstruction",
                "configure.reconstruction",
                "`reconstruction.json` from configure.",
                argument="reconstruction_file",
            ),
            Option("events", "pythia.events", "`Events.tar.gz` from pythia."),
        ],
        {"data": "delphes_data.h5"},
        each=["job"],
    ),
    Step(
        "combine",
        "physics",
        """Join the events of all DATA files and check that the cross-sections close.

        DATA are the `delphes_data.h5` of all jobs, in any order. Writes combined_delphes.h5,
        cutflow.json and closure.json.
        """,
        [_CONFIG, _GENERATION, Option("data", "delphes.data", positional=True)],
        {"data": "combined_delphes.h5", "cutflow": "cutflow.json", "closure": "closure.json"},
    ),
    Step(
        "sampling",
        "ml",
        """Draw the training samples of every method.

        Writes methods/<method>/Samples_<method>_<i>.npz, evaluation.json and toys_<i>.json (the
        jobs of toys, if the analysis asks for some), and analysis.json.
        """,
        [
            _INPUT,
            _DATA,
            Option(
                "ntrainsamples",
                "ntrainsamples",
                "Ensemble members of methods without their own n_estimators.",
            ),
            Option("set", "settings", SETTINGS_HELP, argument="changes", required=False),
        ],
        {
            "analysis": "analysis.json",
            "evaluations": "methods/{method}/evaluation.json",
            "samples": "methods/{method}/Samples_{method}_{member}.npz",
            "jobs": "methods/{method}/toys_{toys}.json",
        },
    ),
    Step(
        "training",
        "ml",
        """Train one ensemble member.

        Writes Model.tar.gz: the network, its settings and its losses by epoch.
        """,
        [
            Option("samples", "sampling.samples", "One `Samples_*.npz` from sampling."),
            Option(
                "set",
                "",
                "Change a setting of the network or the training, e.g. training.n_epochs=20.",
                argument="changes",
                required=False,
            ),
        ],
        {"model": "Model.tar.gz"},
        each=["method", "member"],
        epochs=True,
    ),
    Step(
        "evaluating",
        "ml",
        """Evaluate one method's ensemble: limits, Fisher information, diagnostics.

        MODELS are the `Model.tar.gz` of all members of one method. Writes Results.tar.gz.
        """,
        [_EVALUATION, _DATA, _OBSERVED, _MODELS],
        {"results": "Results.tar.gz"},
        each=["method"],
    ),
    Step(
        "toys",
        "ml",
        """Evaluate one method's ensemble on toys: coverage, and limits with their critical values.

        MODELS are the `Model.tar.gz` of all members of one method. Writes Toys.npz: the toys of
        one job.
        """,
        [
            _EVALUATION,
            _DATA,
            Option("job", "sampling.jobs", "One `toys_*.json` from sampling."),
            _MODELS,
        ],
        {"toys": "Toys.npz"},
        each=["method", "toys"],
    ),
    Step(
        "plotting",
        "ml",
        """Draw all plots and write the report.

        RESULTS are the `Results.tar.gz` of all methods. Writes plots/*.png and *.pdf, results.json
        and report.html.
        """,
        [
            Option(
                "analysis",
                "sampling.analysis",
                "`analysis.json` from sampling.",
                argument="analysis_file",
            ),
            _DATA,
            _OBSERVED,
            Option(
                "toys",
                "toys.toys",
                "The `Toys.npz` of all methods and jobs, if there are any. Can be repeated, or "
                "contain several files separated by spaces.",
                required=False,
            ),
            Option("results", "evaluating.results", positional=True),
        ],
        {"report": "report.html", "results": "results.json", "plots": "plots"},
        package="report",
    ),
)
STEPS = {step.name: step for step in _STEPS}
"""All steps, in the order of the workflow."""


def product(source: str) -> tuple[Step, str]:
    """The step that makes the product ``step.product``, and its file there."""
    name, _, published = source.partition(".")
    return STEPS[name], STEPS[name].products[published]


def indices(file: str) -> list[str]:
    """The indices in the name of a product."""
    return list(dict.fromkeys(name for _, name, _, _ in Formatter().parse(file) if name))


def is_list(step: Step, option: Option) -> bool:
    """Whether the option takes the products of more than one value of an index."""
    if not option.is_product:
        return False
    source, file = product(option.source)
    return not {*source.each, *indices(file)} <= set(step.each)


def keys(
    indices: Sequence[str],
    values: Callable[[str, Key], Iterable[str | int]],
    given: Key = MappingProxyType({}),
) -> list[Key]:
    """All that ``indices`` can be together; ``values`` tells what one can be, others ``given``."""
    if not indices:
        return [given]
    first, *rest = indices
    known = [given[first]] if first in given else values(first, given)
    return [key for value in known for key in keys(rest, values, {**given, first: value})]


def pattern(file: str, key: Key) -> str:
    """The pattern that files of a product match which have the values in ``key``."""
    names = dict.fromkeys(indices(file), "*")
    given = {name: escape(str(value)) for name, value in key.items() if isinstance(value, str)}
    return re.sub(r":[^}]*", "", file).format(**names | given)


def values(file: str, path: PurePath) -> dict[str, str | int] | None:
    """The values of indices in ``path``, if it is the product whose name is ``file``."""
    match = _expression(file).search(path.as_posix())
    if not match:
        return None
    return {k: value if k == "method" else int(value) for k, value in match.groupdict().items()}


@cache
def _expression(file: str) -> re.Pattern[str]:
    """What matches paths that end in the product, with a group for each of its indices.

    Folders in front of them do not count: a file may have been copied.
    """
    _, _, rest = file.partition("/")
    if rest and set(indices(rest)) == set(indices(file)) != set():
        return _expression(rest)
    expression, known = "", set()
    for text, name, _, _ in Formatter().parse(file):
        expression += re.escape(text)
        if name in known:
            expression += f"(?P={name})"
        elif name:
            known.add(name)
            expression += f"(?P<{name}>{'[^/]+' if name == 'method' else '[0-9]+'})"
    return re.compile(f"(?:^|/){expression}$")


def key_of(step: Step, words: Iterable[str | PurePath]) -> Key:
    """What a step is done for that is given ``words``, as far as they tell."""
    paths = [PurePath(word) for word in words]
    key: dict[str, str | int] = {}
    for option in step.options:
        if option.is_product and not is_list(step, option):
            source, file = product(option.source)
            if not indices(file):
                folder = "_".join([source.name, *(f"{{{index}}}" for index in source.each)])
                file = f"{folder}/{file}"
            for path in paths:
                key |= values(file, path) or {}
    return {index: key[index] for index in step.each if index in key}


def title(step: Step, words: Iterable[str | PurePath]) -> str | None:
    """The name of a step that is given ``words``, if they tell what it is done for."""
    key = key_of(step, words)
    return step.title(key) if len(key) == len(step.each) else None
