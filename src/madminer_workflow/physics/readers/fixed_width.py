"""Numbers in lines, of fixed width above all, converted all at once.

Generators write numbers with formats such as ``%+.10e``: where a line has a digit, a point or an
exponent, all lines of its length have one. Digits are then added up column by column. A whole
number of up to 53 bits times or divided by a power of ten of up to 22 is rounded once, so correctly
(W. D. Clinger, PLDI 1990, doi:10.1145/93542.93557); Python converts all others.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

_NEWLINE, _ZERO, _NINE, _BLANK, _PLUS, _MINUS, _POINT = (ord(character) for character in "\n09 +-.")
_E = np.frombuffer(b"eE", dtype=np.uint8)

MOST_DIGITS = 16
"""Of a number, without its exponent: what has more may not be one of 53 bits."""

MOST_LAYOUTS = 12
"""Lengths of lines: what has more of them is not of fixed width."""

CHARACTERS_AT_ONCE = 400_000
"""Enough that calls cost little, and few enough for the processor's cache."""

_POWERS = 10.0 ** np.arange(23)
_LARGEST = 2.0**53

_NUMBER = re.compile(r"(v*)(d+)(?:\.(d*))?(?:e(v)(d{1,4}))?")
"""By what its columns are: digits, a point, an exponent, and where lines differ, various."""


@dataclass(frozen=True)
class Lines:
    """The lines of a ``text``: where they begin, and their lengths without the end of line."""

    text: bytes
    characters: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, text: bytes) -> Lines:
        """Those of a text."""
        characters = np.frombuffer(text, dtype=np.uint8)
        ends = np.flatnonzero(characters == _NEWLINE)
        if not text.endswith(b"\n"):
            ends = np.append(ends, len(text))
        starts = np.concatenate([[0], ends[:-1] + 1])
        return cls(text, characters, starts, ends - starts)

    def numbers(
        self, chosen: np.ndarray, n_numbers: int, wanted: Sequence[int] | None = None
    ) -> np.ndarray | None:
        """The numbers in the lines with the indices ``chosen`` (n,), as (n_numbers, n).

        Those that are ``wanted``, if only some of them are. None if some line does not have
        ``n_numbers``, or one that is NaN.
        """
        places = [*range(n_numbers)] if wanted is None else [*wanted]
        values = self._of_fixed_width(chosen, n_numbers, places)
        if values is not None:
            return values
        begins = self.starts[chosen]
        ends = begins + self.lengths[chosen]
        pairs = zip(begins.tolist(), ends.tolist(), strict=True)
        values = of_any_width([self.text[begin:end] for begin, end in pairs], n_numbers)
        return None if values is None else values[places]

    def _of_fixed_width(
        self, chosen: np.ndarray, n_numbers: int, wanted: Sequence[int]
    ) -> np.ndarray | None:
        values = np.empty((len(wanted), len(chosen)))
        lengths = self.lengths[chosen]
        different = np.flatnonzero(np.bincount(lengths))
        if len(different) > MOST_LAYOUTS:
            return None
        for length in different.tolist():
            same, size = np.flatnonzero(lengths == length), 1 + CHARACTERS_AT_ONCE // (length + 1)
            for places in np.split(same, range(size, len(same), size)):
                numbers = converted(self.columns(chosen[places], 0, length), n_numbers, wanted)
                if numbers is None:
                    return None
                values[:, places] = numbers
        return values

    def between(self, chosen: np.ndarray, before: int, after: int) -> Lines | None:
        """The lines ``chosen`` (n,) without as many characters at their beginning and end.

        None if these are not the same in all of them.
        """
        starts, lengths = self.starts[chosen] + before, self.lengths[chosen] - before - after
        if (lengths < 0).any():
            return None
        for begins, length in ((starts - before, before), (starts + lengths, after)):
            texts = self._windows(begins, length)
            if (texts != texts[:1]).any():
                return None
        return replace(self, starts=starts, lengths=lengths)

    def of_parts(self, parts: Sequence[Lines]) -> Lines:
        """Those of several parts of the same text."""
        starts, lengths = zip(*((part.starts, part.lengths) for part in parts), strict=True)
        return replace(self, starts=np.concatenate(starts), lengths=np.concatenate(lengths))

    def columns(self, chosen: np.ndarray, begin: int, end: int) -> np.ndarray:
        """The characters between two columns of the lines ``chosen`` (n,), (end - begin, n)."""
        return np.ascontiguousarray(self._windows(self.starts[chosen] + begin, end - begin).T)

    def _windows(self, begins: np.ndarray, length: int) -> np.ndarray:
        """As many characters from each of these places on, (n, length)."""
        if not (length and len(begins)):
            return np.empty((len(begins), length), dtype=np.uint8)
        return np.lib.stride_tricks.sliding_window_view(self.characters, length)[begins]


