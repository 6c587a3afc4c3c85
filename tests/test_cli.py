from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from madminer_workflow.cli import main
from madminer_workflow.cli.steps import files_in
from madminer_workflow.files import read_json, write_json
from tests.support.chain import TINY, Physics, analysis_file, with_toys
from tests.support.chain import tiny as section
from tests.support.special_files import special

STEPS = ["configure", "generate", "pythia", "delphes", "combine"]
STEPS += ["sampling", "training", "evaluating", "toys", "plotting"]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def content(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def refuse(output: Path, *arguments: object, code: int = 2) -> str:
    """Run a step that must fail: one line, no traceback, nothing changed. Returns the line."""
    output.mkdir(exist_ok=True)
    (output / "previous").write_text("previous")
    before = content(output)
    result = invoke(*arguments, "--output", output)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    assert content(output) == before
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def test_commands_are_listed_in_the_order_of_the_workflow() -> None:
    output = invoke("--help").output
    assert "Exit codes: 2 for bad input" in " ".join(output.split())
    places = [output.index(f"\n  {name} ") for name in ["validate", "run", *STEPS]]
    assert places == sorted(places)


@pytest.mark.parametrize("command", ["validate", "run", *STEPS])
def test_help_explains_the_command(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    parameters = main.commands[command].params
    for parameter in parameters:
        if parameter.param_type_name == "option":
            assert parameter.help  # type: ignore[attr-defined]
            assert parameter.opts[0] in text
        else:
            # Arguments have no help of their own: the text speaks of them.
            assert text.count(parameter.name.upper()) >= 2  # type: ignore[union-attr]
    if command in STEPS:
        assert "Writes " in text
        assert "--output" in text


def test_help_is_instant() -> None:
    """Neither help nor validation imports torch, MadMiner or the readers."""
    code = (
        "import sys; from click.testing import CliRunner; from madminer_workflow.cli import main; "
        f"r = CliRunner().invoke(main, ['validate', {str(TINY)!r}]); assert r.exit_code == 0; "
        "CliRunner().invoke(main, ['--help']); "
        "heavy = ('torch', 'awkward', 'yadage', 'matplotlib', 'scipy'); "
        "print([module for module in heavy if module in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_without_a_command_there_is_help() -> None:
    result = invoke()
    assert result.exit_code == 2
    assert "Usage:" in result.output
    assert "configure" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["configur"], "No such command 'configur'"),
        (["configure"], "Missing option '--input'"),
        (["configure", "--inputt", "x"], "No such option"),
        (["generate", "--njobs", "two"], "'two' is not a valid integer"),
        (
            ["combine", "--config", str(TINY), "--generation", str(TINY)],
            "Missing argument 'DATA...'",
        ),
        (
            ["evaluating", "--evaluation", str(TINY), "--data", str(TINY)],
            "Missing argument 'MODELS",
        ),
        (["run", str(TINY), "--part", "both"], "'both' is not one of 'all', 'physics', 'ml'"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert line.endswith("--help")


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", TINY, "--workdir"],
        ["run"],
        ["new"],
        ["validate"],
        ["configure", "--input", TINY, "--output"],
        ["step", "configure", "--workdir"],
        ["step", "configure", "--workdir", "work", "--analysis"],
    ],
)
def test_no_name_is_not_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[Any], empty: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input.yml").write_text(TINY.read_text())
    result = invoke(*arguments, empty)
    assert result.exit_code == 2
    assert "is empty; expected the name of a file or directory" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["input.yml"]


def test_version() -> None:
    assert invoke("--version").exit_code == 0


def test_validate(tmp_path: Path) -> None:
    result = invoke("validate", TINY)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{TINY}: valid" in result.stdout
    assert "parameters:  CWL2, CPWL2" in result.stdout
    assert "processes:   signal (builtin, 600 events)" in result.stdout
    assert "methods:     counts, sally, ratio" in result.stdout
    assert "points; CPU time per member, up to 1 s for ratio" in result.stdout


def test_validate_says_what_it_will_cost() -> None:
    result = invoke("validate", TINY)
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("  cost:")]
    for word in ("steps at a time", "of CPU time", "MB of memory per step", "of disk space"):
        assert word in line or (word == "steps at a time" and "one step" in line)


