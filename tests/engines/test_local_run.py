"""The documented lines of plain yadage with a tiny analysis: every published file, whole and alone.

Also with the release of packtivity that REANA's engine runs.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from madminer.core import MadMiner
from madminer.sampling import SampleAugmenter, benchmark
from PIL import Image

from madminer_workflow.files import read_json
from tests.support.chain import observed_events, with_toys
from tests.support.paths import DATA, REPOSITORY
from tests.support.reana_server import releases

BIN = Path(sys.executable).parent
TINY = DATA / "tiny" / "input.yml"
# Of the tiny analysis, in the order of their names, with the members of two requested.
MEMBERS = {"counts": 1, "ratio": 2, "sally": 2}
N_EVENTS = 600

pytestmark = pytest.mark.slow


def documented(workflow: str) -> list[str]:
    """The line of docs/running.md that runs ``workflow``, as words."""
    text = (REPOSITORY / "docs/running.md").read_text()
    lines = re.findall(r"^    (yadage-run workdir (?:.*\\\n)*.*)$", text, re.MULTILINE)
    words = [shlex.split(line.replace("\\\n", " ")) for line in lines]
    return next(line for line in words if line[2] == workflow and "inputfile" in " ".join(line))


def yadage_run(
    workflow: str,
    workdir: Path,
    njobs: int = 3,
    data: Path | None = None,
    visualize: bool = False,
    python_path: str = "",
    analysis: Path = TINY,
    parameters: Sequence[str] = (),
) -> None:
    """Run the documented line on ``analysis``, with ``python_path`` before all else."""
    values = {
        "yadage-run": str(BIN / "yadage-run"),
        "workdir": str(workdir),
        "inputfile=inputs/wbf/input.yml": f"inputfile={os.path.relpath(analysis, REPOSITORY)}",
        "njobs=6": f"njobs={njobs}",
        "initdir=$PWD": f"initdir={REPOSITORY}",
        "data=path/to/combined_delphes.h5": f"data={data}",
    }
    words = documented(workflow)
    command = [values.get(word, word) for word in words if visualize or word != "--visualize"]
    for parameter in ("ntrainsamples=2", *parameters):
        command += ["-p", parameter]
    finished = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=python_path_first(python_path),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert "Traceback" not in finished.stdout + finished.stderr


def python_path_first(directory: str) -> dict[str, str]:
    """This environment with ``directory``, if not empty, first on Python's path."""
    paths = filter(None, [directory, os.environ.get("PYTHONPATH")])
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def physics_files(njobs: int) -> set[str]:
    configure = (
        "Models.tar.gz",
        "analysis.json",
        "config.h5",
        "generation.json",
        "reconstruction.json",
    )
    combine = ("closure.json", "combined_delphes.h5", "cutflow.json")
    return {
        *(f"physics/configure/{name}" for name in configure),
        "physics/generate/Processes.tar.gz",
        *(f"physics/generate/jobs/job_{job:04d}.json" for job in range(njobs)),
        *(f"physics/pythia_{job}/Events.tar.gz" for job in range(njobs)),
        *(f"physics/delphes_{job}/delphes_data.h5" for job in range(njobs)),
        *(f"physics/combine/{name}" for name in combine),
    }


def ml_files(toys: int = 0) -> set[str]:
    files = {"ml/sampling/analysis.json", "ml/plotting/report.html", "ml/plotting/results.json"}
    for k, (method, members) in enumerate(MEMBERS.items()):
        folder = f"ml/sampling/methods/{method}"
        files |= {f"{folder}/evaluation.json", f"ml/method_{k}/evaluating/Results.tar.gz"}
        files |= {f"{folder}/Samples_{method}_{member}.npz" for member in range(members)}
        files |= {f"ml/method_{k}/training_{member}/Model.tar.gz" for member in range(members)}
        files |= {f"{folder}/toys_{job}.json" for job in range(toys)}
        files |= {f"ml/method_{k}/toys_{job}/Toys.npz" for job in range(toys)}
    return files


