"""Detector response: MadMiner's Gaussian smearing of final-state particles, all events at once.

The meaning is that of MadMiner's ``LHEReader.set_smearing``: the width of each quantity is
``abs + rel * value`` (none if that is not positive), energies below the mass and transverse momenta
below zero are drawn again, and either energy or pT may be left to the on-shell condition. MadMiner
smears always, with zero widths where nothing is set; hence azimuths in [0, 2 pi), and particles
outside the Standard Model are dropped unless a resolution is given for their PDG id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import awkward as ak
import numpy as np

from madminer_workflow.analysis.types import Smearing
from madminer_workflow.errors import InputError

_STANDARD_MODEL = (1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 25)
_SELF_CONJUGATE = (9, 21, 22, 23, 25)
PARTICLE_NAMES: dict[str, tuple[int, ...]] = {
    "e": (11,),
    "mu": (13,),
    "tau": (15,),
    "ta": (15,),
    "l": (11, 13),
    "v": (12, 14, 16),
    "a": (22,),
    "j": (1, 2, 3, 4, 5, 6, 9, 21),
}
"""MadMiner's names and the PDG ids that they mean, particle and antiparticle."""

_QUANTITIES = ("energy", "pt", "eta", "phi")
_ENERGY, _PT, _ETA, _PHI = range(4)
_MAX_DRAWS = 1000


def _with_antiparticles(ids: Sequence[int]) -> list[int]:
    return [
        sign * pdgid
        for pdgid in ids
        for sign in (1, -1)
        if sign > 0 or pdgid not in _SELF_CONJUGATE
    ]


ELEMENTARY_IDS = frozenset(_with_antiparticles(_STANDARD_MODEL))
"""The PDG ids that MadMiner knows: quarks, leptons, gauge and Higgs bosons, and antiparticles."""


class BlockRandom:
    """Random numbers for blocks of events that follow one another, each with its own generator."""

    def __init__(self, generators: Sequence[np.random.Generator], n_events: Sequence[int]):
        """Take a generator and the number of events of each block."""
        self._generators = generators
        self._ends = np.cumsum(n_events)

    @classmethod
    def of(cls, random: np.random.Generator | BlockRandom, n_events: int) -> BlockRandom:
        """``random`` itself, or with one generator for all events."""
        return random if isinstance(random, BlockRandom) else cls([random], [n_events])

    def blocks(self, event: np.ndarray) -> Iterator[tuple[np.random.Generator, slice]]:
        """Each generator with the entries of its block, where ``event`` (n,) ascends."""
        ends = np.searchsorted(event, self._ends).tolist()
        for generator, start, end in zip(self._generators, [0, *ends[:-1]], ends, strict=True):
            yield generator, slice(start, end)


def smear(
    particles: ak.Array, smearing: Sequence[Smearing], random: np.random.Generator | BlockRandom
) -> ak.Array:
    """Return the measured particles (n_events, var): pt, phi, eta, e, pdgid, spin.

    `particles` are Momentum4D with pdgid and spin; `smearing` is ``detector.smearing`` of the
    analysis file, of which the last entry for a PDG id holds. Particles exactly along the beam are
    lost. Either energy or pT may be left to the on-shell condition, as the file is checked for.
    """
    flat = ak.flatten(particles, axis=1)
    event = np.repeat(np.arange(len(particles)), np.asarray(ak.num(particles, axis=1)))
    pdgid = np.asarray(flat.pdgid)
    table = _resolutions(smearing)
    measured = np.isin(pdgid, list(table)) & (np.asarray(flat.pt) > 0.0)
    flat, event, pdgid = flat[measured], event[measured], pdgid[measured]

    known, index = np.unique(pdgid, return_inverse=True)
    resolutions = np.array([table[int(i)] for i in known]).reshape(-1, 4, 2)[index]
    blocks = list(BlockRandom.of(random, len(particles)).blocks(event))
    fields = _smear_momenta(flat, resolutions, blocks)
    fields |= {"pdgid": pdgid, "spin": np.asarray(flat.spin)}
    smeared = ak.zip(fields, with_name="Momentum4D")
    return ak.unflatten(smeared, np.bincount(event, minlength=len(particles)))


