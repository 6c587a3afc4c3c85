"""Whatever a terminal can show, and whoever reads: a command does its work, without traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from madminer_workflow.stopping import SIGNALS, Stopped, exit_code

TALK = """
import sys, pathlib, click
from rich.console import Console
from madminer_workflow.cli.commands import Commands, warn

group = Commands("test")

@group.command()
@click.argument("file")
def talk(file):
    click.echo("σ ± \\udcff")
    warn("− ⠋ \\udcff")
    print("print ✓")
    Console(stderr=True).print("rich → ✓")
    for _ in range(5000):
        click.echo("more")
    pathlib.Path(file).write_text("σ")

group.main()
"""
LOCALES = [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "ascii:strict"},
    {"PYTHONIOENCODING": "latin-1:strict"},
    {"PYTHONIOENCODING": "utf-8:strict"},
    {"PYTHONUNBUFFERED": "1"},
]


def talk(
    tmp_path: Path, shell: str = "", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Let a command say a lot, its streams as the ``shell`` does it; it writes a file at last."""
    script = tmp_path / "talk.py"
    script.write_text(TALK, "utf-8")
    command = f'"{sys.executable}" {script} talk {tmp_path}/file {shell}'
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )


@pytest.mark.parametrize("environment", LOCALES)
def test_a_terminal_without_our_characters(tmp_path: Path, environment: dict[str, str]):
    ended = talk(tmp_path, environment=environment)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count(b"more") == 5000 and b"rich" in ended.stderr
    assert b"Traceback" not in ended.stderr
    # Files are the same everywhere.
    assert (tmp_path / "file").read_bytes() == "σ".encode()


@pytest.mark.parametrize(
    "shell", ["| head -1", ">&-", "2>&-", ">&- 2>&- <&-", "2>&1 | head -1", "2>/dev/full"]
)
def test_nobody_reads(tmp_path: Path, shell: str):
    ended = talk(tmp_path, shell)
    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr and b"Exception" not in ended.stderr
    assert (tmp_path / "file").exists()


def test_output_that_somebody_waits_for_is_missed(tmp_path: Path):
    ended = talk(tmp_path, ">/dev/full")
    assert ended.returncode == 1
    assert b"error: standard output: No space left on device" in ended.stderr
    assert b"Traceback" not in ended.stderr
    assert (tmp_path / "file").exists()


WAIT = """
import pathlib, sys, tempfile, time, click
from madminer_workflow.cli.commands import Commands

group = Commands("test")

@group.command()
def wait():
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else ".") as place:
        print("ready", flush=True)
        time.sleep(60)

group.main(["wait"])
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_step_ends_in_order(tmp_path: Path, number: signal.Signals):
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout and process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert b"Traceback" not in errors and signal.Signals(number).name.encode() in errors
    assert not list(tmp_path.iterdir())


def test_nohup_is_respected(tmp_path: Path):
    process = subprocess.Popen(
        ["nohup", sys.executable, "-c", WAIT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    assert process.stdout and process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143


def test_exit_codes():
    assert exit_code(Stopped(signal.SIGHUP)) == 129
    assert exit_code(KeyboardInterrupt()) == exit_code(None) == 130
