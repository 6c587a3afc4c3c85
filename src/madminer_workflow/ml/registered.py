"""A registered ensemble as MLflow loads it: from the members' archives, without a work directory.

``mlflow.pyfunc.load_model("models:/<analysis>-<method>@believed")`` calls ``_load_pyfunc``.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from madminer_workflow.files import natural_order, unpack
from madminer_workflow.ml.model import METHOD, read_model
from madminer_workflow.tracking.registry import POINT, outputs_of

# Whoever loads a model from MLflow has pandas; the rest of this package does not need it.
if TYPE_CHECKING:
    from pandas import DataFrame


class Ensemble:
    """The mean output of the members for any events."""

    def __init__(self, directory: Path) -> None:
        """Unpack the members' archives ``member_*.tar.gz`` in ``directory``."""
        self._scratch = TemporaryDirectory()
        archives = sorted(directory.glob("member_*.tar.gz"), key=natural_order)
        self.members = [
            unpack(archive, Path(self._scratch.name) / str(i), METHOD)
            for i, archive in enumerate(archives)
        ]
        note = read_model(self.members[0])
        self.parameters: list[str] = note["parameters"]
        self.nuisance_parameters: list[str] = note["nuisance_parameters"]
        self.settings: dict[str, Any] = note["settings"]
        self.features: list[str] = self.settings["features"] or note["observables"]

    def predict(self, events: DataFrame, params: dict[str, Any] | None = None) -> DataFrame:
        """The outputs for a table of events, one row each.

        The score at the training's reference point, or the log likelihood ratio of the parameter
        point in the event's row to the reference point, or the log density at that point.
        """
        from pandas import DataFrame

        x = events[self.features].to_numpy(dtype=float)
        outputs = np.mean([self._output(member, x, events) for member in self.members], axis=0)
        names = outputs_of(self.settings, self.parameters, self.nuisance_parameters)
        return DataFrame(outputs, columns=names)

    def _output(self, member: Path, x: np.ndarray, events: DataFrame) -> np.ndarray:
        from madminer_workflow.ml import networks
        from madminer_workflow.ml.methods.score import estimated_scores

        if "theta0" not in self.settings:
            return estimated_scores(member, x)
        points = events[[f"{POINT}{name}" for name in self.parameters]].to_numpy(dtype=float)
        return networks.evaluate(member, x, points, combined=False)[0][:, None]


def _load_pyfunc(path: str) -> Ensemble:
    """Load the model whose data MLflow keeps in ``path``."""
    return Ensemble(Path(path))
