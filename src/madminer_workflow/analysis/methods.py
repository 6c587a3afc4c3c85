"""The meaning of ``ml.methods``: names, priors, bins, and what their estimators demand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from madminer_workflow.analysis.morphing import highest_powers
from madminer_workflow.analysis.problems import Entry, Finding, KeyPath
from madminer_workflow.analysis.sound import Sound, complete, duplicates, known, point
from madminer_workflow.analysis.types import score_axes


def _methods(sound: Sound) -> Iterator[Finding]:
    reference = sound.get("ml", "theta_ref")
    if reference is not None:
        yield from known(("ml", "theta_ref"), "benchmark", reference, sound.benchmarks)
    yield from duplicates(sound, ("ml", "methods"), "name")
    for path, method in sound.entries("ml", "methods"):
        for key in ("theta", "theta1"):
            if isinstance(method.get(key), str):
                yield from point((*path, key), method[key], sound)
        for key in ("observables", "features"):
            for i, name in enumerate(method.get(key) or ()):
                yield from known((*path, key, i), "observable", name, sound.observables)
        if set(method.get("observables", ())) <= set(sound.observables):
            bins = method.get("bins", {})
            yield from _bins((*path, "bins"), bins, method.get("observables", []))
        if "binning" in method and sound.parameters:
            bins = method["binning"]["bins"]
            axes = score_axes(method["binning"].get("kind"), sound.parameters)
            yield from _bins((*path, "binning", "bins"), bins, axes)
        for key in ("theta0", "theta1"):
            if isinstance(method.get(key), dict):
                yield from _priors((*path, key, "priors"), method[key]["priors"], sound)
        if "theta0" in method:
            yield from _grid(method, sound)
        rates = method.get("training", {})
        if rates.get("final_lr", 0.0) > rates.get("initial_lr", 1.0):
            message = f"expected at most initial_lr, {rates['initial_lr']:g}: learning slows down"
            yield Finding((*path, "training", "final_lr"), message)


def _split(sound: Sound) -> Iterator[Finding]:
    """Check that there are events and samples to learn from, and others to judge by."""
    share, processes = sound.get("ml", "test_split"), sound.get("processes")
    # How many events there are in files, only these know.
    known = processes is not None and all(entry["generator"] != "files" for entry in processes)
    events = [sum(process["events"].values()) for process in processes or () if known]
    if share is None or not events:
        return
    for kind, part in (("test", share), ("training", 1.0 - share)):
        if sum(events) * part < 1.0:
            message = f"leaves no {kind} events out of {sum(events)} generated events"
            yield Finding(("ml", "test_split"), message)
            return
    for path, method in sound.entries("ml", "methods"):
        held = method.get("training", {}).get("validation_split")
        if held is not None:
            n = min(method["n_samples"], sum(events) * (1.0 - share))
            for kind, part in (("validation", held), ("training", 1.0 - held)):
                if round(n * part) < 1:
                    message = f"leaves nothing for {kind} out of {n:.0f} samples or events"
                    yield Finding((*path, "training", "validation_split"), message)


def _estimators(sound: Sound) -> Iterator[Finding]:
    for path, method in sound.entries("ml", "methods"):
        estimator, theta1 = method.get("estimator"), method.get("theta1")
        if estimator != "doubly_parameterized" and isinstance(theta1, dict):
            message = (
                f"expected the name of a benchmark: estimator '{estimator}' has one fixed theta1 "
                "(parameter points are for doubly_parameterized)"
            )
            yield Finding((*path, "theta1"), message)
        if estimator == "quadratic_morphing_aware":
            yield from _quadratic(path, theta1, sound)


def _quadratic(path: KeyPath, theta1: Any, sound: Sound) -> Iterator[Finding]:
    """Check that the ratio is (1 + theta A(x))^2 + (theta B(x))^2, up to normalisation."""
    place, parameters = (*path, "estimator"), sound.get("parameters")
    morphing, benchmarks = sound.get("morphing"), sound.get("benchmarks")
    what = "'quadratic_morphing_aware' is for one parameter"
    if parameters is None or morphing is None or benchmarks is None:
        return
    if len(parameters) != 1:
        message = f"{what}, and there are {len(parameters)}; use 'morphing_aware'"
        yield Finding(place, message)
        return
    powers = [parameters[0]["morphing_max_power"]]
    if sound.terms is None:
        return
    (highest,) = highest_powers(powers, morphing["max_overall_power"])
    if highest != 2:
        message = f"{what} of power 2 at most, and here it is {highest}; use 'morphing_aware'"
        yield Finding(place, message)
    point = benchmarks.get(theta1, {}) if isinstance(theta1, str) else {}
    for name, value in point.items():
        if value != 0.0:
            message = f"{what} and theta1 at {name} = 0; the benchmark '{theta1}' is at {value:g}"
            yield Finding((*path, "theta1"), message)


def _bins(path: KeyPath, bins: Any, axes: list[str]) -> Iterator[Finding]:
    if not isinstance(bins, dict):
        return
    for name, edges in bins.items():
        yield from known((*path, name), "axis", name, axes)
        if isinstance(edges, list) and sorted(set(edges)) != edges:
            yield Finding((*path, name), "expected increasing bin edges")


def _priors(path: KeyPath, priors: Entry, sound: Sound) -> Iterator[Finding]:
    yield from complete(path, priors, sound)
    for name, prior in priors.items():
        if prior["prior"] == "flat" and not prior["min"] < prior["max"]:
            message = f"expected min < max, got {prior['min']} and {prior['max']}"
            yield Finding((*path, name), message)


def _grid(method: Entry, sound: Sound) -> Iterator[Finding]:
    """Warn of limits where there were no numerators to learn from."""
    priors = method["theta0"]["priors"]
    for path, axis in sound.entries("ml", "limits", "grid"):
        if path[-1] not in priors:
            continue
        low, high = _trained(priors[str(path[-1])])
        if low <= high and (axis["range"][0] < low or axis["range"][1] > high):
            message = (
                f"{axis['range']} extends beyond the region in which method '{method['name']}' "
                f"is trained, [{low:g}, {high:g}] (3 standard deviations or the ends of its "
                "prior)"
            )
            yield Finding((*path, "range"), message, warning=True)


def _trained(prior: Entry) -> tuple[float, float]:
    if prior["prior"] == "flat":
        return prior["min"], prior["max"]
    return prior["mean"] - 3 * prior["std"], prior["mean"] + 3 * prior["std"]


CHECKS = (_split, _methods, _estimators)
