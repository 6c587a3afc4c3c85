"""What computes a step is in its key: packages, programs and variables, and no more than these."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import madminer_workflow
from madminer_workflow.analysis.cards import parts
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.engines import surroundings as module
from madminer_workflow.engines.cache import Cache
from madminer_workflow.engines.code import code_of, imported_packages
from madminer_workflow.engines.surroundings import versions
from madminer_workflow.graph import STEPS
from madminer_workflow.physics.configure import configure
from madminer_workflow.products.parts import write_parts
from madminer_workflow.versions import LEARNING, REPORTING
from tests.physics.test_programs import install, install_madgraph
from tests.support.paths import DATA, REPOSITORY

PACKAGE = Path(madminer_workflow.__file__).parent
TRAINED = {"sampling", "training", "evaluating", "toys"}
EVENTS = {"generate", "pythia", "delphes", "combine"}
NETWORKS = TRAINED | {"configure"}
# The first two ask it whether labels can be drawn.
DRAWN = {"configure", "sampling", "plotting"}


@pytest.fixture(autouse=True)
def known_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MG5_DIR", "MG5_PYTHON", "DELPHES_DIR", "SOFTWARE_DIR", "PYTHIA8DATA"):
        monkeypatch.delenv(variable, raising=False)


def keys(words: str = "--x") -> dict[str, str]:
    """The key of every step by a cache that knows nothing yet."""
    cache = Cache(Path("/nowhere"))
    return {step: cache.key(f"madminer-workflow {step} {words}", Path("/x")) for step in STEPS}


@pytest.mark.parametrize(
    ("package", "again"),
    [
        ("numpy", set(STEPS)),
        ("torch", NETWORKS),
        ("madminer", NETWORKS),
        ("scipy", set(STEPS)),
        # Tables may be ROOT files: they are counted, read, and looked at where an analysis is.
        ("uproot", {"configure", "generate", "pythia", "delphes", "sampling"}),
        ("vegas", {"generate", "pythia"}),
        ("gvar", {"generate", "pythia"}),
        ("pythia8mc", {"generate", "pythia"}),
        ("matplotlib", DRAWN),
        ("contourpy", DRAWN),
        ("jinja2", {"plotting"}),
        ("click", set()),
        ("rich", set()),
        ("yadage", set()),
        ("psutil", set()),
        ("mlflow", set()),
    ],
)
def test_an_upgrade_of_a_package_runs_again_what_it_computes(
    monkeypatch: pytest.MonkeyPatch, package: str, again: set[str]
):
    before = keys()
    installed = module._distribution

    def upgraded(name: str) -> tuple[str, list[str]]:
        version, required = installed(name)
        return (f"{version}.1" if name == package else version), required

    monkeypatch.setattr(module, "_distribution", upgraded)
    after = keys()
    assert {step for step in STEPS if before[step] != after[step]} == again


def test_another_python_computes_everything_anew(monkeypatch: pytest.MonkeyPatch):
    before = keys()
    monkeypatch.setattr(module.platform, "python_version", lambda: "3.99.1")
    assert not set(before.values()) & set(keys().values())


@pytest.mark.parametrize(
    ("variable", "value", "again"),
    [
        ("OMP_NUM_THREADS", "7", set(STEPS)),
        ("ATEN_CPU_CAPABILITY", "default", NETWORKS),
        ("PYTHIA8DATA", "/elsewhere", {"generate", "pythia"}),
        ("MADMINER_WORKFLOW_CORES", "7", set()),
        ("MLFLOW_TRACKING_URI", "sqlite:///x.db", set()),
    ],
)
def test_a_variable_runs_again_what_reads_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, again: set[str]
):
    before = keys()
    monkeypatch.setenv(variable, value)
    after = keys()
    assert {step for step in STEPS if before[step] != after[step]} == again


@pytest.mark.parametrize("step", STEPS)
def test_every_import_of_a_step_is_a_known_distribution(step: str):
    code = [file for file in code_of(PACKAGE, STEPS[step].module) if "inside" not in file.parts]
    for package in imported_packages(PACKAGE, code) - {"psutil"}:
        assert versions([package]), f"{package}: no distribution of this name"


@pytest.mark.parametrize(
    ("step", "named"), [("training", LEARNING), ("evaluating", LEARNING), ("plotting", REPORTING)]
)
def test_a_product_names_no_version_that_is_not_in_its_key(step: str, named: Sequence[str]):
    code = code_of(PACKAGE, STEPS[step].module)
    assert set(named) <= set(versions(imported_packages(PACKAGE, code)))


@pytest.fixture(scope="module")
def with_cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What configure makes of an analysis that needs all programs."""
    folder = tmp_path_factory.mktemp("with_cards")
    shutil.copytree(REPOSITORY / "inputs/wbf-madgraph", folder / "inputs")
    configure(folder / "inputs/input.yml", folder / "out")
    return folder / "out"


