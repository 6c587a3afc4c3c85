"""The two files of madminer-workflow-ph and -ml (2023) as one analysis file of ours.

What its commands were told beside the files (luminosity, numbers of samples, epochs) is not in
them; what the files said and nothing here asks for any more is told to the caller.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.reading import read
from madminer_workflow.errors import InputError

Entry = Mapping[str, Any]
RATIOS = ("alice", "alices", "carl", "cascal", "rascal", "rolr")
SCORES = ("sally", "sallino")
ESTIMATORS = {
    "parameterized": "parameterized",
    "quadratic": "quadratic_morphing_aware",
}
"""By their names there; it took any other name for the first."""
EVENTS = 10_000
"""For each benchmark: how many there were was said by the run card."""
PHYSICS = ("parameters", "benchmarks", "set_morphing", "observables", "cuts")
LEARNING = (
    *("estimator", "methods", "asymptotic_limits", "histogram_vars", "fisher_information"),
    *("include_xsec", "plotting"),
)
MEANINGLESS = {
    "include_xsec": "limits are always given with and without the rate",
    "plotting": "all figures are drawn; `madminer-workflow plot` draws selected ones",
}
CARDS = "\n".join(
    f"# {line}"
    for line in (
        "The cards are those in code/cards: copy them into cards/ next to this file. Run "
        "cards contain only",
        "what differs from MadGraph's defaults; numbers of events and seeds are set here.",
    )
)


@dataclass
class Conversion:
    """The content of an analysis file, and what of the two files it does not have, or guesses."""

    content: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The analysis file."""
        body = yaml.safe_dump(
            self.content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
        )
        return f"# Converted from the files of madminer-workflow-ph and -ml.\n{CARDS}\n{body}"


