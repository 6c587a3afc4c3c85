"""The data of figures: valid for HEPData, and the numbers of results.json."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec.structs import replace

from madminer_workflow.analysis.types import BuiltinProcess, Process
from madminer_workflow.report.figures import plots, tables
from madminer_workflow.report.figures.tables import Column, Table
from madminer_workflow.report.results import Report, report_of
from tests.support.figure_content import make
from tests.support.plotted import Plotted
from tests.support.reana_server import releases

# It needs a jsonschema that yadage does not allow, and is therefore installed beside everything.
VALIDATOR = (
    *("hepdata-validator==0.3.6", "jsonschema==4.26.0", "referencing==0.37.0"),
    *("rpds-py==2026.9.1", "jsonschema-specifications==2025.9.1"),
)
CHECK = """
import sys
from hepdata_validator.full_submission_validator import FullSubmissionValidator
validator = FullSubmissionValidator(schema_version="1.1.1")
valid = validator.validate(directory=sys.argv[1])
validator.print_errors(sys.argv[1] + "/submission.yaml")
for file in validator.get_messages():
    validator.print_errors(file)
sys.exit(not valid)
"""


@pytest.fixture(scope="module")
def output(systematic: Plotted) -> Path:
    return systematic.output


@pytest.fixture(scope="module")
def content(systematic: Plotted) -> dict[str, Any]:
    return systematic.content


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with HEPData's validator and its schemas."""
    directory = tmp_path_factory.mktemp("validator")
    problem = releases.install(directory, *VALIDATOR)
    if problem:
        pytest.skip(f"pip cannot install hepdata-validator: {problem}")
    return directory


def validate(validator: Path, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHECK, str(data)],
        env={"PYTHONPATH": str(validator)},
        capture_output=True,
        text=True,
    )


def read(output: Path, name: str) -> dict[str, Any]:
    return yaml.safe_load((output / "plots/data" / f"{name}.yaml").read_text())


def column(variable: dict[str, Any]) -> list[Any]:
    return [each.get("value", (each.get("low"), each.get("high"))) for each in variable["values"]]


def qualifier(variable: dict[str, Any], name: str) -> Any:
    return next(each["value"] for each in variable["qualifiers"] if each["name"] == name)


def test_hepdata_takes_the_folder_as_it_is(validator: Path, output: Path) -> None:
    checked = validate(validator, output / "plots/data")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """Results with three parameters, observed data and toys, and their tables."""
    report = make(3, observed=True, toys=50, resolution=7)
    directory = tmp_path_factory.mktemp("made_up")
    every = ((table, plot.name) for plot in plots(report) for table in plot.tables)
    tables.write(every, report, directory)
    return report, directory


def test_hepdata_takes_observed_data_and_toys(
    validator: Path, made_up: tuple[Report, Path]
) -> None:
    checked = validate(validator, made_up[1])
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_tables_tell_expected_from_observed(made_up: tuple[Report, Path]) -> None:
    report, directory = made_up
    own = report.methods[0]
    table = yaml.safe_load((directory / "slices_shape_c1.yaml").read_text())
    found = {
        qualifier(each, "Data"): column(each)
        for each in table["dependent_variables"]
        if qualifier(each, "Method") == own.name
    }
    assert found["expected"] == own.curves["shape"].slices["c1"]
    assert own.observed_curves is not None
    assert found["observed"] == own.observed_curves["shape"].slices["c1"]


def test_coverage_has_its_errors(made_up: tuple[Report, Path]) -> None:
    report, directory = made_up
    table = yaml.safe_load((directory / "coverage_shape.yaml").read_text())
    keys = list(zip(*map(column, table["independent_variables"]), strict=True))
    row = keys.index(("sally", "sm", "c2", 0.95))
    assert report.methods[1].toys is not None
    sally = report.methods[1].toys.points[0].kinds["shape"]
    own = sally.parameters["c2"].coverage["0.95"]
    [covered, *_] = table["dependent_variables"]
    assert covered["values"][row] == {
        "value": own.value,
        "errors": [{"symerror": own.error, "label": "number of toys"}],
    }


def test_hepdata_would_refuse_a_table_that_lacks_a_value(
    validator: Path, output: Path, tmp_path: Path
) -> None:
    for path in (output / "plots/data").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken = read(output, "closure")
    del broken["dependent_variables"][0]["values"][-1]
    (tmp_path / "closure.yaml").write_text(yaml.safe_dump(broken))
    checked = validate(validator, tmp_path)
    assert checked.returncode == 1
    assert "Inconsistent length" in checked.stdout


def test_the_list_names_every_file_once(output: Path, content: dict[str, Any]) -> None:
    text = (output / "plots/data" / tables.SUBMISSION).read_text()
    head, *documents = yaml.safe_load_all(text)
    assert content["analysis"]["title"] in head["comment"]
    files = [document["data_file"] for document in documents]
    assert sorted(files) == sorted(
        path.name for path in (output / "plots/data").iterdir() if path.name != tables.SUBMISSION
    )
    names = [document["name"] for document in documents]
    assert len(names) == len(set(names)) and max(map(len, names)) <= tables.MAX_NAME


