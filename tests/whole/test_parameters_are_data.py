"""What users give as parameters reaches programs as it is, on every engine: no shell runs it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import jq
import pytest
import yaml
from mlflow.projects.kubernetes import _get_run_command
from mlflow.projects.utils import load_project
from packtivity.handlers.process_handlers import handlers as process_handlers

from madminer_workflow.cli.run import unquote
from madminer_workflow.graph import STEPS
from tests.support.paths import REPOSITORY
from tests.support.stand_in import install, yadage_with

PAYLOADS = [
    *("$(touch canary)", "`touch canary`", "; touch canary;", "&& touch canary", "| touch canary"),
    *("'; touch canary; '", '"; touch canary; "', "'$(touch canary)'", '"$(touch canary)"'),
    *(']"; touch canary; "[', "']; touch canary; '", "a\ntouch canary", "a\r\ntouch canary"),
    *(
        "> canary",
        "< /dev/zero",
        "& touch canary",
        "$HOME",
        "$((1+1))",
        "!!",
        "~",
        "~root",
    ),
    *(
        "*",
        "?",
        "[a-z]*",
        "%s",
        "%(x)s",
        "\\",
        "\\'",
        '\\"',
        "#",
    ),
    *(
        "--help",
        "-x",
        "--output=/canary",
        "'",
        '"',
        "''",
        "a'b\"c",
        " ",
        "a  b",
        "\tx",
        "é 日本 \u202e",
    ),
    *("$(shell touch canary)", "$(eval x:=1)", "$$(touch canary)", "$", "=", "a=b", "x" * 5000),
]
BRACES = ["${IFS}", "{a,b}", "{workdir}", "{0}", "{}", "{workdir!r:.1};touch canary;"]
"""What yadage would fill in, so that it is refused there."""
interpolate = process_handlers["string-interpolated-cmd"]["default"]


@cache
def steps() -> Mapping[str, str]:
    """The command of every step, as the workflow files have it."""
    files = [REPOSITORY / f"steps/{part}.yml" for part in ("physics", "ml")]
    described = [step for file in files for step in yaml.safe_load(file.read_text()).items()]
    return {name: step["process"]["cmd"] for name, step in described}


def combinations(names: Iterable[str], payloads: Sequence[str]) -> Iterator[dict[str, str]]:
    """A payload for each name, another for every name, until all names have had all of them."""
    names = list(names)
    for shift in range(len(payloads)):
        yield {n: payloads[(shift + 5 * i) % len(payloads)] for i, n in enumerate(names)}


class Values(dict):
    """Parameters as packtivity has them."""

    def typed(self) -> Values:
        return self


def passed_on(parameters: Mapping[str, object]) -> Values:
    """Parameters as the first stage of the workflow passes them on to all others."""
    file = REPOSITORY / "workflows/parameters.yml"
    script = yaml.safe_load(file.read_text())["scheduler"]["postscript"]
    return Values(jq.jq(script).transform(dict(parameters)))


def run_all(shell: str, commands: Sequence[str], folder: Path) -> list[list[str]]:
    """The words that ``madminer-workflow`` is given by each of some commands in a shell."""
    program = folder / "bin/madminer-workflow"
    program.parent.mkdir(exist_ok=True)
    # Its words end in NUL each, and the last of them in one more.
    program.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\" end-of-words\n")
    program.chmod(0o755)
    path = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    (folder / "cwd").mkdir(exist_ok=True)
    words = []
    for command in commands:
        finished = subprocess.run(
            [shell, "-c", command],
            cwd=folder / "cwd",
            env=os.environ | path,
            capture_output=True,
            timeout=60,
        )
        assert finished.returncode == 0 and finished.stderr == b"", (command, finished.stderr)
        *given, end, rest = finished.stdout.decode().split("\0")
        assert (end, rest) == ("end-of-words", ""), command
        words.append(given)
    assert not list((folder / "cwd").iterdir()) and not Path("/canary").exists()
    return words


def values_after(options: Mapping[str, str], words: Sequence[str]) -> dict[str, str]:
    """What follows each option among ``words``, by the name of the parameter."""
    return {name: words[words.index(word) + 1] for name, word in options.items()}


# REANA's jobs and MLflow's projects have bash, other engines sh.
@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("name", STEPS)
def test_steps_of_the_workflow_files(name: str, shell: str, tmp_path: Path):
    step = STEPS[name]
    options = {o.source: o.word for o in step.options if o.source and not o.is_product}
    options["tracking_uri"] = "--tracking-uri"
    # A parameter where ml.yml runs alone.
    if step.part == "ml" and "{data}" in steps()[name]:
        options["data"] = "--data"
    products = {o.name: f"product-{o.name}" for o in step.options if o.is_product}
    commands, given = [], []
    for payloads in combinations(options, PAYLOADS):
        filled = Values({**products, "output": "/out", **passed_on(payloads)})
        commands.append(interpolate({"cmd": steps()[name]}, filled, None)["command"])
        given.append(payloads)
    for payloads, words in zip(given, run_all(shell, commands, tmp_path), strict=True):
        assert words[0] == name
        assert values_after(options, words) == payloads
        assert len(words) == len(shlex.split(steps()[name])) - 1


@pytest.mark.parametrize("value", [6, 1.5, None, True, ["a b", "--x", "$(touch canary)"]])
def test_parameters_of_other_types_are_one_word(value: object):
    [word] = shlex.split(passed_on({"njobs": value})["njobs"])
    assert yaml.safe_load(word) == value


@pytest.mark.parametrize("value", ["{workdir!r:.1};touch canary;", "a}", {"a": 1}])
def test_braces_are_refused(value: object):
    """yadage fills them in before every step: here with a quote, which would end the word."""
    with pytest.raises(ValueError, match="a parameter has braces: "):
        passed_on({"settings": value})


@pytest.mark.parametrize(
    ("uri", "refused"),
    [
        ("https://me:secret@mlflow.example/path#name", True),
        ("postgresql://me:secret@host/database", True),
        ("https://me@mlflow.example", False),
        ("http://localhost:5000#my name@home:1", False),
        ("sqlite:////data/a:b@c.db", False),
        (" ", False),
    ],
)
def test_passwords_in_a_tracking_uri_are_refused(uri: str, refused: bool):
    if refused:
        with pytest.raises(ValueError, match="has a password; expected it in the variables MLFLOW"):
            passed_on({"tracking_uri": uri})
    else:
        assert shlex.split(passed_on({"tracking_uri": uri})["tracking_uri"]) == [uri]


def test_plain_yadage_from_its_command_line(tmp_path: Path):
    """The genuine engine on the whole workflow, with a stand-in for the steps' program."""
    path = install(tmp_path / "bin")
    given = {
        "settings": "a='$(touch canary)' \"; touch canary; \"",
        "observed": "`touch canary`'; touch canary; '",
        "tracking_uri": "x & touch canary; $(touch canary) '",
    }
    workdir = tmp_path / "workdir"
    words = [f"{name}={yaml.safe_dump(value, width=10**6)}" for name, value in given.items()]
    finished = subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                yadage_with(path),
                str(workdir),
                "workflow.yml",
                "-p",
                "njobs=1",
            ),
            *(word for pair in words for word in ("-p", pair)),
            *("-d", f"initdir={REPOSITORY}", "--toplevel", str(REPOSITORY)),
            *("--plugins", "madminer_workflow.engines.local", "-b", "foregroundasync"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert not list(tmp_path.rglob("canary"))
    sampling = (workdir / "ml/sampling/_packtivity/sampling.run.log").read_text().splitlines()[0]
    assert shlex.quote(given["settings"]).replace('"\'"', "\\'") in sampling
    plotting = (workdir / "ml/plotting/_packtivity/plotting.run.log").read_text().splitlines()[0]
    assert shlex.quote(given["observed"]).replace('"\'"', "\\'") in plotting


HERE, KUBERNETES = REPOSITORY, REPOSITORY / "mlflow"
"""Where the projects are."""


@cache
def entry_point(project: Path, name: str):
    return load_project(str(project)).get_entry_point(name)


def reached(words: Sequence[str], value: str) -> bool:
    """Whether a word is ``value``, or a setting with it."""
    wanted = (value, f"network.n_hidden=[{value}]")
    return any(
        word in wanted or (word.startswith("training.") and word.endswith(f"={value}"))
        for word in words
    )


@pytest.mark.parametrize("entry", ["main", *STEPS, "sweep"])
def test_entry_points_of_mlflow(entry: str, tmp_path: Path):
    point = entry_point(HERE, entry)
    commands, given = [], []
    for values in combinations(point.parameters, PAYLOADS + BRACES):
        commands.append(point.compute_command(values, None))
        given.append(values)
    for values, words in zip(given, run_all("bash", commands, tmp_path), strict=True):
        assert all(reached(words, value) for value in values.values())
        assert len(words) == len(run_words(HERE, entry))


def run_words(project: Path, entry: str) -> list[str]:
    """The words of an entry point with plain values."""
    point = entry_point(project, entry)
    line = point.compute_command(dict.fromkeys(point.parameters, "1"), None)
    return shlex.split(line)[1:]


@pytest.mark.parametrize("entry", ["main", *STEPS])
def test_jobs_on_kubernetes(entry: str):
    """No shell there: the words are the container's, each in quotes, which the command removes."""
    point = entry_point(KUBERNETES, entry)
    for values in combinations(point.parameters, PAYLOADS + BRACES):
        words = _get_run_command([point.compute_command(values, None)])
        assert len(words) == len(run_words(KUBERNETES, entry)) + 1
        assert all(reached([unquote(word) for word in words], value) for value in values.values())


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An environment that make takes for set up, whose programs write down their words."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("madminer-workflow", "reana-client"):
        (bin_ / name).write_text(f"#!/bin/sh\nprintf '%s\\0' \"$@\" >> {tmp_path}/words\n")
        (bin_ / name).chmod(0o755)
    for name in (
        "pyproject.toml",
        "constraints.txt",
        "ready-core",
        "ready-mlflow",
        "ready-kubernetes",
    ):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (
            "run",
            [
                "ANALYSIS",
                "NJOBS",
                "NTRAINSAMPLES",
                "WORKDIR",
                "SETTINGS",
                "OBSERVED",
                "TRACKING_URI",
            ],
        ),
        ("kube-input", ["ANALYSIS"]),
        ("kube-apply", ["NAMESPACE", "STORAGE_CLASS"]),
        ("kube-logs", ["NAMESPACE"]),
        (
            "mlflow-kubernetes",
            [
                *("STEP", "ANALYSIS", "REGISTRY", "NJOBS", "NTRAINSAMPLES"),
                *("PARAMETERS", "NAMESPACE", "WAIT", "PULL_SECRET", "SERVICE_ACCOUNT"),
                "NODE_SELECTOR",
            ],
        ),
    ],
)
@pytest.mark.parametrize("as_variable", [False, True])
def test_variables_of_make(made: Path, target: str, names: list[str], as_variable: bool):
    for values in [*combinations(names, PAYLOADS + BRACES)][::7]:
        (made / "words").unlink(missing_ok=True)
        pairs = [] if as_variable else [f"{n}={v}" for n, v in values.items()]
        subprocess.run(
            [
                *("make", "--silent", "-f", str(REPOSITORY / "Makefile"), target),
                *(f"BIN={made}/bin", f"READY={made}/ready-", f"VENV={made}", *pairs),
            ],
            cwd=made,
            env=os.environ | (values if as_variable else {}),
            check=True,
            timeout=60,
        )
        words = (made / "words").read_bytes().decode().split("\0")
        # Blanks at the ends of a variable are make's, and a new line would be another command.
        wanted = {value.replace("\n", " ").strip() for value in values.values()}
        assert wanted <= {word.strip() for word in words}
        assert not (made / "canary").exists()
