"""Delphes's ROOT file as the objects of the expression language, read with uproot.

The meaning is that of MadMiner's ``parse_delphes_root_file``: electrons and muons have the masses
0.000511 and 0.105 GeV, jets PDG id 9 and the tags of the file, and the visible momentum is the sum
of electrons, muons, photons and jets that are in the acceptance. Where MadMiner 0.9.6 is at odds
with its own documentation, this module follows the latter:

- lists are sorted by descending pT, in generator truth too, where MadMiner keeps the file's order;
- a lepton of the list ``l`` keeps its own mass and charge: MadMiner sorts only pT, eta and phi of
  muons and electrons, and leaves masses and charges (and so the acceptance) in the old order;
- the acceptance of electrons and muons in generator truth is theirs: MadMiner takes that of photons
  for the lists ``e`` and ``mu``;
- generator truth holds the final state (status 1), not every intermediate copy of a particle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from madminer_workflow.errors import InputError
from madminer_workflow.physics.momenta import register_momenta
from madminer_workflow.physics.objects import Shift, Streams

LISTS = ("e", "mu", "a", "j")
"""The lists of particles that the file has; ``l`` joins the first two."""

_PARTICLES = {"e": 11, "mu": 13, "a": 22, "j": 9}
_BRANCHES = {"e": "Electron", "mu": "Muon", "a": "Photon", "j": "Jet"}
_MASSES = {"e": 0.000511, "mu": 0.105}
_WHOLE_NUMBERS = ("PID", "Status")
_FINAL_STATE = 1


def read_delphes(
    path: Path,
    names: Collection[str],
    attributes: Collection[str] = ("charge", "b_tag", "tau_tag"),
    use_generator_truth: bool = False,
    acceptance: Mapping[str, float | None] | None = None,
) -> Detected:
    """Read what the objects that `names` asks for are made of, and no other branch of the file.

    Tags and charges are read if `attributes` has them. `acceptance` holds MadMiner's limits
    pt_min_e, eta_max_e and so on for mu, a and j; None is no limit. Raises InputError if the file
    cannot be read, or has no branch of a required name.
    """
    import uproot

    register_momenta()
    with _reading(path):
        file = uproot.open(path)
    with file:
        with _reading(path):
            tree = file["Delphes"]
        events = _Events(path, tree, use_generator_truth)
        return Detected(
            frozenset(names),
            events.numbers(),
            events.lists(names, attributes),
            events.missing() if {"met", "all"} & set(names) else None,
            dict(acceptance or {}),
        )


def detected_in(
    path: Path,
    columns: Mapping[str, ak.Array],
    names: Collection[str],
    attributes: Collection[str],
    acceptance: Mapping[str, float | None],
) -> Detected:
    """The same from branches that were read already, in which ``Jet.PT`` is ``Jet_PT``."""
    register_momenta()
    events = _Events(path, _Held(columns), False)
    lists = events.lists(names, attributes)
    missing = events.missing() if {"met", "all"} & set(names) else None
    n_events = len(next(iter(columns.values()))) if columns else 0
    return Detected(frozenset(names), np.arange(n_events), lists, missing, dict(acceptance))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: cannot be read: no such file") from None
    except Exception as error:
        # What uproot raises for a damaged file depends on where it is damaged.
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"{path}: is not Delphes's ROOT file, or damaged ({type(error).__name__}: {reason})"
        ) from None


@dataclass(frozen=True)
class Detected:
    """What Delphes has found in n events: the HepMC ``numbers`` of these (n,), and objects.

    ``lists`` (n, var) are all there are, ``missing`` is the missing momentum (n,), None if nobody
    asks for it; ``names`` are those of the objects that somebody does.
    """

    names: frozenset[str]
    numbers: np.ndarray
    lists: Mapping[str, ak.Array]
    missing: ak.Array | None
    acceptance: Mapping[str, float | None]

    @property
    def objects(self) -> dict[str, Any]:
        """The objects by name, those of lists that are in the acceptance.

        Lists are (n, var) and momenta (n,) arrays of vector's Momentum4D [GeV]; lists have the
        fields charge, pdgid, b_tag, tau_tag and t_tag too.
        """
        objects: dict[str, Any] = {
            name: _sorted(self._accepted(name, particles)) for name, particles in self.lists.items()
        }
        if "l" in self.names:
            objects["l"] = _sorted(ak.concatenate([objects["e"], objects["mu"]], axis=1))
        if self.missing is not None:
            objects["met"] = self.missing
        if {"visible", "all"} & self.names:
            objects["visible"] = _sum([objects[name] for name in LISTS])
        if "all" in self.names:
            objects["all"] = objects["visible"].add(objects["met"])
        return objects

    def shifted(self, shift: Shift, streams: Streams | None) -> Detected:
        """What is found where objects are measured otherwise.

        The missing momentum balances what all of them, in the acceptance or not, gain.
        """
        lists = {name: shift.of(particles, streams, name) for name, particles in self.lists.items()}
        missing = self.missing
        if missing is not None:
            px, py = (
                shift.met_scale
                * (
                    np.asarray(getattr(missing, component))
                    - sum(
                        ak.sum(getattr(lists[name], component), axis=1)
                        - ak.sum(getattr(self.lists[name], component), axis=1)
                        for name in self.lists
                    )
                )
                for component in ("px", "py")
            )
            missing = _transverse(np.hypot(px, py), np.arctan2(py, px))
        return replace(self, lists=lists, missing=missing)

    def _accepted(self, name: str, particles: ak.Array) -> ak.Array:
        """Drop what is outside of the acceptance; particles on its limits are in."""
        pt_min, eta_max = (self.acceptance.get(f"{key}_{name}") for key in ("pt_min", "eta_max"))
        if pt_min is not None:
            particles = particles[particles.pt >= pt_min]
        if eta_max is not None:
            particles = particles[abs(particles.eta) <= eta_max]
        return particles


@dataclass(frozen=True)
class _Events:
    """Delphes's tree, and what is to be seen of it."""

    path: Path
    tree: Any
    truth: bool

    def numbers(self) -> np.ndarray:
        return self._first("Event.Number").astype(int)

    def lists(self, names: Collection[str], attributes: Collection[str]) -> dict[str, ak.Array]:
        needed = {name for name in LISTS if name in names or {"visible", "all"} & set(names)}
        needed |= {"e", "mu"} if "l" in names else set()
        read = self._truth if self.truth else self._reconstructed
        return {name: read(name, attributes) for name in needed}

    def _reconstructed(self, name: str, attributes: Collection[str]) -> ak.Array:
        if name == "j":
            return self._jets("Jet", attributes)
        branch = _BRANCHES[name]
        pt, eta, phi = self._direction(branch)
        if name == "a":
            return _particles(22, 0.0, pt=pt, eta=eta, phi=phi, e=self._array(branch, "E"))
        charge = self._array(branch, "Charge")
        pdgid = ak.where(charge >= 0.0, -_PARTICLES[name], _PARTICLES[name])
        mass = ak.full_like(pt, _MASSES[name])
        return _particles(pdgid, charge, pt=pt, eta=eta, phi=phi, mass=mass)

    def _truth(self, name: str, attributes: Collection[str]) -> ak.Array:
        if name == "j":
            return self._jets("GenJet", attributes)
        pdgid = self._array("Particle", "PID")
        chosen = (abs(pdgid) == _PARTICLES[name]) & (
            self._array("Particle", "Status") == _FINAL_STATE
        )
        pdgid = pdgid[chosen]
        pt, eta, phi = (component[chosen] for component in self._direction("Particle"))
        e = self._array("Particle", "E")[chosen]
        charge = 0.0 if name == "a" else ak.values_astype(-np.sign(pdgid), np.float64)
        return _particles(pdgid, charge, pt=pt, eta=eta, phi=phi, e=e)

    def _jets(self, branch: str, attributes: Collection[str]) -> ak.Array:
        pt, eta, phi = self._direction(branch)
        tags = {
            tag: self._array(branch, column) >= 1
            for tag, column in (("b_tag", "BTag"), ("tau_tag", "TauTag"))
            if tag in attributes
        }
        mass = self._array(branch, "Mass")
        return _particles(_PARTICLES["j"], 0.0, tags, pt=pt, eta=eta, phi=phi, mass=mass)

    def missing(self) -> ak.Array:
        branch = "GenMissingET" if self.truth else "MissingET"
        return _transverse(self._first(f"{branch}.MET"), self._first(f"{branch}.Phi"))

    def _direction(self, branch: str) -> list[ak.Array]:
        return [self._array(branch, column) for column in ("PT", "Eta", "Phi")]

    def _first(self, name: str) -> np.ndarray:
        """The only entry of each event."""
        return np.asarray(self._array(*name.split("."))[:, 0])

    def _array(self, branch: str, column: str) -> ak.Array:
        name = f"{branch}.{column}"
        if name not in self.tree:
            raise InputError(
                f"{self.path}: has no {name}, which the expressions of this analysis "
                f"need; the Delphes card must write it (TreeWriter, branch {branch})"
            )
        with _reading(self.path):
            values = self.tree[name].array()
        return ak.values_astype(values, np.int64 if column in _WHOLE_NUMBERS else np.float64)


