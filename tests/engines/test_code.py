"""A step runs again if code changes that it imports, and only then: tried on the package itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import madminer_workflow
from madminer_workflow.engines import cache as cache_module
from madminer_workflow.engines.cache import Cache
from madminer_workflow.engines.code import code_checksum, used_files
from madminer_workflow.graph import STEPS

EVERY = set(STEPS)
PHYSICS = {step.name for step in STEPS.values() if step.part == "physics"}
LEARNING = EVERY - PHYSICS
TRAINED = {"training", "evaluating", "toys"}


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
        ("physics/generators/builtin/wbf_haa.py", {"generate", "pythia"}, LEARNING),
        ("physics/generators/madgraph/inside/weigh.py", {"generate", "pythia"}, LEARNING),
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
