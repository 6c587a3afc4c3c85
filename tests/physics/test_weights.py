from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from madminer_workflow.analysis.systematics import nuisance_parameters
from madminer_workflow.errors import StepError
from madminer_workflow.files import read_json
from madminer_workflow.physics.weights import balanced_shares, event_weights, weight_names
from madminer_workflow.products.events import SampledProcess
from madminer_workflow.statistics.setup import Setup
from tests.support import parts
from tests.support.parts import NORM, PDF, SCALE
from tests.support.paths import DATA

TASK = {
    "sampling_benchmark": "w",
    "is_background": False,
    "n_events": 30,
    "n_total": 60,
    "k_factor": 2.0,
}


def with_nuisance(setup: Setup, *systematics: dict[str, Any]) -> Setup:
    nuisance = nuisance_parameters(parts.systematics(systematics))
    names = sorted(name for parameter in nuisance for name in parameter.benchmarks)
    return replace(setup, nuisance=nuisance, nuisance_benchmarks=names)


def weighed(
    setup: Setup, systematics: list[dict[str, Any]], varied: np.ndarray, **keys: Any
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Physical weights at sm, and those of nuisance benchmarks, of 30 events with random weights.

    ``varied`` are the generator's, relative to the weight at sm (a background's own).
    """
    task = parts.task(**{**TASK, **keys})
    process = toy_process({"w": 60}, 1.0, systematics)
    n_own = 1 if task.is_background else len(setup.benchmark_names)
    own = np.random.default_rng(1).uniform(0.1, 0.2, (30, n_own))
    generated = np.column_stack([own, own[:, :1] * varied])
    assert generated.shape[1] == len(weight_names(task, process, setup))
    weights, _ = event_weights(generated, task, process, setup)
    n = len(setup.benchmark_names)
    np.testing.assert_allclose(weights[:, 0], own[:, 0])
    return weights[:, 0], dict(zip(setup.nuisance_benchmarks, weights[:, n:].T, strict=True))


@pytest.mark.parametrize("is_background", [False, True])
def test_weights_of_scale_and_norm(setup: Setup, is_background: bool) -> None:
    ours = with_nuisance(setup, SCALE, NORM)
    up, down = np.random.default_rng(2).uniform(0.8, 1.2, (2, 30))
    varied = np.stack([up, down], axis=1)
    reference, weights = weighed(ours, [SCALE, NORM], varied, is_background=is_background)
    assert list(weights) == ours.nuisance_benchmarks
    np.testing.assert_allclose(weights["scale_nuisance_param_0_benchmark_0"], up * reference)
    np.testing.assert_allclose(weights["scale_nuisance_param_0_benchmark_1"], down * reference)
    np.testing.assert_allclose(weights["lumi_nuisance_param_0_benchmark_0"], 1.05 * reference)


def test_weights_that_change_their_sign(setup: Setup) -> None:
    ours = with_nuisance(setup, SCALE)
    varied = np.ones((30, 2))
    varied[:2, 1] = [-0.1, 0.0]
    with pytest.raises(StepError, match=r"scale_.*_benchmark_1: 7% of the varied weights"):
        weighed(ours, [SCALE], varied)


def test_uncertainties_of_other_processes_do_nothing(setup: Setup) -> None:
    ours = with_nuisance(setup, SCALE, NORM)
    reference, weights = weighed(ours, [], np.empty((30, 0)))
    assert len(weights) == 3
    for own in weights.values():
        np.testing.assert_array_equal(own, reference)


@pytest.mark.parametrize("error_type", ["hessian", "symmhessian", "replicas"])
def test_parton_densities_add_up_as_their_error_type_says(setup: Setup, error_type: str) -> None:
    """Deviations in quadrature are the error of arXiv:1510.03865, for small deviations."""
    level = 0.9 if error_type == "hessian" else 0.6827
    pdf = {**PDF, "pdf_error_type": error_type, "pdf_confidence_level": level}
    ours = with_nuisance(setup, pdf)
    deviations = 1e-3 * np.random.default_rng(3).normal(size=(30, 4))
    # The set's central member is not what the events were generated with.
    central = np.random.default_rng(4).uniform(0.8, 1.2, (30, 1))
    varied = np.hstack([central, central * (1.0 + deviations)])
    reference, weights = weighed(ours, [pdf], varied)
    ratios = {name: own / reference for name, own in weights.items()}
    effects = [
        0.5 * (ratios[n.positive] - ratios[n.negative]) if n.negative else ratios[n.positive] - 1.0
        for n in ours.nuisance
    ]
    if error_type == "hessian":
        pairs = deviations[:, 0::2] - deviations[:, 1::2]
        expected = 0.25 * np.square(pairs).sum(axis=1) / chi2.ppf(0.9, 1)
    elif error_type == "symmhessian":
        expected = np.square(deviations).sum(axis=1)
    else:
        expected = np.square(deviations).sum(axis=1) / 3.0
    np.testing.assert_allclose(np.square(effects).sum(axis=0), expected, rtol=1e-4)


def toy_process(
    events: dict[str, int], value: float, systematics: Sequence[dict[str, Any]] = ()
) -> SampledProcess:
    cross_sections = {name: [value, 0.0] for name in events}
    return parts.sampled_process(
        events=events, cross_sections=cross_sections, systematics=list(systematics)
    )


def gaussian_sample(
    setup: Setup, sampled: str, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Events of a unit Gaussian at sm or at w, one unit apart, with the weights of both."""
    means = {"sm": 0.0, "w": 1.0}
    z = rng.normal(means[sampled], 1.0, n)
    density = {name: np.exp(-0.5 * (z - mean) ** 2) for name, mean in means.items()}
    weights = np.zeros((n, len(setup.benchmark_names)))
    for name in means:
        ratio = density[name] / density[sampled]
        weights[:, setup.benchmark_names.index(name)] = ratio / n
    return z, weights


