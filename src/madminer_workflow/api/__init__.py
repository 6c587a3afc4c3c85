"""The package in Python: analyses, finished runs and trained models as typed objects.

    from madminer_workflow import api

    run = api.load_run("runs/wbf")
    run.limits("sally").intervals["CWL2"]["0.95"]
    run.model("polynomial").log_likelihood_ratio(x, {"CWL2": 0.2, "CPWL2": 0.0})

The API computes nothing by itself: numbers come from the products of the steps, and models are
evaluated with the code of `evaluating`. Wrong input raises ``InputError`` with the message that the
command line would print.
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
    """Load the analysis in a file, or in a folder with an input.yml or one other analysis file.

    All defaults are filled in. Unless ``cards`` is false, its cards, models and event files must
    exist. Raises InputError with a list of all problems, like `validate`.
    """
    return read_analysis(analysis_file(Path(place)), cards=cards)
