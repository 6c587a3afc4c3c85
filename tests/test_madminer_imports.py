"""MadMiner's package on demand: fewer imports, the same package."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(script: str) -> str:
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


@pytest.mark.parametrize(
    ("module", "spared"), [("core", {"torch", "matplotlib"}), ("ml", {"scipy.stats", "matplotlib"})]
)
def test_a_module_comes_without_the_rest(module: str, spared: set[str]):
    script = f"import madminer_workflow, madminer.{module}, sys; print(*sys.modules)"
    assert not spared & set(run(script).split())


@pytest.mark.slow
@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="MadMiner alone cannot be imported from Python 3.12 on"
)
def test_asked_for_a_name_it_is_the_plain_package():
    names = "import madminer; from madminer import LHEReader; print(sorted(vars(madminer)))"
    assert run(f"import madminer_workflow, madminer.ml; {names}") == run(names)


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(
            "import madminer; print(madminer.LHEReader.__module__)", marks=pytest.mark.slow
        ),
        pytest.param(
            "import madminer.ml; from madminer import lhe; print(lhe.LHEReader.__module__)",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "import madminer.limits; print(madminer.LHEReader.__module__)", marks=pytest.mark.slow
        ),
    ],
)
def test_it_can_be_used_as_ever(use: str):
    assert run(f"import madminer_workflow; {use}") == "madminer.lhe.lhe_reader"


@pytest.mark.slow
def test_classes_are_the_same_before_and_after():
    script = """
import madminer_workflow
from madminer.ml import ScoreEstimator
import madminer
assert madminer.ScoreEstimator is ScoreEstimator
assert madminer.ml.ScoreEstimator is ScoreEstimator
try:
    madminer.nothing
except AttributeError as error:
    print(error)
"""
    assert run(script) == "module 'madminer' has no attribute 'nothing'"


def test_a_package_that_is_already_there_stays():
    script = "import sys, types; before = sys.modules['madminer'] = types.ModuleType('madminer'); "
    check = "import madminer_workflow; print(sys.modules['madminer'] is before)"
    assert run(script + check) == "True"


def test_the_reader_of_delphes_can_be_imported_without_find_module():
    script = """
from importlib.machinery import FileFinder
if hasattr(FileFinder, "find_module"):
    del FileFinder.find_module
import madminer_workflow, madminer, uproot3_methods.classes
assert madminer.LHEReader.__module__ == "madminer.lhe.lhe_reader"
assert madminer.DelphesReader is madminer.delphes.DelphesReader
assert uproot3_methods.classes.hasmethods("TLorentzVector")
print(hasattr(FileFinder, "find_module"))
"""
    assert run(script) == "False"
