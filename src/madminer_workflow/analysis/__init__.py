"""The analysis file: read, checked in two passes, completed with its defaults, and typed.

``file`` has the doors; ``types``, ``systematics`` and ``fingerprint`` are light, and know of no
files.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # TODO: remove when nobody imports these from here.
    if name in ("load_analysis", "read_analysis", "split", "examine", "AnalysisError"):
        from madminer_workflow.analysis import file

        return getattr(file, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
