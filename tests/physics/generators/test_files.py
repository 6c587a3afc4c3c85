"""Events that exist as a generator: the same events, weights in pb, and errors that say where."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from madminer_workflow.errors import InputError
from madminer_workflow.physics.configure import configure
from madminer_workflow.physics.generate import generate
from madminer_workflow.physics.generators import files as generator
from madminer_workflow.physics.readers.lhe import LHEEvents, read_lhe
from madminer_workflow.physics.readers.lhe_chunks import read_chunks
from madminer_workflow.products.processes import Integration, Library
from tests.support.chain import rough_integration, run_physics
from tests.support.event_files import BENCHMARKS, IDS, REFERENCE, analysis, text, with_events
from tests.support.parts import CPWL2, CWL2, process, request

CROSS_SECTION = 1.0517e-3


def integrated(
    models: Path, output: Path, n: int = 1000, block_size: int = 1000, **keys: Any
) -> Integration:
    entry = process("files", **{"files": {"sm": ["a.lhe"]}, "events": {"sm": n}, **keys})
    asked = request(entry, [CWL2, CPWL2], BENCHMARKS, models=models)
    return generator.integrate(replace(asked, block_size=block_size), output)


def drawn(directory: Path, n: int, output: Path, block: int = 0) -> LHEEvents:
    assert generator.generate_events(directory, "sm", n, 1, output, block).n_events == n
    return read_lhe(output, list(BENCHMARKS), "sm")


def test_events_of_madgraph_are_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a.lhe").write_text(text())
    report = integrated(tmp_path, tmp_path / "out")
    assert report.cross_sections["sm"] == pytest.approx((CROSS_SECTION, 9.5962e-6), rel=1e-12)
    ours, theirs = drawn(tmp_path / "out", 1000, tmp_path / "x.lhe"), read_lhe(REFERENCE)
    for field in ("px", "py", "pz", "e", "pdgid", "spin"):
        assert ak.all(ours.particles[field] == theirs.particles[field])
    for name, values in theirs.variables.items():
        np.testing.assert_array_equal(ours.variables[name], values)
    expected = np.column_stack([theirs.event_weight, theirs.weights])
    np.testing.assert_allclose(ours.weights, expected, rtol=1e-14)
    assert theirs.weight_names == IDS


@pytest.mark.parametrize("norm", ["average", "unity"])
def test_several_files_are_one_sample(norm: str, tmp_path: Path) -> None:
    """Also where only <init> says what the weights mean."""
    (tmp_path / "a.lhe").write_text(with_events(slice(0, 300), norm))
    (tmp_path / "b.lhe").write_text(with_events(slice(300, None), norm))
    report = integrated(tmp_path, tmp_path / "out", files={"sm": ["a.lhe", "b.lhe"]})
    assert report.cross_sections["sm"][0] == pytest.approx(CROSS_SECTION, rel=1e-12)
    ours, theirs = drawn(tmp_path / "out", 1000, tmp_path / "x.lhe"), read_lhe(REFERENCE)
    np.testing.assert_allclose(ours.weights[:, 1:], theirs.weights, rtol=1e-12)
    assert ak.all(ours.particles.px == theirs.particles.px)


def test_blocks_share_the_events(tmp_path: Path) -> None:
    """As the weights of each block of a generator add up to the cross-section, so do these."""
    (tmp_path / "a.lhe").write_text(text())
    integrated(tmp_path, tmp_path / "out", block_size=300)
    theirs = read_lhe(REFERENCE)
    for block, n in enumerate((300, 300, 300, 100)):
        ours = drawn(tmp_path / "out", n, tmp_path / "x.lhe", block)
        expected = theirs.weights[300 * block :][:n] * 1000 / n
        np.testing.assert_allclose(ours.weights[:, 1:], expected, rtol=1e-14)
        assert ours.event_weight.sum() == pytest.approx(CROSS_SECTION, rel=1e-12)
    with pytest.raises(InputError, match="run generate again"):
        generator.generate_events(tmp_path / "out", "sm", 1, 1, tmp_path / "x.lhe", 4)


def test_negative_weights_stay_negative(tmp_path: Path) -> None:
    """As at next-to-leading order: the events of each tenth subtract."""
    head, *events = re.split(r"(?=<event>)", with_events(slice(None)))
    minus = re.compile(r"(> |\n 7      1 )(?=\d)")
    signed = [minus.sub(r"\1-", e) if i % 10 == 0 else e for i, e in enumerate(events)]
    (tmp_path / "a.lhe").write_text("".join([head, *signed]))
    report = integrated(tmp_path, tmp_path / "out", cross_section={"sm": 0.8 * CROSS_SECTION})
    ours = drawn(tmp_path / "out", 1000, tmp_path / "x.lhe")
    signs = np.where(np.arange(1000) % 10 == 0, -1.0, 1.0)
    expected = np.column_stack([read_lhe(REFERENCE).event_weight, read_lhe(REFERENCE).weights])
    np.testing.assert_allclose(ours.weights, signs[:, None] * expected, rtol=1e-12)
    assert report.cross_sections["sm"][0] == pytest.approx(0.8 * CROSS_SECTION, rel=1e-12)


def test_cross_section_and_filter(tmp_path: Path) -> None:
    (tmp_path / "a.lhe").write_text(text())
    report = integrated(tmp_path, tmp_path / "given", cross_section={"sm": 2.0})
    assert report.cross_sections["sm"][0] == pytest.approx(2.0, rel=1e-12)
    # Half of the weights did not pass a filter.
    sums = {"sum_of_weights": {"sm": 2 * CROSS_SECTION}}
    report = integrated(tmp_path, tmp_path / "filtered", **sums)
    assert report.cross_sections["sm"][0] == pytest.approx(CROSS_SECTION / 2, rel=1e-12)
    report = integrated(tmp_path, tmp_path / "both", **sums, cross_section={"sm": 3.0})
    assert report.cross_sections["sm"][0] == pytest.approx(1.5, rel=1e-12)
    # Half a file has half the sum of weights that its header speaks of.
    (tmp_path / "a.lhe").write_text(with_events(slice(0, 500), "sum"))
    with pytest.raises(InputError, match=r"add up to 0.52585 pb, but <init> gives .* 0.0010517 pb"):
        integrated(tmp_path, tmp_path / "half", 500)


INIT = "<init>\n2212 2212 6500. 6500. 0 0 1 1 {strategy} 1\n{value} {error} 1. 1\n</init>\n"
EVENT = """<event>
 3 1 {weight!r} 91.2 0.0078 0.12
 2 -1 0 0 502 0 0. 0. +10. 10. 0. 0. -1.
 -2 -1 0 0 501 0 0. 0. -10. 10. 0. 0. 1.
 25 1 1 2 0 0 0. 0. 0. 20. 20. 0. 0.
