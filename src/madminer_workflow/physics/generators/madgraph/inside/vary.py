"""Weights at other scales and with other parton densities, by MadGraph's systematics module.

Instructions: ``madgraph`` (directory), ``lhapdf_config``, ``lhapdf_id`` (the densities of the
events), ``variations``: a list of [factor on the renormalisation scale, factor on the factorisation
scale, LHAPDF set or null for the events' own densities, member], ``events`` (MadGraph's file, or
null to only see whether all that is needed is there) and ``output``. The result is
(n_events, n_variations), relative to the events' own weights; without events it is a JSON
file with ``problem``, a text or null.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

import numpy as np

INSTALL = (
    "'lhapdf install NAME' installs a set; set LHAPDF_DATA_PATH for sets outside LHAPDF's own "
    "directory"
)


def main(settings: dict[str, Any]) -> None:
    """Follow the instructions."""
    sys.path.insert(0, settings["madgraph"])
    if settings["events"] is None:
        with open(settings["output"], "w") as file:
            json.dump({"problem": problem(settings)}, file)
    else:
        np.save(settings["output"], ratios(settings))


def problem(settings: dict[str, Any]) -> str | None:
    """What is missing, in words."""
    misc = import_module("madgraph.various.misc")
    lhapdf = misc.import_python_lhapdf(settings["lhapdf_config"])
    if not lhapdf:
        return (
            f"its Python module cannot be imported by MadGraph's interpreter, {sys.executable}; "
            "build it with PYTHON set to that interpreter"
        )
    try:
        lhapdf.mkPDF(settings["lhapdf_id"])
    except RuntimeError as error:
        number = settings["lhapdf_id"]
        return f"the parton densities of the events, set {number}, are missing ({error}); {INSTALL}"
    for _, _, name, member in settings["variations"]:
        try:
            lhapdf.mkPDF(name, member) if name else None
        except RuntimeError as error:
            return f"member {member} of {name} is missing ({error}); {INSTALL}"
    return None


def ratios(settings: dict[str, Any]) -> np.ndarray:
    """Varied over nominal weights."""
    module = import_module("madgraph.various.systematics")
    config = settings["lhapdf_config"]
    systematics = module.Systematics(
        settings["events"], None, mur=[1], muf=[1], pdf="central", dyn=[-1], lhapdf_config=config
    )
    lhapdf = import_module("lhapdf")
    nominal = systematics.orig_pdf
    points = [(1.0, 1.0, nominal)]
    for mur, muf, name, member in settings["variations"]:
        points.append((mur, muf, lhapdf.mkPDF(name, member) if name else nominal))
    rows = []
    for event in systematics.input:
        systematics.new_event()
        weights = [
            systematics.get_lo_wgt(event, mur, muf, 1.0, -1, pdf) for mur, muf, pdf in points
        ]
        rows.append(np.array(weights[1:]) / weights[0])
    return np.array(rows).reshape(-1, len(points) - 1)
