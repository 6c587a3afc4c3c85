"""Whatever is done to a valid file, it loads or its problems are told with their place."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from madminer_workflow.analysis.changes import plain
from madminer_workflow.analysis.file import examine, read_analysis
from madminer_workflow.analysis.problems import AnalysisError
from madminer_workflow.analysis.reading import Document
from tests.support.paths import DATA
from tests.support.properties import FUZZING, examples

FILE = DATA / "analysis" / "input.yml"
VALID = yaml.safe_load(FILE.read_text())

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["sm", "pt_j1", "CWL2", "histogram", "alices", "flat", "j[0].pt", 0, 10**30]),
    st.just([]),
    st.just({}),
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


def places(value, path=()):
    """The paths of everything inside a value."""
    inside = value.items() if isinstance(value, dict) else []
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, child in inside:
        yield (*path, key)
        yield from places(child, (*path, key))


PLACES = list(places(VALID))


def kind(path):
    """What a place is: the same for entries of a list, but for those of different methods."""
    methods = VALID["ml"]["methods"]
    return tuple(
        key if isinstance(key, str) else methods[key]["method"] if path[:i] == METHODS else "*"
        for i, key in enumerate(path)
    )


METHODS = ("ml", "methods")
#: All places look for luck; one of each kind is enough to know that its values are explained.
KINDS = PLACES if FUZZING else list({kind(path): path for path in PLACES}.values())


def at(data, path):
    for key in path:
        data = data[key]
    return data


@st.composite
def mutated(draw):
    """The valid file with one or two keys deleted, renamed, copied over or changed."""
    data = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(PLACES))
        try:
            parent, key = at(data, path[:-1]), path[-1]
            value = parent[key]
        except (KeyError, IndexError, TypeError):
            continue
        action = draw(st.sampled_from(["delete", "rename", "change", "change", "swap"]))
        if action == "delete":
            del parent[key]
        elif action == "rename" and isinstance(parent, dict):
            del parent[key]
            parent[draw(st.text(max_size=6))] = value
        elif action == "swap":
            parent[key] = copy.deepcopy(at(VALID, draw(st.sampled_from(PLACES))))
        else:
            parent[key] = draw(VALUES)
    return data


def check(path: Path) -> None:
    try:
        analysis = read_analysis(path)
    except AnalysisError as error:
        for line in str(error).splitlines():
            place, _, message = line.partition(": ")
            assert place.startswith(f"{path}") and message
        assert all(problem.line and problem.line >= 1 for problem in error.problems)
    else:
        json.dumps(plain(analysis), allow_nan=False)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "input.yml"


@examples(150)
@given(data=mutated())
def test_any_mutation_loads_or_is_explained(file, data):
    file.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
    check(file)


@examples(100)
@given(data=st.data())
def test_any_damage_to_the_text_loads_or_is_explained(file, data):
    text = FILE.read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 30, len(text))))
    damaged = text[:start] + data.draw(st.text("\t\n {}[]:-&*!'\"#aé1", max_size=5)) + text[end:]
    file.write_text(damaged, encoding="utf-8")
    try:
        read_analysis(file)
    except AnalysisError as error:
        assert all(str(problem).startswith(f"{file}") for problem in error.problems)


@pytest.mark.parametrize("value", [None, 0, -1.5, True, "x", [], {}, [1.0], ["a"], {"a": 1}])
def test_any_value_anywhere_is_explained(value):
    for path in KINDS:
        data = copy.deepcopy(VALID)
        at(data, path[:-1])[path[-1]] = copy.deepcopy(value)
        problems = examine(Document("input.yml", data))[1]
        assert all(problem.message and "\n" not in str(problem) for problem in problems)


def test_any_missing_value_is_explained():
    for path in PLACES:
        data = copy.deepcopy(VALID)
        del at(data, path[:-1])[path[-1]]
        examine(Document("input.yml", data))
