from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from madminer_workflow.errors import InputError
from madminer_workflow.files import pack, read_json, unpack, write_json
from madminer_workflow.madminer_file import read_report, read_sample, read_setup
from madminer_workflow.physics.delphes import delphes
from tests.support.chain import Physics
from tests.support.paths import DATA


def repacked(archive: Path, directory: Path, edit: Any) -> Path:
    """``archive`` with its unpacked directory changed by ``edit``."""
    edit(unpack(archive, directory / "content"))
    pack(directory / "content", directory / "Events.tar.gz")
    return directory / "Events.tar.gz"


def lhe_of(directory: Path) -> Path:
    return next(directory.glob("*.lhe"))


def test_same_events_same_bytes(tiny: Physics, tmp_path: Path) -> None:
    for _ in range(2):
        delphes(tiny.config, tiny.reconstruction, tiny.events[0], tmp_path)
        assert (tmp_path / "delphes_data.h5").read_bytes() == tiny.data[0].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["delphes_data.h5"]


def test_weights_of_all_jobs_sum_to_the_cross_sections(mixed: Physics, tmp_path: Path) -> None:
    """Before cuts and efficiencies, per sampling benchmark, times the k-factor."""
    open_settings = {**read_json(mixed.reconstruction), "cuts": [], "efficiencies": []}
    open_settings["observables"] = [
        {"name": "n_j", "definition": "len(j)", "required": False, "default": None}
    ]
    write_json(tmp_path / "reconstruction.json", open_settings)
    sums: dict[tuple[int, int], float] = {}
    for i, events in enumerate(mixed.events):
        delphes(mixed.config, tmp_path / "reconstruction.json", events, tmp_path / f"{i}")
        sample = read_sample(tmp_path / f"{i}/delphes_data.h5")
        for b in np.unique(sample.sampling_ids):
            for target in range(sample.weights.shape[1]):
                value = sample.weights[sample.sampling_ids == b, target].sum()
                sums[b, target] = sums.get((b, target), 0.0) + value
    names = read_setup(mixed.config).benchmark_names
    expected = mixed.cross_sections()
    for b, name in enumerate(names):
        own = 1.5 * expected["signal"][name][0]
        assert sums[b, b] == pytest.approx(own, rel=1e-5)
    for target in range(len(names)):
        own = 3.0 * expected["background"]["sm"][0]
        assert sums[-1, target] == pytest.approx(own, rel=1e-5)


def test_shares_make_one_sample_of_all(mixed: Physics) -> None:
    """The shares' sums of weights before cuts are the integrated cross-sections."""
    names = read_setup(mixed.config).benchmark_names
    notes = [task for path in mixed.data for task in read_report(path)["tasks"]]
    signal = [task for task in notes if not task["is_background"]]
    sums = np.sum([task["sum_weights"] for task in signal], axis=0)
    squares = np.sum([np.diag(task["sum_weights_squared"]) for task in signal], axis=0)
    for name, value, square in zip(names, sums, squares, strict=True):
        integrated, error = mixed.cross_sections()["signal"][name]
        assert abs(value - 1.5 * integrated) < 5.0 * np.hypot(np.sqrt(square), 1.5 * error)


def test_efficiencies_scale_the_weights(mixed: Physics, tmp_path: Path) -> None:
    settings = {**read_json(mixed.reconstruction), "efficiencies": []}
    write_json(tmp_path / "reconstruction.json", settings)
    delphes(mixed.config, tmp_path / "reconstruction.json", mixed.events[0], tmp_path)
    full, reduced = read_sample(tmp_path / "delphes_data.h5"), read_sample(mixed.data[0])
    factor = np.where(full.observations[:, 0] > 60.0, 1.0, 0.5)
    assert {0.5, 1.0} == set(factor)
    np.testing.assert_allclose(reduced.weights, factor[:, None] * full.weights, rtol=1e-12)


