"""MadMiner makes a set-up, which this package reads."""

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

# First, since it lets parts of MadMiner be imported without torch.
import madminer_workflow

# isort: split
from madminer.core import MadMiner

from madminer_workflow.madminer_file import read_setup

with tempfile.TemporaryDirectory() as directory:
    file = Path(directory) / "config.h5"
    miner = MadMiner()
    miner.add_parameter("dim6", 2, "theta", morphing_max_power=2, parameter_range=(-1.0, 1.0))
    for name, value in {"sm": 0.0, "plus": 1.0, "minus": -1.0}.items():
        miner.add_benchmark({"theta": value}, name)
    miner.set_morphing(max_overall_power=2)
    miner.save(str(file))
    assert read_setup(file).benchmark_names == ["sm", "plus", "minus"]
python = ".".join(map(str, sys.version_info[:3]))
print(
    f"madminer-workflow: {madminer_workflow.__version__}, MadMiner {version('madminer')}, "
    f"Python {python}"
)