def products(workdir: Path) -> set[str]:
    """All files of a work directory but the engine's notes and the plots."""
    files = {path.relative_to(workdir) for path in workdir.rglob("*") if path.is_file()}
    return {
        file.as_posix()
        for file in files
        if not {"_packtivity", "_yadage", "plots"} & set(file.parts)
    }


def members_of(archive: Path) -> dict[str, int]:
    """The names of the files in an archive and their sizes."""
    with tarfile.open(archive) as tar:
        return {member.name: member.size for member in tar if member.isfile()}


def check_physics(workdir: Path, njobs: int) -> None:
    physics = workdir / "physics"
    miner = MadMiner()
    miner.load(str(physics / "configure/config.h5"))
    assert list(miner.parameters) == ["CWL2", "CPWL2"]
    assert {"sm", "w", "neg_w", "ww", "neg_ww"} < set(miner.benchmarks)
    assert read_json(physics / "configure/analysis.json")["name"] == "tiny"
    assert read_json(physics / "configure/generation.json")["processes"][0]["name"] == "signal"
    assert len(read_json(physics / "configure/reconstruction.json")["observables"]) == 2

    grid = members_of(physics / "generate/Processes.tar.gz")
    assert grid["signal/process.json"] and grid["signal/integration.npz"]
    generated = 0
    for index in range(njobs):
        job = read_json(physics / f"generate/jobs/job_{index:04d}.json")
        assert job["index"] == index
        events = members_of(physics / f"pythia_{index}/Events.tar.gz")
        names = [f"signal.{task['sampling_benchmark']}.00000.lhe" for task in job["tasks"]]
        assert sorted(events) == sorted(["SHA256SUMS", "events.json", *names])
        assert all(events.values())
        generated += sum(task["n_events"] for task in job["tasks"])
        assert (physics / f"delphes_{index}/delphes_data.h5").read_bytes()[1:4] == b"HDF"
    assert generated == N_EVENTS

    augmenter = SampleAugmenter(
        str(physics / "combine/combined_delphes.h5"), include_nuisance_parameters=False
    )
    assert list(augmenter.observables) == ["pt_j1", "deta_jj"]
    x, _theta, _n_effective = augmenter.sample_train_plain(theta=benchmark("sm"), n_samples=50)
    assert x.shape == (50, 2)
    assert np.all(x[:, 0] > 20.0)
    _theta, [cross_section], _error = augmenter.cross_sections(theta=benchmark("sm"))
    # 600 events fix it to about a tenth.
    assert cross_section == pytest.approx(1.04e-3, rel=0.4)
    cut_flow = read_json(physics / "combine/cutflow.json")
    assert sum(sample["generated"] for sample in cut_flow) == N_EVENTS
    assert all(check["closes"] for check in read_json(physics / "combine/closure.json")["checks"])


def check_ml(workdir: Path) -> None:
    ml = workdir / "ml"
    assert read_json(ml / "sampling/analysis.json")["name"] == "tiny"
    for k, (method, members) in enumerate(MEMBERS.items()):
        folder = ml / "sampling/methods" / method
        assert read_json(folder / "evaluation.json")["limits"]
        for member in range(members):
            with np.load(folder / f"Samples_{method}_{member}.npz") as samples:
                assert all(np.asarray(samples[name]).size for name in samples.files)
            model = members_of(ml / f"method_{k}/training_{member}/Model.tar.gz")
            trained = "histogram.npz" if method == "counts" else "model_state_dict.pt"
            assert model["method.json"] and model[trained]
        results = members_of(ml / f"method_{k}/evaluating/Results.tar.gz")
        assert sorted(results) == ["SHA256SUMS", "arrays.npz", "results.json"]

    content = read_json(ml / "plotting/results.json")
    assert [method["name"] for method in content["methods"]] == ["counts", "sally", "ratio"]
    report = (ml / "plotting/report.html").read_text()
    assert report.lstrip().lower().startswith("<!doctype html>")
    assert report.rstrip().endswith("</html>")
    assert all(method in report for method in MEMBERS)
    check_plots(ml / "plotting/plots")


