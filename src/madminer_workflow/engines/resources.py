"""Resource classes: what a step may use, as ``steps/resources.yml`` says for every engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from madminer_workflow.errors import InputError
from madminer_workflow.workflow_files import workflow_files

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    f"{letter}i": 1024**power for power, letter in enumerate("KMGT", 1)
}


class Resources(msgspec.Struct, frozen=True, rename={"name": "class"}):
    """One class, with the settings of the engines; times but ``slurm_time`` (minutes) are seconds.

    ``kubernetes_memory_limit`` and ``kubernetes_job_timeout`` are what other engines give, too.
    """

    name: str
    kubernetes_memory_limit: str
    kubernetes_cpu_request: str
    kubernetes_cpu_limit: str
    kubernetes_job_timeout: int
    htcondor_max_runtime: str
    slurm_partition: str
    slurm_time: str

    @property
    def memory(self) -> int:
        """The memory that a step may use, in bytes; InputError for what is no number of them."""
        text = self.kubernetes_memory_limit
        number = re.fullmatch(r"(\d+)([A-Za-z]*)", text)
        if not number or number[2] not in _UNITS:
            raise InputError(
                f"steps/resources.yml: {self.name}.kubernetes_memory_limit = {text}: expected "
                "memory like 4Gi"
            )
        return int(number[1]) * _UNITS[number[2]]


def resources_of(environment: Mapping[str, Any]) -> Resources | None:
    """The class of a step by its environment in the workflow files; None if that names none."""
    for entry in environment.get("resources") or ():
        if isinstance(entry, Mapping) and "class" in entry:
            return _resources(entry)
    return None


def larger(resources: Resources) -> Resources:
    """The next class with more memory; the same if there is none."""
    classes = yaml.safe_load((workflow_files() / "steps/resources.yml").read_text("utf-8"))
    known = sorted(map(_resources, classes.values()), key=lambda each: each.memory)
    return next((each for each in known if each.memory > resources.memory), resources)


def _resources(entry: Mapping[str, Any]) -> Resources:
    try:
        return msgspec.convert(entry, Resources)
    except msgspec.ValidationError as error:
        raise InputError(f"steps/resources.yml: {entry.get('class')}: {error}") from None