def convert(physics_file: Path, learning_file: Path, name: str) -> Conversion:
    """Convert the two files; InputError, which names file and key, if they are something else."""
    physics = _read(physics_file, ("parameters", "benchmarks", "observables"))
    learning = _read(learning_file, ("methods", "asymptotic_limits"))
    done = Conversion({"version": 1, "name": name})
    reader = _Converter(done)
    for file, step in ((physics_file, reader.physics), (learning_file, reader.learning)):
        try:
            step(physics if step == reader.physics else learning)
        except (LookupError, TypeError, ValueError, AttributeError, SyntaxError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(
                f"{file}: {reader.section}: {what}; expected the predecessor's format"
            ) from None
    return done


def write(done: Conversion, folder: Path) -> Path:
    """Write the analysis file into a new or empty folder; return it.

    Raises InputError if there is something in the folder, and, with lines of the written file, if
    the analysis makes no sense.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty; expected an empty or new folder")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "input.yml"
    file.write_text(done.text, "utf-8")
    read_analysis(file, cards=False)
    return file


class _Converter:
    """Goes through the sections of both files, and knows which it is at."""

    def __init__(self, done: Conversion) -> None:
        self.content, self.notes = done.content, done.notes
        self.section = ""
        self.parameters: list[str] = []
        self.benchmarks: dict[str, dict[str, float]] = {}

    def physics(self, given: Entry) -> None:
        """Theory, processes, detector, observables and cuts."""
        self._left_out(given, PHYSICS)
        self.section = "parameters"
        entries = [dict(entry) for entry in given["parameters"]]
        for entry in entries:
            ends = entry["parameter_range"]
            ends = literal_eval(ends) if isinstance(ends, str) else ends
            entry["parameter_range"] = [float(end) for end in ends]
        self.content["parameters"] = entries
        self.parameters = [str(entry["parameter_name"]) for entry in entries]
        self.section = "benchmarks"
        for entry in given["benchmarks"]:
            self.benchmarks[str(entry["name"])] = {
                str(entry[f"parameter_name_{i}"]): float(entry[f"value_{i}"])
                for i in range(1, len(entries) + 1)
            }
        self.content["benchmarks"] = self.benchmarks
        self.section = "set_morphing"
        morphing = dict(given.get("set_morphing") or {})
        if morphing.pop("include_existing_benchmarks", True) is not True:
            self.notes.append(
                "set_morphing.include_existing_benchmarks: the benchmarks in this file are "
                "always part of the basis"
            )
        self.content["morphing"] = morphing
        self.content["processes"] = [self._signal()]
        self.content["detector"] = {"delphes_card": "cards/delphes_card.dat"}
        self.section = "observables"
        self.content["observables"] = [
            {key: value for key, value in entry.items() if value is not None}
            for entry in given["observables"]
        ]
        self.section = "cuts"
        self.content["cuts"] = [
            {"definition": str(entry["expression"])} for entry in given.get("cuts") or []
        ]

    def _signal(self) -> dict[str, Any]:
        self.notes += [
            "processes[signal].events: the predecessor set them in the run card; here, "
            f"{EVENTS} at each benchmark",
            "background: the predecessor generated only the signal; to add the background, add "
            "a process with cards/proc_card_background.dat and is_background: true",
        ]
        return {
            "name": "signal",
            "generator": "madgraph",
            "proc_card": "cards/proc_card_signal.dat",
            "run_card": "cards/run_card_signal.dat",
            "param_card": "cards/param_card_template.dat",
            "pythia8_card": "cards/pythia8_card.dat",
            "events": dict.fromkeys(self.benchmarks, EVENTS),
        }

    def learning(self, given: Entry) -> None:
        """Methods, limits and Fisher information."""
        names = [str(method) for method in given["methods"]]
        self._left_out(given, (*LEARNING, *names))
        self.notes += [f"{key}: {why}" for key, why in MEANINGLESS.items() if key in given]
        self.notes.append(
            "luminosity, test_split, numbers of samples and members, epochs, batch sizes and "
            "the like were parameters of its commands: check the default values used here "
            "(ml.luminosity, ml.methods, --ntrainsamples)"
        )
        self.section = "asymptotic_limits"
        limits = given["asymptotic_limits"]
        grid = {
            name: {
                "range": [float(limits["region"][f"theta_{i}"][end]) for end in ("min", "max")],
                "resolution": int(limits["resolutions"][i]),
            }
            for i, name in enumerate(self.parameters)
        }
        ml: dict[str, Any] = {"methods": [], "limits": {"grid": grid}}
        self.content["ml"] = ml
        if "theta_true" in limits:
            ml["limits"]["theta_true"] = self._point(limits["theta_true"])
        ml["methods"] += self._histograms(given)
        for name in names:
            self.section = name
            ml["methods"].append(self._method(name, given.get(name) or {}, given, grid))
        self.section = "fisher_information"
        fisher = given.get("fisher_information") or {}
        if fisher.get("bool") is False:
            self.notes.append("fisher_information.bool: the Fisher information is always computed")
        if "histogram_range" in fisher:
            self.notes.append(
                "fisher_information.histogram_range: events beyond the bin edges fill two "
                "additional bins"
            )
        if "theta_true" in fisher:
            theta = self._point(fisher["theta_true"])
            if isinstance(theta, str):
                ml["fisher"] = {"theta": theta}
            else:
                self.notes.append("fisher_information.theta_true: expected a benchmark; left out")

    def _histograms(self, given: Entry) -> Iterator[dict[str, Any]]:
        self.section = "histogram_vars"
        fisher = given.get("fisher_information") or {}
        axes = [
            str(name) for name in (given.get("histogram_vars"), fisher.get("observable")) if name
        ]
        for axis in dict.fromkeys(axes):
            entry: dict[str, Any] = {"name": f"histogram_{axis}", "method": "histogram"}
            entry["observables"] = [axis]
            if axis == fisher.get("observable") and "histogram_bins" in fisher:
                entry["bins"] = {axis: [float(edge) for edge in fisher["histogram_bins"]]}
            yield entry

    def _method(self, name: str, section: Entry, given: Entry, grid: Entry) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": name, "method": name}
        theta0, theta1 = section.get("theta_0") or {}, section.get("theta_1") or {}
        if name in SCORES:
            return entry | self._benchmark("theta", theta0, name)
        if name in RATIOS:
            wanted = str(given.get("estimator", "parameterized"))
            entry["estimator"] = ESTIMATORS.get(wanted, "parameterized")
            if wanted not in ESTIMATORS:
                self.notes.append(
                    f"estimator: {wanted} is treated as parameterized, as in the predecessor"
                )
        entry["theta0"] = self._drawn(name, theta0, grid)
        return entry | (self._benchmark("theta1", theta1, name) if name in RATIOS else {})

    def _benchmark(self, key: str, theta: Entry, method: str) -> dict[str, Any]:
        if theta.get("sampling_method", "benchmark") == "benchmark":
            return {key: str(theta["sampling_arg"])} if "sampling_arg" in theta else {}
        self.notes.append(
            f"{method}: {key} is a benchmark here, not {theta['sampling_method']}: the first "
            "benchmark is used"
        )
        return {}

    def _drawn(self, method: str, theta: Entry, grid: Entry) -> dict[str, Any]:
        if theta.get("sampling_method") != "random_morphing_points":
            self.notes.append(
                f"{method}: theta_0 is drawn at random here, not {theta.get('sampling_method')}: "
                "uniformly from the region of the limits"
            )
            flat = {
                name: {"prior": "flat", "min": axis["range"][0], "max": axis["range"][1]}
                for name, axis in grid.items()
            }
            return {"priors": flat}
        priors = {}
        for i, name in enumerate(self.parameters):
            prior = theta["prior"][i][f"parameter_{i}"]
            shape, first, second = (
                prior[key] for key in ("prior_shape", "prior_param_0", "prior_param_1")
            )
            keys = {"gaussian": ("mean", "std"), "flat": ("min", "max")}[shape]
            priors[name] = {"prior": shape, keys[0]: float(first), keys[1]: float(second)}
        return {"n_thetas": int(theta["sampling_number"]), "priors": priors}

    def _point(self, values: Sequence[float]) -> str | dict[str, float]:
        """The benchmark at a point, or the point."""
        point = dict(zip(self.parameters, map(float, values), strict=True))
        return next((name for name, at in self.benchmarks.items() if at == point), point)

    def _left_out(self, given: Entry, known: Sequence[str]) -> None:
        self.notes += [f"{key}: unknown; left out" for key in given if key not in known]


def _read(file: Path, needed: Sequence[str]) -> Entry:
    content = read(file).data
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a mapping")
    missing = [key for key in needed if key not in content]
    if missing:
        raise InputError(
            f"{file}: has no {missing[0]}; expected PH_INPUT from madminer-workflow-ph, followed "
            "by ML_INPUT from madminer-workflow-ml"
        )
    return content
