"""The built-in generator: processes in numpy, with no other program and no downloads.

Events are drawn from the exact leading-order cross-section, whose dependence on the parameters is
a polynomial: every benchmark's weight is a dot product.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.systematics import weight_variations
from madminer_workflow.analysis.types import BuiltinProcess, Parameter
from madminer_workflow.cores import step_cores
from madminer_workflow.physics.generators import Request, check_draw
from madminer_workflow.physics.generators.builtin.cross_section import CrossSection
from madminer_workflow.physics.generators.builtin.event_file import write_events
from madminer_workflow.physics.generators.builtin.hard_process import HardProcess, hard_process
from madminer_workflow.physics.generators.builtin.integrated import IntegratedProcess
from madminer_workflow.physics.generators.builtin.pdf import tabulate
from madminer_workflow.physics.generators.builtin.sampling import (
    LARGEST_FRACTION_ABOVE_MAXIMUM,
    UnweightedEvents,
    integrate_channel,
    require_phase_space,
    unweight,
)
from madminer_workflow.products.events import Draw
from madminer_workflow.products.processes import Integration, Points

_log = logging.getLogger(__name__)


def integrate(request: Request, output: Path) -> Integration:
    """Integrate a built-in process at all benchmarks and check points (about a second each).

    Writes the adapted maps, the parton densities and the maximum weights into ``output``.

    Raises InputError for cuts that leave nothing and parameters without a value, StepError if a
    point cannot be integrated reliably.
    """
    process = request.process
    assert isinstance(process, BuiltinProcess)
    hard, settings = hard_process(process.process), process.run
    points = {**request.benchmarks, **request.check_points}
    values = coefficients(hard, request.parameters, points)
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
        request.benchmarks,
        values[:n_weights],
        {name: channels[name] for name in request.benchmarks},
        request.reference,
        weight_variations(request.systematics),
    ).save(output)
    return Integration(
        cross_sections={n: (c.cross_section, c.error) for n, c in channels.items()},
        unweighting_efficiency={n: c.efficiency for n, c in channels.items()},
        fraction_above_maximum={n: c.fraction_above_maximum for n, c in channels.items()},
    )


def coefficients(hard: HardProcess, parameters: Sequence[Parameter], points: Points) -> np.ndarray:
    """Values (n_points, n_known) of the ``PARAMETERS`` of a process at all points.

    Those that the analysis does not have are zero. Raises InputError if a ``param_card_transform``
    has no finite value at a point.
    """
    known = list(hard.PARAMETERS)
    values = np.zeros((len(points), len(known)))
    for parameter in parameters:
        if parameter.coupling in known:
            values[:, known.index(parameter.coupling)] = [
                parameter.card_value(point[parameter.parameter_name]) for point in points.values()
            ]
    return values


def generate_events(
    directory: Path,
    sampling_benchmark: str,
    n_events: int,
    seed: int,
    output: Path,
    block: int = 0,
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
    weights = _weights(process, hard, sample, sampling_benchmark)
    kinematics = hard.complete(sample.states, process.settings, rng)
    write_events(output, process, hard, sampling_benchmark, kinematics, weights)
    fraction = 1.0 - n_events / float(sample.multiplicities.sum())
    if fraction > LARGEST_FRACTION_ABOVE_MAXIMUM:
        _log.warning("%s: %.1f%% of the weight lies above the maximum", output, 100.0 * fraction)
    return Draw(n_events=n_events, n_trials=sample.n_trials, fraction_above_maximum=fraction)


def _weights(
    process: IntegratedProcess, hard: HardProcess, sample: UnweightedEvents, sampling_benchmark: str
) -> np.ndarray:
    """Weights [pb] at all benchmarks, then with all variations, (n_events, n_weights).

    Those of the sampling benchmark add up to its cross-section; scales vary at the reference.
    """
    names = list(process.benchmarks)
    sampling = names.index(sampling_benchmark)
    reference = names.index(process.reference) if process.reference in names else sampling
    cross_section = process.channels[sampling_benchmark].cross_section
    shares = sample.multiplicities / sample.multiplicities.sum() * cross_section
    densities = hard.monomials(process.coefficients) @ sample.polynomials
    weights = (shares * densities / densities[sampling]).T
    varied = [
        weights[:, reference]
        * hard.scale_ratio(sample.states, process.settings, process.densities, variation.muf)
        for variation in process.variations
    ]
    return np.column_stack([weights, *varied])
