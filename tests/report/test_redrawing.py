"""Figures of a finished run, drawn again."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest
from click.testing import CliRunner, Result

from madminer_workflow.cli import main
from madminer_workflow.report.figures import plots
from madminer_workflow.report.figures.series import methods_of
from madminer_workflow.report.redrawing import figures_of, redraw, subset
from madminer_workflow.report.results import Report, read_report
from tests.support.finished import finished_tiny

FIGURE = "intervals_rate_and_shape"


@pytest.fixture(scope="module")
def plotting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of plotting in a finished run."""
    return finished_tiny(tmp_path_factory)[0] / "ml/plotting"


@pytest.fixture
def report(plotting: Path) -> Report:
    return read_report(plotting / "results.json")


def run_of(plotting: Path, folder: Path) -> Path:
    """A work directory with the results of plotting."""
    results = folder / "ml/plotting/results.json"
    results.parent.mkdir(parents=True)
    results.write_bytes((plotting / "results.json").read_bytes())
    return folder


def plot(*words: object) -> Result:
    return CliRunner().invoke(main, ["plot", *map(str, words)])


def test_all_methods_in_our_style_are_what_the_report_has(
    plotting: Path, report: Report, tmp_path: Path
) -> None:
    redraw(figures_of(report, [FIGURE]), tmp_path / "plots")
    for end in ("png", "pdf"):
        name = f"{FIGURE}.{end}"
        assert (tmp_path / "plots" / name).read_bytes() == (plotting / "plots" / name).read_bytes()


def test_every_subset_can_be_drawn(report: Report) -> None:
    names = [method.name for method in report.methods]
    for kept in ([names[0]], [names[-1]], names[:2]):
        some = subset(report, kept)
        assert [method.name for method in some.methods] == kept
        every = list(plots(some))
        others = [name for name in names if name not in kept]
        assert f"training_{others[0]}" not in {p.name for p in every}
        assert not any("None" in p.caption for p in every)
    assert subset(report, names) == report


def test_methods_of_a_subset_look_as_in_the_whole_run(report: Report) -> None:
    looks = {one.name: (one.colour, one.marker) for one in methods_of(report)}
    assert len(set(looks.values())) == len(looks) > 1
    last = report.methods[-1].name
    for some in (subset(report, [last]), subset(subset(report, list(looks)[1:]), [last])):
        [one] = methods_of(some)
        assert (one.colour, one.marker) == looks[last]


def test_a_style_of_ones_own(plotting: Path, tmp_path: Path) -> None:
    run = run_of(plotting, tmp_path / "run")
    style = tmp_path / "my.mplstyle"
    style.write_text("font.size: 20\nfigure.facecolor: black\n")
    keys = ("font.size", "figure.facecolor", "axes.facecolor")
    before = [matplotlib.rcParams[key] for key in keys]
    kinds = {"plain": [], "file": ["--style", style], "name": ["--style", "ggplot"]}
    for name, words in kinds.items():
        done = plot(run, "--figures", FIGURE, "--output", tmp_path / name, *words)
        assert done.exit_code == 0, done.output
    pictures = {(tmp_path / name / f"{FIGURE}.png").read_bytes() for name in kinds}
    assert len(pictures) == 3
    assert [matplotlib.rcParams[key] for key in keys] == before
    assert [path.name for path in run.rglob("*") if path.is_file()] == ["results.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "nobody"], "--methods: unknown method 'nobody'"),
        (["--figures", "nothing"], "--figures: unknown figure 'nothing'"),
        (["--style", "nowhere"], "neither a file nor a style of matplotlib"),
        (["--style", "bad.mplstyle"], "font.size: Could not convert 'x' to float"),
        (["--output", "run/plots"], "is in the run"),
        (["--output", "."], "is not empty"),
    ],
)
def test_what_cannot_be_drawn(
    plotting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run_of(plotting, tmp_path / "run")
    Path("bad.mplstyle").write_text("font.size: x\n")
    result = plot("run", *words)
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.mplstyle", "run"]
