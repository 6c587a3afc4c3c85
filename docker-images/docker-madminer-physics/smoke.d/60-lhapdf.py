"""Where LHAPDF is installed, MadGraph's interpreter can use it, with the sets that are there."""

import os
import subprocess
from pathlib import Path

from madminer_workflow.physics.programs import lhapdf_config, lhapdf_environment

SHOW = "import lhapdf; print('LHAPDF:', lhapdf.version(), *lhapdf.availablePDFSets())"

config = lhapdf_config()
if config is None:
    print("LHAPDF: not installed")
else:
    prefix = subprocess.run([config, "--prefix"], capture_output=True, text=True, check=True)
    [package] = Path(prefix.stdout.strip()).glob("lib*/python3*/*-packages")
    subprocess.run(
        [os.environ["MG5_PYTHON"], "-c", SHOW],
        env={**os.environ, **lhapdf_environment(config), "PYTHONPATH": str(package)},
        check=True,
    )
