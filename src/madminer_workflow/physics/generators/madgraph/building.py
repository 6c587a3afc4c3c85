"""Let MadGraph write a process of a model, and make its code one that serves all benchmarks."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from madminer_workflow.analysis.madgraph_cards import ProcessCard
from madminer_workflow.errors import InputError
from madminer_workflow.physics.generators.madgraph.workplace import Workplace
from madminer_workflow.physics.programs import run_program


def copy_model(
    card: ProcessCard, ufo_model: str | None, models: Path, madgraph: Path, target: Path, where: str
) -> Path:
    """Copy the model, ``ufo_model`` from the analysis' ``models`` or MadGraph's, into ``target``.

    MadGraph writes into the folders of models. It would search the internet for one that it does
    not have; here that is an InputError.
    """
    if ufo_model is not None and Path(ufo_model).name != card.model:
        brought = Path(ufo_model).name
        raise InputError(
            f"{where}: imports the model {card.model}, but the ufo_model of the process is "
            f"{brought}; expected 'import model {brought}' (with a restriction, if there is one)"
        )
    folder = madgraph / "models" if ufo_model is None else models
    source = folder / card.model
    if not (source / "particles.py").is_file():
        known = sorted(path.parent.name for path in folder.glob("*/particles.py"))
        close = difflib.get_close_matches(card.model, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(
            f"{where}: there is no UFO model {card.model} in {folder} (there are "
            f"{', '.join(known) or 'none'}){hint} Put your own model next to the analysis file "
            "and name it with ufo_model"
        )
    restriction = card.restriction.removeprefix("-")
    if restriction not in ("", "full") and not (source / f"restrict_{restriction}.dat").is_file():
        raise InputError(
            f"{where}: the model {card.model} has no restriction '{restriction}' "
            f"(restrict_{restriction}.dat)"
        )
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "*.pkl", "*.log", ".git")
    shutil.copytree(source, target / card.model, ignore=ignored)
    return target / card.model


def write_process(workplace: Workplace, card: ProcessCard, model: Path, reweighted: bool) -> Path:
    """Write the event generator and, if ``reweighted``, the matrix elements; return its folder.

    Raises StepError with the end of MadGraph's log if either is not complete.
    """
    generator, weights = workplace.directory / "process", workplace.directory / "weights"
    outputs = [f"output {generator} -nojpeg"]
    if reweighted:
        # Flavours apart, as MadGraph's own reweighting does it.
        outputs += ["set group_subprocesses False", *card.definitions]
        outputs += [f"output standalone_rw {weights} --prefix=int"]
    workplace.run_commands(card.commands(model, *outputs))
    if not (generator / "SubProcesses" / "subproc.mg").is_file():
        raise workplace.failure("did not write the process")
    if reweighted and not (weights / "SubProcesses" / "all_matrix.f").is_file():
        raise workplace.failure("did not write the matrix elements")
    workplace.configure(generator)
    return generator


def compile_weights(workplace: Workplace) -> Path:
    """Compile the matrix elements once; return the folder of what evaluates them."""
    weights = workplace.directory / "weights"
    for part in ("DHELAS", "MODEL"):
        workplace.make("all", weights / "Source" / part)
    workplace.make("all_matrix2py.so", weights / "SubProcesses")
    modules = list((weights / "SubProcesses").glob("all_matrix2py.*.so"))
    if len(modules) != 1:
        raise workplace.failure("did not compile the matrix elements")
    strip(workplace, modules)
    product = workplace.directory / "matrix_elements"
    product.mkdir()
    modules[0].rename(product / "all_matrix2py.so")
    for name in ("ident_card.dat", "param_card.dat"):
        (weights / "Cards" / name).rename(product / name)
    return product


def strip(workplace: Workplace, programs: Iterable[Path]) -> None:
    """Remove what depends on where and when ``programs`` were compiled, and is not needed."""
    options = ["--strip-debug", "--remove-section=.note.gnu.build-id"]
    command: list[str | Path] = ["strip", *options, *programs]
    run_program(command, workplace.directory, workplace.log, workplace.environment())


def read_parameters_at_run_time(generator: Path) -> None:
    """Make the event generator read its parameter card when it runs.

    MadGraph compiles the parameters' values into the generator. Its stand-alone code, made from
    the same model, reads the card with the routines used here.
    """
    names = re.findall(
        r"^\s*\S+\s+(?:\d+\s+)+(\S+)\s*$",
        (generator / "Cards" / "ident_card.dat").read_text(),
        re.MULTILINE,
    )
    lines = ["      CALL LHA_LOADCARD(PARAM_NAME,NPARA,PARAM,VALUE)"]
    for name in names:
        lines.append("      CALL LHA_GET_REAL(NPARA,PARAM,VALUE,")
        lines.append(f"     $ '{name}',")
        lines.append(f"     $ {name.upper()},0D0)")
    path = generator / "Source" / "MODEL" / "param_read.inc"
    path.write_text("\n".join([*lines, ""]))
