"""Two runs side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from madminer_workflow.cli import main
from madminer_workflow.compare import compare_runs
from madminer_workflow.files import read_json, write_json
from tests.support.finished import finished_tiny


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished run, and what another one would have written about itself."""
    first, _ = finished_tiny(tmp_path_factory)
    second = tmp_path_factory.mktemp("second") / "other"
    shutil.copytree(first, second, ignore=shutil.ignore_patterns("_cache"))
    analysis = second / "_crate/inputs/input.yml"
    text = analysis.read_text()
    assert text.count("pt_j1 > 20.0") == 1
    analysis.write_text(text.replace("pt_j1 > 20.0", "pt_j1 > 25.0"))
    record = read_json(second / "ro-crate-metadata.json")
    for entity in record["@graph"]:
        if entity["@id"] == "_crate/inputs/input.yml":
            entity["sha256"] = 64 * "0"
        if entity["@id"].startswith("#parameter-value/njobs") or entity.get("name") == "njobs":
            entity["value"] = 3
    write_json(second / "ro-crate-metadata.json", record)
    results = read_json(second / "ml/plotting/results.json")
    results["methods"] = results["methods"][1:]
    sally = results["methods"][0]
    for limits in sally["limits"].values():
        limits["intervals"]["CWL2"]["0.95"] = [[-1.5, 0.5]]
    sally["believed"] = True
    write_json(second / "ml/plotting/results.json", results)
    return first, second


def test_a_run_is_what_it_is(runs: tuple[Path, Path]):
    same = compare_runs(runs[0], runs[0])
    assert same.settings == same.options == same.inputs == same.versions == {}
    assert all(row.words[0] == row.words[1] for row in same.limits)


def test_what_differs_is_in_a_table(runs: tuple[Path, Path]):
    first, second = map(str, runs)
    result = CliRunner().invoke(main, ["compare", first, second])
    assert result.exit_code == 0, result.output
    cells = [line.split("  ") for line in result.stdout.splitlines()]
    rows = {row[0]: [cell.strip() for cell in row[1:] if cell] for row in cells}
    assert rows["limits 95 %"] == [first, second]
    assert rows["cuts[0].definition"] == ["'pt_j1 > 20.0'", "'pt_j1 > 25.0'"]
    assert rows["sally CWL2"][1] == "[−1.50, 0.50]"
    assert rows["counts CWL2"][1] == "—"
    assert rows["inputs/input.yml"][1] == 12 * "0"
    assert "versions: no difference" in result.stdout


def test_json_for_scripts(runs: tuple[Path, Path]):
    result = CliRunner().invoke(main, ["compare", *map(str, runs), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["settings"] == {"cuts[0].definition": ["'pt_j1 > 20.0'", "'pt_j1 > 25.0'"]}
    [row] = [r for r in told["limits"] if (r["method"], r["parameter"]) == ("sally", "CWL2")]
    assert row["intervals"][1] == [[-1.5, 0.5]]
    assert row["believed"] == [False, True]


def test_what_is_no_run(runs: tuple[Path, Path], tmp_path: Path):
    result = CliRunner().invoke(main, ["compare", str(runs[0]), str(tmp_path)])
    assert result.exit_code == 2
    assert str(tmp_path) in result.stderr and len(result.stderr.splitlines()) == 1