def test_balanced_shares_of_two_gaussians(setup: Setup) -> None:
    """Unbiased, and no worse than the better single sample, for a tail of either density."""
    sizes = {"sm": 300, "w": 100}
    process = toy_process(sizes, 1.0)
    rng = np.random.default_rng(5)
    for target, above, truth in (("sm", 1.0, 0.158655), ("w", 1.0, 0.5), ("w", -9.0, 1.0)):
        column = setup.benchmark_names.index(target)
        joined, single = [], {name: [] for name in sizes}
        for _ in range(1500):
            total = 0.0
            for name, n in sizes.items():
                z, weights = gaussian_sample(setup, name, n, rng)
                selected = weights[:, column] * (z > above)
                single[name].append(selected.sum())
                total += balanced_shares(weights, name, process, setup) @ selected
            joined.append(total)
        spread = np.std(joined)
        assert np.mean(joined) == pytest.approx(truth, abs=5.0 * spread / np.sqrt(1500))
        if truth < 1.0:
            best = min(np.std(values) for values in single.values())
            assert spread < 1.05 * best
        else:
            assert spread < np.std(single["sm"])


def test_balanced_shares_of_one_sample_are_one(setup: Setup) -> None:
    _, weights = gaussian_sample(setup, "sm", 50, np.random.default_rng(1))
    shares = balanced_shares(weights, "sm", toy_process({"sm": 50}, 1.0), setup)
    np.testing.assert_allclose(shares, 1.0)


LHAPDF = read_json(DATA / "lhapdf_uncertainties.json")["sets"]


@pytest.mark.parametrize("known", LHAPDF, ids=[known["set"] for known in LHAPDF])
def test_parton_densities_add_up_as_in_lhapdf(setup: Setup, known: dict[str, Any]) -> None:
    members = len(known["points"][0]["xf"]) - 1
    pdf = {**PDF, "pdf_members": members, "pdf_error_type": known["error_type"]}
    pdf["pdf_confidence_level"] = known["confidence_level"]
    ours = with_nuisance(setup, pdf)
    for point in known["points"]:
        varied = np.array(point["xf"]) / point["xf"][0]
        reference, weights = weighed(ours, [pdf], np.tile(varied, (30, 1)))
        effects = [
            0.5 * (weights[n.positive] - weights[n.negative])
            if n.negative
            else weights[n.positive] - reference
            for n in ours.nuisance
        ]
        error = np.linalg.norm(effects, axis=0) / reference
        np.testing.assert_allclose(error, point["error"] / point["central"], rtol=3e-3)
