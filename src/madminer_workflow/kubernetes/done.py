"""What need not be done again: Jobs that ended well, with the same inputs, at the same place.

MLflow has their runs. A run is told what its Job was by a key, which holds everything that the
products depend on: the step, its parameters and image, the analysis, and the same of the steps
before it. A Job is done if the last run that wrote where it writes ended well and has its key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient

from madminer_workflow.graph import STEPS
from madminer_workflow.kubernetes.config_map import config_map
from madminer_workflow.kubernetes.project import environment
from madminer_workflow.kubernetes.submission import Job, Submission, parameters

TAG = "madminer.key"
FINISHED = "FINISHED"


class Done:
    """Tells which Jobs of a submission are done."""

    def __init__(
        self, submission: Submission, jobs: Sequence[Job], images: Mapping[str, str], place: str
    ) -> None:
        """Look up what is done of ``jobs``, those of all steps, on the volume named ``place``.

        ``images`` are the checksums of the images. Of an analysis that is on the volume nobody
        knows what is done.
        """
        self._submission, self._jobs, self._place = submission, jobs, place
        self._client = MlflowClient()
        self._runs = self._search()
        self._keys: dict[str, str] = {}
        steps = {job.step for job in jobs}
        self._image_of = {step: images[environment(step).image] for step in steps}
        analysis = submission.analysis
        self._whole, self._physics = contents(analysis) if analysis else ("", "")

    def has(self, job: Job) -> bool:
        """Whether ``job`` is done."""
        if self._submission.order.fresh or not self._known(job):
            return False
        for run in self._runs:
            of_step = run.data.tags.get("mlflow.project.entryPoint") in (job.step, "main")
            if of_step and job.overlaps(run.data.params):
                return run.info.status == FINISHED and run.data.tags.get(TAG) == self.key(job)
        return False

    def record(self, job: Job, run_id: str) -> None:
        """Remember that ``job`` is done, by the run of that id."""
        self._client.set_tag(run_id, TAG, self.key(job))

    def _known(self, job: Job) -> bool:
        # Files of observed events are on the volume.
        observed = self._submission.parameters.get("observed") and any(
            option.source == "observed" for option in STEPS[job.step].options
        )
        return bool(self._submission.analysis) and not observed

    def key(self, job: Job) -> str:
        """What the products of ``job`` depend on."""
        if job.name not in self._keys:
            reads = "inputfile" in STEPS[job.step].parameters
            self._keys[job.name] = self._hash(job, self._whole if reads else "")
        return self._keys[job.name]

    def _before(self, job: Job, step: str) -> list[str]:
        """The same of the Jobs of ``step`` whose products ``job`` takes."""
        others = [other for other in self._jobs if other.step == step]
        if step == "configure":
            # What others take of it does not depend on methods: they can change, and no event does.
            return [self._hash(other, self._physics) for other in others]
        shared = [other for other in others if other.overlaps(_chosen(job, other))]
        return [self.key(other) for other in shared]

    def _hash(self, job: Job, inputs: str) -> str:
        before = [self._before(job, step.name) for step in STEPS[job.step].before]
        described = [job.step, parameters(job, self._submission), self._image_of[job.step]]
        return _digest([*described, self._submission.build, self._place, inputs, before])

    def _search(self) -> list[Any]:
        """The runs of Jobs in this work directory, the latest first."""
        workdir = str(self._submission.order.workdir)
        quote = '"' if "'" in workdir else "'"
        wanted = (
            "tags.`mlflow.project.backend` = 'kubernetes' and "
            f"params.workdir = {quote}{workdir}{quote}"
        )
        experiments = [e.experiment_id for e in self._client.search_experiments()]
        found: list[Any] = []
        token = None
        while True:
            page = self._client.search_runs(
                experiments,
                wanted,
                max_results=1000,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            found += page
            token = page.token
            if not token:
                return found


def _chosen(job: Job, other: Job) -> dict[str, str | int]:
    """What ``job`` has chosen of the indices that ``other`` has as well.

    The jobs of toys are no jobs of events.
    """
    toys = "toys" in (*STEPS[job.step].each, *STEPS[other.step].each)
    return {k: v for k, v in job.parameters.items() if not (toys and k == "index")}


def contents(analysis: Path) -> tuple[str, str]:
    """Checksums of an analysis with its cards: of the whole, and of what makes its events."""
    content = config_map(analysis)
    files = content["data"] | content.get("binaryData", {})
    events = yaml.safe_load(files["input.yml"])
    if isinstance(events, dict):
        events.pop("ml", None)
    return _digest(files), _digest(files | {"input.yml": events})


def _digest(described: Any) -> str:
    text = json.dumps(described, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
