"""A trained member of an ensemble, opened to be asked about events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from madminer_workflow.analysis.fingerprint import require_same
from madminer_workflow.analysis.types import Settings
from madminer_workflow.array_files import reading
from madminer_workflow.errors import InputError
from madminer_workflow.files import named
from madminer_workflow.large_arrays import pieces
from madminer_workflow.products.model import ModelNote, read_model
from madminer_workflow.statistics.events import Events, Observed

if TYPE_CHECKING:
    from madminer_workflow.ml.networks import Estimator

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, eq=False)
class Member:
    """A model in its ``directory``: its network is loaded once, and what it says can be kept.

    ``archive`` is what messages call it.
    """

    note: ModelNote
    directory: Path
    archive: Path | None = None
    _kept: dict[tuple[int, str], tuple[Observed, np.ndarray]] = field(default_factory=dict)

    def settings(self, kind: type[S]) -> S:
        """The method's settings, which are of this ``kind``."""
        assert isinstance(self.note.settings, kind), f"a model of {self.note.settings.method}"
        return self.note.settings

    @cached_property
    def network(self) -> Estimator:
        """The trained network."""
        from madminer_workflow.ml import networks

        with self.reading(networks.MODEL):
            return networks.load(self.directory, self.note)

    @contextmanager
    def reading(self, file: str) -> Iterator[None]:
        """Let InputError name the model where a ``file`` of it cannot be read in the block."""
        path = self.directory / file
        name = self.archive or self.directory
        with named(self.directory, name), reading(path, "is not what training writes"):
            yield

    @property
    def reference(self) -> np.ndarray:
        """Where the score is learned, or the denominator of the ratio, (n_parameters,)."""
        benchmarks = self.note.fingerprint.benchmarks or {}
        return np.array(benchmarks[self.note.settings.reference])

    def inputs(self, events: Observed, rows: slice = slice(None)) -> np.ndarray:
        """The observables that the method sees, (n_events, n_inputs); of some ``rows``."""
        return events.columns(self.note.settings.inputs(events.observables), rows)

    def once(self, events: Observed, what: str, answer: Callable[[], np.ndarray]) -> np.ndarray:
        """``answer()``, which is ``what`` this member says of ``events``, computed once."""
        key = id(events), what
        if key not in self._kept:
            # The events are kept, too, so that no others get their number.
            self._kept[key] = events, self.numbers(what, answer())
        return self._kept[key][1]

    def forget(self, events: Observed) -> None:
        """Keep nothing of ``events`` any more."""
        for key in [key for key in self._kept if key[0] == id(events)]:
            del self._kept[key]

    def numbers(self, what: str, values: np.ndarray) -> np.ndarray:
        """The ``values``, which are ``what`` it says; InputError if it says no numbers."""
        bad = sum(int(np.sum(~np.isfinite(values[rows]))) for rows in pieces(len(values)))
        if bad:
            raise InputError(
                f"{self.archive or self.directory}: {bad} of {values.size} "
                f"{what.split(' at ')[0]} from its network are NaN or infinite; train it again, "
                "with a lower learning rate if this happens again"
            )
        return values


def open_member(archive: Path, directory: Path) -> Member:
    """Unpack a model into ``directory``; InputError if it is broken or something else."""
    return Member(read_model(archive, directory), directory, archive)


def check_defined(events: Observed, model: Path, note: ModelNote | None) -> None:
    """Raise InputError if an observable that a model sees is not a finite number somewhere."""
    for name in note.settings.inputs(events.observables) if note else ():
        undefined = int(np.sum(~np.isfinite(events.columns([name]))))
        if undefined:
            raise InputError(
                f"{model}: needs the observable {name}, which is undefined in {undefined} of "
                f"{len(events)} events; give the observable a default or make it required"
            )


def open_members(
    models: Sequence[Path], scratch: Path, events: Events | None = None
) -> list[Member]:
    """Unpack ``models`` into ``scratch``; return the members in the order of their numbers.

    Raises InputError if they are not all members of one method, trained on events of the analysis
    that ``events`` belong to, or of one analysis.
    """
    fingerprint = None if events is None else events.setup.fingerprint(events.observables)
    whose = str(models[0]) if events is None else "the data"
    members: dict[int, tuple[Path, Member]] = {}
    first: ModelNote | None = None
    for i, path in enumerate(models):
        member = open_member(path, scratch / f"model_{i}")
        note = member.note
        first = first or note
        expected = fingerprint or first.fingerprint
        require_same(path, found=note.fingerprint, expected=expected, whose=whose)
        if note.settings != first.settings:
            raise InputError(
                f"{path}: is a model of {note.settings.name} with other settings than "
                f"{models[0]}; evaluate the members of one method at a time"
            )
        if note.member in members:
            raise InputError(
                f"{path}: is member {note.member} of {note.settings.name}, like "
                f"{members[note.member][0]}; give every member only once"
            )
        members[note.member] = path, member
    if events is not None:
        check_defined(events, models[0], first)
    return [members[number][1] for number in sorted(members)]
