"""Shared fixtures: paths of the test data and a toy MadMiner file with known answers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from madminer_workflow.madminer_file import read_setup, write_sample
from madminer_workflow.statistics.goodness import assess
from madminer_workflow.statistics.sample import Sample, madminer_shares
from madminer_workflow.statistics.setup import Setup
from tests.support import chain
from tests.support.paths import DATA
from tests.support.properties import load_profile
from tests.support.shared import shared

# Workers share the cores: threads of their own would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
load_profile()

# What starts tests in the background ignores signals, and programs that tests interrupt inherit it.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        is_interrupt = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)

TOY_CROSS_SECTION = 0.001


def toy_amplitude(z: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """An amplitude linear in the parameters, so that rates are quadratic as in the real process."""
    return 1.0 + 0.1 * (theta[0] * z[:, 0] + theta[1] * z[:, 1])


def toy_sample(setup: Setup, sizes: dict[str, int], seed: int) -> Sample:
    """Unweighted events from each benchmark in ``sizes``: z normal times the squared amplitude.

    Observables are the two z, smeared by 0.5.
    """
    rng = np.random.default_rng(seed)
    observations, weights, ids = [], [], []
    for name, size in sizes.items():
        theta = setup.theta(name)
        z = rng.normal(size=(40 * size, 2))
        density = toy_amplitude(z, theta) ** 2
        cross_section = TOY_CROSS_SECTION * (1.0 + 0.01 * np.sum(theta**2))
        z = z[rng.choice(len(z), size, replace=False, p=density / density.sum())]
        ratios = [
            (toy_amplitude(z, benchmark) / toy_amplitude(z, theta)) ** 2
            for benchmark in setup.benchmarks
        ]
        weights.append(cross_section / size * np.stack(ratios, axis=1))
        observations.append(z + rng.normal(scale=0.5, size=z.shape))
        ids.append(np.full(size, setup.benchmark_names.index(name)))
    order = rng.permutation(sum(sizes.values()))
    sampling_ids = np.concatenate(ids)[order]
    generated = np.bincount(sampling_ids, minlength=len(setup.benchmark_names))
    return Sample(
        observables=["x0", "x1"],
        observations=np.concatenate(observations)[order],
        weights=np.concatenate(weights)[order],
        nuisance_weights=np.empty((len(order), 0)),
        shares=madminer_shares(sampling_ids, generated),
        sampling_ids=sampling_ids,
        generated=generated,
        background=0,
    )


@pytest.fixture(scope="session", autouse=True)
def _few_toys() -> Iterator[None]:
    """Goodness of fit takes few toys where it is not the subject: p-values need not be precise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assess, "stages", lambda expected: [20])
        yield


@pytest.fixture(scope="session")
def setup() -> Setup:
    """Two parameters and six benchmarks: sm, w and four of MadMiner's."""
    return read_setup(DATA / "madminer_config.h5")


@pytest.fixture(scope="session")
def toy_file(setup: Setup, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MadMiner file of toy events, 8000 from sm and 2000 from w."""

    def make(directory: Path) -> Path:
        sample = toy_sample(setup, {"sm": 8000, "w": 2000}, seed=1)
        names = {"x0": "x0", "x1": "x1"}
        write_sample(directory / "toy.h5", DATA / "madminer_config.h5", sample, names, {})
        return directory / "toy.h5"

    return shared(tmp_path_factory, "toy", make)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow without runs, to be copied: to make one takes seconds."""

    def make(directory: Path) -> Path:
        from madminer_workflow.tracking.server import Server

        Server(f"sqlite:///{directory}/mlflow.db").client.search_experiments()
        return directory / "mlflow.db"

    return shared(tmp_path_factory, "mlflow", make)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> chain.Physics:
    """The products of the physics steps of the tiny analysis, in three jobs."""
    return shared(tmp_path_factory, "tiny", partial(chain.run_physics, chain.TINY))


@pytest.fixture(scope="session")
def uncertain(tmp_path_factory: pytest.TempPathFactory) -> chain.Physics:
    """A signal and a background with uncertainties of scale and normalisation."""
    return shared(tmp_path_factory, "uncertain", partial(chain.run_physics, chain.TINY_SYSTEMATICS))


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> chain.Physics:
    """One parameter, a signal with k-factor and a background, with efficiencies."""
    return shared(tmp_path_factory, "mixed", run_mixed)


def run_mixed(directory: Path) -> chain.Physics:
    """What ``mixed`` is."""
    signal = {"name": "signal", "generator": "builtin", "process": "wbf_haa", "k_factor": 1.5}
    background = {**signal, "name": "background", "k_factor": 3.0, "is_background": True}
    input_file = chain.analysis_file(
        directory / "input.yml",
        chain.TINY1,
        processes=[
            {**signal, "events": {"sm": 1500, "w": 500, "neg_w": 500}},
            {**background, "events": {"sm": 400}},
        ],
        efficiencies=[{"definition": "0.5 + 0.5 * float(pt_j1 > 60.0)"}],
    )
    return chain.run_physics(input_file, directory)
