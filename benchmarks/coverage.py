"""Whether intervals hold what they promise, over replicas with new simulation and new data.

Replicas of an analysis (``replicas.py``) are made at several sample sizes: events of the built-in
generator with other seeds, models trained on them. The *same* pseudo-data are fitted with all: the
scatter of the best fits is what finite simulation does, to be compared with the error that each
states. *New* pseudo-data, several sets a replica, tell the coverage of the true point, with that
error in the intervals and without. Data are drawn from a large sample of its own. At ten times the
luminosity of the reference, the same simulation counts ten times as much.

Finished replicas are kept in FOLDER, below a checksum of the code and of all settings that matter,
so that a run that was stopped goes on, and results of other code are not mixed in.

    python benchmarks/coverage.py [--replicas 100] [--sizes 5000 20000 90000] [--folder FOLDER]

For a quick look: --replicas 8 --sizes 2000 8000 --nature 100000 --methods histogram_2d.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import replicas as replicas_
from coverage_summary import RATE, write_summary
from replicas import Drawn, Generator, Known

import madminer_workflow
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.types import Analysis
from madminer_workflow.cores import available_cores
from madminer_workflow.engines.code import joint_checksum, used_files
from madminer_workflow.files import atomic_path
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.likelihood import KINDS, DataSets
from madminer_workflow.statistics.problem import Problem

REFERENCE = Path(__file__).parents[1] / "inputs/wbf"
SEED = 16

PART = 100_000
"""Events of the large sample that are made at a time."""


@dataclass(frozen=True)
class Settings:
    """What replicas are asked; together with the code, all that their answers depend on.

    ``luminosities`` [1/fb] have numbers of data sets: those that all replicas fit, and new ones of
    each, at each of the ``points``. ``methods`` are those of the analysis where none are named.
    """

    analysis: str
    luminosities: tuple[tuple[float, int, int], ...] = ((300.0, 8, 16), (3000.0, 8, 6))
    points: tuple[tuple[float, ...], ...] = ((0.0, 0.0), (0.5, -0.5))
    n_nature: int = 1_000_000
    n_asimov: int = 20_000
    n_members: int = 2
    methods: tuple[str, ...] = ()

    @property
    def thetas(self) -> np.ndarray:
        """The points, (n_points, n_parameters)."""
        return np.array(self.points)


def fingerprint(settings: Settings) -> str:
    """A checksum of the settings and of all code that replicas use, but for comments."""
    package = Path(madminer_workflow.__file__).parent
    parts = [f"{package.name}.{part}." for part in ("physics", "ml", "statistics")]
    loaded = [name for name in sys.modules if name.startswith(tuple(parts))]
    files = {file for name in loaded for file in used_files(package, name)}
    code = joint_checksum(package, sorted(files), code_checksum)
    ours = [code_checksum(Path(file)) for file in (__file__, str(replicas_.__file__))]
    return hashlib.sha256(json.dumps([repr(settings), code, *ours]).encode()).hexdigest()[:12]


def code_checksum(file: Path) -> str:
    """That of what a file says to the computer."""
    if file.suffix != ".py":
        return hashlib.sha256(file.read_bytes()).hexdigest()
    tree = ast.parse(file.read_text("utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not is_text(line)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def is_text(line: ast.stmt) -> bool:
    """Whether a statement is nothing but a string."""
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


@dataclass(frozen=True)
class Worker:
    """What a process keeps from one replica to the next."""

    settings: Settings
    analysis: Analysis
    generator: Generator
    nature: Events
    shared: Mapping[str, Drawn]

    def replica(self, size: int, number: int) -> dict[str, np.ndarray]:
        """Answers of all methods, by name: see ``answers``."""
        seed = derive_seed(SEED, "replica", size, number)
        events = self.generator.events(size, seed)
        drawn = {**self.shared, **self.drawn("new", np.random.default_rng(seed))}
        problem, data = replicas_.posed(
            events,
            drawn,
            self.nature,
            self.settings.thetas[0],
            self.analysis.ml.luminosity,
            self.analysis.ml.test_split,
            seed,
        )
        found = self.answers(RATE, replicas_.rate(problem), problem, data)
        for method in self.analysis.ml.methods:
            if self.settings.methods and method.name not in self.settings.methods:
                continue
            n = min(self.settings.n_members, method.members(1))
            with replicas_.models(problem.train, method, n, seed) as members:
                known = replicas_.known_by(members, problem)
                found |= self.answers(method.name, known, problem, data)
        return found

    def drawn(self, name: str, rng: np.random.Generator) -> dict[str, Drawn]:
        """Data sets at all luminosities and points; with those of expected data if "shared"."""
        result = {}
        for number, (luminosity, n_shared, n_new) in enumerate(self.settings.luminosities):
            for i, theta in enumerate(self.settings.thetas):
                where, unit = f"{luminosity:g}/{i}", 1000.0 * luminosity
                n_sets = n_shared if name == "shared" else n_new
                result[f"{where}/{name}"] = Drawn.at(theta, unit, n_sets, self.nature, rng)
                if name == "shared" and number == 0:
                    n = self.settings.n_asimov
                    result[f"{where}/asimov"] = Drawn.asimov(theta, unit, n, self.nature)
        return result

    def answers(
        self,
        name: str,
        known: Known,
        problem: Problem,
        data: Mapping[str, DataSets],
    ) -> dict[str, np.ndarray]:
        """Of one method, named METHOD/LUMINOSITY/POINT/KIND/WHAT.

        "shared" and "asimov" are best fits, "... stat" and "... sim" their variances, (n_sets,
        n_parameters); "with" and "without" are q of new data sets at the truth, (1 +
        n_parameters, n_sets), jointly first, with errors of the simulation and without.
        """
        result = {}
        for place, sets in data.items():
            luminosity, i, what = place.split("/")
            theta = self.settings.thetas[int(i)]
            here = replace(problem, luminosity=1000.0 * float(luminosity))
            one, here, sets = replicas_.narrowed(known, here, sets)
            if what == "new":
                for variant, errors in {"with": one.fluctuations, "without": {}}.items():
                    tested = closed_form.statistics(one.density, sets, here, theta, errors)
                    for kind, (joint, each) in tested.items():
                        rows = np.vstack([joint, each])
                        result[f"{name}/{luminosity}/{i}/{kind}/{variant}"] = rows
            elif name != RATE:
                for kind in KINDS:
                    fitted = replicas_.fits(one, here, kind, sets, theta)
                    for part, values in fitted.items():
                        result[f"{name}/{luminosity}/{i}/{kind}/{what}{part}"] = values
        return result


WORKER: list[Worker] = []
"""That of this process."""
OPEN = ExitStack()


def start_worker(settings: Settings, analysis_file: Path, folder: Path) -> None:
    """Read what all replicas need, once for a process."""
    import torch

    torch.set_num_threads(1)
    analysis = read_analysis(analysis_file)
    generator = OPEN.enter_context(Generator.opened(folder / "generator"))
    parts = [read_part(generator, file) for file in nature_files(settings, folder)]
    nature = replicas_.together(parts)
    worker = Worker(settings, analysis, generator, nature, {})
    shared = worker.drawn("shared", np.random.default_rng(derive_seed(SEED, "shared")))
    WORKER.append(replace(worker, shared=shared))


def make_replica(size: int, number: int, folder: Path) -> float:
    """Make one, and write its answers into ``folder``; return the CPU seconds that it took."""
    start = time.process_time()
    [worker] = WORKER
    found = worker.replica(size, number)
    with atomic_path(replica_file(folder, size, number)) as file, file.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **found)
    return time.process_time() - start


def replica_file(folder: Path, size: int, number: int) -> Path:
    """Where the answers of a replica are kept."""
    return folder / f"{size}_{number:04d}.npz"


def nature_files(settings: Settings, folder: Path) -> list[Path]:
    """Where the parts of the large sample are kept."""
    return [folder / f"nature_{i}.npz" for i in range(max(1, settings.n_nature // PART))]


def make_nature(settings: Settings, number: int, folder: Path) -> float:
    """Make one part of the large sample, and write it; return the CPU seconds that it took."""
    start = time.process_time()
    n_events = min(PART, settings.n_nature)
    with Generator.opened(folder / "generator") as generator:
        events = generator.events(n_events, derive_seed(SEED, "nature", number))
    with atomic_path(nature_files(settings, folder)[number]) as file, file.open("wb") as stream:
        np.savez(stream, allow_pickle=False, x=events.x, weights=events.weights)
    return time.process_time() - start


def read_part(generator: Generator, file: Path) -> Events:
    """One part of the large sample."""
    with np.load(file) as arrays:
        x, weights = arrays["x"], arrays["weights"]
    names = [observable.name for observable in generator.reconstruction.observables]
    nothing = np.empty((len(x), 0))
    return Events(names, x, generator.setup, weights, nothing, nothing)


def missing(sizes: Sequence[int], n_replicas: int, folder: Path) -> list[tuple[int, int]]:
    """Replicas that are still to be made: a few of every size before more."""
    return [
        (size, number)
        for number in range(n_replicas)
        for size in sizes
        if not replica_file(folder, size, number).exists()
    ]


def simulate(settings: Settings, arguments: argparse.Namespace, folder: Path) -> float:
    """Make all that is missing, in several processes; return the CPU seconds."""
    Generator.prepare(arguments.analysis, folder / "generator")
    pool = {"max_workers": arguments.workers, "mp_context": get_context("spawn")}
    spent = 0.0
    parts = [i for i, file in enumerate(nature_files(settings, folder)) if not file.exists()]
    with ProcessPoolExecutor(**pool) as processes:
        of_parts = [processes.submit(make_nature, settings, i, folder) for i in parts]
        spent += sum(future.result() for future in of_parts)
    jobs = missing(arguments.sizes, arguments.replicas, folder)
    arguments_of_worker = settings, arguments.analysis, folder
    with ProcessPoolExecutor(
        **pool, initializer=start_worker, initargs=arguments_of_worker
    ) as processes:
        running = {processes.submit(make_replica, *job, folder): job for job in jobs}
        for done, future in enumerate(as_completed(running), 1):
            size, number = running[future]
            seconds = future.result()
            spent += seconds
            print(f"{done} of {len(jobs)}: {size} events, replica {number}, {seconds:.0f} CPU s")
    return spent


def kept(
    folder: Path, sizes: Sequence[int], n_replicas: int
) -> dict[int, list[dict[str, np.ndarray]]]:
    """Answers of finished replicas by size."""
    found = {
        size: [file for i in range(n_replicas) if (file := replica_file(folder, size, i)).exists()]
        for size in sizes
    }
    return {size: [dict(np.load(file)) for file in files] for size, files in found.items() if files}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--analysis", type=Path, default=REFERENCE / "input.yml")
    parser.add_argument("--replicas", type=int, default=100)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5000, 20_000, 90_000])
    parser.add_argument("--methods", nargs="+", default=[], help="all of the analysis by default")
    parser.add_argument("--members", type=int, default=Settings.n_members, help="networks at most")
    parser.add_argument("--nature", type=int, default=Settings.n_nature)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--folder", type=Path, default=Path("runs/coverage"))
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    """Make replicas, then write the table and the figure."""
    # Before any process starts, whose libraries would each take all cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    settings = Settings(
        arguments.analysis.read_text("utf-8"),
        n_nature=arguments.nature,
        n_members=arguments.members,
        methods=tuple(arguments.methods),
    )
    folder = arguments.folder / fingerprint(settings)
    print(f"replicas are kept in {folder}")
    spent = simulate(settings, arguments, folder)
    print(f"{spent:.0f} CPU s")
    done = kept(folder, arguments.sizes, arguments.replicas)
    names = read_analysis(arguments.analysis).parameter_names
    note = {"code": folder.name, "cpu_seconds": spent}
    luminosities = [luminosity for luminosity, *_ in settings.luminosities]
    write_summary(done, names, luminosities, settings.points, note, folder)


if __name__ == "__main__":
    main(parse())