def test_what_is_beyond_this_machine_is_refused_unless_allowed(tmp_path: Path) -> None:
    ml = section("ml")
    ml["methods"][1]["network"]["n_hidden"] = [100_000, 100_000]
    ml["methods"][1]["n_samples"] = 10**9
    file = analysis_file(tmp_path / "input.yml", ml=ml)
    for command in (["validate", file], ["run", file, "--workdir", tmp_path / "run"]):
        result = invoke(*command)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert "ml.methods[sally].n" in line and "of memory, and this machine has" in line
        assert line.endswith("; lower it, or use --allow-large")
    assert invoke("validate", "--allow-large", file).exit_code == 0
    assert invoke("validate", "--elsewhere", file).exit_code == 0
    result = invoke("run", file, "--workdir", tmp_path / "run", "--allow-large", "--dry-run")
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["input.yml"]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    result = invoke("run", TINY, "--workdir", workdir, "-n", "--njobs", "3")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["step", "jobs", "to", "run", "CPU", "time", "memory", "disk", "why"]
    assert [line[0] for line in lines[1:-1]] == [step for step in STEPS if step != "toys"]
    assert [line[1] for line in lines[1:-1]] == ["1", "1", "3", "3", "1", "1", "3", "3", "1"]
    assert lines[-1][0] == "Estimated:"
    assert not workdir.exists()
    (workdir / "physics" / "pythia_1" / "_packtivity").mkdir(parents=True)
    (workdir / "physics" / "pythia_1" / "_packtivity" / "key").touch()
    result = invoke("run", TINY, "--workdir", workdir, "-n", "--part", "physics")
    (line,) = [line.split() for line in result.stdout.splitlines() if line.startswith("pythia")]
    assert line[:3] == ["pythia", "6", "6"]
    assert [path.name for path in (workdir / "physics/pythia_1").iterdir()] == ["_packtivity"]


@pytest.mark.parametrize("option", ["--njobs", "--ntrainsamples", "--workers"])
def test_numbers_of_processes_are_limited(tmp_path: Path, option: str) -> None:
    result = invoke("run", TINY, "--workdir", tmp_path / "run", option, str(10**15))
    assert result.exit_code == 2
    assert f"{option[2:]} = 1000000000000000: expected at most 10000" in result.stderr
    assert not (tmp_path / "run").exists()


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    name = "x" * 5000
    for words in (
        ["validate", name],
        ["run", name],
        ["run", TINY, "--workdir", tmp_path / name],
        ["run", TINY, "--workdir", tmp_path / "run", "--observed", name],
    ):
        result = invoke(*words)
        assert result.exit_code == 2, words
        assert "File name too long" in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", ["pipe", "zero", "socket"])
def test_options_name_files(tmp_path: Path, kind: str) -> None:
    path = special(tmp_path / "events.h5", kind)
    for words in (
        ["run", TINY, "--workdir", tmp_path / "run", "--part", "ml", "--data", path],
        ["run", TINY, "--workdir", tmp_path / "run", "--observed", path],
        ["run", path, "--workdir", tmp_path / "run"],
        ["validate", path],
        ["sampling", "--input", path, "--data", path, "--output", tmp_path / "out"],
    ):
        result = invoke(*words)
        assert result.exit_code == 2, words
        assert str(path) in result.stderr and len(result.stderr.splitlines()) == 1


