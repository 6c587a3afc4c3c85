"""The learning half of the predecessor, the same work here, and what replaces it, on one sample.

The predecessor (github.com/madminer-tool/madminer-workflow-ml) is a sequence of scripts, a process
each: one samples for ALICE, ALICES and SALLY, one a method trains, one a method evaluates, one
plots. Each makes MadMiner's calls with MadMiner's defaults. ``stock`` below makes the same calls
with the same numbers (1000 samples, 20 parameter points, 2 epochs, a grid of 25 x 25) and no fixes
but what numpy 2 needs; tracking and containers are left out. This project's half also checks every
method, draws its whole report and calculates with errors. It runs three times: with the same
methods, networks and numbers; with the one method that replaces them, `polynomial`, for the same
limits; and with all that `inputs/wbf` asks for, where SALLY alone learns from 250 times as many
samples, five polynomials make an ensemble, and toys are drawn.

    python benchmarks/predecessor.py [FOLDER]
"""

from __future__ import annotations

import copy
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

REPOSITORY = Path(__file__).parents[1]
EVENTS = {"sm": 5000, "w": 1000, "neg_w": 1000, "ww": 1000, "neg_ww": 1000}
RATIO, SCORE = ("alice", "alices"), ("sally",)
N_SAMPLES, N_TEST, N_THETAS, N_EPOCHS, ALPHA = 1000, 100, 20, 2, 10.0
TEST_SPLIT, VALIDATION_SPLIT, BATCH_SIZE = 0.5, 0.3, 100
HIDDEN = (100, 100, 100)
LUMINOSITY = 10_000.0
RANGE, RESOLUTION = (-20.0, 20.0), 25
OBSERVABLE, BINS = "pt_j1", [30.0, 100.0, 200.0, 400.0]


def analyses(folder: Path) -> dict[str, Path]:
    """The analysis files of this project's runs, on the predecessor's events."""
    shipped = yaml.safe_load((REPOSITORY / "inputs/wbf/input.yml").read_text())
    shipped["processes"][0]["events"] = EVENTS
    same = with_their_methods(copy.deepcopy(shipped))
    one = copy.deepcopy(same)
    one["ml"]["methods"] = [{"method": "polynomial"}]
    contents = {
        "this project: the same methods and networks": same,
        "this project: polynomial alone, the same limits": one,
        "this project: all methods of inputs/wbf, toys": shipped,
    }
    files = {}
    for i, (name, content) in enumerate(contents.items()):
        files[name] = folder / f"analysis_{i}" / "input.yml"
        files[name].parent.mkdir(exist_ok=True)
        files[name].write_text(yaml.safe_dump(content, sort_keys=False))
    return files


def with_their_methods(reference: dict[str, Any]) -> dict[str, Any]:
    """The reference analysis with the predecessor's methods, luminosity and grid."""
    prior = {"prior": "gaussian", "mean": 0.0, "std": 1.0}
    names = [parameter["parameter_name"] for parameter in reference["parameters"]]
    ratio = {
        "n_samples": N_SAMPLES,
        "theta0": {"n_thetas": N_THETAS, "priors": dict.fromkeys(names, prior)},
        "theta1": "sm",
        "network": {"n_hidden": list(HIDDEN)},
        "training": {
            "n_epochs": N_EPOCHS,
            "batch_size": BATCH_SIZE,
            "validation_split": VALIDATION_SPLIT,
        },
    }
    alices = {**ratio, "training": {**ratio["training"], "alpha": ALPHA}}
    reference["ml"] |= {
        "luminosity": LUMINOSITY,
        "test_split": TEST_SPLIT,
        "methods": [
            {"method": "histogram", "observables": [OBSERVABLE], "bins": {OBSERVABLE: BINS}},
            {"method": "alice", **ratio},
            {"method": "alices", **alices},
            {"method": "sally", "n_samples": N_SAMPLES},
        ],
        "limits": {
            "grid": {name: {"range": list(RANGE), "resolution": RESOLUTION} for name in names}
        },
    }
    del reference["ml"]["fisher"]
    return reference


def stock(step: str, data: str, folder: Path) -> None:
    """One of its scripts: ``sample``, ``train NAME``, ``evaluate NAME`` or ``plot``."""
    keep_normed_histograms()
    words = step.split()
    {"sample": sample, "train": train, "evaluate": evaluate, "plot": plot}[words[0]](
        data, folder, *words[1:]
    )


