"""Events of a run exported as LHE files and read back are the same events, to the last bit."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import h5py
import numpy as np
import pylhe
import pytest
from click.testing import CliRunner

from madminer_workflow.cli import main
from madminer_workflow.errors import InputError
from madminer_workflow.physics.export import export_events
from tests.support.chain import TINY, Physics, analysis_file, run_physics
from tests.support.chain import tiny as section
from tests.support.paths import REPOSITORY


def numbers(file: Path) -> dict[str, np.ndarray]:
    """All numbers of a MadMiner file that learning uses."""
    with h5py.File(file) as data:
        names = [f"samples/{name}" for name in data["samples"]]
        names += ["benchmarks/values", "morphing/morphing_matrix", "madminer_workflow/shares"]
        return {name: data[name][()] for name in names}


def test_the_round_trip_changes_no_bit(tiny: Physics, tmp_path: Path) -> None:
    """Of observables, weights and shares, and so of whatever follows from them.

    Jobs, their number included, do not matter, nor that the benchmarks are 6 and each has a sample.
    """
    exported = export_events(list(reversed(tiny.events)), tmp_path / "events")
    counts = section("processes")[0]["events"]
    assert sum(exported.values()) == sum(counts.values()) == 600
    process = {
        "name": "signal",
        "generator": "files",
        "files": {name: [f"events/signal.{name}.lhe.gz"] for name in counts},
    }
    # The morphing needs one benchmark more, which MadMiner has added.
    added = added_benchmarks(tiny)
    file = analysis_file(
        tmp_path / "input.yml",
        TINY,
        benchmarks={**section("benchmarks"), **added},
        processes=[process],
    )
    # Names that MadMiner gives are not for people.
    text = file.read_text().replace("morphing_basis_vector_5", "sixth")
    file.write_text(text)
    again = run_physics(file, tmp_path)
    before, after = numbers(tiny.combined), numbers(again.combined)
    assert before.keys() == after.keys()
    for name in before.keys() - {"benchmarks/values", "morphing/morphing_matrix"}:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    np.testing.assert_allclose(
        after["morphing/morphing_matrix"], before["morphing/morphing_matrix"], rtol=1e-12
    )


def added_benchmarks(physics: Physics) -> dict[str, dict[str, float]]:
    from madminer_workflow.madminer_file import read_setup
    from madminer_workflow.physics.points import benchmark_values

    values = benchmark_values(read_setup(physics.config))
    return {name: point for name, point in values.items() if name not in section("benchmarks")}


def test_other_programs_read_the_files(tiny: Physics, tmp_path: Path) -> None:
    export_events(tiny.events, tmp_path)
    file = tmp_path / "signal.sm.lhe.gz"
    events = pylhe.to_awkward(pylhe.LHEFile.fromfile(str(file)).events)
    assert len(events) == 200
    cross_section = tiny.cross_sections()["signal"]["sm"][0]
    assert sum(events.eventinfo.weight) == pytest.approx(cross_section, rel=1e-9)
    assert set(events.weights.fields) > set(section("benchmarks"))


def test_all_events_must_be_there(tiny: Physics, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"of \d+ events exist; export them when all jobs"):
        export_events(tiny.events[:-1], tmp_path / "out")


def test_the_command(tiny: Physics, tmp_path: Path) -> None:
    for i, archive in enumerate(tiny.events):
        folder = tmp_path / "run" / "physics" / f"pythia_{i}"
        folder.mkdir(parents=True)
        (folder / "Events.tar.gz").symlink_to(archive)
    result = CliRunner().invoke(main, ["export", str(tmp_path / "run"), str(tmp_path / "out")])
    assert result.exit_code == 0 and "signal.sm.lhe.gz: 200 events" in result.output
    empty = CliRunner().invoke(main, ["export", str(tmp_path / "out"), str(tmp_path / "none")])
    assert empty.exit_code == 2 and "there is no physics/pythia_" in empty.output


def test_the_example_of_event_files_closes(tmp_path: Path) -> None:
    physics = run_physics(REPOSITORY / "inputs/files-example/input.yml", tmp_path)
    data = numbers(physics.combined)
    assert len(data["samples/observations"]) > 3000
    assert np.isfinite(data["samples/weights"]).all()
    assert sum(p.stat().st_size for p in (REPOSITORY / "inputs/files-example").rglob("*")) < 1e6


def words(file: Path) -> list[str]:
    """The words and numbers of a compressed file."""
    return gzip.decompress(file.read_bytes()).decode().split()


def same(made: str, kept: str) -> bool:
    """Whether two words are equal, or numbers but for the rounding of another processor."""
    try:
        return made == kept or math.isclose(float(made), float(kept), rel_tol=1e-10)
    except ValueError:
        return False


@pytest.mark.slow
def test_the_example_is_what_its_generator_made(tmp_path: Path) -> None:
    folder = REPOSITORY / "inputs/files-example"
    physics = run_physics(folder / "generated.yml", tmp_path)
    for file in export_events(physics.events, tmp_path / "out"):
        made, kept = words(file), words(folder / "events" / file.name)
        assert len(made) == len(kept), file.name
        assert [pair for pair in zip(made, kept, strict=True) if not same(*pair)] == [], file.name
    again = run_physics(folder / "input.yml", tmp_path / "again")
    before, after = numbers(physics.combined), numbers(again.combined)
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, rtol=1e-9, err_msg=name)
