"""The package in Python: analyses, finished runs and trained models as typed objects.

    from madminer_workflow import api

    run = api.load_run("runs/wbf")
    run.limits("sally").intervals["CWL2"]["0.95"]
    run.model("polynomial").log_likelihood_ratio(x, {"CWL2": 0.2, "CPWL2": 0.0})

Nothing here computes anything itself: numbers are those of the steps' products, and models are
asked by the code that `evaluating` asks them with. What goes wrong because of what was given is an
``InputError``, with what the command line would say.
"""

from __future__ import annotations

from pathlib import Path

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.place import analysis_file
from madminer_workflow.analysis.types import Analysis
from madminer_workflow.api.model import Model, load_model
from madminer_workflow.api.run import Run, Scan, load_run
from madminer_workflow.errors import InputError

__all__ = [
    "Analysis",
    "InputError",
    "Model",
    "Run",
    "Scan",
    "load_analysis",
    "load_model",
    "load_run",
]


def load_analysis(place: str | Path, cards: bool = True) -> Analysis:
    """The analysis of a file, or of a folder with an input.yml or one other analysis file.

    With all defaults filled in. Its cards, models and event files must be there, too, unless
    ``cards`` is false. Raises InputError, which lists all problems, as `validate` does.
    """
    return read_analysis(analysis_file(Path(place)), cards=cards)
