"""Table 4b of MadMiner's tutorial, with the errors, the repetitions and the ceiling that it lacks.

The Fisher information at the Standard Model for 300 fb^-1, from events to table, several times with
events and trainings of other seeds: histograms, ensembles of SALLY, of ALICES and of polynomials,
and what they can be measured against. That is the truth of the partons, which no detector sees, and
what the networks' observables hold: the information of a histogram of pT(j1) and delta phi too fine
for any analysis, with the bias removed that its few events per bin make. Writes `table.txt`,
`table.md` and `results.json` into FOLDER and prints the first:

    python benchmarks/tutorial.py [FOLDER]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.types import Analysis, Method
from madminer_workflow.files import write_json
from madminer_workflow.madminer_file import read_sample
from madminer_workflow.ml import methods
from madminer_workflow.ml.member import Member, open_member
from madminer_workflow.ml.sampling import draw_member, write_member
from madminer_workflow.ml.training import fit, training
from madminer_workflow.products.evaluation import evaluation_of
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.products.samples import samples_path
from madminer_workflow.statistics import efficiency
from madminer_workflow.statistics import information as fisher
from madminer_workflow.statistics.events import union
from madminer_workflow.statistics.information import Information
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.sample import Sample, madminer_shares

REFERENCE = Path(__file__).parents[1] / "inputs" / "wbf-estimators" / "input.yml"
SEEDS = (11, 12, 13)
CORES = 2
COMBINED = Path("physics/combine/combined_delphes.h5")
FINE = "fine"
TRUTH = "truth"
ROWS = {
    "histogram_pt": "1-D histogram, pT(j1)",
    "histogram_2d": "2-D histogram, pT(j1) x dphi(jj)",
    "sally": "SALLY",
    "alices": "ALICES",
    "polynomial": "polynomial",
    FINE: "fine pT(j1) x dphi(jj), no bias",
    TRUTH: "partons: the ceiling",
}

EVENTS = {"sm": 400_000, "w": 100_000, "neg_w": 100_000, "ww": 100_000, "neg_ww": 100_000}
"""The tail of large pT, which holds the information on CWL2, comes from the large coefficients."""

TUTORIAL_EVENTS = {"sm": 50_000, "w": 10_000, "neg_w": 10_000, "ww": 10_000, "neg_ww": 10_000}
TEST_SPLIT = 0.25
MEMBERS = {"sally": 3, "alices": 3, "polynomial": 3}
TRAINING = {
    "optimizer": "adam",
    "n_epochs": 8,
    "initial_lr": 0.005,
    "validation_split": None,
    "early_stopping": False,
}
PRIOR = {"prior": "gaussian", "mean": 0.0, "std": 0.02}
CHANGES: dict[str, dict[str, Any]] = {
    "sally": {
        "n_samples": 2_000_000,
        "network": {"n_hidden": [100, 100], "activation": "relu"},
        "training": {**TRAINING, "batch_size": 2048, "final_lr": 5e-5},
    },
    "alices": {
        "n_samples": 1_500_000,
        "theta0": {"n_thetas": 1000, "priors": {"CWL2": PRIOR, "CPWL2": PRIOR}},
        "network": {"n_hidden": [60, 60, 60], "activation": "tanh"},
        "training": {**TRAINING, "batch_size": 1024, "final_lr": 2e-5, "alpha": 5000.0},
    },
}
"""What is set otherwise than in the analysis of the estimators, which is to be fast.

