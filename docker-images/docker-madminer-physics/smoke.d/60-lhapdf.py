"""Where LHAPDF is installed, MadGraph's interpreter can use it."""

import os
import subprocess
from pathlib import Path

from madminer_workflow.physics.programs import lhapdf_config

config = lhapdf_config()
if config is None:
    print("LHAPDF: not installed")
else:
    prefix = subprocess.run([config, "--prefix"], capture_output=True, text=True, check=True)
    [package] = Path(prefix.stdout.strip()).glob("lib*/python3*/*-packages")
    subprocess.run(
        [os.environ["MG5_PYTHON"], "-c", "import lhapdf; print('LHAPDF:', lhapdf.version())"],
        env={**os.environ, "PYTHONPATH": str(package)},
        check=True,
    )
