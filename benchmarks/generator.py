"""Unweighted events per second and core of the built-in generator, with and without writing.

Every event carries the weights of the six benchmarks of the reference set-up. Run with one thread:

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/generator.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import wbf

from madminer_workflow.analysis.types import BuiltinProcess, RunSettings
from madminer_workflow.physics.generators import Request, builtin
from madminer_workflow.physics.generators.builtin.cross_section import CrossSection
from madminer_workflow.physics.generators.builtin.hard_process import hard_process
from madminer_workflow.physics.generators.builtin.integrated import IntegratedProcess
from madminer_workflow.physics.generators.builtin.sampling import unweight

BLOCK, BLOCKS = 1000, 20


def main() -> None:
    """Integrate once, then draw with and without writing."""
    benchmarks = wbf.benchmarks()
    process = BuiltinProcess(
        name="wbf",
        process="wbf_haa",
        run=RunSettings(
            ebeam1=6500.0,
            ebeam2=6500.0,
            ptj=20.0,
            etaj=5.0,
            drjj=0.4,
            mmjj=0.0,
            deltaeta=0.0,
            fixed_fac_scale=False,
            scale=91.188,
        ),
        pythia8_card=None,
        systematics=(),
        is_background=False,
        k_factor=1.0,
        events=dict.fromkeys(benchmarks, 1000),
    )
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        start = time.process_time()
        request = Request(
            process=process,
            parameters=wbf.parameters(),
            benchmarks=benchmarks,
            check_points={},
            reference=next(iter(benchmarks)),
            systematics=[],
            models=directory,
            seed=1,
        )
        report = builtin.integrate(request, directory)
        assert report.unweighting_efficiency
        print(f"integrate {len(benchmarks)} benchmarks: {time.process_time() - start:.1f} s CPU")
        print("sampling benchmark         sigma [fb]   efficiency  events/s  with LHE")
        for name in benchmarks:
            value, error = report.cross_sections[name]
            print(
                f"{name:25s} {1e3 * value:7.3f}({1e3 * error:.3f})"
                f" {report.unweighting_efficiency[name]:10.3f}"
                f" {generation_rate(directory, name):10.0f} {writing_rate(directory, name):9.0f}"
            )


def generation_rate(directory: Path, name: str) -> float:
    """Draw events and compute all their weights, in blocks."""
    process = IntegratedProcess.load(directory)
    hard = hard_process(process.process)
    cross_section = CrossSection(hard, process.settings, process.densities)
    monomials = hard.monomials(process.coefficients)
    sampling = list(process.benchmarks).index(name)
    channel = process.channels[name]
    start = time.process_time()
    for seed in range(BLOCKS):
        rng = np.random.default_rng(seed)
        sample = unweight(cross_section, channel, monomials[sampling], BLOCK, rng)
        monomials @ sample.polynomials
    return BLOCK * BLOCKS / (time.process_time() - start)


def writing_rate(directory: Path, name: str) -> float:
    """The same, and write LHE files of one block each."""
    start = time.process_time()
    for seed in range(BLOCKS):
        builtin.generate_events(directory, name, BLOCK, seed, directory / "events.lhe")
    return BLOCK * BLOCKS / (time.process_time() - start)


if __name__ == "__main__":
    main()
