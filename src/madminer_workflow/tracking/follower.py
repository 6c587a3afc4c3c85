"""Uploads records while they are written, beside the work and without ever holding it up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from madminer_workflow.tracking.uri import reason, shown

# MLflow is imported by the thread, if at all.
if TYPE_CHECKING:
    from madminer_workflow.tracking.upload import Uploader

POLL_SECONDS = 2.0
RETRY_SECONDS = 30.0
FINISH_SECONDS = 30.0


class Follower(threading.Thread):
    """A thread that uploads from one spool until ``finish``.

    A server that cannot be reached is tried again now and then; the first failure is told once,
    to ``warn``.
    """

    def __init__(self, spool: Path, uri: str, warn: Callable[[str], None]) -> None:
        """Follow the records in the directory ``spool``; ``start`` begins it."""
        super().__init__(name="tracking", daemon=True)
        self.spool, self.uri, self._warn = spool, uri, warn
        self._work_is_done = threading.Event()
        self._uploader: Uploader | None = None
        self._warned = False

    def run(self) -> None:
        """Upload what is new, until the work is done and one more time."""
        reached = self._upload()
        while not self._work_is_done.wait(POLL_SECONDS if reached else RETRY_SECONDS):
            reached = self._upload()
        if reached:
            self._upload()

    def finish(self) -> None:
        """Upload the rest, for a limited time, once the work is done."""
        self._work_is_done.set()
        self.join(FINISH_SECONDS)
        if self.is_alive():
            self._tell("it answers too slowly")

    def _upload(self) -> bool:
        # Whatever goes wrong here, from a name that does not resolve to a database that another
        # version of MLflow made: the record is on disk, and the physics is worth more.
        try:
            if self._uploader is None:
                from madminer_workflow.tracking.upload import Uploader

                self._uploader = Uploader(self.uri)
            self._uploader.upload_all(self.spool)
            for problem in self._uploader.refused[:1]:
                self._tell(problem)
        except Exception as error:
            self._tell(reason(error, self.uri))
            self._uploader = None
            return False
        return True

    def _tell(self, problem: str) -> None:
        if not self._warned:
            self._warned = True
            self._warn(
                f"tracking: {shown(self.uri)}: {problem}; the record is kept in {self.spool}; "
                "upload it later with madminer-workflow track --sync"
            )
