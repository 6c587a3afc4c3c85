"""Where the workflow files are, whichever way this package came here."""

from __future__ import annotations

from pathlib import Path

from madminer_workflow.errors import InputError

_PACKAGE = Path(__file__).resolve().parent
PLACES = (_PACKAGE / "data", _PACKAGE.parents[1])
"""In a package that was installed, and in a clone of the repository."""


def workflow_files() -> Path:
    """The folder of ``workflow.yml``, ``workflows/``, ``steps/`` and some of ``inputs/``.

    Raises InputError if there is none.
    """
    for place in PLACES:
        if (place / "workflow.yml").is_file():
            return place
    raise InputError(
        f"{PLACES[0]}: no such folder; it is part of this package, so reinstall the package, or "
        "use a clone of its repository"
    )
