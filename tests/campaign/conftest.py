"""What all tests of the campaign share, and the table of figures at its end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.campaign.outcome import Faults, Outcome
from tests.campaign.products import Finished
from tests.campaign.sandbox import SKETCHES, Limits, Place, Sandbox, sandbox
from tests.support.shared import shared

COLUMNS = (
    *("cases", "refused", "file", "line", "right line", "same product", "ran"),
    *("tracebacks", "hangs", "outside", "silent", "other"),
)
Judge = Callable[..., None]


@pytest.fixture(scope="session")
def box() -> Iterator[Sandbox]:
    """What runs commands."""
    with sandbox() as made:
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place for one case."""
    return Place.make(tmp_path / "place")


@pytest.fixture(scope="session")
def finished(box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A finished run, whose products may be copied and damaged."""

    def make(directory: Path) -> Path:
        words = Finished.prepare(directory / "run")
        place = Place.make(directory / "place")
        limits = Limits(seconds=600, programs=True)
        outcome = box.run(words, place, limits, {SKETCHES: "1"})
        assert outcome.exit_code == 0, outcome.output
        return directory / "run"

    return Finished(shared(tmp_path_factory, "finished", make))


@pytest.fixture
def judge(record_property: Callable[[str, object], None]) -> Judge:
    """Takes down what became of a case of a class, and fails if anything is wrong with it."""

    def take(kind: str, outcome: Outcome | None, faults: Faults, **more: int) -> None:
        wrong = {"tracebacks": faults.tracebacks, "hangs": faults.hangs}
        wrong |= {"outside": faults.outside, "silent": faults.silent}
        figures = {"cases": 1, "other": int(bool(faults.other)), **wrong, **more}
        if outcome is not None:
            figures["refused"] = int(outcome.is_refused)
        record_property("campaign", json.dumps({"class": kind, **figures}))
        if faults:
            said = outcome.output[-3000:] if outcome else ""
            pytest.fail(f"{faults}\n{outcome and outcome.words}\n{said}", pytrace=False)

    return take


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures of all classes."""
    tables: dict[str, Counter[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") != "call":
                continue
            for name, value in report.user_properties:
                if name == "campaign":
                    figures = json.loads(value)
                    tables.setdefault(figures.pop("class"), Counter()).update(figures)
    if sum(table["cases"] for table in tables.values()) < 500:
        return
    terminalreporter.section("campaign")
    total = Counter[str]()
    for table in tables.values():
        total.update(table)
    terminalreporter.line("| class | " + " | ".join(COLUMNS) + " |")
    terminalreporter.line("|---|" + "---:|" * len(COLUMNS))
    for kind, table in [*sorted(tables.items()), ("all", total)]:
        cells = (str(table[column]) if column in table else "" for column in COLUMNS)
        terminalreporter.line(f"| {kind} | " + " | ".join(cells) + " |")