def of_any_width(texts: Sequence[bytes], n_numbers: int) -> np.ndarray | None:
    """The numbers in texts, (n_numbers, n_texts); None if one has more or fewer, or NaN."""
    numbers = as_numbers(b" nan ".join([*texts, b""]))
    if numbers is None or len(numbers) != len(texts) * (n_numbers + 1):
        return None
    table = numbers.reshape(len(texts), n_numbers + 1).T
    is_nan = np.isnan(table)
    return None if is_nan[:-1].any() or not is_nan[-1].all() else table[:-1]


def as_numbers(text: bytes) -> np.ndarray | None:
    """The numbers in a text, as far as it has only such; None if numpy tells where that is."""
    with warnings.catch_warnings(), suppress(ValueError):
        # What is no number ends the conversion, in old versions of numpy with a warning only.
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.fromstring(text, sep=" ")
    return None


def converted(
    columns: np.ndarray, n_numbers: int, wanted: Sequence[int] = (0,)
) -> np.ndarray | None:
    """Those ``wanted`` of the numbers in lines that are ``columns`` (length, n) of characters.

    They are (n_wanted, n), and those of Python's ``float``, to the bit. None if there are not
    ``n_numbers`` in the same columns of all lines.
    """
    fields = _fields(_kinds(columns))
    if len(fields) != n_numbers or not columns.size:
        return None
    various = np.array([place for field in fields for place in field.various], dtype=int)
    signs = columns[np.array([p for field in fields for p in field.exponent_sign], dtype=int)]
    if not (_begin_numbers(columns, various) and ((signs == _PLUS) | (signs == _MINUS)).all()):
        return None
    fields = tuple(fields[i] for i in wanted)
    digits = np.empty((len(columns) + 1, columns.shape[1]), dtype=np.uint8)
    np.subtract(columns, _ZERO, out=digits[:-1])
    digits[-1] = 0
    digits[various] = np.where(digits[various] < 10, digits[various], 0)
    exponents = _exponents(columns, digits, fields)
    places = [_padded([*f.various, *f.whole, *f.fraction], MOST_DIGITS) for f in fields]
    values, is_exact = _scaled(_whole(digits[np.concatenate(places)]), exponents)
    _negate(values, columns, fields)
    if not is_exact.all():
        for i, line in np.argwhere(~is_exact).tolist():
            values[i, line] = float(columns[fields[i].all, line].tobytes())
    return values


def _negate(values: np.ndarray, columns: np.ndarray, fields: Sequence[_Field]) -> None:
    """Change the sign of those numbers that have a minus."""
    signed = [i for i, field in enumerate(fields) if len(field.various)]
    if signed:
        sizes = [len(fields[i].various) for i in signed]
        places = np.array([place for field in fields for place in field.various])
        is_minus = columns[places] == _MINUS
        is_negative = np.logical_or.reduceat(is_minus, np.cumsum([0, *sizes[:-1]]), axis=0)
        values[signed] *= np.where(is_negative, -1.0, 1.0)


@dataclass(frozen=True)
class _Field:
    """The columns of what may be a number.

    Those that are ``various`` come before its digits: a sign, digits or nothing.
    """

    all: range
    various: range
    whole: range
    fraction: range
    exponent_sign: range
    exponent: range


