"""What the weights of event files mean, in pb.

A run card of MadGraph says how weights add up: with ``event_norm = sum`` to the cross-section, with
``average`` to the number of events times it. Of other files only the cross-section in ``<init>``
says it; the weights must agree with it if they average to it (IDWTUP is 4 or -4). Several files of
one sample count as one, each in proportion to its events.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from madminer_workflow.analysis.lhe_files import LHEStart
from madminer_workflow.errors import InputError

LARGEST_DIFFERENCE = 0.01
"""Between the cross-section in ``<init>`` and what the weights add up to, relative."""

STANDARD_DEVIATIONS = 5.0
"""By which the two may differ if weights fluctuate."""

ROUNDING = 1e-6
"""Of the digits of weights: what they add up to differs by less from the cross-section."""


@dataclass(frozen=True)
class Sums:
    """Of a file: its events, and the sums of their own weights (XWGTUP) and of those drawn from.

    ``own_squares`` and ``squares`` are the sums of their squares.
    """

    start: LHEStart
    n_events: int
    own: float
    drawn: float
    own_squares: float
    squares: float

    def explains(self, factor: float, cross_section: tuple[float, float], signed: bool) -> bool:
        """Whether own weights times ``factor`` add up to a cross-section, with an error [pb].

        If they are ``signed``, one more event could have the other sign than it has: in a small
        file, all may have the same although some of the process have not.
        """
        value, error = cross_section
        spread = self.own_squares - self.own**2 / self.n_events
        if signed:
            spread += 4.0 * self.own_squares / self.n_events
        allowed = LARGEST_DIFFERENCE * value
        if spread > ROUNDING * self.own_squares:
            deviation = math.hypot(factor * math.sqrt(spread), error)
            allowed = max(allowed, STANDARD_DEVIATIONS * deviation)
        return abs(factor * self.own - value) <= allowed


@dataclass(frozen=True)
class Normalised:
    """Factors on the weights of each file, and the cross-section that these then add up to [pb].

    With the latter comes its error.
    """

    factors: list[float]
    cross_section: tuple[float, float]


def normalise(
    files: Sequence[Sums], cross_section: float | None, sum_of_weights: float | None
) -> Normalised:
    """The normalisation of a sample.

    A ``cross_section`` that is given is that of all events, also of those that a filter removed;
    with them the weights add up to ``sum_of_weights``. Raises InputError where nothing says what
    the cross-section is, or header and weights disagree.
    """
    n_events = sum(file.n_events for file in files)
    own = [_own(file, cross_section, sum_of_weights) for file in files]
    factors = [factor * file.n_events / n_events for factor, file in zip(own, files, strict=True)]
    total = sum(factor * file.drawn for factor, file in zip(factors, files, strict=True))
    if not total > 0.0:
        raise InputError(
            f"{files[0].start.path}: the weights of its sample add up to {total:.3g} pb at the "
            "benchmark at which it was drawn; expected more than 0"
        )
    if sum_of_weights is not None:
        before = total if cross_section is None else cross_section
        factors = [before / sum_of_weights] * len(files)
    elif cross_section is not None:
        factors = [factor * cross_section / total for factor in factors]
    value = sum(factor * file.drawn for factor, file in zip(factors, files, strict=True))
    if cross_section is None and sum_of_weights is None:
        value = _rounded_less(value, files)
    return Normalised(factors, (value, value * _relative_error(files)))


def _rounded_less(value: float, files: Sequence[Sums]) -> float:
    """A cross-section, or that of the headers if these say the same with all digits."""
    known = [file.start.cross_section for file in files]
    n_events = sum(file.n_events for file in files)
    shares = [file.n_events / n_events for file in files]
    mean = sum(share * entry[0] for share, entry in zip(shares, known, strict=True) if entry)
    return mean if None not in known and abs(mean - value) < ROUNDING * value else value


def _own(file: Sums, cross_section: float | None, sum_of_weights: float | None) -> float:
    """What makes a file's weights add up to its cross-section."""
    start = file.start
    norm = {"sum": 1.0, "average": 1.0 / file.n_events}.get(start.run_card.get("event_norm", ""))
    header = start.cross_section
    free = sum_of_weights is None and cross_section is None
    if free and header is not None:
        _need_agreement(file, norm, header)
    if norm is not None and sum_of_weights is None:
        return norm
    if header is not None:
        if not file.own > 0.0:
            raise InputError(
                f"{start.path}: the nominal weights of its events add up to {file.own:.3g}"
            )
        return header[0] / file.own
    if free or cross_section is None:
        raise InputError(
            f"{start.path}: <init> has no cross-section above 0, or its error is not smaller; give "
            "cross_section"
        )
    return 1.0 / file.n_events


def _need_agreement(file: Sums, norm: float | None, header: tuple[float, float]) -> None:
    """Raise InputError if weights add up to another cross-section than that of ``<init>`` [pb].

    ``norm`` is what the run card says that they must be multiplied by, if there is one.
    """
    start = file.start
    signed = norm is None
    if norm is None and start.average:
        norm = 1.0 / file.n_events
        added = (
            f"average to {norm * file.own:.6g} pb, which should be the cross-section (IDWTUP is 4),"
        )
    elif norm is not None:
        added = f"add up to {norm * file.own:.6g} pb,"
    if norm is not None and not file.explains(norm, header, signed):
        raise InputError(
            f"{start.path}: its weights {added} but <init> gives a cross-section of "
            f"{header[0]:.6g} pb. Is it part of a larger file, or have the events passed a "
            "filter? Give cross_section or sum_of_weights"
        )


def _relative_error(files: Sequence[Sums]) -> float:
    """That of the generators' integrations, or else that of the numbers of events."""
    known = [file.start.cross_section for file in files]
    if all(entry is not None and 0.0 < entry[1] < entry[0] for entry in known):
        pairs = [(file.n_events, entry) for file, entry in zip(files, known, strict=True) if entry]
        errors = math.hypot(*(n * error for n, (_, error) in pairs))
        return errors / sum(n * value for n, (value, _) in pairs)
    drawn, squares = sum(file.drawn for file in files), sum(file.squares for file in files)
    return math.sqrt(squares) / abs(drawn)