def test_an_empty_job_gives_an_empty_file(tiny: Physics, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_json(tmp_path / "empty/events.json", {"index": 9, "tasks": [], "processes": {}})
    pack(tmp_path / "empty", tmp_path / "Events.tar.gz")
    delphes(tiny.config, tiny.reconstruction, tmp_path / "Events.tar.gz", tmp_path)
    sample = read_sample(tmp_path / "delphes_data.h5")
    assert sample.weights.shape == (0, len(read_setup(tiny.config).benchmark_names))
    assert sample.observations.shape == (0, 2)


def refused(physics: Physics, events: Path, tmp_path: Path, error: type, message: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/delphes_data.h5").write_text("previous")
    with pytest.raises(error, match=message):
        delphes(physics.config, physics.reconstruction, events, tmp_path / "out")
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["previous"]


def test_lhe_without_weights(tiny: Physics, tmp_path: Path) -> None:
    def strip(directory: Path) -> None:
        file = lhe_of(directory)
        lines = file.read_text().splitlines(keepends=True)
        kept = (line for line in lines if "wgt" not in line)
        file.write_text("".join(kept))

    events = repacked(tiny.events[0], tmp_path, strip)
    refused(tiny, events, tmp_path, InputError, r"Events.tar.gz/signal.*lhe: no weights for sm, w")


def test_truncated_lhe(tiny: Physics, tmp_path: Path) -> None:
    def cut(directory: Path) -> None:
        file = lhe_of(directory)
        file.write_bytes(file.read_bytes()[:-2000])

    events = repacked(tiny.events[0], tmp_path, cut)
    refused(tiny, events, tmp_path, InputError, "Events.tar.gz/signal.*truncated")


def test_missing_events(tiny: Physics, tmp_path: Path) -> None:
    def drop_one(directory: Path) -> None:
        file = lhe_of(directory)
        text = file.read_text()
        start, stop = text.index("<event>"), text.index("</event>") + len("</event>\n")
        file.write_text(text[:start] + text[stop:])

    events = repacked(tiny.events[0], tmp_path, drop_one)
    refused(
        tiny,
        events,
        tmp_path,
        InputError,
        "Events.tar.gz/signal.*lhe: damaged: it has 99 events instead of 100",
    )


def test_events_of_another_analysis(tiny: Physics, mixed: Physics, tmp_path: Path) -> None:
    message = "belongs to another analysis: signal was generated for other parameters"
    refused(tiny, mixed.events[0], tmp_path, InputError, message)


def test_config_of_another_analysis(tiny: Physics, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="belongs to another analysis"):
        delphes(DATA / "madminer_config.h5", tiny.reconstruction, tiny.events[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_job_imports_no_more_than_it_needs() -> None:
    """Most of the time of a small job would be imports: of sympy, which vector would like, too."""
    script = (
        "import sys, madminer_workflow.physics.delphes as _\n"
        "from madminer_workflow.physics.momenta import register_momenta\n"
        "register_momenta()\n"
        "print(*{'madminer', 'scipy', 'sympy', 'torch', 'uproot'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "\n"


@pytest.mark.parametrize(
    ("value", "says"),
    [("1e90", "expected 1e\\+30 pb at most"), ("0.0", "at which it was drawn, is 0")],
)
def test_weights_that_no_event_has(tiny: Physics, tmp_path: Path, value: str, says: str) -> None:
    directory = unpack(tiny.events[0], tmp_path / "x")
    lhe = sorted(directory.glob("*.lhe"))[0]
    sampled = lhe.name.split(".")[1]
    lhe.write_text(
        re.sub(rf"(<wgt id='{sampled}'>) [^ ]+", rf"\g<1> {value}", lhe.read_text(), count=1)
    )
    pack(directory, tmp_path / "Events.tar.gz")
    with pytest.raises(InputError, match=rf"Events.tar.gz/.*lhe: event 1: .*{says}"):
        delphes(tiny.config, tiny.reconstruction, tmp_path / "Events.tar.gz", tmp_path / "out")