def test_validate_warns_and_accepts(tmp_path: Path) -> None:
    ml = section("ml")
    ml["limits"]["grid"]["CPWL2"]["range"] = [-30.0, 30.0]
    result = invoke("validate", analysis_file(tmp_path / "input.yml", ml=ml))
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: ")
    assert "warning" not in result.stdout


def test_validate_lists_all_problems_at_once(tmp_path: Path) -> None:
    broken = analysis_file(
        tmp_path / "input.yml",
        observabels=[],
        benchmarks={**section("benchmarks"), "w": {"CWL2": 15.2, "CPWL": 0.1}},
        observables=[{"name": "pt_j1", "definition": "j[0].pt +", "default": 0.0}],
        seed="x",
    )
    for arguments in (["validate", broken], ["configure", "--input", broken, "--output", tmp_path]):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert isinstance(result.exception, SystemExit)
        lines = result.stderr.splitlines()
        assert all(line.startswith(f"error: {broken}:") for line in lines)
        for words in ("observabels", "CPWL2", "pt_j1", "seed"):
            assert any(words in line for line in lines), words
    assert [path.name for path in tmp_path.iterdir()] == ["input.yml"]


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "binary", "list"])
def test_validate_refuses_what_is_no_analysis(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"empty": b"", "binary": b"\xff\x00\xfe", "list": b"[1, 2]"}[kind])
    result = invoke("validate", path)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert str(path) in result.stderr


@pytest.fixture(scope="module")
def inputs(tiny: Physics, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """The arguments with which each step works; the results of the last steps are stand-ins."""
    directory = tmp_path_factory.mktemp("inputs")
    methods = directory / "sampling/methods"
    analysis = with_toys(directory)
    assert (
        invoke(
            "sampling",
            "--input",
            analysis,
            "--data",
            tiny.combined,
            "--ntrainsamples",
            1,
            "--output",
            directory / "sampling",
        ).exit_code
        == 0
    )
    samples = methods / "counts/Samples_counts_0.npz"
    assert invoke("training", "--samples", samples, "--output", directory).exit_code == 0
    evaluation = methods / "counts/evaluation.json"
    job = methods / "counts/toys_0.json"
    model = directory / "Model.tar.gz"
    setup = ["--config", tiny.config, "--generation", tiny.generation]
    return {
        "configure": ["--input", TINY],
        "generate": [*setup, "--models", tiny.models, "--njobs", 2],
        "pythia": ["--job", tiny.jobs[0], "--processes", tiny.processes],
        "delphes": [
            "--config",
            tiny.config,
            "--reconstruction",
            tiny.reconstruction,
            "--events",
            tiny.events[0],
        ],
        "combine": [*setup, *tiny.data],
        "sampling": ["--input", TINY, "--data", tiny.combined, "--ntrainsamples", 1],
        "training": ["--samples", samples],
        "evaluating": ["--evaluation", evaluation, "--data", tiny.combined, model],
        "toys": ["--evaluation", evaluation, "--data", tiny.combined, "--job", job, model],
    }


CASES = [
    ("configure", 1),
    ("generate", 1),
    ("generate", 3),
    ("pythia", 1),
    ("pythia", 3),
    ("delphes", 1),
    ("delphes", 3),
    ("delphes", 5),
    ("combine", 1),
    ("combine", 3),
    ("combine", 4),
    ("combine", 6),
    ("sampling", 1),
    ("sampling", 3),
    ("training", 1),
    ("evaluating", 1),
    ("evaluating", 3),
    ("evaluating", 4),
    ("toys", 1),
    ("toys", 3),
    ("toys", 5),
    ("toys", 6),
]
KINDS = ["missing", "folder", "empty", "text", "null", "list", "binary", "hdf5", "archive", "zip"]


def bad_file(kind: str, directory: Path) -> Path:
    """A file that is not what any step wants."""
    path = directory / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "hdf5":
        h5py.File(path, "w").close()
    elif kind == "archive":
        path.write_bytes(Path(bad_archive(directory)).read_bytes())
    elif kind == "zip":
        with path.open("wb") as file:
            np.savez(file, x=np.ones(3))
    elif kind != "missing":
        texts = {"empty": b"", "text": b"{half", "null": b"null", "list": b"[1]"}
        path.write_bytes({**texts, "binary": b"\xff\xfe\x00\x01"}[kind])
    return path


def bad_archive(directory: Path) -> Path:
    from madminer_workflow.files import pack

    (directory / "content").mkdir()
    (directory / "content/something").write_text("else")
    pack(directory / "content", directory / "something.tar.gz")
    return directory / "something.tar.gz"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("step", "place"), CASES)
