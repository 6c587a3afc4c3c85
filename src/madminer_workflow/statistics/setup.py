"""Parameters, benchmarks and morphing: how cross-sections depend on the theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from madminer_workflow.analysis.fingerprint import Fingerprint
from madminer_workflow.analysis.systematics import Nuisance
from madminer_workflow.errors import InputError
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.surplus import Fit


@dataclass(frozen=True)
class Setup:
    """Parameters, benchmarks and morphing of an analysis, and its nuisance parameters.

    ``benchmarks`` has shape (n_benchmarks, n_parameters), ``components`` (the powers of the
    parameters in each morphing component) (n_components, n_parameters) and ``morphing_matrix``
    (n_benchmarks, n_components). These are the physical benchmarks; ``nuisance_benchmarks`` are
    those of the nuisance parameters, in the order of their weights, all at the parameter point of
    the benchmark ``reference``.
    """

    parameters: list[str]
    benchmark_names: list[str]
    benchmarks: np.ndarray
    components: np.ndarray
    morphing_matrix: np.ndarray
    reference: str
    nuisance: list[Nuisance] = field(default_factory=list)
    nuisance_benchmarks: list[str] = field(default_factory=list)

    def fingerprint(self, observables: Sequence[str] | None = None) -> Fingerprint:
        """What makes events with this set-up, and with ``observables``, belong to an analysis."""
        points = map(tuple, self.benchmarks.tolist())
        return Fingerprint(
            parameters=tuple(self.parameters),
            benchmarks=dict(zip(self.benchmark_names, points, strict=True)),
            nuisance=tuple(self.nuisance),
            observables=None if observables is None else tuple(observables),
        )

    @property
    def surplus(self) -> Fit | None:
        """The fit to the benchmarks; None if they are as many as terms, and leave nothing over."""
        if len(self.benchmark_names) == len(self.components):
            return None
        return Fit(Monomials(self.components), self.benchmarks)

    @property
    def basis_matrix(self) -> np.ndarray:
        """The morphing matrix of as many benchmarks as terms, (n_components, n_components)."""
        return self.morphing_matrix if self.surplus is None else self.surplus.basis_matrix()

    @property
    def shifted_benchmarks(self) -> list[str]:
        """The nuisance benchmarks at which other values are measured in events."""
        return [name for one in self.nuisance if one.shifts for name in one.benchmarks]

    @property
    def generated(self) -> Fingerprint:
        """What makes generated events belong to an analysis: objects are not known there."""
        nuisance = [one for one in self.nuisance if not one.of_objects]
        return replace(self.fingerprint(), nuisance=tuple(nuisance))

    @property
    def objects(self) -> Fingerprint:
        """What makes the reconstruction of events belong to an analysis."""
        nuisance = tuple(one for one in self.nuisance if one.of_objects)
        return Fingerprint(parameters=tuple(self.parameters), nuisance=nuisance)

    def morphing_weights(self, theta: np.ndarray) -> np.ndarray:
        """Coefficients w with dsigma(theta) = sum_b w_b dsigma(theta_b).

        ``theta`` has shape (n_parameters,) or (n_thetas, n_parameters); the result
        (n_benchmarks,) or (n_thetas, n_benchmarks). See MadMiner, arXiv:1907.10621, eq. (9).
        """
        return Monomials(self.components).values(theta) @ self.morphing_matrix.T

    def morphing_gradients(self, theta: np.ndarray) -> np.ndarray:
        """Derivatives of ``morphing_weights``, shape (..., n_parameters, n_benchmarks).

        ``theta`` has shape (..., n_parameters): one point, or many.
        """
        return Monomials(self.components).gradients(theta) @ self.morphing_matrix.T

    def theta(self, point: str | Mapping[str, float]) -> np.ndarray:
        """The parameter point, shape (n_parameters,), of a benchmark name or of named values.

        Raises InputError for a benchmark or parameters that the analysis does not have.
        """
        if not isinstance(point, str):
            if point.keys() != set(self.parameters):
                raise InputError(
                    f"a parameter point has values for {', '.join(point)}; "
                    f"expected {', '.join(self.parameters)}"
                )
            return np.array([float(point[name]) for name in self.parameters])
        if point not in self.benchmark_names:
            raise InputError(
                f"there is no benchmark {point}; expected one of {', '.join(self.benchmark_names)}"
            )
        return self.benchmarks[self.benchmark_names.index(point)]
