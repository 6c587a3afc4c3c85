"""Evaluate MadGraph's compiled matrix elements, summed over helicities.

Instructions: ``directory`` (with all_matrix2py, ident_card.dat and param_card.dat), ``cards`` (for
every point a list of [parameter as MadGraph calls it, value]), ``events`` (numpy archive) and
``output`` (numpy array). The archive holds ``pdgid`` and ``incoming`` (n_particles,), ``momenta``
(n_particles, 4) as E, px, py, pz, ``sizes`` (n_events,), the number of external particles of every
event, ``process`` (n_events,) and ``alpha_s`` (n_events,). The result is (n_events, n_points),
with the first point evaluated again as the last column.
"""

# MadGraph's interpreter may be older than zip's "strict".
# ruff: noqa: B905

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np


def main(settings: dict[str, Any]) -> None:
    """Follow the instructions."""
    os.chdir(settings["directory"])
    sys.path.insert(0, settings["directory"])
    code = import_module("all_matrix2py")
    code.initialise("param_card.dat")
    with np.load(settings["events"]) as arrays:
        events = list(arrange(Orders(code), **arrays))
    cards = settings["cards"]
    result = np.zeros((len(events), len(cards) + 1))
    for column, card in enumerate([*cards, cards[0]]):
        for name, value in card:
            # This, unlike reading a card, also makes the code find the non-zero helicities again.
            code.change_para(name, value)
        code.update_all_coup()
        for row, (pdgids, process, momenta, alpha_s) in enumerate(events):
            result[row, column] = code.smatrixhel(pdgids, process, momenta, alpha_s, 0.0, -1)
    np.save(settings["output"], result)


class Orders:
    """The order of external particles in the matrix element of an event's flavours."""

    def __init__(self, code: Any) -> None:
        """Ask the compiled ``code`` for its processes."""
        orders, processes = code.get_pdg_order()
        prefixes = [b"".join(np.atleast_1d(name).tolist()) for name in code.get_prefix()]
        self.known: dict[Any, list[Any]] = {}
        for order, process, prefix in zip(orders.tolist(), processes.tolist(), prefixes):
            pdgids = [pdgid for pdgid in order if pdgid != 0]
            key = (tuple(sorted(pdgids[:2])), tuple(sorted(pdgids[2:])))
            self.known.setdefault(key, []).append((process, prefix, pdgids))

    def find(
        self, incoming: Sequence[int], outgoing: Sequence[int], process: int
    ) -> tuple[list[int], int]:
        """The PDG ids in order, and the process number where that is needed to be unambiguous."""
        key = (tuple(sorted(incoming)), tuple(sorted(outgoing)))
        if key not in self.known:
            raise SystemExit("no matrix element for {} -> {}".format(*key))
        elements = self.known[key]
        if len({prefix for _, prefix, _ in elements}) == 1:
            return elements[0][2], -1
        chosen = [element for element in elements if element[0] == process]
        if len({prefix for _, prefix, _ in chosen}) != 1:
            raise SystemExit("more than one matrix element for {} -> {}".format(*key))
        return chosen[0][2], process


def arrange(
    orders: Orders,
    pdgid: np.ndarray,
    incoming: np.ndarray,
    momenta: np.ndarray,
    sizes: np.ndarray,
    process: np.ndarray,
    alpha_s: np.ndarray,
) -> Iterator[tuple[list[int], int, np.ndarray, float]]:
    """Yield PDG ids, process number, momenta (4, n_particles) and alpha_s of every event.

    Momenta are in the order of the matrix element and in the frame of the colliding partons.
    """
    stop = np.cumsum(sizes)
    for first, last, number, coupling in zip(stop - sizes, stop, process, alpha_s):
        ids, external = pdgid[first:last].tolist(), momenta[first:last]
        sides = incoming[first:last].tolist()
        order, number = orders.find(
            [i for i, side in zip(ids, sides) if side],
            [i for i, side in zip(ids, sides) if not side],
            int(number),
        )
        free = set(range(len(ids)))
        chosen = []
        for position, wanted in enumerate(order):
            index = next(i for i in sorted(free) if ids[i] == wanted and sides[i] == (position < 2))
            free.remove(index)
            chosen.append(index)
        yield order, number, np.asfortranarray(boost(external[chosen]).T), float(coupling)


def boost(momenta: np.ndarray) -> np.ndarray:
    """Momenta (n, 4) as E, px, py, pz in the rest frame, along z, of the first two."""
    energy, _, _, pz = momenta[0] + momenta[1]
    mass = np.sqrt((energy - pz) * (energy + pz))
    boosted = momenta.copy()
    boosted[:, 0] = (energy * momenta[:, 0] - pz * momenta[:, 3]) / mass
    boosted[:, 3] = (energy * momenta[:, 3] - pz * momenta[:, 0]) / mass
    return boosted