The polynomials have nothing but their defaults.
"""

FINE_HISTOGRAM = {
    "name": FINE,
    "method": "histogram",
    "observables": ["pt_j1", "delta_phi_jj"],
    "bins": {
        "pt_j1": np.geomspace(30.0, 2000.0, 100).round(1).tolist(),
        "delta_phi_jj": np.linspace(-np.pi, np.pi, 50)[1:-1].round(3).tolist(),
    },
}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/tutorial")
    started = time.monotonic()
    # One thread a process, and as many processes as cores.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    places = [folder / f"seed_{seed}" for seed in SEEDS]
    for seed, place in zip(SEEDS, places, strict=True):
        write_analysis(place, analysis_of(seed))
        make_events(place)
    events_made = time.monotonic()
    with ProcessPoolExecutor(CORES, get_context("spawn")) as pool:
        members = [
            (place, name, member)
            for place in places
            # The longest first, so that the cores finish together.
            for name in sorted(MEMBERS)
            for member in range(MEMBERS[name])
        ]
        list(pool.map(train_member, *zip(*members, strict=True)))
        trained = time.monotonic()
        measured = list(pool.map(measure, places))
    seconds = np.diff([started, events_made, trained, time.monotonic()]).tolist()
    published = yaml.safe_load(REFERENCE.read_text())["ml"]["fisher"]["published"]
    lines = table(measured, published)
    content = {
        "seeds": SEEDS,
        "events": EVENTS,
        "members": MEMBERS,
        "changes": CHANGES,
        "published": published,
        "seconds": dict(zip(("events", "training", "evaluating"), seconds, strict=True)),
        "measured": measured,
        "table": lines,
    }
    write_json(folder / "results.json", content)
    (folder / "table.md").write_text(as_markdown(lines))
    text = as_text(lines)
    (folder / "table.txt").write_text(text)
    print(text)
    steps = ", ".join(f"{name} {value:.0f} s" for name, value in content["seconds"].items())
    print(f"{len(SEEDS)} seeds in {sum(seconds) / 60:.1f} minutes on {CORES} cores: {steps}")


def analysis_of(seed: int) -> dict[str, Any]:
    """The estimators of the table with more events and more patient training."""
    analysis = yaml.safe_load(REFERENCE.read_text())
    analysis["seed"] = seed
    analysis["processes"][0]["events"] = EVENTS
    analysis["ml"]["test_split"] = TEST_SPLIT
    methods = [method for method in analysis["ml"]["methods"] if method["name"] in ROWS]
    for settings in methods:
        settings.update(CHANGES.get(settings["name"], {}))
    analysis["ml"]["methods"] = [*methods, FINE_HISTOGRAM]
    return analysis


def write_analysis(place: Path, analysis: dict[str, Any]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    # Unchanged files keep the cached events: YAML of the same content has the same bytes.
    (place / "input.yml").write_text(yaml.safe_dump(analysis, sort_keys=False))


def make_events(place: Path) -> None:
    """Run the physics steps; those of an earlier run are used again if nothing changed."""
    from madminer_workflow.engines.order import Order
    from madminer_workflow.engines.run import run_workflow

    run_workflow(Order(place, place, njobs=2 * CORES, part="physics", workers=CORES))


def problem_in(place: Path) -> tuple[Analysis, Problem, Sample]:
    """The analysis in a folder, its problem, and the events with their sampling benchmarks."""
    analysis = read_analysis(place / "input.yml")
    data = place / COMBINED
    return analysis, pose_problem(evaluation_of(analysis), data), read_sample(data)


def train_member(place: Path, name: str, member: int) -> None:
    """Draw the training set of one member and train it, as the steps do."""
    analysis, problem, _ = problem_in(place)
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        settings = analysis.ml.by_name[name]
        write_member(Path(scratch), problem.train, settings, member, analysis.seed)
        samples = samples_path(Path(scratch), name, member)
        training(samples, place / "ml" / name / str(member))


@dataclass(frozen=True)
class Row:
    """One line of the table for one seed: information, its error, and of methods two checks.

    ``slope`` is that of the partons' score on the estimated one, by parameter; ``proven`` the
    information that the estimated score has for certain (``statistics.efficiency``), by parameter,
    and its error; ``tutorial_error`` the error that a sample of the tutorial's size, joined in its
    way, leaves.
    """

    matrix: np.ndarray
    error: np.ndarray
    slope: np.ndarray | None = None
    proven: np.ndarray | None = None
    proven_error: np.ndarray | None = None
    tutorial_error: np.ndarray | None = None


def measure(place: Path) -> dict[str, dict[str, Any]]:
    """All rows of the table for one seed, as JSON."""
    analysis, problem, sample = problem_in(place)
    like_theirs = tutorial_problem(problem, sample, analysis.ml.test_split)
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for settings in analysis.ml.methods:
            name, family = settings.name, methods.family_of(settings)
            if name in MEMBERS:
                members = [
                    open_member(
                        place / "ml" / name / str(i) / "Model.tar.gz", Path(scratch) / f"{name}_{i}"
                    )
                    for i in range(MEMBERS[name])
                ]
                found = family.information(members, problem)
            else:
                members = [histogram(settings, problem, Path(scratch))]
                of = partial(family.information, members)
                found = without_bias(of, problem) if name == FINE else of(problem)
            # The scores of so many bins are noise.
            estimated = None if name == FINE else family.fisher_scores(members, problem)
            checks = {} if estimated is None else proven(estimated, problem)
            error = family.information(members, like_theirs).error
            rows[name] = Row(found.matrix, found.error, tutorial_error=error, **checks)
    truth = fisher.truth(problem.everything, problem.fisher_theta, problem.luminosity)
    rows[TRUTH] = Row(truth.matrix, truth.error)
    return {
        name: {key: None if value is None else value.tolist() for key, value in vars(row).items()}
        for name, row in rows.items()
    }


def histogram(settings: Method, problem: Problem, scratch: Path) -> Member:
    """The one member of a histogram, which training only fills."""
    directory = scratch / settings.name
    directory.mkdir()
    samples = draw_member(problem.train, settings, member=0, seed=0)
    return Member(fit(samples, settings, directory), directory)


def without_bias(information: Any, problem: Problem) -> Information:
    """The information of a histogram for infinitely many simulated events.

    With n events the fluctuations of the bins add c/n to it: twice its value less the mean of
    what two halves of the events give is free of that.
    """
    everything = problem.everything
    found = information(problem)
    halves = [
        information(replace(problem, everything=everything.part(*ends)))
        for ends in ((0.0, 0.5), (0.5, 1.0))
    ]
    matrix = 2.0 * found.matrix - np.mean([half.matrix for half in halves], axis=0)
    return Information(matrix, found.error)


def proven(estimated: np.ndarray, problem: Problem) -> dict[str, np.ndarray]:
    """Calibration of a score, (n_events, n_parameters), and the information it has for certain."""
    theta = problem.fisher_theta
    weights = problem.test.weights_at(theta)
    p = weights / weights.sum()
    true = problem.test.scores_at(theta)
    centred = estimated - p @ estimated
    found = efficiency.proven(estimated, problem)
    return {
        "slope": (p @ (centred * true)) / (p @ centred**2),
        "proven": np.diag(found.estimate),
        "proven_error": np.diag(found.error),
    }


def tutorial_problem(problem: Problem, sample: Sample, test_split: float) -> Problem:
    """As many of the events as the tutorial has, joined with its constant fractions."""
    names = problem.setup.benchmark_names
    chosen = np.sort(
        np.concatenate(
            [
                np.flatnonzero(sample.sampling_ids == names.index(name))[:n]
                for name, n in TUTORIAL_EVENTS.items()
            ]
        )
    )
    ids = sample.sampling_ids[chosen]
    generated = np.bincount(ids, minlength=len(names))
    # From one benchmark alone events integrate to the cross-section, however many are left.
    scale = sample.generated / np.maximum(generated, 1)
    few = replace(
        sample,
        observations=sample.observations[chosen],
        weights=sample.weights[chosen] * scale[ids][:, None],
        nuisance_weights=sample.nuisance_weights[chosen],
        shares=madminer_shares(ids, generated),
        sampling_ids=ids,
        generated=generated,
    )
    everything = union(few, problem.setup)
    return replace(problem, everything=everything, test=everything.part(1.0 - test_split, 1.0))


def table(
    measured: Sequence[dict[str, dict[str, Any]]], published: dict[str, Any]
) -> list[dict[str, Any]]:
    """The lines of the table: means over seeds of the diagonals, their errors and spreads."""
    lines = []
    for name, title in ROWS.items():
        rows = [each[name] for each in measured]
        for i in range(len(rows[0]["matrix"])):
            line = {"row": name, "title": title, "entry": f"{i + 1}{i + 1}"}
            line["published"] = published[name][i][i] if name in published else None
            if rows[0]["proven"] is not None:
                line["slope"] = mean_of(rows, "slope", i)
                line["proven"] = mean_of(rows, "proven", i)
                errors = [row["proven_error"][i] for row in rows]
                line["proven_error"] = quadratic_mean(errors) / np.sqrt(len(rows))
                fine = np.mean([each[FINE]["matrix"][i][i] for each in measured])
                line["share"] = line["proven"] / fine
            if rows[0]["tutorial_error"] is not None:
                line["tutorial_error"] = quadratic_mean([r["tutorial_error"][i][i] for r in rows])
            lines.append(line | over_seeds([(r["matrix"][i][i], r["error"][i][i]) for r in rows]))
    return lines


def mean_of(rows: Sequence[dict[str, Any]], key: str, i: int) -> float:
    """The mean over seeds of one parameter's number."""
    return float(np.mean([row[key][i] for row in rows]))


