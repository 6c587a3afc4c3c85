"""MadGraph writes a process with EWdim6, and its interpreter compiles Fortran."""

import tempfile
from pathlib import Path

from madminer_workflow.analysis.madgraph_cards import read_process_card
from madminer_workflow.physics.generators.madgraph.building import copy_model, write_process
from madminer_workflow.physics.generators.madgraph.workplace import Workplace, check_compilers
from madminer_workflow.physics.programs import run_program

CARD = "import model EWdim6-full\ngenerate u d > u d h / a z QCD=0 QED=99 NP=2"
FORTRAN = """\
      SUBROUTINE DOUBLED(X, Y)
      DOUBLE PRECISION X, Y
CF2PY INTENT(OUT) :: Y
      Y = 2D0 * X
      END
"""

check_compilers()
with tempfile.TemporaryDirectory() as directory:
    place = Path(directory)
    workplace = Workplace.create(place)
    card = read_process_card(CARD, "smoke")
    model = copy_model(card, None, place, workplace.program.directory, place, "smoke")
    write_process(workplace, card, model, reweighted=False)
    (place / "doubled.f").write_text(FORTRAN)
    python = workplace.program.python
    for command in (
        [python, "-m", "numpy.f2py", "-c", "-m", "doubled", "doubled.f"],
        [python, "-c", "import doubled; assert doubled.doubled(2.0) == 4.0"],
    ):
        run_program(command, place, workplace.log, workplace.environment(), name="f2py")
    print(f"MadGraph: {workplace.program.version}, EWdim6, interpreter {workplace.interpreter()}")