def keep_normed_histograms() -> None:
    """MadMiner 0.9.6 uses ``normed``, which numpy 2 calls ``density``."""
    numpys = np.histogramdd

    def histogramdd(*args: Any, normed: bool | None = None, **settings: Any) -> Any:
        if normed is not None:
            settings["density"] = normed
        return numpys(*args, **settings)

    np.histogramdd = histogramdd


def sample(data: str, folder: Path) -> None:
    """Training samples of all methods."""
    from madminer.sampling import SampleAugmenter, benchmark, random_morphing_points

    sampler = SampleAugmenter(data, include_nuisance_parameters=False)
    priors = [("gaussian", 0.0, 1.0)] * 2
    for name in (*RATIO, *SCORE):
        where = {"folder": str(folder / name), "filename": "train", "test_split": TEST_SPLIT}
        if name in RATIO:
            thetas = random_morphing_points(N_THETAS, priors)
            sampler.sample_train_ratio(thetas, benchmark("sm"), N_SAMPLES, **where)
        else:
            sampler.sample_train_local(benchmark("sm"), N_SAMPLES, **where)


def train(data: str, folder: Path, name: str) -> None:
    """One network, with MadMiner's defaults where the predecessor has none of its own."""
    from madminer.ml import ParameterizedRatioEstimator, ScoreEstimator

    samples = {key: str(folder / name / f"{key}_train.npy") for key in ("x", "t_xz")}
    if name in RATIO:
        estimator = ParameterizedRatioEstimator(n_hidden=HIDDEN)
        estimator.train(
            method=name,
            **samples,
            **{key: str(folder / name / f"{key}_train.npy") for key in ("y", "r_xz")},
            theta=str(folder / name / "theta0_train.npy"),
            alpha=ALPHA,
            n_epochs=N_EPOCHS,
            batch_size=BATCH_SIZE,
            validation_split=VALIDATION_SPLIT,
        )
    else:
        estimator = ScoreEstimator()
        estimator.train(method=name, **samples)
    estimator.save(str(folder / name / "model"))


def evaluate(data: str, folder: Path, name: str) -> None:
    """Limits from the rate, a histogram and the network, with and without the rate."""
    from madminer.fisherinformation import FisherInformation
    from madminer.limits import AsymptoticLimits
    from madminer.ml import ParameterizedRatioEstimator, ScoreEstimator
    from madminer.sampling import SampleAugmenter, benchmark, random_morphing_points

    limits = AsymptoticLimits(data)
    model = str(folder / name / "model")
    common = {
        "theta_true": [0.0, 0.0],
        "grid_ranges": [RANGE, RANGE],
        "grid_resolutions": [RESOLUTION, RESOLUTION],
        "luminosity": LUMINOSITY,
    }
    grid, *rate = limits.expected_limits(mode="rate", include_xsec=True, **common)[:3]
    np.savez(folder / "rate.npz", *rate)
    sampler = SampleAugmenter(data, include_nuisance_parameters=False)
    where = {"folder": str(folder / name), "filename": "test"}
    if name in RATIO:
        thetas = random_morphing_points(N_THETAS, [("gaussian", 0.0, 1.0)] * 2)
        sampler.sample_train_ratio(thetas, benchmark("sm"), N_TEST, **where)
        ratio = ParameterizedRatioEstimator()
        ratio.load(model)
        x = np.load(folder / name / "x_test.npy")
        ratio.evaluate_log_likelihood_ratio(
            x=x, theta=grid, test_all_combinations=True, evaluate_score=True
        )
    else:
        fisher = FisherInformation(data, include_nuisance_parameters=False)
        theta = np.zeros(2)
        fisher.full_information(theta=theta, luminosity=LUMINOSITY, model_file=model)
        fisher.histo_information(
            theta=theta,
            luminosity=LUMINOSITY,
            observable=OBSERVABLE,
            bins=BINS,
            histrange=(BINS[0], BINS[-1]),
        )
        sampler.sample_train_local(benchmark("sm"), N_TEST, **where)
        score = ScoreEstimator()
        score.load(model)
        score.evaluate_score(x=np.load(folder / name / "x_test.npy"), theta=grid)
    for include_xsec in (True, False):
        again = {**common, "include_xsec": include_xsec}
        histogram = limits.expected_limits(mode="histo", hist_vars=[OBSERVABLE], **again)
        mode = "ml" if name in RATIO else "histo"
        network = limits.expected_limits(mode=mode, model_file=model, **again)
        for what, result in (("histogram", histogram), (name, network)):
            np.savez(folder / f"{what}_{include_xsec}.npz", *result[1:3])