def test_wrong_files(
    inputs: dict[str, list[Any]], tmp_path: Path, step: str, place: int, kind: str
) -> None:
    arguments = list(inputs[step])
    arguments[place] = bad_file(kind, tmp_path)
    line = refuse(tmp_path / "out", step, *arguments)
    assert str(arguments[place]) in line


@pytest.mark.parametrize(("step", "place"), [case for case in CASES if case[0] != "configure"])
def test_files_of_another_step(
    inputs: dict[str, list[Any]], tmp_path: Path, step: str, place: int
) -> None:
    """Every product that another option of any step takes."""
    own = inputs[step][place]
    others = {
        str(each)
        for arguments in inputs.values()
        for each in arguments
        if isinstance(each, Path) and each.name != own.name
    }
    # All of these hold a complete set-up.
    if own.name == "config.h5":
        others = {name for name in others if not name.endswith(".h5")}
    # An analysis is refused line by line.
    if own == TINY:
        return
    for other in sorted(others):
        arguments = list(inputs[step])
        arguments[place] = other
        refuse(tmp_path / "out", step, *arguments)


@pytest.mark.parametrize(("step", "place"), [case for case in CASES if case[0] != "configure"])
@pytest.mark.parametrize("fraction", [0.3, 0.99])
def test_truncated_files(
    inputs: dict[str, list[Any]], tmp_path: Path, step: str, place: int, fraction: float
) -> None:
    arguments = list(inputs[step])
    own = Path(arguments[place])
    if own == TINY:
        return
    # Without its last line feed a short file would be whole.
    text = own.read_bytes().rstrip()
    arguments[place] = tmp_path / own.name
    arguments[place].write_bytes(text[: int(fraction * len(text))])
    assert own.name in refuse(tmp_path / "out", step, *arguments)


def test_the_analysis_that_comes_with_the_program(tmp_path: Path, monkeypatch) -> None:
    """It is found anywhere under its name, unless there is another one of that name."""
    monkeypatch.chdir(tmp_path)
    result = invoke("configure", "--input", "inputs/wbf/input.yml", "--output", "out")
    assert result.exit_code == 0, result.output
    assert read_json(tmp_path / "out/analysis.json")["name"] == "wbf"
    mine = tmp_path / "inputs/wbf/input.yml"
    mine.parent.mkdir(parents=True)
    mine.write_text("nonsense: 1")
    result = invoke("configure", "--input", "inputs/wbf/input.yml", "--output", "out")
    assert result.exit_code == 2 and "nonsense" in result.output


@pytest.mark.parametrize(
    ("observed", "words"),
    [("smm", "did you mean sm?"), ("none.h5", "no such file"), ("CWL2=x", "expected NAME=NUMBER")],
)
def test_observed_data_are_checked_before_anything_runs(
    tmp_path: Path, observed: str, words: str
) -> None:
    result = invoke("run", TINY, "--workdir", tmp_path / "run", "--observed", observed)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ") and words in line
    assert not (tmp_path / "run").exists()


