"""The trained ensemble of a method, which can be evaluated on events from any source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from madminer_workflow.analysis.types import Method, Polynomial
from madminer_workflow.errors import InputError
from madminer_workflow.ml import methods
from madminer_workflow.ml.member import check_defined, open_members
from madminer_workflow.statistics.observed import Observed
from madminer_workflow.statistics.polynomial import PolynomialDensity

Point = str | Mapping[str, float] | ArrayLike
"""A parameter point: the name of a benchmark, values by parameter, or an array (n_parameters,) in
the order of ``Model.parameters``; also an array of several points, (n_thetas, n_parameters).
"""


@runtime_checkable
class Columns(Protocol):
    """One column (n_events,) per observable: a dict of arrays, or a pandas table."""

    def keys(self) -> Any:
        """The names."""

    def __getitem__(self, name: str, /) -> Any:
        """A column."""


Observations = Columns | ArrayLike
"""Events: columns, or an array (n_events, n_observables) in the order of ``Model.observables``."""


class Model:
    """The ensemble of one method. Its outputs are means over the members.

    Parameters are those of the analysis file, in the same units; nuisance parameters are 0.
    Observables have the units of their definitions: momenta and masses in GeV, angles in radians.
    ``archives`` are the files of the members; for MadMiner's methods, they contain MadMiner's own
    files.
    """

    def __init__(self, archives: Sequence[Path]) -> None:
        """Open the members in ``archives``; see ``load_model``."""
        self._scratch = TemporaryDirectory()
        self.archives = list(archives)
        self._members = open_members(archives, Path(self._scratch.name))
        self._note = self._members[0].note
        self._family = methods.family_of(self._note.settings)

    def __repr__(self) -> str:
        """The method and the number of members."""
        return f"<Model {self.name}: {self.settings.method}, {len(self)} members>"

    def __len__(self) -> int:
        """The number of members."""
        return len(self._members)

    @property
    def name(self) -> str:
        """The name of the method in the analysis file."""
        return self._note.settings.name

    @property
    def settings(self) -> Method:
        """All settings with which the method was trained."""
        return self._note.settings

    @property
    def parameters(self) -> list[str]:
        """The parameters, in their order."""
        return self._note.parameters

    @property
    def observables(self) -> list[str]:
        """All observables of the analysis, in their order: the columns of an array of events."""
        return self._note.observables

    @property
    def inputs(self) -> list[str]:
        """The observables that the method uses; events given by name need no others."""
        return self._note.settings.inputs(self._note.observables)

    @property
    def benchmarks(self) -> dict[str, np.ndarray]:
        """The named parameter points, each (n_parameters,)."""
        known = self._note.fingerprint.benchmarks or {}
        return {name: np.array(values) for name, values in known.items()}

    @property
    def reference(self) -> np.ndarray:
        """The denominator of ratios, and the default point of the score, (n_parameters,)."""
        return self._members[0].reference

    def log_likelihood_ratio(self, x: Observations, theta: Point) -> np.ndarray:
        """log r(x | theta) = log p(x | theta) − log p(x | reference) of every event.

        The shape is (n_events,) for one point, (n_thetas, n_events) for several. The ratio refers
        to the distribution of the observables, without the rate. For ``polynomial``, it is
        normalised and the one used for limits, minus infinity where the polynomial is not positive.
        For networks of the ratio, it is the raw output, before `evaluating` normalises it on its
        test events.

        Raises InputError for methods without a ratio: histograms, and methods that learn only the
        score.
        """
        points = self._points(theta)
        with self._events(x) as events:
            rows = self._family.event_ratios(self._members, events, np.atleast_2d(points))
        return rows[0] if points.ndim == 1 else rows

    def score(self, x: Observations, theta: Point | None = None) -> np.ndarray:
        """The gradient of log p(x | theta) in the parameters, (n_events, n_parameters).

        Without ``theta``, it is evaluated at the reference, which is the only point for methods
        such as SALLY. Raises InputError for other points of such methods, and for histograms.
        """
        point = None if theta is None else self._points(theta)
        if point is not None and point.ndim != 1:
            raise InputError(f"theta: has {len(point)} points; expected one")
        with self._events(x) as events:
            return self._family.event_scores(self._members, events, point)

    def polynomial(self, x: Observations) -> PolynomialDensity:
        """The likelihood ratio of every event to the reference, as a polynomial in the parameters.

        The ratio of event i is ``coefficients[i] @ m / (norm @ m)`` with the monomials m =
        ``monomials.values(theta)``. ``coefficients`` has the shape (n_events, n_monomials),
        ``norm`` (n_monomials,), and ``monomials.powers``, the powers of the parameters,
        (n_monomials, n_parameters). Raises InputError for methods other than ``polynomial``.
        """
        if not isinstance(self.settings, Polynomial):
            raise InputError(
                f"{self.name}: is not a polynomial in the parameters, but {self.settings.method}"
            )
        with self._events(x) as events:
            return methods.polynomial.ratio(self._members, events)

    def _points(self, theta: Point) -> np.ndarray:
        """As an array (n_parameters,) or (n_thetas, n_parameters)."""
        names = self.parameters
        if isinstance(theta, str):
            if theta not in self.benchmarks:
                raise InputError(
                    f"there is no benchmark {theta}; expected one of {', '.join(self.benchmarks)}"
                )
            return self.benchmarks[theta]
        if isinstance(theta, Mapping):
            if theta.keys() != set(names):
                raise InputError(
                    f"a parameter point has values for {', '.join(map(str, theta))}; expected "
                    f"{', '.join(names)}"
                )
            theta = [theta[name] for name in names]
        points = _numbers("theta", theta)
        if points.ndim not in (1, 2) or points.shape[-1] != len(names):
            raise InputError(
                f"theta: has the shape {points.shape}; expected ({len(names)},) or (n_thetas, "
                f"{len(names)}): {', '.join(names)}"
            )
        if not np.all(np.isfinite(points)):
            raise InputError("theta: has values that are NaN or infinite")
        return points

    @contextmanager
    def _events(self, x: Observations) -> Iterator[Observed]:
        """The events, of which members keep nothing after the block."""
        events = self._observed(x)
        check_defined(events, self.archives[0], self._note)
        try:
            yield events
        finally:
            for member in self._members:
                member.forget(events)

    def _observed(self, x: Observations) -> Observed:
        if isinstance(x, Columns):
            names = list(x.keys())
            if missing := [name for name in self.inputs if name not in names]:
                raise InputError(
                    f"x: has no {missing[0]}; {self.name} needs {', '.join(self.inputs)}"
                )
            columns = [_numbers(f"x: {name}", x[name]) for name in self.inputs]
            if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
                shapes = ", ".join(str(column.shape) for column in columns)
                raise InputError(f"x: has columns of the shapes {shapes}; expected one (n_events,)")
            return Observed(self.inputs, np.column_stack(columns))
        rows = _numbers("x", x)
        if rows.ndim != 2 or rows.shape[1] != len(self.observables):
            expected = f"(n_events, {len(self.observables)}): {', '.join(self.observables)}"
            raise InputError(f"x: has the shape {rows.shape}; expected {expected}")
        return Observed(self.observables, rows)


def _numbers(what: str, values: ArrayLike) -> np.ndarray:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{what}: is not an array of numbers") from None


def load_model(archives: Sequence[str | Path] | str | Path) -> Model:
    """Load the ensemble whose members are in ``archives``, the ``Model.tar.gz`` from `training`.

    There can be one or several, in any order. Raises InputError if they are damaged, or do not all
    belong to one method of one analysis.
    """
    given = [archives] if isinstance(archives, str | Path) else archives
    if not given:
        raise InputError("there is no Model.tar.gz to load")
    return Model([Path(archive) for archive in given])
