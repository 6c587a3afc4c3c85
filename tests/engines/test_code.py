"""A step runs again if code changes that it imports, and only then: tried on the package itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import madminer_workflow
from madminer_workflow.engines import cache as cache_module
from madminer_workflow.engines.cache import Cache
from madminer_workflow.engines.code import code_checksum, used_files
from madminer_workflow.engines.order import Order
from madminer_workflow.engines.run import run_workflow
from madminer_workflow.graph import STEPS
from tests.support.chain import with_toys

EVERY = set(STEPS)
PHYSICS = {step.name for step in STEPS.values() if step.part == "physics"}
LEARNING = EVERY - PHYSICS
TRAINED = {"training", "evaluating", "toys"}
GENERATORS = {"generate", "pythia"}

SHARED = {"analysis", "expressions", "products"}
EVENTS = SHARED | {"physics", "statistics"}
NETWORKS = SHARED | {"ml", "statistics", "madminer_fixes"}
ROOMS = {
    "configure": EVENTS | {"madminer_fixes"},
    "generate": EVENTS,
    "pythia": SHARED | {"physics"},
    "delphes": EVENTS,
    "combine": EVENTS,
    "sampling": NETWORKS,
    "training": NETWORKS,
    "evaluating": NETWORKS,
    "toys": NETWORKS,
    "plotting": SHARED | {"report", "statistics"},
}
"""The rooms of the package that a step may reach, whichever way."""

NO_STEP = {"graph.py", "workflow_files.py", "stopping.py", "system_errors.py"}
"""Modules beside the rooms that only the command line and the engines need."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, to change something in it."""
    here = Path(madminer_workflow.__file__).parent
    copy = tmp_path_factory.mktemp("copy") / here.name
    return shutil.copytree(here, copy, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.mark.parametrize(
    ("changed", "again", "never"),
    [
        ("report/figures/style.py", {"plotting"}, EVERY - {"plotting"}),
        ("report/page.html", {"plotting"}, EVERY - {"plotting"}),
        ("ml/networks.py", TRAINED, PHYSICS),
        ("ml/training.py", {"training"}, PHYSICS | {"sampling", "plotting"}),
        ("expressions/evaluation.py", {"delphes"}, set()),
        ("physics/detector.py", {"delphes"}, LEARNING | {"configure", "generate", "pythia"}),
        ("physics/generators/builtin/wbf_haa.py", GENERATORS, EVERY - GENERATORS),
        ("physics/generators/madgraph/inside/weigh.py", GENERATORS, EVERY - GENERATORS),
        ("analysis/schema.json", {"configure", "sampling"}, set()),
        ("files.py", EVERY, set()),
        *((name, set(), EVERY) for name in ("graph.py", "cli/run.py", "engines/cache.py")),
        *((name, set(), EVERY) for name in ("kubernetes/jobs.py", "sweep/schema.json")),
        ("tracking/upload.py", set(), EVERY),
    ],
)
def test_a_key_follows_what_the_step_imports(
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: str,
    again: set[str],
    never: set[str],
):
    monkeypatch.setattr(cache_module.madminer_workflow, "__file__", str(package / "__init__.py"))

    def keys() -> dict[str, str]:
        cache = Cache(package.parent)
        return {step: cache.key(f"madminer-workflow {step} --x", package.parent) for step in STEPS}

    before = keys()
    assert keys() == before
    text = (package / changed).read_text()
    (package / changed).write_text(f"{text}\n")
    after = keys()
    (package / changed).write_text(text)
    different = {step for step in STEPS if before[step] != after[step]}
    assert again <= different and not different & never


def test_a_command_that_is_no_step_may_run_anything(package: Path):
    before = code_checksum(package, None)
    (package / "sweep" / "new.py").write_text("")
    assert code_checksum(package, None) != before


@pytest.mark.parametrize("step", STEPS)
def test_what_is_imported_is_found_in_the_source(package: Path, step: str):
    """Of what an import of the step's module really loads, nothing is missed."""
    code = (
        f"import sys, {STEPS[step].module}\n"
        "names = [m for m in sys.modules if m.startswith('madminer_workflow')]\n"
        "print(*filter(None, (getattr(sys.modules[m], '__file__', None) for m in names)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    here = Path(madminer_workflow.__file__).parent
    used = {file.relative_to(package) for file in used_files(package, STEPS[step].module)}
    assert {Path(file).relative_to(here) for file in loaded} <= used


@pytest.mark.parametrize("step", STEPS)
def test_a_step_reaches_no_room_but_its_own(package: Path, step: str):
    used = used_files(package, STEPS[step].module)
    reached = {file.relative_to(package).parts[0] for file in used}
    assert {name for name in reached if not name.endswith(".py")} <= ROOMS[step]
    assert not reached & NO_STEP


RECORD = """
import atexit, os, sys
package, record = os.environ["RECORDED_PACKAGE"], os.environ["RECORD"]
opened = set()

def hook(event, arguments):
    if event == "open" and str(arguments[0]).startswith(package):
        opened.add(str(arguments[0]))

def write():
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    opened.update(file for file in files if file and file.startswith(package))
    step = sys.argv[1] if "madminer-workflow" in sys.argv[0] else os.environ.get("STEP", "")
    with open(record, "a") as file:
        file.writelines(f"{step} {name}\\n" for name in sorted(opened))

if len(sys.argv) > 1 and "madminer-workflow" in sys.argv[0]:
    os.environ["STEP"] = sys.argv[1]
sys.addaudithook(hook)
atexit.register(write)
"""
"""Notes in a file what any Python process, a child of a step included, takes from the package."""


@pytest.mark.slow
def test_what_a_run_really_loads_is_in_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Modules, scripts and data files: nothing that a step takes from the package is missed.

    The command line may be: it passes arguments on, which the key holds.
    """
    here = Path(madminer_workflow.__file__).parent
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(RECORD)
    record = tmp_path / "record"
    paths = os.pathsep.join([str(tmp_path / "site"), str(here.parent)])
    for name, value in {
        "PYTHONPATH": paths,
        "RECORDED_PACKAGE": f"{here}/",
        "RECORD": str(record),
    }.items():
        monkeypatch.setenv(name, value)
    run_workflow(Order(with_toys(tmp_path, njobs=1), tmp_path / "work", njobs=1, observed="sm"))
    shell = ("cli/", "engines/", "tracking/", "graph.py", "workflow_files.py")
    # How arguments are checked, and steps end and fail, is no part of what they make.
    shell += ("analysis/place.py", "regular.py", "stopping.py", "system_errors.py")
    loaded: dict[str, set[str]] = {step: set() for step in STEPS}
    for line in record.read_text().splitlines():
        step, _, name = line.partition(" ")
        file = Path(name).relative_to(here).as_posix()
        if step in STEPS and "__pycache__" not in file and not file.startswith(shell):
            loaded[step].add(file)
    for step, files in loaded.items():
        used = {f.relative_to(here).as_posix() for f in used_files(here, STEPS[step].module)}
        assert f"{STEPS[step].module.partition('.')[2].replace('.', '/')}.py" in files
        assert files <= used, step