def check_plots(plots: Path) -> None:
    files = [path for path in plots.iterdir() if path.is_file()]
    stems = {path.stem for path in files}
    assert {path.name for path in files} == {
        f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")
    }
    assert (plots / "data" / "submission.yaml").is_file()
    assert {"closure", "observable_pt_j1", "training_sally", "fisher_CWL2_CPWL2"} <= stems
    for stem in stems:
        pdf = (plots / f"{stem}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF")
        with Image.open(plots / f"{stem}.png") as image:
            assert len(image.convert("L").getcolors()) > 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("whole") / "workdir"
    yadage_run("workflow.yml", workdir)
    return workdir


def test_the_whole_workflow_publishes_every_file(whole: Path):
    assert products(whole) == physics_files(3) | ml_files()
    check_physics(whole, 3)
    check_ml(whole)


@pytest.mark.slow
@pytest.mark.parametrize("njobs", [1, 40])
def test_physics_alone_and_any_number_of_jobs(whole: Path, tmp_path: Path, njobs: int):
    workdir = tmp_path / "workdir"
    yadage_run("physics.yml", workdir, njobs=njobs)
    assert products(workdir) == physics_files(njobs)
    check_physics(workdir, njobs)
    events = "physics/combine/combined_delphes.h5"
    assert (workdir / events).read_bytes() == (whole / events).read_bytes()


@pytest.mark.slow
def test_learning_alone(whole: Path, tmp_path: Path):
    workdir = tmp_path / "workdir"
    yadage_run("ml.yml", workdir, data=whole / "physics/combine/combined_delphes.h5")
    assert products(workdir) == ml_files()
    check_ml(workdir)
    results = "ml/plotting/results.json"
    assert (workdir / results).read_bytes() == (whole / results).read_bytes()


@pytest.mark.slow
def test_toys_and_observed_data(whole: Path, tmp_path: Path):
    workdir = tmp_path / "workdir"
    events = observed_events(tmp_path / "events.h5", TINY, n=5)
    yadage_run(
        "ml.yml",
        workdir,
        data=whole / "physics/combine/combined_delphes.h5",
        analysis=with_toys(tmp_path, njobs=2),
        parameters=[f"observed={events}"],
    )
    assert products(workdir) == ml_files(toys=2)
    content = read_json(workdir / "ml/plotting/results.json")
    assert content["observed"]["events"] == 5
    for method in content["methods"]:
        assert method["toys"]["n_toys"] == 20
        assert method["observed"]["rate_and_shape"]["intervals"]["CWL2"]["0.95"]


@pytest.fixture(scope="module")
def reana_packtivity(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory with the packtivity of REANA's engine, to come first on Python's path."""
    directory = tmp_path_factory.mktemp("packtivity")
    [package] = [pin for pin in releases.ALPHA.engine if pin.startswith("packtivity==")]
    problem = releases.install(directory, package)
    if problem:
        pytest.skip(f"pip cannot install {package}: {problem}")
    script = "import packtivity; from importlib.metadata import version; "
    used = subprocess.run(
        [sys.executable, "-c", script + "print(version('packtivity'), packtivity.__file__)"],
        env=python_path_first(str(directory)),
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = package.removeprefix("packtivity==")
    assert used.stdout.split() == [wanted, str(directory / "packtivity/__init__.py")]
    return str(directory)


@pytest.mark.slow
def test_packtivity_of_reana(whole: Path, tmp_path: Path, reana_packtivity: str):
    workdir = tmp_path / "workdir"
    yadage_run("workflow.yml", workdir, python_path=reana_packtivity)
    assert products(workdir) == physics_files(3) | ml_files()
    for name in ("physics/combine/combined_delphes.h5", "ml/plotting/results.json"):
        assert (workdir / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_visualize(tmp_path: Path):
    missing = [program for program in ("dot", "convert") if not shutil.which(program)]
    if missing:
        pytest.skip(f"--visualize needs {' and '.join(missing)}")
    workdir = tmp_path / "workdir"
    yadage_run("workflow.yml", workdir, visualize=True)
    assert products(workdir) == physics_files(3) | ml_files()
    drawn = {path.suffix for path in (workdir / "_yadage").iterdir()}
    assert {".png", ".pdf", ".gif"} & drawn
