"""Configure: the validated analysis file becomes MadMiner's set-up and the steps' settings."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import msgspec
import numpy as np

from madminer_workflow import hdf5_files
from madminer_workflow.analysis import event_files
from madminer_workflow.analysis.cards import IGNORED, parts
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.morphing import highest_powers, morphing_components
from madminer_workflow.analysis.systematics import EFFECTS_NOTE, nuisance_parameters
from madminer_workflow.analysis.types import (
    Analysis,
    FilesProcess,
    MadGraphProcess,
    ObjectVariation,
    Process,
    Systematic,
)
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, pack, write_json
from madminer_workflow.products.parts import write_parts
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.surplus import Fit

if TYPE_CHECKING:
    from madminer.core import MadMiner


def configure(input_file: Path, output: Path) -> None:
    """Validate ``input_file`` and write ``config.h5``, ``generation.json``,
    ``reconstruction.json``, ``analysis.json`` and ``Models.tar.gz`` into ``output``.

    The two parts, with the text of all cards, hold exactly what event generation and event
    analysis depend on, so that a change anywhere else in the file leaves their bytes, and all
    cached events, as they are.
    """
    analysis = event_files.counted(read_analysis(input_file), input_file.parent, exactly=True)
    generation, reconstruction = parts(analysis, input_file.parent)
    with atomic_path(output / "config.h5") as product:
        write_setup(analysis, product)
    write_parts(output, generation, reconstruction)
    write_json(output / "analysis.json", msgspec.to_builtins(analysis))
    pack_models(analysis.processes, input_file.parent, output / "Models.tar.gz")


def pack_models(processes: Sequence[Process], folder: Path, archive: Path) -> None:
    """Pack the UFO models of all processes, each under the name of its folder, and event files.

    Raises InputError if two of them have the same name.
    """
    sources: dict[str, Path] = {}
    for process in processes:
        if isinstance(process, MadGraphProcess) and process.ufo_model is not None:
            source = (folder / process.ufo_model).resolve()
            if sources.setdefault(source.name, source) != source:
                raise InputError(
                    f"processes.{process.name}.ufo_model: {source} and {sources[source.name]} "
                    "have the same name; rename one"
                )
    with tempfile.TemporaryDirectory() as scratch:
        for name, source in sources.items():
            ignored = shutil.ignore_patterns(*IGNORED)
            shutil.copytree(source, Path(scratch) / name, ignore=ignored)
        for process in processes:
            if isinstance(process, FilesProcess):
                for places in event_files.packed_places(
                    process.name, process.files, folder
                ).values():
                    for place, source in places.items():
                        copy = Path(scratch) / place
                        copy.parent.mkdir(parents=True, exist_ok=True)
                        copy.symlink_to(source.resolve())
        pack(scratch, archive)


def write_setup(analysis: Analysis, path: Path) -> None:
    """Write parameters, benchmarks, morphing basis and systematics to a new MadMiner file ``path``.

    MadMiner completes the basis with benchmarks that minimise the morphing uncertainty over the
    parameter ranges; its random search is seeded here. Raises InputError if no basis is found.
    """
    from madminer.core import MadMiner

    from madminer_workflow.madminer_fixes.set_up import save_systematics_without_scale

    logging.getLogger("madminer").setLevel(logging.ERROR)
    miner = MadMiner()
    # No param_card_transform: MadMiner would hand it to Python's eval, here and whenever the file
    # is loaded. Generators have the parameters' own `card_value`.
    powers = [parameter.morphing_max_power for parameter in analysis.parameters]
    highest = highest_powers(powers, analysis.morphing.max_overall_power)
    for parameter, power in zip(analysis.parameters, highest, strict=True):
        miner.add_parameter(
            parameter_name=parameter.parameter_name,
            lha_block=parameter.lha_block,
            lha_id=parameter.lha_id,
            morphing_max_power=power,
            parameter_range=parameter.parameter_range,
        )
    for name, values in analysis.benchmarks.items():
        point = {parameter: values[parameter] for parameter in analysis.parameter_names}
        miner.add_benchmark(point, name)
    np.random.seed(derive_seed(analysis.seed, "morphing"))
    try:
        set_morphing(miner, analysis)
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        raise InputError(
            f"morphing: MadMiner finds no basis for these benchmarks ({error}); distribute the "
            "benchmarks over the parameter ranges"
        ) from None
    for systematic in analysis.systematics:
        miner.add_systematics(**madminer_settings(systematic))
    save_systematics_without_scale()
    miner.save(str(path))
    if analysis.systematics:
        add_nuisance_parameters(analysis.systematics, next(iter(analysis.benchmarks)), path)
    with h5py.File(path, "a") as file:
        if any(isinstance(entry, ObjectVariation) for entry in analysis.systematics):
            effects = [entry.effect.encode("ascii") for entry in analysis.systematics]
            file.create_dataset(EFFECTS_NOTE, data=effects)
        hdf5_files.seal(file)


def set_morphing(miner: MadMiner, analysis: Analysis) -> None:
    """Let MadMiner complete the basis, or take the fit to benchmarks that are more than terms.

    MadMiner itself knows neither such a fit nor factors of the squared matrix element, but
    computes with the powers and the morphing matrix that are given, whatever they are.
    """
    from madminer.utils.morphing import PhysicsMorpher

    settings = analysis.morphing
    powers = [parameter.morphing_max_power for parameter in analysis.parameters]
    components = np.array(morphing_components(powers, settings.max_overall_power))
    surplus = len(miner.benchmarks) > len(components)
    if isinstance(settings.max_overall_power, int) and not surplus:
        miner.set_morphing(**msgspec.to_builtins(settings), include_existing_benchmarks=True)
        return
    morpher = PhysicsMorpher(parameters_from_madminer=miner.parameters)
    morpher.set_components(components)
    if surplus:
        points = [[*benchmark.values.values()] for benchmark in miner.benchmarks.values()]
        matrix = Fit(Monomials(components), np.array(points)).matrix().T
        morpher.set_basis(basis_from_madminer=miner.benchmarks, morphing_matrix=matrix)
    else:
        basis = morpher.optimize_basis(
            benchmarks_from_madminer=miner.benchmarks,
            n_trials=settings.n_trials,
            n_test_thetas=settings.n_test_thetas,
        )
        miner.set_benchmarks(basis, verbose=False)
    miner.morpher, miner.export_morphing = morpher, True


def madminer_settings(systematic: Systematic) -> dict[str, Any]:
    """Arguments of MadMiner's ``add_systematics``.

    Of PDF sets it knows the name only, of objects nothing: for it, their uncertainties are
    normalisations that nobody varies.
    """
    if isinstance(systematic, ObjectVariation):
        name = systematic.systematic_name
        return {"systematic_name": name, "effect": "norm", "norm_variation": 1.0}
    settings = msgspec.to_builtins(systematic)
    ours = {"pdf_members", "pdf_error_type", "pdf_confidence_level"}
    return {key: settings[key] for key in settings.keys() - ours}


def add_nuisance_parameters(systematics: Sequence[Systematic], reference: str, path: Path) -> None:
    """Add the nuisance parameters and their benchmarks, as MadMiner's readers of events do.

    The uncertainties are evaluated at the benchmark ``reference``.
    """
    from madminer.models import NuisanceParameter
    from madminer.utils.interfaces.hdf5 import save_nuisance_setup

    nuisance = nuisance_parameters(systematics)
    save_nuisance_setup(
        file_name=str(path),
        file_override=True,
        nuisance_benchmarks=[name for parameter in nuisance for name in parameter.benchmarks],
        nuisance_parameters={
            p.name: NuisanceParameter(p.name, p.systematic, p.positive, p.negative)
            for p in nuisance
        },
        reference_benchmark=reference,
    )