def test_files_of_toys_as_people_and_engines_name_them(tmp_path: Path) -> None:
    names = ["one.npz", "two.npz", "three of them.npz"]
    for name in names:
        (tmp_path / name).touch()
    one, two, three = (str(tmp_path / name) for name in names)
    option = next(each for each in main.commands["plotting"].params if each.name == "toys")
    context = click.Context(main.commands["plotting"])

    def named(*texts: str) -> list[str]:
        return [str(file) for file in files_in(context, option, texts)]

    assert named() == named("") == named(" ") == []
    assert named(f"{one} {two}") == named(one, two) == [one, two]
    assert named(three, one) == [three, one]
    with pytest.raises(click.BadParameter, match=r"four\.npz"):
        named(f"{one} {tmp_path}/four.npz")


@pytest.mark.parametrize("njobs", [0, -2])
def test_njobs(inputs: dict[str, list[Any]], tmp_path: Path, njobs: int) -> None:
    arguments = [*inputs["generate"][:-1], njobs]
    assert "njobs" in refuse(tmp_path / "out", "generate", *arguments)
    result = invoke("run", TINY, "--workdir", tmp_path / "run", "--njobs", njobs)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: njobs")
    assert not (tmp_path / "run").exists()


def test_ntrainsamples(inputs: dict[str, list[Any]], tmp_path: Path) -> None:
    arguments = [*inputs["sampling"][:-1], 0]
    assert "ntrainsamples" in refuse(tmp_path / "out", "sampling", *arguments)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parameters": "PARAMETERS"}, "its parameters are"),
        ({"benchmarks": {"up": {"CWL2": 0.0, "CPWL2": 0.0}}}, "no benchmark up"),
        (
            {"benchmarks": {"sm": {"CWL2": 1.0, "CPWL2": 0.0}}},
            "benchmark sm is at 0, 0; expected 1, 0",
        ),
    ],
)
def test_generation_of_another_analysis(
    inputs: dict[str, list[Any]], tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    generation = read_json(inputs["generate"][3])
    if "parameters" in change:
        change = {"parameters": generation["parameters"][:1]}
    write_json(tmp_path / "other.json", {**generation, **change})
    for step in ("generate", "combine"):
        arguments = list(inputs[step])
        arguments[3] = tmp_path / "other.json"
        assert words in refuse(tmp_path / "out", step, *arguments)


@pytest.mark.parametrize("step", ["pythia", "delphes", "combine", "training", "evaluating", "toys"])
def test_output_that_is_no_directory(
    inputs: dict[str, list[Any]], tmp_path: Path, step: str
) -> None:
    (tmp_path / "file").write_text("previous")
    for output, code in ((tmp_path / "file", 2), (tmp_path / "file/below", 1)):
        result = invoke(step, *inputs[step], "--output", output)
        assert isinstance(result.exception, SystemExit)
        assert result.exit_code == code
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: ")
        assert str(tmp_path / "file") in line
    assert content(tmp_path) == {"file": b"previous"}


LIMITS = {
    "pythia": 40_000,
    "delphes": 9_000,
    "combine": 9_000,
    "sampling": 3_000,
    "training": 500,
    "evaluating": 500,
    "toys": 500,
}


@pytest.mark.parametrize("step", LIMITS)
def test_no_space(inputs: dict[str, list[Any]], tmp_path: Path, step: str) -> None:
    """Files cannot grow beyond a limit: a failed step, in one line, with nothing left behind."""
    output, scratch = tmp_path / "out", tmp_path / "tmp"
    for directory in (output, scratch):
        directory.mkdir()
    (output / "previous").write_text("previous")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMITS[step], LIMITS[step]))

    arguments = [step, *inputs[step], "--output", output]
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from madminer_workflow.cli import main; main()",
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(scratch)},
        preexec_fn=limit,
    )
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "File too large" in result.stderr
    assert (output / "previous").read_text() == "previous"
    assert not list(output.glob(".*"))
    assert not list(scratch.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_without_permission(inputs: dict[str, list[Any]], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    result = invoke("training", *inputs["training"], "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "Permission denied" in result.stderr
