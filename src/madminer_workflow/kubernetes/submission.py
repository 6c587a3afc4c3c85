"""What is submitted: the Jobs of a workflow, in their order, with their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from madminer_workflow import graph
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.engines.order import Order
from madminer_workflow.kubernetes.project import Site, entry_point

Parameters = Mapping[str, str | int]
MOUNTED = "/analysis"
"""Where a Job sees the analysis of the ConfigMap."""


@dataclass(frozen=True)
class Submission:
    """How steps are submitted: the work directory is on the volume, ``parameters`` of MLproject.

    Images are taken from ``registry`` as they are, or with ``build`` get the project on top.
    ``parallel`` Jobs run at a time; one that has not started after ``wait`` minutes is given up.
    """

    order: Order
    registry: str
    parameters: Parameters = field(default_factory=dict)
    site: Site = field(default_factory=Site)
    build: bool = False
    parallel: int = 1
    wait: float = 60

    @property
    def analysis(self) -> Path | None:
        """The folder that the ConfigMap is made from; None if the analysis is on the volume."""
        return None if "analysis" in self.parameters else self.order.analysis


@dataclass(frozen=True)
class Job:
    """One Job: ``name`` is that of its run."""

    step: str
    name: str
    parameters: Parameters = field(default_factory=dict)

    def overlaps(self, chosen: Mapping[str, str | int]) -> bool:
        """Whether it has something in common with what has ``chosen`` jobs, methods, members."""
        return all(
            str(chosen.get(name, graph.ALL)) in (str(value), graph.ALL)
            for name, value in self.parameters.items()
        )


def stages(order: Order) -> Iterator[list[Job]]:
    """The Jobs of the whole workflow; those of one stage do not depend on each other."""
    ml = read_analysis(order.analysis / "input.yml", cards=False, changes=order.changes).ml
    methods = {method.name: method for method in ml.methods}

    def values(index: str, given: graph.Key) -> Sequence[str | int]:
        if index == "method":
            return list(methods)
        if index == "member":
            return range(methods[str(given["method"])].members(order.ntrainsamples))
        return range({"job": order.njobs, "toys": ml.limits.toys.jobs}[index])

    for steps in graph.groups():
        yield [
            Job(step.name, step.title(key), {graph.SELECTORS[i]: key[i] for i in step.each})
            for step in steps
            for key in graph.keys(step.each, values)
        ]


def parameters(job: Job, submission: Submission) -> dict[str, str | int]:
    """The parameters of a Job: what its entry point has of those of the submission."""
    order = submission.order
    common = {
        "workdir": str(order.workdir),
        "analysis": MOUNTED,
        "njobs": order.njobs,
        "ntrainsamples": order.ntrainsamples,
        **submission.parameters,
    }
    known = entry_point(job.step)["parameters"]
    return {name: common[name] for name in known if name in common} | dict(job.parameters)
