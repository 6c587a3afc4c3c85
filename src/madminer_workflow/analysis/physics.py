"""The meaning of processes, systematic uncertainties and detector, and how they fit together."""

from __future__ import annotations

import math
from collections.abc import Iterator

from madminer_workflow.analysis.event_file_names import is_hepmc
from madminer_workflow.analysis.event_files import scale_and_pdf
from madminer_workflow.analysis.library import LIBRARY
from madminer_workflow.analysis.problems import Entry, Finding, KeyPath, unknown
from madminer_workflow.analysis.sound import Sound, duplicates, has_hepmc, interval, known
from madminer_workflow.analysis.systematics import OBJECT_EFFECTS
from madminer_workflow.analysis.tables import rules as tables
from madminer_workflow.analysis.varied_weights import weights_of
from madminer_workflow.analysis.weight_columns import EVERY, NAME
from madminer_workflow.errors import InputError
from madminer_workflow.expressions import ExpressionError, compile_expression

#: Names of particles in ``detector.smearing``.
SMEARED_PARTICLES = ("e", "mu", "tau", "l", "v", "j", "a")
#: Names of particles in ``systematics``.
OBJECTS = ("e", "mu", "l", "tau", "a", "j", "b")
#: Under which other names expressions know them.
LISTS_WITH = {"e": ("l",), "mu": ("l",), "l": ("e", "mu"), "b": ("j",), "tau": ("ta", "j")}
#: Particles that expressions can name at parton level only.
NOT_AFTER_DELPHES = ("p", "p_truth", "tau", "ta", "v")


def _processes(sound: Sound) -> Iterator[Finding]:
    yield from duplicates(sound, ("processes",), "name")
    for path, process in sound.entries("processes"):
        key = "files" if process["generator"] == "files" else "events"
        for name in process[key]:
            yield from known((*path, key, name), "benchmark", name, sound.benchmarks)
        if process["is_background"] and len(process[key]) > 1:
            message = "a background does not depend on the benchmark: name only one"
            yield Finding((*path, key), message)
        if process["generator"] == "files":
            yield from _existing(path, process, sound)
            yield from _varied(path, process, sound)
            yield from tables.of_process(path, process, sound)
        if process["generator"] == "builtin":
            yield from _phase_space((*path, "run"), process["run"])
        if process["generator"] == "builtin" and not process["is_background"]:
            yield from _couplings(process, sound)
    processes = sound.get("processes")
    if processes and all(process["is_background"] for process in processes):
        message = (
            "all processes are backgrounds: events can be generated, but there is nothing to "
            "learn from them"
        )
        yield Finding(("processes",), message, warning=True)


def _existing(path: KeyPath, process: Entry, sound: Sound) -> Iterator[Finding]:
    """Check what an analysis file says of events that exist already."""
    for name, weight in process["weights"].items():
        place = (*path, "weights", name)
        if name != EVERY:
            yield from known(place, "benchmark", name, sound.benchmarks)
        elif not isinstance(weight, str) or NAME not in weight:
            yield Finding(place, f"expected a name of weights with {NAME} in it")
    for key in ("cross_section", "sum_of_weights"):
        for name in process[key]:
            yield from known((*path, key, name), "benchmark of files", name, [*process["files"]])
    terms = sound.terms
    if process["is_background"] or terms is None or not sound.benchmarks:
        return
    if len(sound.benchmarks) < terms:
        there = len(sound.benchmarks)
        message = (
            f"the squared matrix element has {terms} terms, but there are only {there} benchmarks; "
            f"add {terms - there} more to `benchmarks`, at points for which the events have weights"
        )
        yield Finding((*path, "generator"), message)


def _phase_space(path: KeyPath, run: Entry) -> Iterator[Finding]:
    """Check that generation cuts leave events: two jets in a cylinder of rapidity and azimuth."""
    energy = 2.0 * math.sqrt(run["ebeam1"] * run["ebeam2"])
    apart = 2.0 * run["etaj"]
    most = {
        "ptj": 0.5 * energy,
        "mmjj": energy,
        "deltaeta": apart,
        "drjj": math.hypot(apart, math.pi),
    }
    for key, value in most.items():
        if run[key] >= value:
            message = (
                f"leaves no events: with these beams and cuts, it must be less than {value:.4g}"
            )
            yield Finding((*path, key), message)


