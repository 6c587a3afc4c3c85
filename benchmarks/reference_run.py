"""What the reference analysis costs from events to report, and again when nothing changed.

Beside another version of this project, if the programs of its environment are named: both run in
turn on the same machine, and what they print at the end, all limits, is compared line by line. The
programs should be those of environments of their own (`.venv/bin/madminer-workflow` of each clone).

    python benchmarks/reference_run.py [PROGRAM ...]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from costs import HEADER, cost_of

PROGRAM = Path(sys.executable).parent / "madminer-workflow"
ANALYSIS = Path(__file__).parents[1] / "inputs" / "wbf"


def main(programs: list[Path]) -> None:
    """Run every program on the reference analysis, fresh and unchanged."""
    print(HEADER)
    headlines = []
    with tempfile.TemporaryDirectory() as scratch:
        for i, program in enumerate(programs):
            directory = Path(scratch) / str(i)
            directory.mkdir()
            command = [str(program), "run", str(ANALYSIS), "--workdir", str(directory / "run")]
            print(cost_of(command, directory).row(f"{program}: all steps"), flush=True)
            print(cost_of(command, directory).row(f"{program}: nothing changed"), flush=True)
            finished = subprocess.run(command, cwd=directory, capture_output=True, text=True)
            headlines.append(finished.stdout.replace(str(directory), ""))
    print(headlines[0])
    if len(programs) > 1:
        same = all(headline == headlines[0] for headline in headlines)
        print("All print the same." if same else "They do NOT print the same:")
        if not same:
            print("\n".join(headlines[1:]))


if __name__ == "__main__":
    main([Path(program).absolute() for program in sys.argv[1:]] or [PROGRAM])
