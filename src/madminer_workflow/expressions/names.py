"""The whitelist of names: the objects of an event, and what a particle is asked for."""

from __future__ import annotations

#: Lists of particles, each sorted by descending pT, except p and p_truth (in the file's order).
PARTICLE_LISTS = ("p", "p_truth", "e", "mu", "tau", "ta", "l", "v", "a", "j")
#: Single momenta: missing transverse momentum, sum of all visible particles, and both together.
MOMENTA = ("met", "visible", "all")
#: Numbers that describe the event, as MadMiner's LHE reader provides them.
EVENT_VARIABLES = ("n_particles", "scale", "alpha_qed", "alpha_qcd")

#: Properties of a particle beyond its momentum, and the field that holds each.
PARTICLE_ATTRIBUTES = {
    "charge": "charge",
    "pdgid": "pdgid",
    "pdg_id": "pdgid",
    "spin": "spin",
    "tau_tag": "tau_tag",
    "b_tag": "b_tag",
    "t_tag": "t_tag",
}
#: Properties of any momentum, as vector calls them.
MOMENTUM_ATTRIBUTES = frozenset(
    [
        *["px", "py", "pz", "x", "y", "z"],
        *["pt", "pt2", "rho", "rho2"],
        *["p", "p2", "mag", "mag2"],
        *["E", "e", "energy", "E2", "e2", "energy2", "t", "t2"],
        *["M", "m", "mass", "M2", "m2", "mass2", "tau", "tau2"],
        *["Et", "et", "transverse_energy", "Et2", "et2"],
        *["Mt", "mt", "transverse_mass", "Mt2", "mt2"],
        *["phi", "theta", "costheta", "cottheta", "eta", "pseudorapidity", "rapidity"],
        *["beta", "gamma"],
    ]
)

#: Methods of a momentum that take another one and give a number.
NUMBER_METHODS = frozenset(
    [
        *["deltaphi", "deltaeta", "deltaangle", "deltaR", "deltaR2"],
        *["deltaRapidityPhi", "deltaRapidityPhi2"],
        "dot",
    ]
)
#: Methods of a momentum that take another one and give a momentum.
MOMENTUM_METHODS = frozenset({"boost_p4", "boostCM_of", "boostCM_of_p4"})
METHODS = NUMBER_METHODS | MOMENTUM_METHODS
