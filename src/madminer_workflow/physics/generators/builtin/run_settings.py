"""Beams, generation cuts and scale of a process, with the names of MadGraph's run card."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from madminer_workflow.errors import InputError

_POSITIVE = ("ebeam1", "ebeam2", "etaj", "scale")


@dataclass(frozen=True)
class RunSettings:
    """Energies, momenta and masses in GeV; see the description of ``run`` in the analysis file."""

    ebeam1: float = 6500.0
    ebeam2: float = 6500.0
    ptj: float = 20.0
    etaj: float = 5.0
    drjj: float = 0.4
    mmjj: float = 0.0
    deltaeta: float = 0.0
    fixed_fac_scale: bool = False
    scale: float = 91.188

    @property
    def invariant_s(self) -> float:
        """The squared centre-of-mass energy of the beams [GeV²]."""
        return 4.0 * self.ebeam1 * self.ebeam2


def read_run_settings(run: Mapping[str, Any]) -> RunSettings:
    """Check the ``run`` entry of a process; InputError that lists everything wrong with it."""
    problems = [
        problem for name, value in run.items() if (problem := _problem(name, value)) is not None
    ]
    if problems:
        raise InputError("\n".join(problems))
    return RunSettings(**run)


def _problem(name: str, value: Any) -> str | None:
    known = {field.name: field.type for field in dataclasses.fields(RunSettings)}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"run: unknown setting '{name}'; known are {', '.join(known)}{hint}"
    if known[name] == "bool":
        return (
            None if isinstance(value, bool) else f"run.{name}: is {value}; expected true or false"
        )
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return f"run.{name}: is {value}; expected a finite number"
    if name in _POSITIVE and value <= 0:
        return f"run.{name}: is {value}; expected a number above 0"
    if value < 0:
        return f"run.{name}: is {value}; expected a number of at least 0"
    return None
