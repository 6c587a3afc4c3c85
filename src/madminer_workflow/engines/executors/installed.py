"""What steps are computed with: compared where it is not the engine's own environment.

A pod is asked by: python -m madminer_workflow.engines.executors.installed EXPECTED_AS_JSON
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

import madminer_workflow
from madminer_workflow.engines.code import joint_checksum
from madminer_workflow.engines.surroundings import surroundings


@cache
def installed() -> dict[str, str]:
    """Python, packages, and this package's code, here."""
    package = Path(madminer_workflow.__file__).parent
    code = joint_checksum(package, sorted(package.rglob("*.py")))[:16]
    version = f"{madminer_workflow.__version__}+code.{code}"
    return {**surroundings({"madminer_workflow"}, {}), "madminer-workflow": version}


def main(expected: str) -> int:
    """Say what differs from ``expected``; an image need not have all packages."""
    here = installed()
    for name, version in sorted(json.loads(expected).items()):
        if here.get(name, version) != version:
            print(f"it has {name} {here[name]}, and the engine {version}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
