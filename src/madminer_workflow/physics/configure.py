"""Configure: the validated analysis file becomes MadMiner's set-up and the steps' settings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.analysis import load_analysis, split
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, write_json
from madminer_workflow.seeds import derive_seed


def configure(input_file: Path, output: Path) -> None:
    """Validate ``input_file`` and write ``config.h5``, ``generation.json``,
    ``reconstruction.json`` and ``analysis.json`` into ``output``.

    The two parts hold exactly what event generation and event analysis depend on, so that a
    change anywhere else in the file leaves their bytes, and all cached events, as they are.
    """
    analysis = load_analysis(input_file)
    generation, reconstruction = split(analysis)
    with atomic_path(output / "config.h5") as product:
        write_setup(analysis, product)
    write_json(output / "generation.json", generation)
    write_json(output / "reconstruction.json", reconstruction)
    write_json(output / "analysis.json", analysis)


def write_setup(analysis: dict[str, Any], path: Path) -> None:
    """Write parameters, benchmarks and the morphing basis to a new MadMiner file ``path``.

    MadMiner completes the basis with benchmarks that minimise the morphing uncertainty over the
    parameter ranges; its random search is seeded here. Raises InputError if no basis is found.
    """
    from madminer.core import MadMiner

    logging.getLogger("madminer").setLevel(logging.ERROR)
    miner = MadMiner()
    for parameter in analysis["parameters"]:
        miner.add_parameter(
            parameter_name=parameter["parameter_name"],
            lha_block=parameter["lha_block"],
            lha_id=parameter["lha_id"],
            morphing_max_power=parameter["morphing_max_power"],
            param_card_transform=parameter["param_card_transform"],
            parameter_range=tuple(parameter["parameter_range"]),
        )
    names = [parameter["parameter_name"] for parameter in analysis["parameters"]]
    for name, values in analysis["benchmarks"].items():
        miner.add_benchmark({parameter: values[parameter] for parameter in names}, name)
    morphing = analysis["morphing"]
    np.random.seed(derive_seed(analysis["seed"], "morphing"))
    try:
        miner.set_morphing(
            max_overall_power=morphing["max_overall_power"],
            n_trials=morphing["n_trials"],
            n_test_thetas=morphing["n_test_thetas"],
            include_existing_benchmarks=True,
        )
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        raise InputError(
            f"morphing: MadMiner finds no basis for these benchmarks ({error}); "
            "spread the benchmarks over the parameter ranges"
        ) from None
    miner.save(str(path))
