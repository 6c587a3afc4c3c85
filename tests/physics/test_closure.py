from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from madminer_workflow.cli import main
from madminer_workflow.files import pack, read_json, unpack
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.physics.closure import (
    LARGEST_SHARE,
    MAX_PULL,
    check_closure,
    compare,
    from_samples,
    reweighting_checks,
)
from madminer_workflow.physics.combine import order_by_task, read_part
from madminer_workflow.physics.delphes import delphes
from madminer_workflow.physics.pythia import pythia
from madminer_workflow.physics.tasks import all_tasks
from madminer_workflow.products.combined import ClosureCheck
from madminer_workflow.products.jobs import write_jobs
from madminer_workflow.products.measured import Report, read_report
from madminer_workflow.products.parts import read_generation
from madminer_workflow.statistics.sample import Sample, joined
from madminer_workflow.statistics.setup import Setup
from tests.support import parts
from tests.support.chain import Physics


def other_seed(physics: Physics, seed: int, directory: Path) -> tuple[Sample, Report]:
    """Events of all tasks with another seed, from the same integrated processes."""
    generation = msgspec.structs.replace(read_generation(physics.generation), seed=seed)
    write_jobs(directory, [all_tasks(generation)])
    pythia(directory / "jobs/job_0000.json", physics.processes, directory)
    delphes(physics.config, physics.reconstruction, directory / "Events.tar.gz", directory)
    data = directory / "delphes_data.h5"
    return read_sample(data), read_report(data)


def closure_of(
    physics: Physics, sample: Sample, report: Report, setup: Setup
) -> tuple[ClosureCheck, ...]:
    generation = read_generation(physics.generation)
    return check_closure(generation, report.tasks, report.processes, sample, setup).checks


def test_pulls_are_standard_normal(tiny: Physics, tmp_path: Path) -> None:
    setup = read_setup(tiny.config)
    reweighted, morphed = [], []
    for seed in range(20):
        for check in closure_of(tiny, *other_seed(tiny, seed, tmp_path), setup):
            kind = reweighted if "reweighted" in check.what else morphed
            kind.append(check.pull)
    assert len(reweighted) >= 60
    assert abs(np.mean(reweighted)) < 0.4
    assert 0.8 < np.std(reweighted) < 1.25
    # All at the same events, hence correlated; near their own samples' normalisation, hence small.
    assert len(morphed) == 20 * (len(setup.benchmark_names) + 1)
    assert 0.3 < np.std(morphed) < 1.3
    assert max(map(abs, [*reweighted, *morphed])) < MAX_PULL


def test_compare() -> None:
    check = compare("x", np.array([1.0, 2.0]), (10.0, 3.0), (30.0, 4.0))
    assert (check.pull, check.closes, check.theta) == (-4.0, True, (1.0, 2.0))
    assert not compare("x", np.array([0.0]), (10.0, 0.3), (30.0, 0.4)).closes


def test_a_handful_of_events_is_not_compared(mixed: Physics) -> None:
    setup, sample = read_setup(mixed.config), read_sample(mixed.combined)
    process = parts.sampled_process(
        events={"w": 500}, cross_sections=mixed.cross_sections()["signal"]
    )
    own = sample.sampling_ids == 1

    def estimate(n: int) -> Any:
        weights, ids = sample.weights[own][:n], sample.sampling_ids[own][:n]
        return from_samples(weights, ids, "w", process, setup)

    n_needed = int(1.5 / LARGEST_SHARE)
    assert estimate(0) is None
    assert estimate(5) is None
    value, error = estimate(2 * n_needed)
    assert 0.0 < error < value


def test_no_comparison_where_the_other_samples_do_not_reach(tiny: Physics, tmp_path: Path) -> None:
    """The sm sample alone has too few events where w lives: no verdict instead of a wrong one."""
    setup = read_setup(tiny.config)
    sample, report = other_seed(tiny, 3, tmp_path)
    process = msgspec.structs.replace(report.processes["signal"], events={"sm": 200})
    from_sm = from_samples(sample.weights, sample.sampling_ids, "w", process, setup)
    assert from_sm is None


def test_closure_with_k_factor_efficiency_and_background(mixed: Physics) -> None:
    checks = read_json(mixed.combined.parent / "closure.json")["checks"]
    what = [check["what"] for check in checks]
    assert any("reweighted from the other samples" in text for text in what)
    assert what[-1].startswith("signal at a point outside the basis")
    assert not any("background" in text for text in what)
    assert all(check["closes"] for check in checks)