def programs_used(folder: Path, step: str) -> str:
    file = {"generate": "generation", "delphes": "reconstruction"}[step]
    return keys(f"--{file} {folder}/{file}.json")[step]


def test_another_madgraph_generates_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_cards: Path
):
    seen = {programs_used(with_cards, "generate")}
    place = install_madgraph(tmp_path / "mg")
    model = place / "models/EWdim6/couplings.py"
    model.parent.mkdir(parents=True)
    for file in (model, place / "models/other.py"):
        file.write_text("1")
    monkeypatch.setenv("MG5_DIR", str(place))

    def changed() -> bool:
        key = programs_used(with_cards, "generate")
        new = key not in seen
        seen.add(key)
        return new

    assert changed() and not changed()
    (place / "VERSION").write_text("version = 3.5.7\n")
    assert changed()
    model.write_text("22")
    assert changed()
    (place / "models/other.py").write_text("22")
    assert not changed()
    place.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("MG5_DIR", str(tmp_path / "elsewhere"))
    assert not changed()


def test_another_delphes_or_shipped_card_reconstructs_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_cards: Path
):
    before = programs_used(with_cards, "delphes")
    program = install(tmp_path / "DelphesHepMC2")
    card = install(tmp_path / "cards/delphes_card_CMS.tcl")
    monkeypatch.setenv("DELPHES_DIR", str(tmp_path))
    seen = {before, programs_used(with_cards, "delphes")}
    for file in (program, card):
        file.write_text(f"{file.read_text()}# another\n")
        seen.add(programs_used(with_cards, "delphes"))
    assert len(seen) == 4


def test_programs_that_an_analysis_does_not_use_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    configure(DATA / "tiny/input.yml", tmp_path / "out")
    before = [programs_used(tmp_path / "out", step) for step in ("generate", "delphes")]
    monkeypatch.setenv("MG5_DIR", str(install_madgraph(tmp_path / "mg")))
    install(tmp_path / "delphes/DelphesHepMC2")
    monkeypatch.setenv("DELPHES_DIR", str(tmp_path / "delphes"))
    assert before == [programs_used(tmp_path / "out", step) for step in ("generate", "delphes")]


# Children of one process, to be quick, each of which has yet to use the types for the first time.
IN_TWO_THREADS = """
import os, sys, threading
from pathlib import Path
from madminer_workflow.engines.surroundings import program_files

for _ in range(60):
    child = os.fork()
    if child == 0:
        sys.setswitchinterval(1e-5)
        start = threading.Barrier(2)

        def ask():
            start.wait()
            program_files("generate", [Path(sys.argv[1])])

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_threads_may_ask_at_once(tmp_path: Path) -> None:
    analysis = DATA / "tiny/input.yml"
    write_parts(tmp_path, *parts(read_analysis(analysis), analysis.parent))
    words = [sys.executable, "-c", IN_TWO_THREADS, tmp_path / "generation.json"]
    asked = subprocess.run(words, capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
