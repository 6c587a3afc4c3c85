"""Where a sweep keeps its files and its records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from madminer_workflow.tracking import ending, experiment, products
from madminer_workflow.tracking.journal import Journal


@dataclass(frozen=True)
class Place:
    """Where a sweep reads events and keeps its files.

    If it is tracked, ``spool`` is where records lie and ``run`` the name of the sweep's own.
    """

    data: Path
    workdir: Path
    spool: Path | None = None
    run: str = ""

    @property
    def reference(self) -> Path:
        """Samples of all observables, drawn with the settings that trials start from."""
        return self.workdir / "samples" / "reference"

    @property
    def base(self) -> Path:
        """As ``reference``, with the observables that the network sees by these settings."""
        return self.workdir / "samples" / "base"

    @property
    def evaluation(self) -> Path:
        """What evaluating needs to know of the analysis."""
        return self.workdir / "samples" / "evaluation.json"

    def trial(self, number: int) -> Path:
        """The products of a trial."""
        return self.workdir / "trials" / str(number)


@contextmanager
def recorded(
    place: Place, step: str, path: list[str], shared: bool = False
) -> Iterator[Journal | None]:
    """Record what the block does as ``step``, in a run within the sweep's, if that is tracked."""
    if place.spool is None:
        yield None
        return
    journal = Journal.begin(place.spool, [place.run, *path], shared=shared, experiment=experiment())
    journal.tags({"madminer.step": step, **products.about()})
    with ending(journal):
        yield journal