def over_seeds(values: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Mean of values with errors, its error from the bootstrap, and the spread of the values."""
    own, errors = np.array(values).T
    return {
        "seeds": own.tolist(),
        "mean": float(own.mean()),
        "error": quadratic_mean(errors) / np.sqrt(len(own)),
        "spread": float(own.std(ddof=1) / abs(own.mean())) if len(own) > 1 else None,
    }


def quadratic_mean(errors: Sequence[float]) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))


COLUMNS = (
    *("method", "entry", "published", "its error", "mean of seeds", "spread"),
    *("slope", "proven", "of the fine", "seeds"),
)


def cells(line: dict[str, Any]) -> list[str]:
    """What a line says in ``COLUMNS``; numbers that are nothing but noise have no spread."""

    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return [
        line["title"],
        line["entry"],
        number(line["published"], ".1f"),
        number(line.get("tutorial_error"), ".1f") if line["published"] is not None else "",
        f"{line['mean']:.2f} ± {line['error']:.2f}",
        number(line["spread"], ".1%") if line["mean"] > 1.0 else "",
        number(line.get("slope"), ".3f") if line["mean"] > 1.0 else "",
        f"{line['proven']:.1f} ± {line['proven_error']:.1f}" if "proven" in line else "",
        number(line.get("share"), ".1%"),
        " ".join(f"{value:.1f}" for value in line["seeds"]),
    ]


def as_text(lines: Sequence[dict[str, Any]]) -> str:
    rows = [list(COLUMNS), *map(cells, lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]

    def padded(row: list[str]) -> str:
        first, *rest = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join([first, *rest]).rstrip()

    return "\n".join(map(padded, rows)) + "\n"


def as_markdown(lines: Sequence[dict[str, Any]]) -> str:
    rows = [list(COLUMNS), ["---"] * len(COLUMNS), *map(cells, lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main()
