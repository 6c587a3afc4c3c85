"""Random events of all kinds of particles, as our arrays and as MadMiner's objects."""

import math

import awkward as ak
import numpy as np
import vector
from madminer.utils.interfaces.lhe import _get_objects, _smear_particles
from madminer.utils.particle import MadMinerParticle

from madminer_workflow.analysis.types import METNoise
from madminer_workflow.physics.smearing import ELEMENTARY_IDS

NO_NOISE = METNoise(abs_=0.0, rel=0.0)


def random_events(n, seed):
    """Events of 0 to 7 massive particles of all kinds, as dictionaries."""
    rng = np.random.default_rng(seed)
    kinds = [11, -11, 13, -13, 15, 22, 1, -2, 5, -6, 21, 12, -14, 23]
    events = []
    for _ in range(n):
        event = []
        for _ in range(rng.integers(0, 8)):
            px, py, pz = rng.normal(0.0, 50.0, 3)
            mass = rng.uniform(1.0, 20.0)
            e = math.sqrt(px**2 + py**2 + pz**2 + mass**2)
            pdgid = int(rng.choice(kinds))
            event.append({"px": px, "py": py, "pz": pz, "e": e, "spin": 1.0, "pdgid": pdgid})
        events.append(event)
    return events


def as_particles(events):
    vector.register_awkward()
    columns = {
        name: [particle[name] for event in events for particle in event]
        for name in ("px", "py", "pz", "e", "spin")
    }
    columns = {name: np.array(values, dtype=float) for name, values in columns.items()}
    columns["pdgid"] = np.array([p["pdgid"] for event in events for p in event], dtype=np.int64)
    flat = ak.zip(columns, with_name="Momentum4D")
    return ak.unflatten(flat, [len(event) for event in events])


def madminer_objects(event):
    """MadMiner's own variables of one event, as its LHEReader makes them without smearing."""
    truth = []
    for values in event:
        particle = MadMinerParticle.from_xyzt(*[values[name] for name in ("px", "py", "pz", "e")])
        particle.set_pdgid(values["pdgid"])
        particle.set_spin(values["spin"])
        truth.append(particle)
    none = dict.fromkeys(ELEMENTARY_IDS, (0.0, 0.0))
    return _get_objects(_smear_particles(truth, none, none, none, none), truth, (0.0, 0.0))