def _resolutions(smearing: Sequence[Smearing]) -> dict[int, np.ndarray]:
    """Return (4 quantities, abs and rel) for each PDG id; NaN marks the on-shell condition."""
    table = {pdgid: np.zeros((4, 2)) for pdgid in ELEMENTARY_IDS}
    for entry in smearing:
        values = np.array(
            [
                [getattr(entry, f"{quantity}_resolution_{part}") for part in ("abs", "rel")]
                for quantity in _QUANTITIES
            ],
            dtype=float,
        )
        table |= dict.fromkeys(_pdgids(entry.particles), values)
    return table


def _pdgids(names: Sequence[str | int] | None) -> list[int]:
    if names is None:
        return sorted(ELEMENTARY_IDS)
    pdgids: list[int] = []
    for name in names:
        pdgids += [name] if isinstance(name, int) else _with_antiparticles(PARTICLE_NAMES[name])
    return pdgids


Blocks = Sequence[tuple[np.random.Generator, slice]]


def _smear_momenta(
    flat: ak.Array, resolutions: np.ndarray, blocks: Blocks
) -> dict[str, np.ndarray]:
    """Smear each quantity (n,) of a flat list, then close the mass-shell where asked for."""
    mass, true_e = np.asarray(flat.m), np.asarray(flat.e)
    true_pt, true_eta, true_phi = (np.asarray(getattr(flat, name)) for name in ("pt", "eta", "phi"))
    no_e, no_pt = (np.isnan(resolutions[:, i]).any(axis=1) for i in (_ENERGY, _PT))
    e = _draw(true_e, resolutions[:, _ENERGY], np.where(no_pt, mass, 0.0), blocks)
    pt = _draw(true_pt, resolutions[:, _PT], np.zeros(len(mass)), blocks)
    eta = _draw(true_eta, resolutions[:, _ETA], np.full(len(mass), -np.inf), blocks)
    phi = _draw(true_phi, resolutions[:, _PHI], np.full(len(mass), -np.inf), blocks)

    momentum_squared = (pt * np.cosh(eta)) ** 2
    on_shell_e = np.sqrt(np.maximum(momentum_squared + mass * np.abs(mass), 0.0))
    on_shell_pt = np.sqrt(np.maximum(e**2 - mass**2, 0.0)) / np.cosh(eta)
    return {
        "pt": np.where(no_pt, np.where(e > mass, on_shell_pt, 0.0), pt),
        "phi": np.mod(phi, 2.0 * np.pi),
        "eta": eta,
        "e": np.where(no_e, on_shell_e, e),
    }


def _draw(
    true: np.ndarray, resolution: np.ndarray, minimum: np.ndarray, blocks: Blocks
) -> np.ndarray:
    """Add Gaussian noise to (n,) values, drawing those not above `minimum` again."""
    width = resolution[:, 0] + resolution[:, 1] * true
    values = true.copy()
    for rng, block in blocks:
        _draw_block(rng, true[block], width[block], minimum[block], values[block])
    return values


def _draw_block(
    rng: np.random.Generator,
    true: np.ndarray,
    width: np.ndarray,
    minimum: np.ndarray,
    values: np.ndarray,
) -> None:
    """Put the values of one block in their place."""
    pending = np.flatnonzero(width > 0.0)
    for _ in range(_MAX_DRAWS):
        if not len(pending):
            return
        values[pending] = rng.normal(true[pending], width[pending])
        pending = pending[values[pending] <= minimum[pending]]
    raise InputError(
        f"smearing an energy or pT of {true[pending[0]]:g} GeV by {width[pending[0]]:g} GeV never "
        f"gives more than {minimum[pending[0]]:g} GeV: unphysical events or resolutions"
    )
