"""``results.json``: typed, read as it was written, refused if it is something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from madminer_workflow.errors import InputError
from madminer_workflow.files import write_json
from madminer_workflow.report.results import as_read, read_report
from madminer_workflow.statistics.plain import plain
from tests.support.figure_content import make


@pytest.mark.parametrize("observed", [False, True])
def test_what_is_read_is_what_was_written(tmp_path: Path, observed: bool) -> None:
    report = make(2, methods=("sally",), members=2, observed=observed, toys=20, resolution=5)
    write_json(tmp_path / "results.json", plain(report))
    again = read_report(tmp_path / "results.json")
    assert again == report == as_read(report)
    write_json(tmp_path / "again.json", plain(again))
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "results.json").read_bytes()


def test_another_file_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", {"version": "1.0"})
    message = r"results\.json: holds no results of plotting: .* missing required field `versions`"
    with pytest.raises(InputError, match=message):
        read_report(tmp_path / "results.json")
