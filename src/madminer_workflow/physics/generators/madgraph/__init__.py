"""The MadGraph generator: any process of any UFO model, integrated once.

``integrate`` lets MadGraph write and compile a process once, with code that reads its parameters
when it runs, and integrates it at every point; ``generate_events`` draws from that without
compiling anything, and weighs events with MadGraph's own matrix elements.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from madminer_workflow import __version__
from madminer_workflow.analysis.madgraph_cards import (
    DENSITIES,
    read_param_card,
    read_process_card,
    read_run_card,
)
from madminer_workflow.analysis.systematics import weight_variations
from madminer_workflow.analysis.types import MadGraphProcess
from madminer_workflow.errors import StepError
from madminer_workflow.files import pack, unpack
from madminer_workflow.physics.generators import Request, check_draw
from madminer_workflow.physics.generators.lhe_writer import (
    Header,
    assignments,
    run_card_text,
    write_lhe,
)
from madminer_workflow.physics.generators.madgraph import integrated
from madminer_workflow.physics.generators.madgraph.building import (
    compile_weights,
    copy_model,
    read_parameters_at_run_time,
    strip,
    write_process,
)
from madminer_workflow.physics.generators.madgraph.drawing import draw, madgraph_seed, prepare
from madminer_workflow.physics.generators.madgraph.events import (
    DrawnEvents,
    event_texts,
    subprocesses,
)
from madminer_workflow.physics.generators.madgraph.integrated import IntegratedProcess, pack_process
from madminer_workflow.physics.generators.madgraph.integration import survey
from madminer_workflow.physics.generators.madgraph.param_card import (
    completed,
    forgotten,
    values_at,
    with_values,
)
from madminer_workflow.physics.generators.madgraph.run_card import (
    entries,
    merge_run_card,
    our_settings,
)
from madminer_workflow.physics.generators.madgraph.varying import (
    check_densities,
    require_lhapdf,
    vary,
)
from madminer_workflow.physics.generators.madgraph.weighting import ratios
from madminer_workflow.physics.generators.madgraph.workplace import (
    Workplace,
    available_cores,
    check_compilers,
)
from madminer_workflow.products.events import Draw
from madminer_workflow.products.processes import Integration

_TRIAL_EVENTS = 20

_log = logging.getLogger(__name__)


def integrate(request: Request, output: Path) -> Integration:
    """Write, compile and integrate a process; pack what drawing events needs into ``output``.

    Raises InputError for cards, models and parameters that do not fit and for programs that are
    missing, and StepError if MadGraph does not do its work.
    """
    process = request.process
    assert isinstance(process, MadGraphProcess)
    try:
        with tempfile.TemporaryDirectory(prefix="madgraph.") as scratch:
            report = _integrate(request, process, output, Path(scratch))
            # Before any job starts: what was packed does run elsewhere.
            trial = Path(scratch) / "trial.lhe"
            sampled = next(iter(process.events))
            generate_events(output, sampled, _TRIAL_EVENTS, request.seed, trial)
    except StepError as error:
        raise StepError(f"process {process.name}: {error}") from None
    return report


def _integrate(
    request: Request, process: MadGraphProcess, output: Path, scratch: Path
) -> Integration:
    where = f"processes.{process.name}"
    card = read_process_card(process.proc_card, f"{where}.proc_card")
    settings = read_run_card(process.run_card, f"{where}.run_card")
    variations = weight_variations(request.systematics)
    require_lhapdf(variations, f"{where}.systematics")
    check_compilers()
    workplace = Workplace.create(scratch, available_cores())
    interpreter = workplace.interpreter()
    model = copy_model(
        card,
        process.ufo_model,
        request.models,
        workplace.program.directory,
        scratch / "models",
        f"{where}.proc_card",
    )
    points = {**request.benchmarks, **request.check_points}
    integrated_points = [*process.events, *request.check_points]
    single = len(points) == 1
    generator = write_process(workplace, card, model, reweighted=not single)
    default = (generator / "Cards" / "param_card.dat").read_text()
    card_text = completed(default, process.param_card, f"{where}.param_card")
    cards = _param_cards(request, points, card_text, f"{where}.param_card", scratch / "cards")
    first_seed = madgraph_seed(request.seed, "survey", integrated_points[0])
    values = merge_run_card(
        workplace,
        generator / "Cards" / "run_card.dat",
        settings,
        our_settings(first_seed, single, bool(variations)),
        f"{where}.run_card",
    )
    lhapdf_id = DENSITIES[values["pdlabel"]]
    if variations:
        check_densities(workplace, variations, lhapdf_id, f"{where}.systematics")
    card_entries = entries((generator / "Cards" / "run_card.dat").read_text())
    if not single:
        read_parameters_at_run_time(generator)
        code = compile_weights(workplace)
        pack(code, integrated.weights_archive(output))
    cross_sections = survey(workplace, generator, request.seed, integrated_points, cards)
    strip(workplace, generator.glob("SubProcesses/P*/madevent"))
    pack_process(generator, values["pdlabel"], integrated.process_archive(output))
    for name in process.events:
        pack(scratch / "points" / name, integrated.point_archive(output, name))
    for name in request.benchmarks:
        target = integrated.param_card(output, name)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(cards[name].read_bytes())
    IntegratedProcess(
        name=process.name,
        madgraph=workplace.program.version,
        interpreter=interpreter,
        benchmarks=list(request.benchmarks.items()),
        cross_sections={name: cross_sections[name] for name in process.events},
        run_card=card_entries,
        process_card=process.proc_card,
        reference=request.reference,
        variations=variations,
        lhapdf_id=lhapdf_id,
    ).save(output)
    return Integration(cross_sections=cross_sections, madgraph=workplace.program.version)


def generate_events(
    directory: Path,
    sampling_benchmark: str,
    n_events: int,
    seed: int,
    output: Path,
    block: int = 0,
) -> Draw:
    """Write ``n_events`` events of ``sampling_benchmark`` to the LHE file ``output``.

    Their weights add up to the cross-section, and every benchmark has one.

    Raises InputError for an unknown benchmark, fewer than one event or another installation than
    the one that integrated, and StepError if MadGraph does not do its work.
    """
    process = IntegratedProcess.load(directory)
    check_draw(n_events, sampling_benchmark, process.cross_sections)
    with tempfile.TemporaryDirectory(prefix="madgraph.") as scratch:
        workplace = Workplace.create(Path(scratch))
        process.check_program(workplace)
        generator = Path(scratch) / "process"
        archives = [
            integrated.process_archive(directory),
            integrated.point_archive(directory, sampling_benchmark),
        ]
        prepare(workplace, archives, generator)
        events = draw(workplace, generator, n_events, seed, _varying(workplace, process))
        relative = _ratios(workplace, directory, process, events, sampling_benchmark)
    multiplicities = events.multiplicities
    if not multiplicities.sum() > 0.0:
        raise StepError(f"{output.name}: the weights of the events do not add up to more than 0")
    value, error = process.cross_sections[sampling_benchmark]
    nominal = value * multiplicities / multiplicities.sum()
    weights, meanings = _weights(process, nominal, relative, events.variations)
    header = Header(
        cards=_cards(directory, process, sampling_benchmark, n_events, seed),
        weights=meanings,
        beams=events.beams,
        strategy=3 if nominal.min() > 0 else -3,
        subprocesses=subprocesses(events, nominal, error / value),
        generator=f"<generator name='MadGraph5_aMC@NLO' version='{process.madgraph}'>"
        f"written by madminer-workflow {__version__}</generator>",
    )
    write_lhe(output, header, event_texts(events, list(meanings), nominal, weights))
    sizes = np.abs(multiplicities)
    return Draw(
        n_events=n_events,
        fraction_above_maximum=float(np.maximum(sizes - 1.0, 0.0).sum() / sizes.sum()),
    )


def _param_cards(
    request: Request, points: Mapping[str, Mapping[str, float]], text: str, where: str, folder: Path
) -> dict[str, Path]:
    """One card for each point."""
    known = read_param_card(text, where)
    for (block, ids), value in forgotten(request.parameters, known).items():
        _log.warning(
            "%s: %s %s is %g at all benchmarks; set it to 0 in the card to switch it off",
            where,
            block,
            " ".join(map(str, ids)),
            value,
        )
    folder.mkdir()
    cards = {}
    for name, theta in points.items():
        cards[name] = folder / f"{name}.dat"
        values = values_at(request.parameters, theta, known, where)
        cards[name].write_text(with_values(text, values))
    return cards


def _ratios(
    workplace: Workplace,
    directory: Path,
    process: IntegratedProcess,
    events: DrawnEvents,
    sampling: str,
) -> np.ndarray:
    """Weights relative to the nominal one (n_events, n_benchmarks)."""
    if len(process.benchmarks) == 1:
        return np.ones((len(events), 1))
    code = workplace.directory / "matrix_elements"
    unpack(integrated.weights_archive(directory), code)
    points = {
        name: read_param_card(integrated.param_card(directory, name).read_text(), name)
        for name, _ in process.benchmarks
    }
    return ratios(workplace, code, events, points, sampling)


def _varying(
    workplace: Workplace, process: IntegratedProcess
) -> Callable[[Path], np.ndarray] | None:
    """What computes the variations of a file of events, if there are any."""
    if not process.variations:
        return None
    require_lhapdf(process.variations, process.name)
    return lambda path: vary(workplace, process.variations, process.lhapdf_id, path)


def _weights(
    process: IntegratedProcess, nominal: np.ndarray, relative: np.ndarray, variations: np.ndarray
) -> tuple[np.ndarray, dict[str, str]]:
    """All weights of the events (n_events, n_weights) [pb], and their names with what they mean."""
    weights = nominal[:, None] * relative
    meanings = {name: assignments(point) for name, point in process.benchmarks}
    # A background has one benchmark, whatever the signals' reference.
    names = list(meanings)
    base = weights[:, names.index(process.reference) if process.reference in names else 0]
    for variation in process.variations:
        pdf = "" if variation.pdf_set is None else f" {variation.pdf_set} {variation.pdf_member}"
        meanings[variation.benchmark] = f"mur {variation.mur} muf {variation.muf}{pdf}"
    return np.concatenate([weights, base[:, None] * variations], axis=1), meanings


def _cards(
    directory: Path, process: IntegratedProcess, sampling: str, n_events: int, seed: int
) -> dict[str, str]:
    """The cards that the header repeats."""
    settings = {
        "nevents": str(n_events),
        "iseed": str(seed),
        "gridpack": "False",
        "event_norm": "sum",
    }
    return {
        "MGVersion": process.madgraph,
        "MG5ProcCard": process.process_card,
        "MGRunCard": run_card_text({**process.run_card, **settings}),
        "slha": integrated.param_card(directory, sampling).read_text(),
    }