</event>
"""


@pytest.mark.parametrize(
    ("strategy", "value", "error", "weights", "says"),
    [
        (3, 1.0, 1.0, [675.65], "no cross-section above 0, or its error is not smaller"),
        (-4, 2.0, 0.01, [2.0], None),
        (-4, 2.0, 0.01, [2.04], None),
        (-4, 2.0, 0.01, [3.0], r"average to 3 pb, which .* 2 pb. Is it part of"),
        (-4, 2.0, 0.01, [9.0, 9.0, 9.0, -9.0], None),
        (-4, 2.0, 0.01, [9.0, 9.0, 9.0, -2.0], r"average to 6.25 pb"),
        (3, 2.0, 0.01, [3.0], None),
    ],
)
def test_what_the_header_says_of_weights(
    strategy: int,
    value: float,
    error: float,
    weights: list[float],
    says: str | None,
    tmp_path: Path,
) -> None:
    """A generator that does not know its cross-section, and weights that must average to it.

    Of 200 weights of 9 and -9, the mean fluctuates by more than 0.5.
    """
    head = INIT.format(strategy=strategy, value=value, error=error)
    events = "".join(EVENT.format(weight=weights[i % len(weights)]) for i in range(200))
    (tmp_path / "a.lhe").write_text(
        f'<LesHouchesEvents version="3.0">\n{head}{events}</LesHouchesEvents>\n'
    )
    names = dict.fromkeys(BENCHMARKS, "XWGTUP")
    if says is None:
        report = integrated(tmp_path, tmp_path / "out", 200, weights=names)
        assert report.cross_sections["sm"][0] == pytest.approx(value)
        return
    with pytest.raises(InputError, match=says):
        integrated(tmp_path, tmp_path / "out", 200, weights=names)


def changed(number: int, old: str, new: str) -> str:
    head, *events = re.split(r"(?=<event>)", text())
    assert old in events[number - 1]
    events[number - 1] = events[number - 1].replace(old, new, 1)
    return "".join([head, *events])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<wgt id='w'>", "<wgt id='v'>", r"event 700 \(line LINE\): 5 weights \(v, morphing"),
        (
            "+1.0517000e-06",
            "0.0",
            r"event 700 \(line LINE\): its weight at sm, at which it was drawn",
        ),
        ("+1.0517000e-06", "nan", r"event 700 \(line LINE\): event line with NaN"),
        (" 7      1", " 8      1", r"event 700 \(line LINE\): 97 numbers where 110 were announced"),
        ("</event>", "", r"truncated|event 700 \(line LINE\)"),
    ],
)
def test_errors_say_which_event(
    old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = sum(part.count("\n") for part in text().split("<event>")[:700]) + 1
    (tmp_path / "a.lhe").write_text(changed(700, old, new))
    with pytest.raises(InputError, match=message.replace("LINE", str(line))) as raised:
        integrated(tmp_path, tmp_path / "out")
    assert "Models.tar.gz/a.lhe" in str(raised.value)


def test_chunks_have_the_lines_of_their_events() -> None:
    lines = text().split("\n")
    n = 0
    for chunk in read_chunks(REFERENCE):
        assert chunk.first == n
        for index in range(len(chunk.events)):
            line = int(re.search(r"\(line (\d+)\)", str(chunk.wrong(index, "")))[1])
            assert lines[line - 1] == "<event>"
        n += len(chunk.texts)
    assert n == 1000


def test_another_number_of_events_than_counted(tmp_path: Path) -> None:
    (tmp_path / "a.lhe").write_text(text())
    with pytest.raises(InputError, match="1000 events, but configure counted 900"):
        integrated(tmp_path, tmp_path / "out", 900)


def test_all_steps_of_physics_with_signal_and_background(tmp_path: Path) -> None:
    """Weights after cuts are those of the file times the k-factor; jobs do not matter."""
    folder = tmp_path / "analysis"
    folder.mkdir()
    (folder / REFERENCE.name).symlink_to(REFERENCE)
    one = {"generator": "files", "files": {"sm": [REFERENCE.name]}}
    entries = [
        {"name": "signal", **one, "k_factor": 1.5},
        {"name": "background", **one, "is_background": True},
    ]
    file = analysis(folder, {"sm": [REFERENCE.name]}, sections={"processes": entries})
    with rough_integration():
        physics = run_physics(file, tmp_path)
    from madminer_workflow.madminer_file import read_sample

    sample = read_sample(physics.combined)
    weights = sample.weights * sample.shares[:, None]
    signal = sample.sampling_ids >= 0
    expected = read_lhe(REFERENCE)
    assert signal.sum() == (~signal).sum() == 1000
    np.testing.assert_allclose(
        np.sort(weights[signal], axis=0),
        np.sort(1.5 * np.column_stack([expected.event_weight, expected.weights]), axis=0),
        rtol=1e-12,
    )
    np.testing.assert_allclose(weights[~signal], np.full((1000, 6), 1.0517e-6), rtol=1e-12)


def test_a_changed_file_changes_what_is_integrated(tmp_path: Path) -> None:
    file = analysis(tmp_path / "a", {"sm": ["e.lhe"]})
    archives = []
    for last in (400, 300):
        (tmp_path / "a/e.lhe").write_text(with_events(slice(0, last)))
        configured, generated = tmp_path / f"c{last}", tmp_path / f"g{last}"
        configure(file, configured)
        names = ("config.h5", "generation.json", "Models.tar.gz")
        config, generation, models = (configured / name for name in names)
        generate(config, generation, models, 1, generated)
        archives.append(generated / "Processes.tar.gz")
    events = [
        Library(a, tmp_path / a.parent.name / "u", []).read("signal").process.events
        for a in archives
    ]
    assert events == [{"sm": 400}, {"sm": 300}]
