"""A registered ensemble as MLflow loads it: from the members' archives, without a work directory.

``mlflow.pyfunc.load_model("models:/<analysis>-<method>@believed")`` calls ``_load_pyfunc``.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from madminer_workflow.analysis.types import Polynomial
from madminer_workflow.files import natural_order
from madminer_workflow.ml.member import Member, open_member
from madminer_workflow.tracking.registry import PER_POINT, POINT, outputs_of

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
            open_member(archive, Path(self._scratch.name) / str(i))
            for i, archive in enumerate(archives)
        ]
        self.note = self.members[0].note

    def predict(self, events: DataFrame, params: dict[str, Any] | None = None) -> DataFrame:
        """The outputs for a table of events, one row each.

        The score at the training's reference point, or the log likelihood ratio of the parameter
        point in the event's row to the reference point, or the log density at that point.
        """
        from pandas import DataFrame

        note = self.note
        x = events[note.settings.inputs(note.observables)].to_numpy(dtype=float)
        outputs = np.mean([self._output(member, x, events) for member in self.members], axis=0)
        return DataFrame(outputs, columns=outputs_of(note))

    def _output(self, member: Member, x: np.ndarray, events: DataFrame) -> np.ndarray:
        from madminer_workflow.ml import networks
        from madminer_workflow.ml.methods import polynomial
        from madminer_workflow.ml.methods.score import estimated_scores

        if not isinstance(self.note.settings, PER_POINT):
            return estimated_scores(member, x)
        points = events[[f"{POINT}{name}" for name in self.note.parameters]].to_numpy(dtype=float)
        if isinstance(self.note.settings, Polynomial):
            return polynomial.log_ratios(member, x, points)[:, None]
        return networks.evaluate(member.network, x, points, combined=False)[0][:, None]


def _load_pyfunc(path: str) -> Ensemble:
    """Load the model whose data MLflow keeps in ``path``."""
    return Ensemble(Path(path))
