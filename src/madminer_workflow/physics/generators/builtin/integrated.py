"""An integrated process on disk: all that drawing events needs, without adapting anything again."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow.analysis.systematics import Variation
from madminer_workflow.analysis.types import RunSettings
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_struct, write_json
from madminer_workflow.physics.generators.builtin.pdf import PartonDensities
from madminer_workflow.physics.generators.builtin.sampling import Channel


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
                name: {key: value for key, value in vars(channel).items() if key != "grid"}
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
                f"{directory}: holds no integrated process; run the generate step first"
            ) from None
        return _read(directory, modified)


class _Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """The file of numbers; ``benchmarks`` is a list because their order is needed."""

    process: str
    settings: RunSettings
    benchmarks: list[tuple[str, dict[str, float]]]
    coefficients: list[list[float]]
    channels: dict[str, dict[str, float]]
    reference: str
    variations: list[Variation]


@functools.lru_cache(maxsize=4)
def _read(directory: Path, modified: int) -> IntegratedProcess:
    numbers = read_struct(directory / "integration.json", "generate", _Numbers)
    benchmarks = dict(numbers.benchmarks)
    with np.load(directory / "integration.npz") as arrays:
        densities, grids = PartonDensities(arrays["densities"]), arrays["grids"]
    return IntegratedProcess(
        process=numbers.process,
        settings=numbers.settings,
        densities=densities,
        benchmarks=benchmarks,
        coefficients=np.array(numbers.coefficients),
        channels={
            name: Channel(grid=grid, **numbers.channels[name])
            for name, grid in zip(benchmarks, grids, strict=True)
        },
        reference=numbers.reference,
        variations=numbers.variations,
    )
