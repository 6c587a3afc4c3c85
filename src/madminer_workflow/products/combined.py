"""``combined_delphes.h5``: all events; beside it their ``cutflow.json`` and ``closure.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json, read_struct, write_json
from madminer_workflow.madminer_file import write_sample
from madminer_workflow.products.fields import Count
from madminer_workflow.products.processes import Estimate
from madminer_workflow.statistics.sample import Sample

DATA = "combined_delphes.h5"
CUT_FLOW = "cutflow.json"
CLOSURE = "closure.json"


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """How many events are left after a cut."""

    cut: str
    passed: Count


class CutFlow(msgspec.Struct, frozen=True, kw_only=True):
    """The cut flow of a process and sampling benchmark."""

    process: str
    sampling_benchmark: str
    is_background: bool
    generated: Count
    steps: tuple[Passed, ...]


class ClosureCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A cross-section [pb] at ``theta``, predicted and computed directly, with errors.

    The ``pull`` is the difference divided by both errors in quadrature.
    """

    what: str
    theta: tuple[float, ...]
    predicted: Estimate
    direct: Estimate
    pull: float
    closes: bool


class SurplusPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The weights at a benchmark, compared with the prediction of all other benchmarks.

    Cross-sections before cuts, ``predicted`` and ``given``, are in pb. ``deviation`` is the root
    mean square of the differences, divided by that of the weights; ``relative_error`` is the
    relative error of weights that would explain the differences.
    """

    benchmark: str
    predicted: float
    given: float
    deviation: float
    relative_error: float
    closes: bool


class OddEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The event, counted from 1 in its sample, whose weights deviate most from a polynomial."""

    sampling_benchmark: str
    event: Count
    relative_error: float
    suspects: tuple[str, ...]


class SurplusCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the weights of a process are polynomials, if there are more benchmarks than terms.

    If they are not, any one of the ``suspects`` may be the only benchmark with wrong weights.
    Rounding cannot explain the weights of ``off`` of the ``n_events`` events; ``worst`` is the
    worst of these.
    """

    process: str
    points: tuple[SurplusPoint, ...]
    suspects: tuple[str, ...]
    n_events: Count
    off: Count
    worst: OddEvent | None

    @property
    def closes(self) -> bool:
        """Whether the weights at all benchmarks are those that the others predict."""
        return all(point.closes for point in self.points)


class Closure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All checks; those with a pull of up to ``max_pull`` close."""

    max_pull: float
    checks: tuple[ClosureCheck, ...]
    surplus: tuple[SurplusCheck, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the file of all events says of them; ``cross_sections`` [pb] by process and point."""

    cut_flow: tuple[CutFlow, ...]
    closure: Closure
    cross_sections: dict[str, dict[str, Estimate]]


def write_checks(output: Path, cut_flow: Sequence[CutFlow], closure: Closure) -> None:
    """Write cut flow and closure into ``output``."""
    write_json(output / CUT_FLOW, list(cut_flow))
    write_json(output / CLOSURE, closure)


def read_cut_flow(path: Path) -> list[CutFlow]:
    """Read ``cutflow.json``; InputError if it is another file."""
    try:
        return msgspec.convert(read_json(path), list[CutFlow])
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: is not the cut flow that combine writes ({error})") from None


def read_closure(path: Path) -> Closure:
    """Read ``closure.json``; InputError if it is another file."""
    return read_struct(path, "combine", Closure)


def write_combined(
    output: Path,
    config: Path,
    sample: Sample,
    definitions: Mapping[str, str],
    report: Report,
    order: np.ndarray,
    observations: Iterable[np.ndarray],
) -> None:
    """Write all events into ``output``; the rest is as in ``madminer_file.write_sample``."""
    known = msgspec.to_builtins(report)
    write_sample(output / DATA, config, sample, dict(definitions), known, observations, order)
