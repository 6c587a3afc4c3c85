"""One step at a time in a work directory: where its inputs lie and where its products go.

The folders are those of ``madminer-workflow run``, so that either may go on where the other ended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madminer_workflow.errors import InputError
from madminer_workflow.files import natural_order

STEPS = (
    *("configure", "generate", "pythia", "delphes", "combine"),
    *("sampling", "training", "evaluating", "toys", "plotting"),
)
ALL = "all"
UNCHANGED = ("=nan", "=[nan]")
"""How a setting ends that is to stay what the analysis file says."""


@dataclass(frozen=True)
class Order:
    """What to do: numbers and names as on the command line, ALL for everything there is.

    ``index`` counts the jobs of pythia, delphes and toys, ``method`` and ``member`` name an
    ensemble and one of its members. ``changes`` are settings KEY=VALUE for sampling and training,
    several in a text if blanks separate them; ``observed`` are data for evaluating and plotting.
    """

    analysis: Path = Path("inputs/wbf")
    njobs: int = 1
    ntrainsamples: int = 1
    index: str = ALL
    method: str = ALL
    member: str = ALL
    changes: Sequence[str] = ()
    observed: str = ""


def commands(step: str, workdir: Path, order: Order) -> list[list[str]]:
    """The arguments of ``madminer-workflow`` that do ``step`` in ``workdir``.

    Several for a step that is done once for every job, method or member. Raises InputError if
    ``order`` asks for something that is not there.
    """
    folder = _Folder(workdir, order)
    return [[step, *map(str, each)] for each in getattr(folder, step)()]


_Arguments = list[Any]  # words, numbers and paths


class _Folder:
    """The arguments of every step, one list for each time that it is to run."""

    def __init__(self, workdir: Path, order: Order) -> None:
        self.order = order
        self.physics, self.ml = workdir / "physics", workdir / "ml"
        configured, generated = self.physics / "configure", self.physics / "generate"
        self.config = configured / "config.h5"
        self.generation = configured / "generation.json"
        self.reconstruction = configured / "reconstruction.json"
        self.models = configured / "Models.tar.gz"
        self.processes = generated / "Processes.tar.gz"
        self.data = self.physics / "combine" / "combined_delphes.h5"
        self.methods = self.ml / "sampling" / "methods"

    def configure(self) -> list[_Arguments]:
        return [["--input", self._input(), "--output", self.physics / "configure"]]

    def generate(self) -> list[_Arguments]:
        inputs = ["--config", self.config, "--generation", self.generation, "--models", self.models]
        output = self.physics / "generate"
        return [[*inputs, "--njobs", str(self.order.njobs), "--output", output]]

    def pythia(self) -> list[_Arguments]:
        jobs = self._jobs()
        return [
            ["--job", jobs[i], "--processes", self.processes, "--output", self._of_job("pythia", i)]
            for i in self._indices(jobs)
        ]

    def delphes(self) -> list[_Arguments]:
        common = ["--config", self.config, "--reconstruction", self.reconstruction]
        return [
            [
                *(*common, "--events", self._of_job("pythia", i) / "Events.tar.gz"),
                *("--output", self._of_job("delphes", i)),
            ]
            for i in self._indices(self._jobs())
        ]

    def combine(self) -> list[_Arguments]:
        # By the jobs, not by what lies there: an earlier run may have had more of them.
        data = [self._of_job("delphes", i) / "delphes_data.h5" for i, _ in enumerate(self._jobs())]
        inputs = ["--config", self.config, "--generation", self.generation]
        return [[*inputs, "--output", self.physics / "combine", *data]]

    def sampling(self) -> list[_Arguments]:
        inputs = ["--input", self._input(), "--data", self.data]
        members = ["--ntrainsamples", str(self.order.ntrainsamples)]
        changes = _options(_wanted(self.order.changes))
        return [[*inputs, *members, *changes, "--output", self.ml / "sampling"]]

    def training(self) -> list[_Arguments]:
        changes = _wanted(self.order.changes)
        chosen = [
            (method, member, samples)
            for method in self._methods()
            for member, samples in self._members(method)
        ]
        own = [_applicable(changes, samples) for _, _, samples in chosen]
        unused = set(changes).difference(*own)
        if unused:
            raise InputError(
                f"--set {' '.join(sorted(unused))}: no method of {self.methods} that is to be "
                "trained has this setting; see docs/analysis-file.md"
            )
        return [
            ["--samples", samples, *_options(settings), "--output", self._trained(method, member)]
            for (method, member, samples), settings in zip(chosen, own, strict=True)
        ]

    def evaluating(self) -> list[_Arguments]:
        return [
            [
                *(*self._evaluation(method), *self._observed()),
                *("--output", self._of_method(method) / "evaluating", *self._ensemble(method)),
            ]
            for method in self._methods()
        ]

    def toys(self) -> list[_Arguments]:
        jobs = [
            (method, job) for method in self._methods() for job in enumerate(self._toys(method))
        ]
        if not jobs:
            raise InputError(f"{self.methods}: no toys are to be made; see ml.limits.toys.n_toys")
        known = [str(i) for i in sorted({i for _, (i, _) in jobs})]
        wanted = _chosen("--index", self.order.index, known)
        return [
            [
                *(*self._evaluation(method), "--job", job),
                *("--output", self._of_toys(method, i), *self._ensemble(method)),
            ]
            for method, (i, job) in jobs
            if str(i) in wanted
        ]

    def plotting(self) -> list[_Arguments]:
        inputs = ["--analysis", self.ml / "sampling" / "analysis.json", "--data", self.data]
        results = [
            self._of_method(method) / "evaluating" / "Results.tar.gz" for method in self._names()
        ]
        toys = [
            self._of_toys(method, i) / "Toys.npz"
            for method in self._names()
            for i, _ in enumerate(self._toys(method))
        ]
        options = [*self._observed(), *(word for file in toys for word in ("--toys", file))]
        return [[*inputs, *options, "--output", self.ml / "plotting", *results]]

    def _input(self) -> Path:
        analysis = self.order.analysis
        return analysis / "input.yml" if analysis.is_dir() else analysis

    def _jobs(self) -> list[Path]:
        directory = self.physics / "generate" / "jobs"
        return _found(sorted(directory.glob("job_*.json")), directory, "generate")

    def _indices(self, jobs: list[Path]) -> list[int]:
        known = [str(i) for i in range(len(jobs))]
        return [known.index(each) for each in _chosen("--index", self.order.index, known)]

    def _of_job(self, step: str, index: int) -> Path:
        return self.physics / f"{step}_{index}"

    def _names(self) -> list[str]:
        files = sorted(self.methods.glob("*/evaluation.json"), key=natural_order)
        return [path.parent.name for path in _found(files, self.methods, "sampling")]

    def _methods(self) -> list[str]:
        return _chosen("--method", self.order.method, self._names())

    def _of_method(self, method: str) -> Path:
        return self.ml / f"method_{self._names().index(method)}"

    def _samples(self, method: str) -> list[tuple[int, Path]]:
        directory = self.methods / method
        files = sorted(directory.glob("Samples_*.npz"), key=natural_order)
        return list(enumerate(_found(files, directory, "sampling")))

    def _members(self, method: str) -> list[tuple[int, Path]]:
        samples = self._samples(method)
        wanted = _chosen("--member", self.order.member, [str(i) for i, _ in samples])
        return [(i, path) for i, path in samples if str(i) in wanted]

    def _trained(self, method: str, member: int) -> Path:
        return self._of_method(method) / f"training_{member}"

    def _ensemble(self, method: str) -> list[Path]:
        return [self._trained(method, i) / "Model.tar.gz" for i, _ in self._samples(method)]

    def _evaluation(self, method: str) -> _Arguments:
        return ["--evaluation", self.methods / method / "evaluation.json", "--data", self.data]

    def _observed(self) -> list[str]:
        return ["--observed", self.order.observed] if self.order.observed else []

    def _toys(self, method: str) -> list[Path]:
        return sorted((self.methods / method).glob("toys_*.json"), key=natural_order)

    def _of_toys(self, method: str, index: int) -> Path:
        return self._of_method(method) / f"toys_{index}"


def _found(paths: list[Any], directory: Path, step: str) -> list[Any]:
    if not paths:
        raise InputError(f"{directory}: has no products of {step}; run {step} first")
    return paths


def _chosen(option: str, wanted: str, known: list[str]) -> list[str]:
    if wanted == ALL:
        return known
    if wanted not in known:
        raise InputError(f"{option} {wanted}: expected {ALL}, or one of {', '.join(known)}")
    return [wanted]


def _wanted(changes: Sequence[str]) -> list[str]:
    single = [change for text in changes for change in text.split()]
    return [change for change in single if not change.endswith(UNCHANGED)]


def _applicable(changes: list[str], samples: Path) -> list[str]:
    """The changes of settings that the method of these samples has: a histogram has no epochs."""
    import numpy as np

    with np.load(samples) as file:
        settings = json.loads(str(file["content"]))["settings"]

    def known(key: str) -> bool:
        section, _, name = key.rpartition(".")
        return name in (settings.get(section, {}) if section else settings)

    return [change for change in changes if known(change.partition("=")[0])]


def _options(changes: list[str]) -> list[str]:
    return [word for change in changes for word in ("--set", change)]
