"""What makes products belong to one analysis, and in which words they do not.

Everything that a step reads knows some of the parts of a ``Fingerprint``: an analysis file has it
from ``of_analysis``, a MadMiner file from ``Setup.fingerprint``; a product keeps the one of what it
was made from, a field of its struct like any other. A step that reads two things compares them::

    require_same(data, found=setup.fingerprint(sample.observables), expected=analysis_fingerprint,
                 remedy="run the physics steps again")
    require_same(model, found=note.fingerprint, expected=problem.fingerprint, whose="the data")

which raises InputError with the first part that differs::

    combined_delphes.h5: belongs to another analysis: its observables are pt, met; expected pt

Parts that one of the two does not know are not compared. A new part is one field here, with its
words in ``_difference``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from madminer_workflow.analysis.systematics import Nuisance, nuisance_parameters
from madminer_workflow.analysis.types import Analysis, Generation
from madminer_workflow.errors import InputError


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parts that products of one analysis have in common; None for what is not known.

    ``benchmarks`` are points in the order of ``parameters``.
    """

    parameters: tuple[str, ...]
    benchmarks: dict[str, tuple[float, ...]] | None = None
    nuisance: tuple[Nuisance, ...] | None = None
    observables: tuple[str, ...] | None = None


def of_analysis(analysis: Analysis | Generation) -> Fingerprint:
    """The fingerprint of an analysis; without observables, where only events are generated."""
    observables = analysis.observables if isinstance(analysis, Analysis) else None
    names = [parameter.parameter_name for parameter in analysis.parameters]
    return Fingerprint(
        parameters=tuple(names),
        benchmarks={
            benchmark: tuple(float(values[name]) for name in names)
            for benchmark, values in analysis.benchmarks.items()
        },
        nuisance=tuple(nuisance_parameters(analysis.systematics)),
        observables=None if observables is None else tuple(entry.name for entry in observables),
    )


def difference(found: Fingerprint, expected: Fingerprint, whose: str = "") -> str | None:
    """Say in what ``found`` differs from ``expected``, that of ``whose``; None if in nothing.

    It may have more benchmarks: MadMiner adds some to those of the analysis file.
    """
    wanted = f"those of {whose} are " if whose else "expected "
    if found.parameters != expected.parameters:
        return _names("parameters", found.parameters, expected.parameters, wanted)
    if found.benchmarks is not None and expected.benchmarks is not None:
        other = _benchmarks(found.benchmarks, expected.benchmarks, whose)
        if other:
            return other
    if not _same(found.nuisance, expected.nuisance):
        return _nuisance(found.nuisance or (), expected.nuisance or (), wanted)
    if not _same(found.observables, expected.observables):
        return _names("observables", found.observables or (), expected.observables or (), wanted)
    return None


def require_same(
    path: str | Path, found: Fingerprint, expected: Fingerprint, whose: str = "", remedy: str = ""
) -> None:
    """Raise InputError unless ``path``, which has the fingerprint ``found``, belongs to the rest.

    ``whose`` is what has the ``expected`` one, if not the analysis; ``remedy`` says what to do.
    """
    if differs := difference(found, expected, whose):
        advice = f"; {remedy}" if remedy else ""
        raise InputError(f"{path}: belongs to another analysis: {differs}{advice}")


def _same(found: object, expected: object) -> bool:
    return found is None or expected is None or found == expected


def _names(what: str, found: Sequence[str], expected: Sequence[str], wanted: str) -> str:
    have, want = (", ".join(names) or "none" for names in (found, expected))
    return f"its {what} are {have}; {wanted}{want}"


def _benchmarks(
    found: Mapping[str, Sequence[float]], expected: Mapping[str, Sequence[float]], whose: str
) -> str | None:
    for name, point in expected.items():
        if name not in found:
            return f"no benchmark {name}"
        if tuple(found[name]) != tuple(point):
            have, want = (", ".join(f"{value:g}" for value in p) for p in (found[name], point))
            wanted = f"that of {whose} is at" if whose else "expected"
            return f"its benchmark {name} is at {have}; {wanted} {want}"
    return None


def _nuisance(found: Sequence[Nuisance], expected: Sequence[Nuisance], wanted: str) -> str:
    """In the analysis file's words, or by the single parameters where these explain it."""
    have, want = ([nuisance.name for nuisance in side] for side in (found, expected))
    if have != want and not wanted.startswith("expected"):
        return _names("nuisance parameters", have, want, wanted)
    have, want = (list(dict.fromkeys(n.systematic for n in side)) for side in (found, expected))
    words = _names("systematic uncertainties", have, want, wanted)
    return f"{words}, all with the same settings"
