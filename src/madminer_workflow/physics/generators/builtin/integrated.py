"""An integrated process on disk: all that drawing events needs, without adapting anything again."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow.analysis.systematics import Variation
from madminer_workflow.analysis.types import RunSettings
from madminer_workflow.array_files import Checked, read_npz, reading
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_struct, write_json
from madminer_workflow.physics.generators.builtin.hard_process import hard_process
from madminer_workflow.physics.generators.builtin.pdf import PartonDensities
from madminer_workflow.physics.generators.builtin.sampling import Channel
from madminer_workflow.products.fields import NotNegative, Positive


@dataclass(frozen=True)
class IntegratedProcess:
    """Settings, parton densities, and for every benchmark what was learned by integrating it.

    ``coefficients`` (n_benchmarks, n_known) are the values in the parameter card, in the order of
    ``benchmarks``, whose names are those of ``channels``. ``variations`` of the scales are
    evaluated at the benchmark ``reference``, or where the events are drawn if it is not among them.
    """

    process: str
    settings: RunSettings
    densities: PartonDensities
    benchmarks: dict[str, dict[str, float]]
    coefficients: np.ndarray
    channels: dict[str, Channel]
    reference: str
    variations: list[Variation]

    def save(self, directory: Path) -> None:
        """Write ``integration.json`` (numbers) and ``integration.npz`` (arrays)."""
        numbers = _Numbers(
            process=self.process,
            settings=self.settings,
            benchmarks=list(self.benchmarks.items()),
            coefficients=self.coefficients.tolist(),
            channels={
                name: _Channel(
                    **{key: value for key, value in vars(channel).items() if key != "grid"}
                )
                for name, channel in self.channels.items()
            },
            reference=self.reference,
            variations=self.variations,
        )
        write_json(directory / "integration.json", msgspec.to_builtins(numbers))
        np.savez(
            directory / "integration.npz",
            densities=self.densities.coefficients,
            grids=np.stack([channel.grid for channel in self.channels.values()]),
        )

    @staticmethod
    def load(directory: Path) -> IntegratedProcess:
        """Read what ``save`` wrote, from memory if it has not changed since the last call."""
        try:
            modified = (directory / "integration.json").stat().st_mtime_ns
        except OSError:
            raise InputError(
                f"{directory}: contains no integrated process; run the generate step first"
            ) from None
        return _read(directory, modified)


class _Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The numbers of a ``Channel``."""

    cross_section: Positive
    error: NotNegative
    maximum: Positive
    efficiency: Positive
    fraction_above_maximum: NotNegative


class _Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """The file of numbers; ``benchmarks`` is a list because their order is needed."""

    process: str
    settings: RunSettings
    benchmarks: list[tuple[str, dict[str, float]]]
    coefficients: list[list[float]]
    channels: dict[str, _Channel]
    reference: str
    variations: list[Variation]


@functools.lru_cache(maxsize=4)
def _read(directory: Path, modified: int) -> IntegratedProcess:
    numbers = read_struct(directory / "integration.json", "generate", _Numbers)
    benchmarks = dict(numbers.benchmarks)
    file = directory / "integration.npz"
    with reading(file, "is not the file that generate writes"):
        arrays, check = read_npz(file), Checked(benchmarks=len(benchmarks))
        densities = PartonDensities(check.of(arrays, "densities", *PartonDensities.SHAPE))
        dimensions = hard_process(numbers.process).DIMENSIONS
        grids = check.of(arrays, "grids", "benchmarks", dimensions, "increments", least=0.0)
        coefficients = check(
            "coefficients",
            np.array(numbers.coefficients, dtype=float),
            "benchmarks",
            len(hard_process(numbers.process).PARAMETERS),
        )
        if np.any(np.diff(grids, axis=2) <= 0.0) or np.any(grids[..., -1] != 1.0):
            raise ValueError("grids: do not increase from 0 to 1")
        if list(numbers.channels) != sorted(benchmarks):
            raise ValueError("its benchmarks have no channels")
    return IntegratedProcess(
        process=numbers.process,
        settings=numbers.settings,
        densities=densities,
        benchmarks=benchmarks,
        coefficients=coefficients,
        channels={
            name: Channel(grid=grid, **msgspec.structs.asdict(numbers.channels[name]))
            for name, grid in zip(benchmarks, grids, strict=True)
        },
        reference=numbers.reference,
        variations=numbers.variations,
    )
