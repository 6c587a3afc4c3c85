"""What a person sees of a run: a live table on a terminal, one line an event in a log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from madminer_workflow.engines.backend import Job

_REFRESH_SECONDS = 0.1
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ENDED = ("done", "reused", "failed", "skipped")
_FINISHED = ("done", "reused")


class Progress:
    """Shows the jobs of a run, stage by stage; yadage's loop calls it at every turn."""

    def __init__(self, console: Console, stages: Sequence[str], jobs: list[Job]) -> None:
        """Show the growing list ``jobs``; ``stages`` are all stages to come, in their order."""
        self._console = console
        self._stages = list(stages)
        self._jobs = jobs
        self._start = time.monotonic()
        self._told: dict[int, str] = {}
        self._seen = 0
        self._open: list[Job] = []
        self._number: Counter[str] = Counter()
        self._finished: Counter[str] = Counter()
        self._drawn = 0.0
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def initialize(self, _workflow: Any) -> None:
        """Begin to show (adage's tracker interface, as the next two)."""
        if self._live:
            self._live.start()

    def track(self, _workflow: Any) -> None:
        """Show what has changed."""
        if not self._live:
            self._tell()
        elif time.monotonic() - self._drawn > _REFRESH_SECONDS:
            self._drawn = time.monotonic()
            self._live.update(self._table(), refresh=True)

    def finalize(self, workflow: Any) -> None:
        """Show how it ended."""
        self._drawn = 0.0
        self.track(workflow)
        if self._live:
            self._live.stop()

    def _tell(self) -> None:
        """Print one line for each job that has started or ended since the last time."""
        new = self._jobs[self._seen :]
        self._seen += len(new)
        self._number.update(job.stage for job in new)
        self._open += new
        for job in self._open:
            status = job.status
            if status != self._told.get(id(job)) and status not in ("waiting", "skipped"):
                self._told[id(job)] = status
                self._finished[job.stage] += status in _FINISHED
                self._console.print(self._line(job, status), highlight=False, markup=False)
        self._open = [job for job in self._open if self._told.get(id(job)) not in _ENDED]

    def _line(self, job: Job, status: str) -> str:
        what = {
            "running": "started",
            "reused": "unchanged",
            "done": f"done in {job.ended - job.started:.1f} s",
            "failed": "FAILED",
        }[status]
        number, count = self._number[job.stage], ""
        if number > 1 and status in _FINISHED:
            count = f" {self._finished[job.stage]}/{number}"
        return f"[{_clock(time.monotonic() - self._start)}] {job.stage}{count} {what} ({job.name})"

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim")
        jobs: dict[str, list[Job]] = {stage: [] for stage in self._stages}
        for job in list(self._jobs):
            jobs.setdefault(job.stage, []).append(job)
        for stage in self._stages:
            table.add_row(*self._row(stage, jobs[stage]))
        table.add_row("", "elapsed", "", _clock(time.monotonic() - self._start), "")
        return table

    def _row(self, stage: str, jobs: list[Job]) -> tuple[Text, str, str, str, str]:
        started = [job.started for job in jobs if job.started]
        if not started:
            return Text("·", "dim"), stage, "", "", ""
        ended = [job for job in jobs if job.status in _ENDED]
        over = len(ended) == len(jobs)
        last = max(job.ended for job in jobs) if over else time.monotonic()
        count = f"{sum(job.status in _FINISHED for job in jobs)}/{len(jobs)}"
        if all(job.status == "reused" for job in jobs):
            return Text("✓", "green"), stage, count, "unchanged", ""
        running = ", ".join(job.name for job in jobs if job.status == "running")
        return _mark(jobs, over), stage, count, _clock(last - min(started)), running


def _mark(jobs: list[Job], over: bool) -> Text:
    if any(job.failed for job in jobs):
        return Text("✗", "bold red")
    if over:
        return Text("✓", "green")
    return Text(_SPINNER[int(time.monotonic() / _REFRESH_SECONDS) % len(_SPINNER)], "cyan")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
