"""A finished run: its results, figures and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from madminer_workflow.analysis.problems import unknown
from madminer_workflow.analysis.types import Analysis
from madminer_workflow.api.model import Model
from madminer_workflow.errors import InputError
from madminer_workflow.files import natural_order, read_struct
from madminer_workflow.products.model import ARCHIVE, note_in
from madminer_workflow.products.results import ARCHIVE as RESULTS
from madminer_workflow.products.results import Results, read_results
from madminer_workflow.report.results import (
    Baseline,
    MethodInformation,
    MethodReport,
    Report,
    read_report,
)
from madminer_workflow.statistics.quantiles import chi2_quantile
from madminer_workflow.statistics.results import JointFit, Limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["rate_and_shape", "shape"]
"""The likelihood: of the number of events and their distribution, or of the distribution alone."""

Data = Literal["expected", "observed"]
"""The data: expected for the assumed truth, or observed."""


@dataclass(frozen=True)
class Scan:
    """The test statistic q = −2 log L(theta)/L(best fit) on a grid of one or two parameters.

    ``axes`` are the values of each of ``parameters``; ``q`` has one value per grid point, with the
    shape (n_points,) or (n_first, n_second), and is NaN where it is not finite.
    """

    parameters: tuple[str, ...]
    axes: tuple[np.ndarray, ...]
    q: np.ndarray

    def threshold(self, level: float | str) -> float:
        """The value of q at which limits with this confidence level end: a quantile of χ²."""
        return chi2_quantile(float(level), len(self.parameters))


class Run:
    """The results of a run: ``report`` contains all of them, typed.

    A ``method`` is the name of a method in the analysis file, or of a baseline: "truth", the
    parton-level ceiling, or "rate", the number of events alone.
    """

    def __init__(self, directory: Path, results: Path) -> None:
        """Read ``results``; models are looked for in ``directory``: see ``load_run``."""
        self.directory = directory
        self.report: Report = read_report(results)

    def __repr__(self) -> str:
        """The folder of the run, and its methods."""
        return f"<Run {self.directory}: {', '.join(self.methods)}>"

    @property
    def parameters(self) -> list[str]:
        """The parameters, in the order of all arrays."""
        return self.report.parameters

    @property
    def methods(self) -> list[str]:
        """The methods that have results, in the order of the analysis file."""
        return [method.name for method in self.report.methods]

    @property
    def levels(self) -> list[str]:
        """The confidence levels as written in ``Limits``, lowest first."""
        return self.report.levels

    @cached_property
    def analysis(self) -> Analysis:
        """The analysis with all defaults, and with the changes made for this run."""
        return read_struct(self.directory / "ml/sampling/analysis.json", "sampling", Analysis)

    def limits(self, method: str, kind: Kind = "rate_and_shape", data: Data = "expected") -> Limits:
        """Best fit, intervals by parameter and level, and the contributions to their errors.

        Raises InputError if there are none, for example because there are no observed data.
        """
        subject = self._subject(method)
        limits = subject.limits if data == "expected" else subject.observed or {}
        if kind not in limits:
            raise InputError(f"{method}: has no {data} limits from {kind}")
        return limits[kind]

    def information(self, method: str, profiled: bool = False) -> MethodInformation:
        """The Fisher information at ``fisher.theta`` of the analysis, with errors.

        Nuisance parameters are fixed, or ``profiled``. Raises InputError if there are none to
        profile.
        """
        subject = self._method(method)
        information = (
            subject.fisher_information_profiled if profiled else subject.fisher_information
        )
        if information is None:
            raise InputError(f"{method}: has no nuisance parameters to profile")
        return information

    def fit(self, method: str, data: Data = "expected") -> JointFit:
        """The fit of parameters and nuisance parameters: pulls, impacts, correlations, ranking.

        Raises InputError if there are no nuisance parameters, or no such data.
        """
        fits = self._method(method).joint_fits or {}
        if data not in fits:
            raise InputError(
                f"{method}: has no fit of nuisance parameters to {data} data; the best fit of the "
                "parameters is in its limits"
            )
        return fits[data]

    def scan(
        self,
        method: str,
        *parameters: str,
        kind: Kind = "rate_and_shape",
        data: Data = "expected",
        profiled: bool = True,
    ) -> Scan:
        """q on the grid of one or two of the parameters, as shown in profiles and contours.

        The other parameters are ``profiled``, or fixed at the grid points nearest to the assumed
        truth.
        """
        subject = self._subject(method)
        curves = subject.curves if data == "expected" else subject.observed_curves or {}
        if kind not in curves:
            raise InputError(f"{method}: has no {data} test statistic from {kind}")
        for name in parameters:
            if name not in self.parameters:
                raise InputError(unknown("parameter", name, self.parameters))
        axes = tuple(np.array(self.report.grid[name]) for name in parameters)
        if len(parameters) == 1:
            along = curves[kind].profiles if profiled else curves[kind].slices
            return Scan(parameters, axes, np.array(along[parameters[0]], dtype=float))
        planes = curves[kind].pairs if profiled else curves[kind].slice_pairs
        for plane in planes:
            if set(plane.parameters) == set(parameters) and len(parameters) == 2:
                q = np.array(plane.q, dtype=float)
                return Scan(parameters, axes, q if plane.parameters == parameters else q.T)
        raise InputError(f"expected one parameter or two of {', '.join(self.parameters)}")

    def model(self, method: str) -> Model:
        """The trained ensemble of a method; InputError if the run does not contain it."""
        self._method(method)
        return Model(self._members(method))

    def evaluated(self, method: str) -> Results:
        """The results of `evaluating` for a method: all numbers, and arrays of the test events.

        The arrays include ``arrays["x_test"]`` (n_events, n_observables), the weights in pb at the
        assumed truth, ``arrays["weights_test"]`` (n_events,), and the outputs of the method.
        """
        self._method(method)
        return read_results(self._members(method)[0].parents[1] / "evaluating" / RESULTS)

    @cached_property
    def figures(self) -> dict[str, str]:
        """The names of all figures that can be drawn, with their captions."""
        from madminer_workflow.report.redrawing import figures_of

        return {plot.name: plot.caption for plot in figures_of(self.report)}

    def draw(
        self,
        figure: str,
        file: str | Path | None = None,
        methods: Sequence[str] = (),
        style: str | None = None,
        ax: Axes | Sequence[Axes] | np.ndarray | None = None,
    ) -> Figure:
        """Draw a figure of the report, and write it to ``file`` (.png, .pdf, .svg) if given.

        ``methods`` are the methods to show, all by default; ``style`` is a matplotlib style on top
        of ours, by name or as a file. The result is a matplotlib figure, whose ``axes`` can be
        modified.

        With ``ax``, the figure is drawn in these axes: those of its panel, or a sequence or array
        of them, one for each of its panels. Settings of matplotlib stay as they are, except for
        ``style``, and the result is the figure that the axes belong to. The figures ``corner_*``
        and ``slices_*`` of several parameters, ``observable_*`` and ``goodness_of_fit`` arrange
        their panels themselves and cannot be drawn in other axes.

        Raises InputError for an unknown name, or for too few or too many axes.
        """
        from madminer_workflow.report import redrawing
        from madminer_workflow.report.figures import style as figure_style

        report = redrawing.subset(self.report, methods) if methods else self.report
        [plot] = redrawing.figures_of(report, [figure])
        look = redrawing.settings(style) if style else {}
        if ax is not None:
            axes = list(np.asarray(ax, dtype=object).ravel())
            redrawing.draw_into(plot, axes, look)
            whole = figure_style.root(axes[0])
            if file is not None:
                whole.savefig(file)
            return whole
        with redrawing.drawn(plot, look) as drawn:
            figure_style.keep_fonts(drawn)
            if file is not None:
                drawn.savefig(file)
            return drawn

    def _subject(self, name: str) -> MethodReport | Baseline:
        baselines = self.report.baselines
        known = {one.name: one for one in (baselines.truth, baselines.rate)}
        return known[name] if name in known and name not in self.methods else self._method(name)

    def _method(self, name: str) -> MethodReport:
        known = {method.name: method for method in self.report.methods}
        if name not in known:
            raise InputError(unknown("method", name, known))
        return known[name]

    def _members(self, method: str) -> list[Path]:
        """The archives of a method's members."""
        archives = self.directory.glob(f"ml/method_*/training_*/{ARCHIVE}")
        members = [
            archive
            for archive in sorted(archives, key=natural_order)
            if note_in(archive).settings.name == method
        ]
        if not members:
            raise InputError(f"{self.directory}: has no {ARCHIVE} of {method} in ml/")
        return members


def load_run(place: str | Path) -> Run:
    """Load a run from its work directory or, without models, from ml/plotting or results.json.

    Raises InputError if the run has not finished.
    """
    directory = Path(place)
    if directory.is_file():
        return Run(directory.parent, directory)
    inside = directory / "ml" / "plotting" / "results.json"
    alone = directory / "results.json"
    return Run(directory, alone if alone.exists() and not inside.exists() else inside)
