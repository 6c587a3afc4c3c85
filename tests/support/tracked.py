"""In place of a tracking server: the runs that clients of MLflow make and look for, in memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


@dataclass
class Runs:
    """What is asked of ``MlflowClient``; ``state`` tells the status of a run that nobody ended."""

    state: Callable[[str], str] = lambda run_id: "RUNNING"
    known: dict[str, Any] = field(default_factory=dict)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)

    def __call__(self) -> Runs:
        return self

    def add(self, tags: dict[str, str], params: dict[str, str]) -> str:
        run_id = f"{len(self.known):032x}"
        self.known[run_id] = SimpleNamespace(tags=dict(tags), params=params, status="")
        return run_id

    def create_run(self, experiment: str, run_name: str) -> Any:
        return self._shown(self.add({"mlflow.runName": run_name}, {}))

    def search_experiments(self) -> list[Any]:
        return [SimpleNamespace(experiment_id="1")]

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id="1")

    def search_runs(self, experiments: list[str], wanted: str, **options: Any) -> Any:
        def fits(run: Any) -> bool:
            for name, value in re.findall(r"tags\.`([^`]+)` (?:=|LIKE) '%?(.*?)%?'", wanted):
                if value not in run.tags.get(name, ""):
                    return False
            places = re.findall(r"params\.workdir = '(.*?)'", wanted)
            return all(run.params.get("workdir") == place for place in places)

        class Page(list[Any]):
            token = None

        latest = reversed(self.known.items())
        return Page(self._shown(run_id) for run_id, run in latest if fits(run))

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self.known[run_id].tags[name] = value

    def set_terminated(self, run_id: str, status: str) -> None:
        self.known[run_id].status = status

    def log_text(self, run_id: str, text: str, artifact: str) -> None:
        self.texts[run_id, artifact] = text

    def named(self, name: str) -> list[Any]:
        """The runs of that name, the latest first."""
        runs = [self._shown(run_id) for run_id in reversed(self.known)]
        return [run for run in runs if run.data.tags["mlflow.runName"] == name]

    def _shown(self, run_id: str) -> Any:
        run = self.known[run_id]
        info = SimpleNamespace(run_id=run_id, status=run.status or self.state(run_id))
        return SimpleNamespace(info=info, data=SimpleNamespace(tags=run.tags, params=run.params))
