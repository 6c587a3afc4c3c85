"""What the documentation tells to type works, and its pages are all on the site."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from madminer_workflow.cli import main
from madminer_workflow.files import read_json
from tests.support.paths import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"^```(\w+)(?: title=\"(\S+), below (.*)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    pattern = r"(?:`|^ {4}|^|bin/)madminer-workflow ([a-z][a-z-]*)"
    assert set(re.findall(pattern, page.read_text(), re.MULTILINE)) <= main.commands.keys()


def test_every_page_is_on_the_site() -> None:
    sections = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]
    shown = {page for section in sections for pages in section.values() for page in pages}
    assert {page.name for page in PAGES[1:]} <= shown


@pytest.mark.slow
def test_the_tutorial_as_it_stands(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("madminer-workflow")
    for kind, file, place, text in BLOCK.findall((REPOSITORY / "docs/tutorial.md").read_text()):
        if kind == "sh":
            for line in text.splitlines():
                program, *words = shlex.split(line)
                assert program == "madminer-workflow"
                done = subprocess.run(
                    [command, *words], cwd=tmp_path, capture_output=True, text=True
                )
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        else:
            before = (tmp_path / file).read_text()
            assert before.count(f"\n{place}\n") == 1
            (tmp_path / file).write_text(before.replace(f"\n{place}\n", f"\n{place}\n{text}"))
    results = read_json(tmp_path / "runs/mine/ml/plotting/results.json")
    assert "deta_jj" in [one["name"] for one in results["observables"]]
    assert (tmp_path / "runs/mine/ml/plotting/report.html").is_file()
