"""``madminer-workflow run`` on tiny analyses: what a change makes it compute again; failures."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from madminer_workflow.cli import main
from madminer_workflow.files import read_json
from tests.support.chain import observed_events
from tests.support.finished import finished_tiny
from tests.support.paths import DATA

PROGRAM = str(Path(sys.executable).parent / "madminer-workflow")
# Of the tiny analysis.
ML = {
    "ml/sampling",
    "ml/plotting",
    "ml/training_counts_0",
    *(f"ml/training_{method}_{member}" for method in ("ratio", "sally") for member in (0, 1)),
    *(f"ml/evaluating_{method}" for method in ("counts", "ratio", "sally")),
}


@dataclass
class Run:
    """How a run ended and the folders of the steps that it did not find unchanged."""

    exit_code: int
    text: str

    @property
    def computed(self) -> set[str]:
        return set(re.findall(r"\w (?:started|done in .*|FAILED) \((\S+)\)", self.text))


def run(analysis: Path, workdir: Path, *more: str, njobs: int = 2, ntrainsamples: int = 2) -> Run:
    options = ["--workdir", workdir, "--njobs", str(njobs), "--ntrainsamples", str(ntrainsamples)]
    words = map(str, ["run", analysis, *options, *more])
    with contextlib.chdir(workdir.parent):
        finished = CliRunner().invoke(main, [*words])
    assert "Traceback" not in finished.output
    return Run(finished.exit_code, finished.output)


@pytest.fixture(scope="module")
def first(warm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished work directory of the tiny analysis; tests work on copies of it."""
    workdir, text = finished_tiny(tmp_path_factory)
    finished = Run(0, text)
    assert f"Report: {workdir}/ml/plotting/report.html" in finished.text
    jobs = {f"physics/{step}_{job}" for step in ("pythia", "delphes") for job in (0, 1)}
    rest = {f"physics/{step}" for step in ("configure", "generate", "combine")}
    assert finished.computed == jobs | rest | ML
    return workdir


@pytest.fixture
def workdir(first: Path, tmp_path: Path) -> Path:
    return shutil.copytree(first, tmp_path / "workdir")


def changed(directory: Path, old: str, new: str) -> Path:
    """A copy of the tiny analysis with ``new`` instead of ``old``."""
    text = (DATA / "tiny/input.yml").read_text()
    assert text.count(old) == 1
    file = directory / "input.yml"
    file.write_text(text.replace(old, new))
    return file


def test_nothing_changed(workdir: Path):
    report = (workdir / "ml/plotting/report.html").read_bytes()
    again = run(DATA / "tiny", workdir)
    assert (again.exit_code, again.computed) == (0, set())
    assert (workdir / "ml/plotting/report.html").read_bytes() == report


def test_an_observable(workdir: Path, tmp_path: Path):
    new = changed(tmp_path, "abs(j[0].eta - j[1].eta)", "abs(j[0].phi - j[1].phi)")
    again = run(new, workdir)
    assert again.exit_code == 0, again.text
    physics = {f"physics/{step}" for step in ("configure", "delphes_0", "delphes_1", "combine")}
    # The two methods that do not look at this observable are not trained again.
    blind = {step for step in ML if re.match(r"ml/training_(counts|ratio)", step)}
    assert again.computed == physics | ML - blind


def test_the_epochs_of_one_method(workdir: Path, tmp_path: Path):
    new = changed(
        tmp_path, "n_epochs: 2, batch_size: 64, alpha", "n_epochs: 3, batch_size: 64, alpha"
    )
    again = run(new, workdir)
    assert again.exit_code == 0, again.text
    training = {f"ml/training_ratio_{member}" for member in (0, 1)}
    others = {"physics/configure", "ml/sampling", "ml/evaluating_ratio", "ml/plotting"}
    assert again.computed == training | others
    [ratio] = [
        method
        for method in read_json(workdir / "ml/plotting/results.json")["methods"]
        if method["name"] == "ratio"
    ]
    assert [len(member["training"]) for member in ratio["losses"]] == [3, 3]