def plot(data: str, folder: Path) -> None:
    """The p-values of all methods in one figure, in one with a panel each, and correlations."""
    import matplotlib

    matplotlib.use("Agg")
    from madminer.ml import ParameterizedRatioEstimator
    from matplotlib import pyplot

    centres = np.linspace(*RANGE, RESOLUTION)
    results = {
        f"{name} {kind}": np.load(folder / f"{name}_{kind}.npz")["arr_0"]
        for name in ("histogram", *RATIO, *SCORE)
        for kind in (True, False)
    }
    results["rate"] = np.load(folder / "rate.npz")["arr_0"]
    planes = {key: p.reshape(RESOLUTION, RESOLUTION) for key, p in results.items()}
    together, axes = pyplot.subplots(figsize=(6, 5))
    for plane in planes.values():
        axes.contour(centres, centres, plane, levels=[0.61])
    together.tight_layout()
    together.savefig(folder / "all_methods.png")
    separate = pyplot.figure(figsize=(18, 15))
    for i, (key, plane) in enumerate(planes.items()):
        panel = separate.add_subplot(3, 3, i + 1)
        norm = matplotlib.colors.LogNorm(vmin=1e-3, vmax=1.0)
        mesh = panel.pcolormesh(centres, centres, plane, norm=norm, cmap="Greys_r")
        separate.colorbar(mesh, ax=panel, extend="both")
        panel.contour(centres, centres, plane, levels=[0.61])
        panel.set_title(key)
    separate.tight_layout()
    separate.savefig(folder / "all_methods_separate.png")
    for name in RATIO:
        x, theta, r = (
            np.load(folder / name / f"{key}_test.npy") for key in ("x", "theta0", "r_xz")
        )
        estimator = ParameterizedRatioEstimator()
        estimator.load(str(folder / name / "model"))
        estimate = estimator.evaluate_log_likelihood_ratio(
            x=x, theta=theta, test_all_combinations=False, evaluate_score=False
        )[0]
        figure, panel = pyplot.subplots(figsize=(5, 4))
        panel.scatter(np.log(r), estimate, s=15.0)
        figure.tight_layout()
        figure.savefig(folder / f"correlation_{name}.png")


def main() -> None:
    """Both halves, one after the other, with one thread a process as both run their steps."""
    from costs import HEADER, Cost, cost_of

    os.environ |= {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        files = analyses(folder)
        first, *_ = files.values()
        cost_of([*run(first, folder / "events"), "--part", "physics"], folder)
        data = folder / "events/physics/combine/combined_delphes.h5"
        steps = [
            "sample",
            *(f"{step} {name}" for step in ("train", "evaluate") for name in RATIO + SCORE),
            "plot",
        ]
        costs = [
            cost_of([sys.executable, __file__, "--stock", step, str(data), str(folder)], folder)
            for step in steps
        ]
        theirs = Cost(
            sum(cost.wall for cost in costs),
            sum(cost.cpu for cost in costs),
            max(cost.memory for cost in costs),
            max(cost.anonymous for cost in costs),
        )
        print(HEADER + "   of its CPU")
        print(theirs.row("the predecessor's calls of MadMiner, a process a step"), flush=True)
        for i, (name, file) in enumerate(files.items()):
            command = [*run(file, folder / f"run_{i}"), "--part", "ml", "--data", str(data)]
            here = cost_of(command, folder)
            print(f"{here.row(name)}{here.cpu / theirs.cpu:13.2f}", flush=True)


def run(file: Path, workdir: Path) -> list[str]:
    """A run of this project, a step at a time."""
    program = Path(sys.executable).parent / "madminer-workflow"
    return [str(program), "run", str(file), "--workdir", str(workdir), "--workers", "1"]


if __name__ == "__main__":
    if "--stock" in sys.argv:
        stock(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        main()