def _couplings(process: Entry, sound: Sound) -> Iterator[Finding]:
    """Check that a built-in process depends on every parameter."""
    couplings = LIBRARY[process["process"]].couplings
    for path, parameter in sound.entries("parameters"):
        coupling = (parameter["lha_block"], parameter["lha_id"])
        if coupling not in couplings:
            allowed = ", ".join(f"{block} {number}" for block, number in sorted(couplings))
            message = (
                f"{coupling[0]} {coupling[1]} is not a coupling of the process "
                f"'{process['process']}' (expected one of {allowed})"
            )
            yield Finding((*path, "lha_id"), message)


def _systematics(sound: Sound) -> Iterator[Finding]:
    yield from duplicates(sound, ("systematics",), "systematic_name")
    names = [entry["systematic_name"] for _, entry in sound.entries("systematics")]
    used: set[str] = set()
    for path, process in sound.entries("processes"):
        used.update(process["systematics"])
        for i, name in enumerate(process["systematics"]):
            if name not in names:
                message = unknown("systematic uncertainty", name, names or ["none, there are none"])
                yield Finding((*path, "systematics", i), message)
    effects = {"norm": _norm, "scale": _scale, "pdf": _pdf}
    effects |= dict.fromkeys(OBJECT_EFFECTS, _objects) | {"met_scale": _used}
    for path, systematic in sound.entries("systematics"):
        if sound.get("processes") and systematic["systematic_name"] not in used:
            yield Finding((*path, "systematic_name"), "affects no process; leave it out")
        yield from effects[systematic["effect"]](path, systematic, sound)


def _norm(path: KeyPath, systematic: Entry, _: Sound) -> Iterator[Finding]:
    if systematic["norm_variation"] == 1.0:
        yield Finding((*path, "norm_variation"), "1 is not a variation; use e.g. 1.05 for 5 %")


def _scale(path: KeyPath, systematic: Entry, sound: Sound) -> Iterator[Finding]:
    varied = [factor for factor in systematic["scale_variations"] if factor != 1.0]
    if len(varied) not in (1, 2):
        message = f"expected one or two factors other than 1, got {len(varied)}"
        yield Finding((*path, "scale_variations"), message)
    elif len({factor > 1.0 for factor in varied}) < len(varied):
        message = f"expected a factor below 1 and one above, got {varied[0]:g} and {varied[1]:g}"
        yield Finding((*path, "scale_variations"), message)
    if systematic["scale"] == "mur":
        for name in _built_in(systematic, sound):
            message = (
                f"the built-in process '{name}' does not depend on the renormalisation scale; "
                "vary muf, or remove this uncertainty from the systematics of the process"
            )
            yield Finding((*path, "scale"), message)


def _pdf(path: KeyPath, systematic: Entry, sound: Sound) -> Iterator[Finding]:
    if systematic["pdf_error_type"] == "hessian" and systematic["pdf_members"] % 2:
        message = "the members of type hessian come in pairs: expected an even number"
        yield Finding((*path, "pdf_members"), message)
    if systematic["pdf_error_type"] == "replicas" and systematic["pdf_members"] < 2:
        message = "expected at least 2 replicas: their spread is the uncertainty"
        yield Finding((*path, "pdf_members"), message)
    for name in _built_in(systematic, sound):
        message = (
            f"the built-in process '{name}' has only one set of parton densities; remove this "
            "uncertainty from the systematics of the process"
        )
        yield Finding((*path, "effect"), message)


def _varied(path: KeyPath, process: Entry, sound: Sound) -> Iterator[Finding]:
    """Check that a process of files has weights for the uncertainties that need them, only."""
    needing = {one.systematic_name: one for one in scale_and_pdf(process, sound)}
    effects = {e["systematic_name"]: e["effect"] for _, e in sound.entries("systematics")}
    for name in process["variations"]:
        if name not in process["systematics"]:
            message = unknown("uncertainty of this process", name, process["systematics"])
            yield Finding((*path, "variations", name), message)
        elif name in effects and effects[name] not in ("scale", "pdf"):
            message = f"the effect {effects[name]} needs no weights from files; remove this entry"
            yield Finding((*path, "variations", name), message)
    for name, systematic in needing.items():
        place = (*path, "variations", *((name,) if name in process["variations"] else ()))
        try:
            weights_of(systematic, process["variations"])
        except InputError as error:
            yield Finding(place, str(error))


def _objects(path: KeyPath, systematic: Entry, sound: Sound) -> Iterator[Finding]:
    for i, particle in enumerate(systematic["particles"]):
        if particle not in OBJECTS:
            message = unknown("particle", particle, OBJECTS)
            yield Finding((*path, "particles", i), message)
    for key in ("pt_range", "eta_range"):
        yield from interval((*path, key), systematic[key])
    if systematic["effect"] != "efficiency":
        yield from _used(path, systematic, sound)