@lru_cache(maxsize=100)
def _fields(kinds: str) -> tuple[_Field, ...]:
    """What is between blanks in columns of these kinds; empty if some of it cannot be a number."""
    fields = []
    for match in re.finditer(r"[^ ]+", kinds):
        number = _NUMBER.fullmatch(match[0])
        if number is None:
            return ()
        parts = [
            range(*(match.start() + max(place, 0) for place in number.span(group)))
            for group in range(6)
        ]
        if sum(map(len, parts[1:4])) > MOST_DIGITS:
            return ()
        fields.append(_Field(*parts))
    return tuple(fields)


def _kinds(columns: np.ndarray) -> str:
    """What each column of characters holds, in the letters of ``_NUMBER``."""
    if not columns.size:
        return ""
    least, most = columns.min(axis=1), columns.max(axis=1)
    kinds = np.full(len(columns), "v")
    kinds[(least >= _ZERO) & (most <= _NINE)] = "d"
    for character, kind in ((_BLANK, " "), (_POINT, "."), *((e, "e") for e in _E)):
        kinds[(least == character) & (most == character)] = kind
    return "".join(kinds)


def _begin_numbers(columns: np.ndarray, various: np.ndarray) -> bool:
    """Whether all lines have nothing in these columns, or a sign or digit that a digit follows."""
    begin, behind = columns[various], columns[various + 1] - _ZERO
    is_some = (begin - _ZERO < 10) | (begin == _PLUS) | (begin == _MINUS)
    return bool(((behind < 10) & is_some | (begin == _BLANK)).all())


def _exponents(columns: np.ndarray, digits: np.ndarray, fields: Sequence[_Field]) -> np.ndarray:
    """The powers of ten of last digits (n_fields, n)."""
    n_fraction = np.array([[len(field.fraction)] for field in fields], dtype=np.int16)
    signs = columns[np.array([p for field in fields for p in field.exponent_sign], dtype=int)]
    exponents = np.zeros((len(fields), columns.shape[1]), dtype=np.int16)
    written = [i for i, field in enumerate(fields) if len(field.exponent)]
    if written:
        longest = max(len(fields[i].exponent) for i in written)
        sizes = np.zeros((len(written), columns.shape[1]), dtype=np.int16)
        for places in zip(*(_padded(fields[i].exponent, longest) for i in written), strict=True):
            sizes *= 10
            sizes += digits[[*places]]
        exponents[written] = np.where(signs == _MINUS, -sizes, sizes)
    return exponents - n_fraction


def _padded(places: Sequence[int], size: int) -> list[int]:
    """Places of digits, with zeros before them."""
    return [-1] * (size - len(places)) + [*places]


def _whole(digits: np.ndarray) -> np.ndarray:
    """The numbers (n_numbers, n) with these digits (n_numbers * MOST_DIGITS, n).

    They are exact if they are of 53 bits. Two, four and eight digits fit into small integers, of
    which many are added at once.
    """
    twos = _joined(digits, 10, np.uint8)
    eights = _joined(_joined(twos, 100, np.uint16), 10_000, np.uint32)
    return _joined(eights, 100_000_000, np.float64)


def _joined(parts: np.ndarray, base: int, kind: type[np.number[Any]]) -> np.ndarray:
    """Neighbours as one number each."""
    joined = parts[0::2].astype(kind)
    joined *= kind(base)
    joined += parts[1::2]
    return joined


def _scaled(whole: np.ndarray, exponents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers times powers of ten, and which of them are exact."""
    sizes = np.abs(exponents)
    is_exact = whole < _LARGEST
    if sizes.max() >= len(_POWERS):
        is_exact &= (sizes < len(_POWERS)) | (whole == 0.0)
        sizes = np.minimum(sizes, len(_POWERS) - 1)
    powers = _POWERS.take(sizes)
    if exponents.max() <= 0:
        return whole / powers, is_exact
    return np.where(exponents > 0, whole * powers, whole / powers), is_exact
