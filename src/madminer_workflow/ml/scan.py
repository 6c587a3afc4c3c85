"""What an ensemble, and each of its members, thinks of data sets at parameter points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from madminer_workflow.ml import methods
from madminer_workflow.ml.model import model_settings
from madminer_workflow.statistics.likelihood import DataSets, Density, chunks, log_likelihoods
from madminer_workflow.statistics.problem import Problem


def densities(
    directories: Sequence[Path], problem: Problem, thetas: np.ndarray, members: bool
) -> Iterator[tuple[np.ndarray, list[Density]]]:
    """Parameter points in chunks, each with the densities of the ensemble and, if asked, members.

    The ensemble's are made of the mean of its members' outputs.
    """
    settings = model_settings(directories[0])
    method = methods.get(settings["method"])
    n_events = len(problem.test) + len(problem.observed or ())
    for chunk in chunks(thetas, n_events):
        outputs = [method.outputs(directory, problem, chunk) for directory in directories]
        mean = {name: np.mean([each[name] for each in outputs], axis=0) for name in outputs[0]}
        every = [mean, *outputs] if members else [mean]
        owners = [directories[0], *directories]
        yield (
            chunk,
            [
                method.density(each, problem, settings, chunk, owner)
                for each, owner in zip(every, owners, strict=False)
            ],
        )


def scan(
    directories: Sequence[Path],
    problem: Problem,
    thetas: np.ndarray,
    data: Sequence[DataSets],
    members: bool = False,
    profiled: bool = True,
) -> list[dict[str, np.ndarray]]:
    """Log likelihoods of each of ``data`` by kind: (1 + n_members, n_sets, n_thetas).

    The first row is the ensemble's; without ``members`` it is the only one.
    """
    pieces: list[dict[str, list[np.ndarray]]] = [{} for _ in data]
    for chunk, rows in densities(directories, problem, thetas, members):
        for piece, sets in zip(pieces, data, strict=True):
            found = [log_likelihoods(row, sets, problem, chunk, profiled) for row in rows]
            for kind in found[0]:
                piece.setdefault(kind, []).append(np.array([each[kind] for each in found]))
    return [
        {kind: np.concatenate(arrays, axis=-1) for kind, arrays in piece.items()}
        for piece in pieces
    ]
