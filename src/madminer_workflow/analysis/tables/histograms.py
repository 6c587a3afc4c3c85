"""Histograms of ROOT files that say how many events there were before cuts: cut flows."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from madminer_workflow.analysis.tables import reading
from madminer_workflow.errors import InputError
from madminer_workflow.expressions import nearest_name

_WHAT = "a ROOT file"
_BIN = re.compile(r"(?P<name>.*[^\]\s])\s*\[(?P<bin>[^\[\]]+)\]")
_HISTOGRAM = re.compile(r"TH1[CSILFD]|TProfile")


def bin_content(path: Path, text: str) -> float:
    """The content of a bin of a histogram: ``NAME[LABEL]``, ``NAME[0]``, or ``NAME``, its first.

    Raises InputError if the file or the bin is not there, or what it holds is not above 0.
    """
    match = _BIN.fullmatch(text.strip())
    name, place = (match["name"], match["bin"].strip()) if match else (text.strip(), "0")
    histograms = histograms_in(path)
    if name not in histograms:
        nearest = nearest_name(name, histograms)
        hint = f"; did you mean '{nearest}'?" if nearest else ""
        there = f" (it has {', '.join(histograms)})" if 0 < len(histograms) <= 10 else ""
        raise InputError(f"{path}: has no one-dimensional histogram '{name}'{hint}{there}")
    bins = histograms[name]
    labels = [label for label, _ in bins]
    if place in labels:
        value = bins[labels.index(place)][1]
    elif place.isdigit() and int(place) < len(bins):
        value = bins[int(place)][1]
    else:
        named = ", ".join(filter(None, labels)) or "without labels"
        raise InputError(f"{path}: {name} has no bin '{place}': it has {len(bins)} bins, {named}")
    if not (math.isfinite(value) and value > 0.0):
        raise InputError(f"{path}: {text} is {value:.6g}; expected a sum of weights above 0")
    return value


def histograms_in(path: Path) -> dict[str, list[tuple[str, float]]]:
    """The histograms of one dimension in a file: labels and contents of their bins.

    Those without a label have none. Raises InputError if the file cannot be read.
    """
    import uproot

    if path.suffix != ".root":
        raise InputError(f"{path}: is not a ROOT file, and only ROOT files have histograms")
    with reading(path, _WHAT), uproot.open(path) as file:
        classes = file.classnames(cycle=False)
        return {
            name: _bins(file[name]) for name, kind in classes.items() if _HISTOGRAM.fullmatch(kind)
        }


def _bins(histogram: Any) -> list[tuple[str, float]]:
    contents = histogram.values().tolist()
    labels = histogram.axis().labels() or [""] * len(contents)
    return [*zip(labels, contents, strict=False)]