def test_a_label_of_the_plots(workdir: Path, tmp_path: Path):
    again = run(changed(tmp_path, "latex: '$c_W$'", "latex: '$c_{WW}$'"), workdir)
    assert again.exit_code == 0, again.text
    assert again.computed == {"physics/configure", "ml/sampling", "ml/plotting"}
    assert "c_{WW}" in (workdir / "ml/plotting/results.json").read_text()


@pytest.mark.slow
def test_observed_data(workdir: Path):
    users = {step for step in ML if "evaluating" in step or "plotting" in step}
    for n in (4, 7):
        observed_events(workdir.parent / "events.h5", n=n)
        again = run(DATA / "tiny", workdir, "--observed", "events.h5")
        assert (again.exit_code, again.computed) == (0, users), again.text
        observed = read_json(workdir / "ml/plotting/results.json")["observed"]
        assert (observed["source"], observed["events"]) == ("events.h5", n)


@pytest.mark.slow
def test_another_number_of_jobs(workdir: Path):
    again = run(DATA / "tiny", workdir, njobs=1)
    assert again.exit_code == 0, again.text
    steps = ("generate", "pythia_0", "delphes_0", "combine")
    assert again.computed == {f"physics/{step}" for step in steps}


@pytest.mark.slow
def test_more_members(workdir: Path):
    again = run(DATA / "tiny", workdir, ntrainsamples=3)
    assert again.exit_code == 0, again.text
    trained = ("ratio", "sally")
    new = {f"ml/{step}" for m in trained for step in (f"training_{m}_2", f"evaluating_{m}")}
    assert again.computed == {"ml/sampling", "ml/plotting", *new}


def test_a_failing_step_leaves_the_report(workdir: Path, tmp_path: Path):
    before = {
        path: path.read_bytes()
        for path in (workdir / "ml").rglob("*")
        if path.is_file() and "_packtivity" not in path.parts
    }
    failed = run(changed(tmp_path, "pt_j1 > 20.0", "pt_j1 > 99999.0"), workdir)
    assert failed.exit_code == 1
    assert "step physics/combine failed" in failed.text
    assert "no event passes" in failed.text
    assert all(path.read_bytes() == content for path, content in before.items())
    repaired = run(DATA / "tiny", workdir)
    assert (repaired.exit_code, repaired.computed & ML) == (0, set())


def test_a_wrong_analysis_says_so_and_leaves_everything(workdir: Path, tmp_path: Path):
    before = sorted(workdir.rglob("*"))
    refused = run(changed(tmp_path, "pt_j1 > 20.0", "pt_j2 > 20.0"), workdir)
    assert refused.exit_code == 2
    assert "pt_j2" in refused.text
    assert refused.computed == set()
    assert sorted(workdir.rglob("*")) == before


@pytest.mark.slow
def test_ctrl_c_and_going_on(tmp_path: Path):
    command = [PROGRAM, "run", str(DATA / "tiny"), "--workdir", str(tmp_path / "workdir")]
    engine = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert engine.stderr is not None
    lines = []
    for line in engine.stderr:
        lines.append(line)
        if "generate started" in line:
            engine.send_signal(signal.SIGINT)
    assert engine.wait(30) == 130
    text = "".join(lines)
    assert "Run the same command again to continue" in text
    assert "Traceback" not in text
    assert not list((tmp_path / "workdir/physics/generate").glob("*.gz"))


@pytest.mark.slow
def test_one_parameter(warm: None, tmp_path: Path):
    workdir = tmp_path / "workdir"
    assert run(DATA / "tiny1", workdir, ntrainsamples=1).exit_code == 0
    content = read_json(workdir / "ml/plotting/results.json")
    assert list(content["grid"]) == ["CWL2"]
    for method in content["methods"]:
        assert len(method["fisher_information"]["matrix"]) == 1
        assert list(method["limits"]["shape"]["intervals"]) == ["CWL2"]
    again = run(DATA / "tiny1", workdir, ntrainsamples=1)
    assert (again.exit_code, again.computed) == (0, set())
