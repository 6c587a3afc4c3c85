"""What the documentation tells to type works, and its pages are all on the site."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import click
import h5py
import msgspec
import pytest
import yaml

from madminer_workflow import api
from madminer_workflow.analysis.systematics import EFFECTS_NOTE
from madminer_workflow.cli import main
from madminer_workflow.files import read_json
from madminer_workflow.graph import STEPS
from madminer_workflow.madminer_file import SHIFTED
from tests.support.chain import Physics
from tests.support.paths import REPOSITORY
from tests.support.scripts import script

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


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    """What makes the pages of reference."""
    return script("reference_pages.py")


def test_the_page_of_commands_has_all_of_them(pages: ModuleType) -> None:
    def names(group: click.Group, before: str) -> list[str]:
        known = []
        for name, command in group.commands.items():
            known.append(f"{before}{name}")
            if isinstance(command, click.Group):
                known += names(command, f"{before}{name} ")
        return known

    sections = re.findall(r"^## (.*)$", pages.commands_page(), re.MULTILINE)
    assert sections == ["madminer-workflow", *sections[1:]]
    assert set(sections[1:]) == set(names(main, ""))


def test_the_page_of_steps_has_all_of_them(pages: ModuleType) -> None:
    page = pages.steps_page()
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == list(STEPS)
    for step in STEPS.values():
        for file in step.products.values():
            assert f"`{file}` |" in page


def test_the_page_of_results_has_every_key(pages: ModuleType) -> None:
    kinds = pages.structs_of(pages.Report)
    assert {"MethodReport", "Limits", "JointFit", "Verdict"} <= {kind.__name__ for kind in kinds}
    page = pages.results_page()
    assert "anything" not in page
    for kind in kinds:
        assert f"## {kind.__name__}\n" in page or kind is pages.Report
        for field in msgspec.structs.fields(kind):
            assert f"| `{field.encode_name}` |" in page


def test_the_page_of_the_api_has_all_that_is_public(pages: ModuleType) -> None:
    page = pages.api_page()
    for name in api.__all__:
        thing = getattr(api, name)
        if not thing.__module__.startswith("madminer_workflow.api"):
            continue
        assert f"## {name}\n" in page
        for member in list(vars(thing)) if inspect.isclass(thing) else []:
            if not member.startswith("_") and member not in getattr(thing, "__annotations__", {}):
                assert f"### {name}.{member}\n" in page
    assert {name for name, _ in pages.aliases()} == {"Data", "Kind", "Observations", "Point"}


def test_the_notebook_is_committed_without_outputs() -> None:
    notebook = read_json(REPOSITORY / "docs/notebook.ipynb")
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 5
    for cell in code:
        ast.parse("".join(cell["source"]))
        assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_the_page_of_madminers_file_has_every_data_set(tiny: Physics, uncertain: Physics) -> None:
    text = (REPOSITORY / "docs/madminer-file.md").read_text()
    rows = re.findall(r"^\| ((?:`[\w/]+`(?:, )?)+) \|", text, re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`([\w/]+)`", row)}
    written: set[str] = set()

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            written.add(name)

    for physics in (tiny, uncertain):
        with h5py.File(physics.combined) as file:
            file.visititems(visit)
    # Neither of the two has uncertainties of what is measured.
    shifted = {"observations", "weights", "events", "places"}
    assert described == written | shifted | {EFFECTS_NOTE}
    assert f"`{SHIFTED}/BENCHMARK/`" in text


def test_badges_are_true() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    pythons = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    pins = " ".join(project["dependencies"])
    values = {
        "licence": project["license"],
        "python": " | ".join(pythons),
        "madminer": re.findall(r"madminer==(\S+)", pins)[0],
    }
    for name, value in values.items():
        image = (REPOSITORY / f"docs/images/badges/{name}.svg").read_text()
        assert f">{value}<" in image
        assert f"badges/{name}.svg" in (REPOSITORY / "README.md").read_text()


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
