"""Typed parts of analyses and products from sparse plain data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from madminer_workflow.analysis.schema import schema
from madminer_workflow.analysis.types import (
    Generation,
    Parameter,
    Process,
    Reconstruction,
    RunSettings,
    Smearing,
    Systematic,
)
from madminer_workflow.physics.generators import Request
from madminer_workflow.products.events import SampledProcess
from madminer_workflow.products.jobs import Task
from madminer_workflow.products.processes import Points

_PROCESSES: dict[str, dict[str, Any]] = {
    "builtin": {"process": "wbf_haa"},
    "madgraph": dict.fromkeys(("run_card", "param_card", "ufo_model")),
    "files": {
        "weights": {},
        "cross_section": {},
        "sum_of_weights": {},
        "table": None,
        "variations": {},
    },
}


CWL2 = {
    "parameter_name": "CWL2",
    "lha_block": "dim6",
    "lha_id": 2,
    "param_card_transform": "16.52*theta",
}
CPWL2 = {**CWL2, "parameter_name": "CPWL2", "lha_id": 5}
"""The parameters of the tutorial."""


def process(generator: str = "builtin", run: dict[str, Any] | None = None, **keys: Any) -> Process:
    """A process with other ``keys``, and with other settings of the ``run``."""
    common = {
        "name": "signal",
        "pythia8_card": None,
        "systematics": [],
        "is_background": False,
        "k_factor": 1.0,
        "events": {"sm": 100},
    }
    settings = {"run": run_settings(**(run or {}))} if generator == "builtin" else {}
    plain = {"generator": generator, **common, **_PROCESSES[generator], **settings, **keys}
    return msgspec.convert(msgspec.to_builtins(plain), Process)


def run_settings(**changes: Any) -> RunSettings:
    """The schema's defaults, but for some."""
    run = schema()["properties"]["processes"]["items"]["properties"]["run"]["properties"]
    defaults = {name: entry["default"] for name, entry in run.items()}
    return msgspec.convert({**defaults, **changes}, RunSettings)


def request(
    process: Process, parameters: Sequence[dict[str, Any]], points: Points, **keys: Any
) -> Request:
    """What a generator is asked for, with ``points`` as benchmarks, and with other ``keys``."""
    plain = {"check_points": {}, "reference": "sm", "models": Path("models"), "seed": 1}
    return Request(
        process=process,
        parameters=[parameter(**entry) for entry in parameters],
        benchmarks=points,
        systematics=systematics(keys.pop("systematics", ())),
        **{**plain, **keys},
    )


def parameter(**keys: Any) -> Parameter:
    """A parameter with other ``keys``."""
    plain = {
        "parameter_name": "CWL2",
        "lha_block": "dim6",
        "lha_id": 2,
        "morphing_max_power": 2,
        "param_card_transform": "theta",
        "parameter_range": [-20.0, 20.0],
    }
    return msgspec.convert({**plain, **keys}, Parameter)


SCALE = {
    "systematic_name": "scale",
    "effect": "scale",
    "scale": "mu",
    "scale_variations": [0.5, 1.0, 2.0],
}
NORM = {"systematic_name": "lumi", "effect": "norm", "norm_variation": 1.05}
PDF = {
    "systematic_name": "pdf",
    "effect": "pdf",
    "pdf_variation": "SET",
    "pdf_members": 4,
    "pdf_error_type": "symmhessian",
    "pdf_confidence_level": 0.6827,
}
"""One uncertainty of each effect."""


def systematics(entries: Sequence[dict[str, Any]]) -> tuple[Systematic, ...]:
    """Uncertainties."""
    return msgspec.convert(list(entries), tuple[Systematic, ...])


def generation(**keys: Any) -> Generation:
    """What events depend on."""
    plain = {
        "version": 1,
        "seed": 1,
        "parameters": [],
        "benchmarks": {"sm": {}},
        "morphing": {"max_overall_power": 2, "n_trials": 1, "n_test_thetas": 1},
        "systematics": [],
        "processes": [],
    }
    return msgspec.convert({**plain, **msgspec.to_builtins(keys)}, Generation)


def reconstruction(detector: dict[str, Any], **keys: Any) -> Reconstruction:
    """What the analysis of events depends on, with other settings of the ``detector``."""
    limits = [
        f"{limit}_{name}" for limit in ("pt_min", "eta_max") for name in ("e", "mu", "a", "j")
    ]
    plain = {
        "delphes_card": None,
        "use_generator_truth": False,
        "smearing": [],
        "met_noise": {"abs_": 0.0, "rel": 0.0},
        **detector,
    }
    plain["acceptance"] = {**dict.fromkeys(limits), **detector.get("acceptance", {})}
    rest = {"seed": 1, "observables": [], "cuts": [], "efficiencies": []}
    return msgspec.convert({"detector": plain, **rest, **keys}, Reconstruction)


def smearing(entry: dict[str, Any]) -> Smearing:
    """Resolutions."""
    return msgspec.convert(entry, Smearing)


def task(**keys: Any) -> Task:
    """A block of events with other ``keys``."""
    plain = {
        "process": "signal",
        "sampling_benchmark": "sm",
        "block": 0,
        "n_events": 1000,
        "n_total": 1000,
        "cost": 1.0,
        "k_factor": 1.0,
        "is_background": False,
        "seed": 1,
    }
    return msgspec.convert({**plain, **keys}, Task)


def sampled_process(**keys: Any) -> SampledProcess:
    """A process of which there are events."""
    plain = {"events": {}, "benchmarks": {}, "systematics": [], "cross_sections": {}}
    return msgspec.convert({**plain, **keys}, SampledProcess)
