"""Fixes of MadMiner's set-up file; they import no torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from madminer_workflow.madminer_fixes.replacing import fix


def save_systematics_without_scale() -> None:
    """Let a set-up with norm or PDF uncertainties be saved (madminer issue 565).

    ``save_madminer_settings`` asks every uncertainty for ``scale.value``, but only those of effect
    scale have a scale; and it hands h5py numbers and text in one list of values.
    """
    from madminer.core import madminer

    @fix(madminer, "save_madminer_settings")
    def save_madminer_settings(
        original: Any, *, systematics: Mapping[str, Any], **settings: Any
    ) -> None:
        complete = {
            name: SimpleNamespace(
                name=systematic.name,
                type=systematic.type,
                value=str(systematic.value),
                scale=systematic.scale or SimpleNamespace(value=None),
            )
            for name, systematic in systematics.items()
        }
        original(systematics=complete, **settings)


def load_systematics_without_scale() -> None:
    """Let a set-up with norm or PDF uncertainties be loaded, and with the values that were saved.

    ``load_madminer_settings`` finds no scale named None. All values come back as bytes, which
    end up in MadGraph's run card as ``b'...'`` (madminer issue 523); those of effect norm are
    numbers.
    """
    from madminer.models import SystematicScale
    from madminer.utils.interfaces import hdf5

    @fix(hdf5, "_load_systematics")
    def _load_systematics(original: Any, file_name: str) -> tuple[list, list, list, list]:
        names, types, values, scales = original(file_name)
        texts = [value.decode("ascii") for value in values]
        numbers = [float(t) if kind == "norm" else t for t, kind in zip(texts, types, strict=True)]
        return names, types, numbers, scales

    def from_str(value: str | None) -> Any:
        return None if value is None else SystematicScale.from_str(value)

    hdf5.SystematicScale = SimpleNamespace(from_str=from_str)
