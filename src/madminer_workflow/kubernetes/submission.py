"""What is submitted: a step, or the whole workflow, with its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from madminer_workflow.engines.order import Order
from madminer_workflow.kubernetes.project import Site, entry_point

Parameters = Mapping[str, str | int]
MOUNTED = "/analysis"
"""Where a Job sees the analysis of the ConfigMap."""


@dataclass(frozen=True)
class Submission:
    """How steps are submitted: the work directory is on the volume, ``parameters`` of MLproject.

    Images are taken from ``registry`` as they are, or with ``build`` get the project on top.
    """

    order: Order
    registry: str
    parameters: Parameters = field(default_factory=dict)
    site: Site = field(default_factory=Site)
    build: bool = False

    @property
    def analysis(self) -> Path | None:
        """The folder that the ConfigMap is made from; None if the analysis is on the volume."""
        return None if "analysis" in self.parameters else self.order.analysis


def parameters(step: str, submission: Submission) -> dict[str, str | int]:
    """The parameters of a step, or of the whole: what its entry point has of the submission's."""
    order = submission.order
    common = {
        "workdir": str(order.workdir),
        "analysis": MOUNTED,
        "njobs": order.njobs,
        "ntrainsamples": order.ntrainsamples,
        "engine": "kubernetes",
        **submission.parameters,
    }
    known = entry_point(step)["parameters"]
    return {name: common[name] for name in known if name in common}
