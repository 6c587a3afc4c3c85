"""The steps one after the other, in this process, for small analyses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from madminer_workflow.files import read_json
from madminer_workflow.physics.combine import combine
from madminer_workflow.physics.configure import configure
from madminer_workflow.physics.delphes import delphes
from madminer_workflow.physics.generate import generate
from madminer_workflow.physics.generators.builtin import sampling
from madminer_workflow.physics.pythia import pythia
from tests.support.paths import DATA

TINY = DATA / "tiny" / "input.yml"
TINY1 = DATA / "tiny1" / "input.yml"
TINY_SYSTEMATICS = DATA / "tiny_systematics" / "input.yml"


def analysis_file(path: Path, base: Path = TINY, **sections: Any) -> Path:
    """Write the analysis ``base`` with other ``sections`` to ``path`` and return it."""
    content = yaml.safe_load(base.read_text())
    content.update(sections)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def tiny(section: str) -> Any:
    """One section of the tiny analysis."""
    return yaml.safe_load(TINY.read_text())[section]


def with_toys(directory: Path, n_toys: int = 20, njobs: int = 2, base: Path = TINY) -> Path:
    """Write the analysis ``base`` with toys to ``directory`` and return its file."""
    ml = yaml.safe_load(base.read_text())["ml"]
    ml["limits"]["toys"] = {"n_toys": n_toys, "njobs": njobs, "resolution": 2}
    return analysis_file(directory / "input.yml", base, ml=ml)


def observed_events(path: Path, analysis: Path = TINY, n: int = 3) -> Path:
    """Write ``n`` observed events with the observables of an analysis to ``path`` and return it."""
    names = [entry["name"] for entry in yaml.safe_load(analysis.read_text())["observables"]]
    with h5py.File(path, "w") as file:
        file["observables/names"] = [name.encode() for name in names]
        file["samples/observations"] = 60.0 + np.arange(n * len(names)).reshape(n, -1)
    return path


def showered_analysis(directory: Path, n_events: int = 20) -> Path:
    """Write an analysis of showered events at detector level into ``directory``."""
    (directory / "pythia8_card.dat").write_text("! quick\nPartonLevel:MPI = off\n")
    events = {"sm": n_events, "w": n_events, "ww": n_events}
    process = {**tiny("processes")[0], "events": events, "pythia8_card": "pythia8_card.dat"}
    return analysis_file(
        directory / "input.yml",
        processes=[process],
        detector={"delphes_card": "delphes_card_CMS.tcl", "acceptance": {"pt_min_a": 10.0}},
        observables=[
            {"name": "pt_j1", "definition": "j[0].pt", "default": 0.0, "range": [0.0, 500.0]},
            {"name": "pt_a1", "definition": "a[0].pt", "required": True},
            {"name": "event_scale", "definition": "scale", "required": True},
        ],
        cuts=[{"definition": "pt_a1 > 20.0"}],
    )


@dataclass(frozen=True)
class Physics:
    """The products of the physics steps of one analysis."""

    input: Path
    config: Path
    generation: Path
    reconstruction: Path
    models: Path
    processes: Path
    jobs: list[Path]
    events: list[Path]
    data: list[Path]
    combined: Path

    def cross_sections(self) -> dict[str, Any]:
        """Cross-sections [pb] and errors by process and benchmark, as integrated."""
        from madminer_workflow.madminer_file import read_report

        found: dict[str, Any] = {}
        for path in self.data:
            for name, process in read_report(path)["processes"].items():
                found[name] = process["cross_sections"]
        return found

    def benchmarks(self) -> dict[str, Any]:
        """The benchmarks of the analysis file."""
        return read_json(self.generation)["benchmarks"]


@contextmanager
def rough_integration() -> Iterator[None]:
    """Integrate with few points, where cross-sections do not matter."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_ADAPTATION", "_INTEGRATION"):
            patch.setattr(sampling, name, {"nitn": 5, "neval": 10_000})
        patch.setattr(sampling, "_SURVEY", 30_000)
        yield


def set_up(input_file: Path, directory: Path, njobs: int = 3) -> Physics:
    """Configure and generate."""
    configure(input_file, directory / "configure")
    config, generation = directory / "configure/config.h5", directory / "configure/generation.json"
    generate(
        config, generation, directory / "configure/Models.tar.gz", njobs, directory / "generate"
    )
    return Physics(
        input=input_file,
        config=config,
        generation=generation,
        reconstruction=directory / "configure/reconstruction.json",
        models=directory / "configure/Models.tar.gz",
        processes=directory / "generate/Processes.tar.gz",
        jobs=sorted((directory / "generate/jobs").iterdir()),
        events=[],
        data=[],
        combined=directory / "combine/combined_delphes.h5",
    )


def simulate(physics: Physics, directory: Path) -> Physics:
    """Draw and analyse the events of all jobs."""
    events, data = [], []
    for i, job in enumerate(physics.jobs):
        pythia(job, physics.processes, directory / f"pythia_{i}")
        events.append(directory / f"pythia_{i}/Events.tar.gz")
        delphes(physics.config, physics.reconstruction, events[-1], directory / f"delphes_{i}")
        data.append(directory / f"delphes_{i}/delphes_data.h5")
    return replace(physics, events=events, data=data)


def measure_again(physics: Physics, input_file: Path, directory: Path) -> Physics:
    """The events of ``physics`` as another analysis of the same ones measures them."""
    configure(input_file, directory / "configure")
    again = replace(
        physics,
        input=input_file,
        config=directory / "configure/config.h5",
        generation=directory / "configure/generation.json",
        reconstruction=directory / "configure/reconstruction.json",
        data=[directory / f"delphes_{i}/delphes_data.h5" for i in range(len(physics.events))],
        combined=directory / "combine/combined_delphes.h5",
    )
    for events, data in zip(again.events, again.data, strict=True):
        delphes(again.config, again.reconstruction, events, data.parent)
    combine(again.config, again.generation, again.data, again.combined.parent)
    return again


def run_physics(input_file: Path, directory: Path, njobs: int = 3) -> Physics:
    """All physics steps."""
    physics = simulate(set_up(input_file, directory, njobs), directory)
    combine(physics.config, physics.generation, physics.data, physics.combined.parent)
    return physics
