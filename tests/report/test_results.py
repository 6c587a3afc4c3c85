"""``results.json``: typed, read as it was written, refused if it is something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from msgspec.structs import replace

from madminer_workflow.errors import InputError
from madminer_workflow.files import write_json
from madminer_workflow.report.results import SCHEMA_VERSION, Report, as_read, read_report
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
    message = "is not a results.json from plotting: .* missing required field `schema_version`"
    with pytest.raises(InputError, match=rf"results\.json: {message}"):
        read_report(tmp_path / "results.json")


def test_results_of_another_schema_are_refused(tmp_path: Path) -> None:
    report = replace(make(2, methods=("sally",)), schema_version=SCHEMA_VERSION + 1)
    write_json(tmp_path / "results.json", plain(report))
    message = f"schema_version: is {SCHEMA_VERSION + 1}; .* reads {SCHEMA_VERSION}: run plotting"
    with pytest.raises(InputError, match=message):
        read_report(tmp_path / "results.json")


def of_draft_7(part: Any) -> Any:
    """A schema of draft 2020-12 as one of draft 7, which has other words for tuples."""
    if isinstance(part, list):
        return [of_draft_7(one) for one in part]
    if not isinstance(part, dict):
        return part
    words = {name: of_draft_7(below) for name, below in part.items()}
    if isinstance(words.get("prefixItems"), list):
        words |= {"additionalItems": words.pop("items", True), "items": words.pop("prefixItems")}
    return words


@pytest.mark.parametrize("observed", [False, True])
def test_the_json_schema_is_that_of_the_file(observed: bool) -> None:
    schema = of_draft_7(msgspec.json.schema(Report))
    results = plain(make(2, methods=("sally",), members=2, observed=observed, toys=20))
    jsonschema.Draft7Validator(schema).validate(results)
    assert not jsonschema.Draft7Validator(schema).is_valid({**results, "grid": None})
