"""The built-in generator: processes in numpy, with no other program and no downloads.

Events are drawn from the exact leading-order cross-section, whose dependence on the parameters is
a polynomial: every benchmark's weight is a dot product.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow.analysis.systematics import Variation, weight_variations
from madminer_workflow.analysis.types import BuiltinProcess
from madminer_workflow.cores import step_cores
from madminer_workflow.errors import InputError
from madminer_workflow.physics.generators import Request, check_draw
from madminer_workflow.physics.generators.builtin.cross_section import CrossSection
from madminer_workflow.physics.generators.builtin.hard_process import HardProcess, hard_process
from madminer_workflow.physics.generators.builtin.integrated import IntegratedProcess
from madminer_workflow.physics.generators.builtin.parameters import coefficients
from madminer_workflow.physics.generators.builtin.pdf import LHAPDF_ID, alpha_s, tabulate
from madminer_workflow.physics.generators.builtin.run_settings import read_run_settings
from madminer_workflow.physics.generators.builtin.sampling import (
    LARGEST_FRACTION_ABOVE_MAXIMUM,
    Channel,
    UnweightedEvents,
    integrate_channel,
    require_phase_space,
    unweight,
)
from madminer_workflow.physics.generators.lhe_writer import Events, Run, write_lhe
from madminer_workflow.products.events import Draw
from madminer_workflow.products.processes import Integration

_log = logging.getLogger(__name__)


def integrate(request: Request, output: Path) -> Integration:
    """Integrate a built-in process at all benchmarks and check points (about a second each).

    Writes the adapted maps, the parton densities and the maximum weights into ``output``.

    Raises InputError for an unknown process, settings or parameters and for uncertainties that
    the process does not have, and StepError if a point cannot be integrated reliably.
    """
    process = request.process
    assert isinstance(process, BuiltinProcess)
    hard = hard_process(process.process, f"processes.{process.name}.process")
    settings = read_run_settings(msgspec.to_builtins(process.run))
    variations = weight_variations(request.systematics)
    for variation in variations:
        require_effect(variation, process.name)
    points = {**request.benchmarks, **request.check_points}
    values = coefficients(hard.PARAMETERS, request.parameters, points)
    rng = np.random.default_rng(request.seed)
    require_phase_space(hard, settings, rng)
    cross_section = CrossSection(hard, settings, tabulate(), step_cores())
    channels = {
        name: integrate_channel(name, cross_section, hard.monomials(value), rng)
        for name, value in zip(points, values, strict=True)
    }
    n_weights = len(request.benchmarks)
    IntegratedProcess(
        process.process,
        settings,
        cross_section.densities,
        {name: dict(point) for name, point in request.benchmarks.items()},
        values[:n_weights],
        {name: channels[name] for name in request.benchmarks},
        request.reference,
        variations,
    ).save(output)
    return Integration(
        cross_sections={n: (c.cross_section, c.error) for n, c in channels.items()},
        unweighting_efficiency={n: c.efficiency for n, c in channels.items()},
        fraction_above_maximum={n: c.fraction_above_maximum for n, c in channels.items()},
    )


def require_effect(variation: Variation, process: str) -> None:
    """Raise InputError for a variation that a built-in process cannot have."""
    if variation.pdf_set is not None:
        raise InputError(
            f"systematics: {variation.benchmark} varies the parton densities, but the built-in "
            f"process {process} has one set only; leave it out of the process's systematics"
        )
    if variation.muf == 1.0:
        raise InputError(
            f"systematics: {variation.benchmark} varies the renormalisation scale only, on which "
            f"the built-in process {process} does not depend (it has no strong coupling); vary muf "
            "or leave it out of the process's systematics"
        )


def generate_events(
    directory: Path, sampling_benchmark: str, n_events: int, seed: int, output: Path
) -> Draw:
    """Write ``n_events`` unweighted events of ``sampling_benchmark`` to the LHE file ``output``.

    Their weights add up to the cross-section; those above the maximum weight count more than the
    others.

    Raises InputError for an unknown benchmark or fewer than one event.
    """
    process = IntegratedProcess.load(directory)
    check_draw(n_events, sampling_benchmark, process.channels)
    channel = process.channels[sampling_benchmark]
    sampling = list(process.benchmarks).index(sampling_benchmark)
    hard = hard_process(process.process)
    cross_section = CrossSection(hard, process.settings, process.densities)
    monomials = hard.monomials(process.coefficients)
    rng = np.random.default_rng(seed)
    sample = unweight(cross_section, channel, monomials[sampling], n_events, rng)
    weights = _weights(sample, channel, monomials, sampling)
    varied = _varied_weights(process, cross_section, sample, weights, sampling_benchmark)
    write_lhe(
        output,
        _run(process, hard, sampling_benchmark),
        _lhe_events(cross_section, sample, np.column_stack([weights, *varied]), rng),
    )
    fraction = 1.0 - n_events / float(sample.multiplicities.sum())
    if fraction > LARGEST_FRACTION_ABOVE_MAXIMUM:
        _log.warning("%s: %.1f%% of the weight lies above the maximum", output, 100.0 * fraction)
    return Draw(n_events=n_events, n_trials=sample.n_trials, fraction_above_maximum=fraction)


def _weights(
    sample: UnweightedEvents, channel: Channel, monomials: np.ndarray, sampling: int
) -> np.ndarray:
    """Weights (n_events, n_benchmarks) [pb]; those of the sampling benchmark add up to sigma."""
    shares = sample.multiplicities / sample.multiplicities.sum() * channel.cross_section
    densities = monomials @ sample.polynomials
    return (shares * densities / densities[sampling]).T


def _varied_weights(
    process: IntegratedProcess,
    cross_section: CrossSection,
    sample: UnweightedEvents,
    weights: np.ndarray,
    sampling_benchmark: str,
) -> list[np.ndarray]:
    """Weights (n_events,) [pb] of each variation of the scales, at the reference benchmark."""
    names = list(process.benchmarks)
    reference = process.reference if process.reference in names else sampling_benchmark
    nominal = weights[:, names.index(reference)]
    return [
        nominal * cross_section.scale_ratio(sample.states, variation.muf)
        for variation in process.variations
    ]


def _lhe_events(
    cross_section: CrossSection,
    sample: UnweightedEvents,
    weights: np.ndarray,
    rng: np.random.Generator,
) -> Events:
    """Complete the events: overall azimuth, decays, helicities, scale."""
    kinematics = cross_section.process.complete(sample.states, cross_section.settings, rng)
    return Events(
        momenta=kinematics.momenta[:, [1, 2, 3, 0]].transpose(2, 0, 1),
        masses=kinematics.masses,
        helicities=kinematics.helicities,
        weights=weights,
        scales=kinematics.scales,
        alpha_s=alpha_s(kinematics.scales),
    )


def _run(process: IntegratedProcess, hard: HardProcess, sampling_benchmark: str) -> Run:
    settings = process.settings
    channel = process.channels[sampling_benchmark]
    card = {
        "lpp1": 1,
        "lpp2": 1,
        "pdlabel": "nn23lo1",
        "lhaid": LHAPDF_ID,
        "dynamical_scale_choice": -1,
        **dataclasses.asdict(settings),
    }
    return Run(
        particles=hard.PARTICLES,
        card=card,
        beam_energies=(settings.ebeam1, settings.ebeam2),
        pdf_id=LHAPDF_ID,
        alpha_qed=hard.ALPHA_QED,
        benchmarks=process.benchmarks,
        variations=process.variations,
        sampling_benchmark=sampling_benchmark,
        cross_section=(channel.cross_section, channel.error),
    )
