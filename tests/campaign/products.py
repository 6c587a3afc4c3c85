"""Damaged products: every file that a step takes from another, by every damage to its kind of file.

A step must refuse what is no product, and name it; it may take it only if what it makes is the same
to the byte.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import yaml

from madminer_workflow import graph
from madminer_workflow.engines.folder import Selection, commands
from madminer_workflow.engines.order import Order
from madminer_workflow.hdf5_files import opened
from tests.campaign import damages
from tests.campaign.damages import Damage
from tests.campaign.outcome import Faults, Outcome, refused, sound
from tests.campaign.sandbox import Place
from tests.support.chain import TINY_SYSTEMATICS, observed_events

METHODS = ("counts", "sally", "alices", "polynomial")


def analysis(directory: Path) -> Path:
    """Write the analysis whose products are damaged: small, with all families and toys."""
    data = yaml.safe_load(TINY_SYSTEMATICS.read_text())
    data["processes"][0]["events"] = {"sm": 150, "w": 60, "neg_w": 60}
    data["processes"][1]["events"] = {"sm": 80}
    data["systematics"].append(
        {
            "systematic_name": "jes",
            "effect": "energy_scale",
            "energy_scale_variation": 0.1,
            "particles": ["j"],
        }
    )
    data["processes"][1]["systematics"].append("jes")
    data["ml"]["methods"][-1]["n_estimators"] = 1
    data["ml"]["limits"]["toys"] = {"n_toys": 4, "njobs": 1, "resolution": 2}
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "input.yml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return file


def _some(table: Mapping[str, Damage], *names: str) -> dict[str, Damage]:
    return {name: damage for name, damage in table.items() if name.startswith(names)}


_MEMBER_JSON = _some(damages.JSON, "drop", "number", "text-surrogate", "list", "mapping", "deep")
_MODELS = {
    "counts": {"method.json": _MEMBER_JSON, "histogram.npz": damages.NPZ},
    "sally": {
        **{"method.json": _MEMBER_JSON, "model_settings.json": damages.JSON},
        **{"state_dict.pt": damages.STATE, "x_means.npy": damages.NPY, "x_stds.npy": damages.NPY},
    },
    "alices": {
        **{"model_settings.json": _MEMBER_JSON, "state_dict.pt": damages.STATE},
        **{"x_means.npy": damages.NPY, "theta_stds.npy": damages.NPY},
    },
    "polynomial": {"method.json": _MEMBER_JSON, ".npz": damages.NPZ},
}
# Null is a number that is not finite.
_SUMMARY = {name: damage for name, damage in damages.JSON.items() if name != "number-null"}
_RESULTS = damages.members_of({"results.json": _SUMMARY, "arrays.npz": damages.NPZ})
_JSON = {**damages.BYTES, **damages.JSON}
_NPZ = {**damages.BYTES, **damages.NPZ}
_HDF5 = {**damages.BYTES, **damages.HDF5}
_EVENTS = {**_HDF5, **damages.SHIFTED_EVENTS}
_OBSERVED = {
    name: damage
    for name, damage in _HDF5.items()
    # Observed events have no weights, and may be fewer.
    if not name.startswith("weights") and name != "dataset-shorter"
}
_PROCESSES = {
    "process.json": damages.JSON,
    "integration.json": damages.JSON,
    "integration.npz": damages.NPZ,
}


@dataclass(frozen=True)
class Target:
    """A file that ``step`` takes, as ``option``, done for ``method`` if it is for each of them."""

    step: str
    option: str
    damages: Mapping[str, Damage]
    method: str = ""

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return ".".join(filter(None, [self.step, self.option, self.method]))


TARGETS = [
    *(Target("generate", "config", _HDF5), Target("generate", "generation", _JSON)),
    Target("generate", "models", damages.BYTES),
    *(
        Target("pythia", "job", _JSON),
        Target("pythia", "processes", damages.members_of(_PROCESSES)),
    ),
    *(Target("delphes", "config", _HDF5), Target("delphes", "reconstruction", _JSON)),
    Target(
        "delphes",
        "events",
        damages.members_of({"events.json": damages.JSON, ".lhe": damages.LHE}),
    ),
    *(Target("combine", name, t) for name, t in (("config", _HDF5), ("generation", _JSON))),
    Target("combine", "data", _EVENTS),
    Target("sampling", "data", _EVENTS),
    *(Target("training", "samples", _NPZ, method) for method in METHODS),
    *(
        Target("evaluating", "models", damages.members_of(_MODELS[method]), method)
        for method in METHODS
    ),
    Target("evaluating", "evaluation", _JSON, "counts"),
    Target("evaluating", "data", _EVENTS, "counts"),
    Target("evaluating", "observed", _OBSERVED, "counts"),
    *(Target("toys", name, _JSON, "counts") for name in ("evaluation", "job")),
    Target("toys", "data", _EVENTS, "counts"),
    *(
        Target("toys", "models", damages.members_of(_MODELS[m]), m)
        for m in ("counts", "polynomial")
    ),
    *(Target("plotting", "analysis", _JSON), Target("plotting", "data", _EVENTS)),
    *(Target("plotting", "toys", _NPZ), Target("plotting", "results", _RESULTS)),
    Target("plotting", "observed", _OBSERVED),
]


@dataclass(frozen=True)
class Case:
    """A damage to a target."""

    target: Target
    damage: str

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return f"{self.target.name}:{self.damage}"

    @property
    def is_slow(self) -> bool:
        """Whether the step takes seconds if it takes the file."""
        return self.target.step in ("plotting", "generate")


def cases() -> Iterator[Case]:
    """All cases."""
    for target in TARGETS:
        for damage in target.damages:
            yield Case(target, damage)


class Finished:
    """A finished run, whose products are copied and damaged; it is not changed."""

    def __init__(self, directory: Path) -> None:
        """A run of ``analysis`` in ``directory / "workdir"``, with its observed data beside it."""
        self.workdir = directory / "workdir"
        self.observed = directory / "observed.h5"
        self.order = Order(directory / "input.yml", self.workdir, 2, 1, observed=str(self.observed))

    @classmethod
    def prepare(cls, directory: Path) -> list[str]:
        """Write what a run needs, and return the words of it."""
        analysis(directory)
        observed_events(directory / "observed.h5", TINY_SYSTEMATICS, 12)
        return [
            *("run", str(directory / "input.yml"), "--workdir", str(directory / "workdir")),
            *("--njobs", "2", "--ntrainsamples", "1", "--observed", str(directory / "observed.h5")),
        ]

    def command(self, target: Target, output: Path) -> tuple[list[str], Path, Path]:
        """The words that do the step of a target, the file that it is, and what they make here."""
        step = graph.STEPS[target.step]
        selection = Selection(
            index="0" if {"job", "toys"} & set(step.each) else graph.ALL,
            method=target.method if "method" in step.each else graph.ALL,
            member="0" if "member" in step.each else graph.ALL,
        )
        [words] = commands(target.step, self.order, selection)
        place = words.index("--output") + 1
        made, words[place] = Path(words[place]), str(output)
        if f"--{target.option}" in words:
            file = words[words.index(f"--{target.option}") + 1]
        else:
            file = words[-1]
        return words, Path(file), made


def damaged(case: Case, finished: Finished, place: Place) -> tuple[list[str], Path, Path]:
    """The words of a case in a place, its damaged file, and what the undamaged one makes."""
    words, file, made = finished.command(case.target, place.here / "output")
    copy = place.here / file.name
    shutil.copyfile(file, copy)
    case.target.damages[case.damage](copy, Random(case.name))
    return [str(copy) if word == str(file) else word for word in words], copy, made


def contents(directory: Path) -> dict[str, bytes]:
    """The files of a product by name, without the engine's notes; of HDF5 all that it holds.

    What is between the data sets of a file comes along when it is copied.
    """
    return {
        path.relative_to(directory).as_posix(): _content(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "_packtivity" not in path.parts
    }


def _content(path: Path) -> bytes:
    if path.suffix != ".h5":
        return path.read_bytes()
    with opened(path, "a product") as file:
        return file.digest().encode()


def verdict(case: Case, outcome: Outcome, file: Path, output: Path, made: Path) -> Faults:
    """What is wrong with the outcome of a damaged file: refused, or the same product."""
    same = outcome.exit_code == 0 and contents(output) == contents(made)
    if same or (outcome.exit_code == 0 and case.damage.endswith(damages.PLAUSIBLE)):
        return sound(outcome)
    faults = refused(outcome, file)
    # Two files that do not belong together: either of them may be named.
    if outcome.is_refused and any(outcome.names(word) for word in outcome.words if "/" in word):
        faults.other = [other for other in faults.other if "is not named" not in other]
    return faults