def _used(path: KeyPath, systematic: Entry, sound: Sound) -> Iterator[Finding]:
    """Check that what shifts is used by an expression, missing momentum included."""
    names = {"met", "all"}
    if systematic["effect"] != "met_scale":
        names |= {"p", "visible", *systematic["particles"]}
        for particle in systematic["particles"]:
            names.update(LISTS_WITH.get(particle, ()))
    used: set[str] = set()
    for section in ("observables", "cuts", "efficiencies"):
        if sound.get(section) is None:
            return
        for _, entry in sound.entries(section):
            try:
                used |= compile_expression(entry["definition"], sound.observables).names
            except ExpressionError:
                return
    # Expressions have no list of b-jets.
    names -= {"b"}
    if not names & used:
        message = (
            "changes nothing that is measured: no observable, cut or efficiency uses "
            f"{' or '.join(sorted(names))}; leave it out"
        )
        yield Finding((*path, "effect"), message)


def _built_in(systematic: Entry, sound: Sound) -> Iterator[str]:
    """The names of the built-in processes that a systematic uncertainty affects."""
    for _, process in sound.entries("processes"):
        if (
            process["generator"] == "builtin"
            and systematic["systematic_name"] in process["systematics"]
        ):
            yield process["name"]


def _smearing(sound: Sound) -> Iterator[Finding]:
    for path, smearing in sound.entries("detector", "smearing"):
        for i, particle in enumerate(smearing["particles"] or ()):
            if isinstance(particle, str) and particle not in SMEARED_PARTICLES:
                message = unknown("particle", particle, SMEARED_PARTICLES, " or a PDG id")
                yield Finding((*path, "particles", i), message)
        missing = [
            None in (smearing[f"{quantity}_resolution_abs"], smearing[f"{quantity}_resolution_rel"])
            for quantity in ("energy", "pt")
        ]
        if all(missing):
            message = "energy and pt cannot both be null: each is computed from the other"
            yield Finding(path, message)


def _detector(sound: Sound) -> Iterator[Finding]:
    """Check that Delphes sees showered events, and smearing sees partons."""
    detector = sound.get("detector")
    if detector is None:
        return
    if sound.tables:
        yield from tables.of_detector(detector)
        return
    delphes = detector["delphes_card"] is not None
    for path, process in sound.entries("processes"):
        if has_hepmc(process):
            yield from _showered_already(path, process, delphes)
        elif delphes and process["pythia8_card"] is None:
            message = f"process '{process['name']}' needs a pythia8_card: Delphes requires hadrons"
            yield Finding(path, message)
        elif not delphes and process["pythia8_card"] is not None:
            message = "showered events need a detector.delphes_card; without one, leave this out"
            yield Finding((*path, "pythia8_card"), message)
    parton_level = {
        "smearing": detector["smearing"],
        "met_noise": any(detector["met_noise"].values()),
    }
    after_delphes = {
        "use_generator_truth": detector["use_generator_truth"],
        "acceptance": any(value is not None for value in detector["acceptance"].values()),
    }
    for key, given in (parton_level if delphes else after_delphes).items():
        if given:
            wrong = "not used with" if delphes else "used only with"
            yield Finding(("detector", key), f"{wrong} delphes_card")


def _showered_already(path: KeyPath, process: Entry, delphes: bool) -> Iterator[Finding]:
    """Check a process of HepMC files."""
    if not all(is_hepmc(name) for names in process["files"].values() for name in names):
        message = "lists HepMC files and other files; use one kind of file for each process"
        yield Finding((*path, "files"), message)
    if process["pythia8_card"] is not None:
        message = "events in HepMC files are already showered; leave this out"
        yield Finding((*path, "pythia8_card"), message)
    if not delphes:
        message = f"process '{process['name']}' reads HepMC files, which need a delphes_card"
        yield Finding((*path, "files"), message)


def _expressions(sound: Sound) -> Iterator[Finding]:
    """Check that expressions name what Delphes provides."""
    if not sound.get("detector", "delphes_card"):
        return
    for section in ("observables", "cuts", "efficiencies"):
        for path, entry in sound.entries(section):
            try:
                used = compile_expression(entry["definition"], sound.observables).names
            except ExpressionError:
                continue
            for name in NOT_AFTER_DELPHES:
                if name in used and name not in sound.observables:
                    message = f"'{name}' exists only at parton level, not after Delphes"
                    yield Finding((*path, "definition"), message)
            if "n_particles" in used and any(map(has_hepmc, sound.get("processes") or ())):
                message = "n_particles, the size of the hard process, is not known for HepMC files"
                yield Finding((*path, "definition"), message)


CHECKS = (_processes, _systematics, _smearing, _detector, _expressions)