def test_every_figure_has_data(content: dict[str, Any]) -> None:
    for plot in plots(report_of(content)):
        for table in plot.tables:
            lengths = {len(each.values) for each in (*table.independent, *table.dependent)}
            assert len(lengths) == 1 and lengths.pop() > 0, plot.name


def test_columns_have_one_length(output: Path) -> None:
    for path in (output / "plots/data").glob("*.yaml"):
        if path.name != tables.SUBMISSION:
            table = yaml.safe_load(path.read_text())
            variables = table["independent_variables"] + table["dependent_variables"]
            assert len({len(each["values"]) for each in variables}) == 1, path.name


def test_profiles_are_those_of_the_results(output: Path, content: dict[str, Any]) -> None:
    table = read(output, "profiles_shape_p0")
    [axis] = table["independent_variables"]
    assert column(axis) == content["grid"]["p0"]
    found = {qualifier(each, "Method"): each for each in table["dependent_variables"]}
    assert list(found) == ["histogram", "sally", "parton-level ceiling"]
    sally = content["methods"][1]["curves"]["shape"]
    assert column(found["sally"]) == sally["profiles"]["p0"]
    assert qualifier(found["sally"], "Passes its checks") == "no"
    luminosity = next(q for q in found["sally"]["qualifiers"] if q["name"] == "LUMINOSITY")
    assert luminosity == {"name": "LUMINOSITY", "value": 100.0, "units": "fb$^{-1}$"}
    [error] = found["sally"]["values"][0]["errors"]
    members = [member[0] for member in sally["member_profiles"]["p0"]]
    assert error["asymerror"]["plus"] == pytest.approx(max(members) - sally["profiles"]["p0"][0])
    assert error["asymerror"]["minus"] == pytest.approx(min(members) - sally["profiles"]["p0"][0])


def test_contours_are_rows_of_points(output: Path, content: dict[str, Any]) -> None:
    table = read(output, "limits_p0_p1_shape")
    x, y = map(column, table["independent_variables"])
    [q, *_] = map(column, table["dependent_variables"])
    own = content["methods"][0]["curves"]["shape"]["pairs"][0]["q"]
    row = x.index(content["grid"]["p0"][2], 0) + 5
    assert (x[row], y[row]) == (content["grid"]["p0"][2], content["grid"]["p1"][5])
    assert q[row] == own[2][5]


def test_intervals_have_a_row_each(output: Path, content: dict[str, Any]) -> None:
    table = read(output, "intervals_shape")
    keys = list(zip(*map(column, table["independent_variables"]), strict=True))
    low, high, _ = map(column, table["dependent_variables"])
    row = keys.index(("histogram", "p1", 0.95, "expected"))
    own = content["methods"][0]["limits"]["shape"]["intervals"]["p1"]["0.95"]
    assert [[low[row], high[row]]] == own


def test_observables_have_bins_and_units(output: Path, content: dict[str, Any]) -> None:
    table = read(output, "observable_x")
    [axis] = table["independent_variables"]
    edges = content["observables"][0]["edges"]
    assert axis["header"] == {"name": "$x_1$", "units": "GeV"}
    assert column(axis) == list(pairwise(edges))


def test_what_is_missing_is_said_to_be(tmp_path: Path, content: dict[str, Any]) -> None:
    table = Table(
        "t",
        "",
        [Column("a", [1.0, 2.0])],
        [Column("b", [None, 3.0], "GeV", {"e": [None, (-1.0, 0.5)], "f": [0.1, None]})],
    )
    assert tables.write([(table, "one"), (table, "two")], report_of(content), tmp_path) == {
        "one": ["t.yaml"],
        "two": ["t.yaml"],
    }
    [own] = yaml.safe_load((tmp_path / "t.yaml").read_text())["dependent_variables"]
    assert own["values"] == [
        {"value": "-", "errors": [{"symerror": 0.1, "label": "f"}]},
        {"value": 3.0, "errors": [{"asymerror": {"minus": -1.0, "plus": 0.5}, "label": "e"}]},
    ]
    [document] = list(yaml.safe_load_all((tmp_path / tables.SUBMISSION).read_text()))[1:]
    assert document["location"] == "Figure one, two"


@pytest.mark.parametrize(
    ("beams", "energy"),
    [
        ([(6500.0, 6500.0)] * 2, 13.0),
        ([(27.5, 920.0)], pytest.approx(0.318, abs=1e-3)),
        ([(6500.0, 6500.0), (7e3, 7e3)], None),
        ([(6500.0, 6500.0), None], None),
    ],
)
def test_the_energy_is_known_if_all_processes_agree(
    beams: list[tuple[float, float] | None], energy: Any
) -> None:
    setup = make(1, methods=("histogram",), members=1, resolution=5).setup
    [process] = setup.processes
    assert isinstance(process, BuiltinProcess)
    common = {"name": "", "systematics": [], "is_background": False, "k_factor": 1.0, "events": {}}
    cards = dict.fromkeys(("pythia8_card", "run_card", "param_card", "ufo_model"))
    madgraph = {**common, **cards, "generator": "madgraph", "proc_card": "proc.dat"}
    processes = [
        replace(process, run=replace(process.run, ebeam1=pair[0], ebeam2=pair[1]))
        if pair
        else msgspec.convert(madgraph, Process)
        for pair in beams
    ]
    assert replace(setup, processes=processes).energy_tev == energy