def respoil(physics: Physics, directory: Path, edit: Callable[[list[float]], list[float]]) -> list:
    """Data files from events whose weights were edited in the LHE files."""
    pattern = re.compile(r"(?<='>)[^<]+(?=</wgt>)")

    def edited(weights: re.Match[str]) -> str:
        values = iter(edit([float(text) for text in pattern.findall(weights[0])]))
        return pattern.sub(lambda _: f" {next(values):.10e} ", weights[0])

    paths = []
    for i, archive in enumerate(physics.events):
        content = unpack(archive, directory / f"lhe_{i}")
        for file in content.glob("signal*.lhe"):
            file.write_text(re.sub(r"(?s)<rwgt>.*?</rwgt>", edited, file.read_text()))
        pack(content, directory / f"events_{i}.tar.gz")
        delphes(
            physics.config,
            physics.reconstruction,
            directory / f"events_{i}.tar.gz",
            directory / f"delphes_{i}",
        )
        paths.append(directory / f"delphes_{i}/delphes_data.h5")
    return paths


def untouched(weights: list[float]) -> list[float]:
    return weights


def scale_w(weights: list[float]) -> list[float]:
    return [weights[0], 1.2 * weights[1], *weights[2:]]


def swap_sm_and_w(weights: list[float]) -> list[float]:
    return [weights[1], weights[0], *weights[2:]]


def combine_command(physics: Physics, data: list[Path], output: Path) -> Any:
    options = ["--config", physics.config, "--generation", physics.generation]
    arguments = ["combine", *options, *data, "--output", output]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("edit", "culprit"), [(untouched, None), (scale_w, "at w,"), (swap_sm_and_w, "at w,")]
)
def test_wrong_weights_fail_loudly(
    mixed: Physics,
    tmp_path: Path,
    edit: Callable[[list[float]], list[float]],
    culprit: str | None,
) -> None:
    result = combine_command(mixed, respoil(mixed, tmp_path, edit), tmp_path / "out")
    checks = read_json(tmp_path / "out/closure.json")["checks"]
    failed = [check["what"] for check in checks if not check["closes"]]
    if culprit is None:
        assert (result.exit_code, failed) == (0, [])
        return
    assert result.exit_code == 1
    assert result.output.startswith("error: closure: ")
    assert len(result.output.splitlines()) == 1
    assert any(culprit in what for what in failed)
    assert not (tmp_path / "out/combined_delphes.h5").exists()


def test_weights_swapped_after_the_analysis_do_not_close(tiny: Physics) -> None:
    """Where the sums before cuts say nothing any more, samples disagree with one another."""
    setup, generation = read_setup(tiny.config), read_generation(tiny.generation)
    jobs = order_by_task([read_part(path, setup, tiny.config) for path in tiny.data], generation)
    tasks = [task for _, report in jobs for task in report.tasks]
    sample = joined([part for part, _ in jobs])
    columns = list(range(len(setup.benchmark_names)))
    w, neg_ww = setup.benchmark_names.index("w"), setup.benchmark_names.index("neg_ww")
    columns[w], columns[neg_ww] = neg_ww, w
    arguments = (tasks, jobs[0][1].processes)
    assert all(check.closes for check in reweighting_checks(*arguments, sample, setup))
    swapped = replace(sample, weights=sample.weights[:, columns])
    assert not all(check.closes for check in reweighting_checks(*arguments, swapped, setup))


@pytest.mark.parametrize(
    "edit", [lambda w: w[:, [1, 0, 2]], lambda w: w * np.array([1.0, 1.1, 1.0])]
)
def test_weights_changed_in_the_data_fail_loudly(
    mixed: Physics, tmp_path: Path, edit: Callable[[np.ndarray], np.ndarray]
) -> None:
    data = [tmp_path / f"data_{i}.h5" for i in range(len(mixed.data))]
    for copy, path in zip(data, mixed.data, strict=True):
        copy.write_bytes(path.read_bytes())
        with h5py.File(copy, "a") as file:
            file["samples/weights"][...] = edit(file["samples/weights"][()])
    result = combine_command(mixed, data, tmp_path / "out")
    assert result.exit_code == 2
    assert "its weights changed after the delphes step" in result.output
    assert not (tmp_path / "out").exists()
