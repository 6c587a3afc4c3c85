"""Uploads what could not be uploaded while it was written."""

from __future__ import annotations

from pathlib import Path

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.tracking.record import records_in


def sync(directory: Path, uri: str) -> tuple[int, int]:
    """Upload all records below ``directory`` to ``uri``; how many are complete now, and not.

    Raises InputError if there are none and StepError if ``uri`` cannot be reached.
    """
    from madminer_workflow.tracking.upload import Uploader

    folders = sorted({file.parent for file in directory.rglob("*.jsonl")})
    spools = [folder for folder in folders if records_in(folder, uri)]
    if not spools:
        raise InputError(f"{directory}: no records of runs (tracking/*.jsonl) here or below")
    complete = 0
    try:
        uploader = Uploader(uri)
        for spool in spools:
            complete += uploader.upload_all(spool)
    # MLflow and what it talks through raise exceptions of many kinds.
    except Exception as error:
        raise StepError(f"{uri}: {error}") from None
    pending = sum(not record.complete for spool in spools for record in records_in(spool, uri))
    return complete, pending