@dataclass(frozen=True)
class _Branch:
    values: ak.Array

    def array(self) -> ak.Array:
        return self.values


@dataclass(frozen=True)
class _Held:
    """Branches in memory, as a tree has them."""

    columns: Mapping[str, ak.Array]

    def __contains__(self, name: str) -> bool:
        return name.replace(".", "_") in self.columns

    def __getitem__(self, name: str) -> _Branch:
        return _Branch(self.columns[name.replace(".", "_")])


def _particles(
    pdgid: Any, charge: Any, tags: Mapping[str, Any] | None = None, **momentum: ak.Array
) -> ak.Array:
    """Particles of these momenta; tags that are not known are not set."""
    fields = {"pdgid": pdgid, "charge": charge, "t_tag": False}
    fields |= {"b_tag": False, "tau_tag": False} | dict(tags or {})
    return ak.zip(momentum | fields, with_name="Momentum4D")


def _transverse(pt: np.ndarray, phi: np.ndarray) -> ak.Array:
    """Momenta without mass in the transverse plane."""
    zero = np.zeros(len(pt))
    return ak.zip({"pt": pt, "phi": phi, "eta": zero, "mass": zero}, with_name="Momentum4D")


def _sorted(particles: ak.Array) -> ak.Array:
    return particles[ak.argsort(particles.pt, axis=1, ascending=False, stable=True)]


def _sum(lists: list[ak.Array]) -> ak.Array:
    """The sum of all particles of several lists, (n,)."""
    total = {
        component: sum(ak.sum(getattr(particles, component), axis=1) for particles in lists)
        for component in ("px", "py", "pz", "e")
    }
    return ak.zip(total, with_name="Momentum4D")
