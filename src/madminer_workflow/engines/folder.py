"""One step at a time in a work directory: where its inputs lie and where its products go.

The folders are those of ``madminer-workflow run``, so that either may go on where the other ended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from madminer_workflow import graph
from madminer_workflow.analysis.place import analysis_file
from madminer_workflow.engines.order import Order
from madminer_workflow.errors import InputError
from madminer_workflow.files import natural_order
from madminer_workflow.graph import ALL, Key, Option, Step

UNCHANGED = ("=nan", "=[nan]")
"""How a setting ends that is to stay what the analysis file says."""


@dataclass(frozen=True)
class Selection:
    """For what a step is done: one job, method or member of an ensemble, or ALL there are.

    ``index`` counts the jobs of pythia, delphes and toys.
    """

    index: str = ALL
    method: str = ALL
    member: str = ALL


def commands(name: str, order: Order, selection: Selection = Selection()) -> list[list[str]]:
    """The arguments of ``madminer-workflow`` that do the step ``name`` in its work directory.

    Several for a step that is done once for every job, method or member. Raises InputError if the
    selection is of something that is not there.
    """
    step, folder = graph.STEPS[name], _Folder(order)
    keys = _selected(step, graph.keys(step.each, folder.values), selection)
    if not keys:
        place = folder.place(graph.STEPS["sampling"], {}) / "methods"
        raise InputError(f"{place}: the analysis asks for no toys; see ml.limits.toys.n_toys")
    changes = folder.changes(step, keys)
    return [
        [name, *folder.arguments(step, key, own)] for key, own in zip(keys, changes, strict=True)
    ]


class _Folder:
    """What is in a work directory."""

    def __init__(self, order: Order) -> None:
        self.order = order

    def arguments(self, step: Step, key: Key, changes: Sequence[str]) -> list[str]:
        """The words after the name of the step."""
        words: list[str] = []
        files: list[str] = []
        for option in step.options:
            if option.name == "set":
                words += [word for change in changes for word in (option.word, change)]
            elif not option.is_product:
                value = self.parameter(option)
                words += [option.word, value] if value else []
            elif option.word:
                words += [w for file in self.products(option, key) for w in (option.word, file)]
            else:
                files = self.products(option, key)
        return [*words, "--output", str(self.place(step, key)), *files]

    def parameter(self, option: Option) -> str:
        """A parameter of the workflow, without blanks around it."""
        if option.source == "inputfile":
            return str(analysis_file(self.order.analysis))
        return str(getattr(self.order, option.source)).strip()

    def products(self, option: Option, key: Key) -> list[str]:
        """The files that an option takes: those of all values of the indices not in ``key``.

        By what enumerates them, not by what lies there: an earlier run may have had more of them.
        """
        step, file = graph.product(option.source)
        indices = list(dict.fromkeys([*step.each, *graph.indices(file)]))
        given = {index: key[index] for index in indices if index in key}
        return [
            str(self.place(step, k) / file.format(**k))
            for k in graph.keys(indices, self.values, given)
        ]

    def values(self, index: str, given: Key) -> list[str | int]:
        """What an index can be, if others are ``given``, from the files that enumerate it."""
        step, file = graph.product(graph.INDICES[index])
        place, pattern = self.place(step, given), graph.pattern(file, given)
        known = [
            graph.values(file, path) for path in sorted(place.glob(pattern), key=natural_order)
        ]
        if not any(known) and index not in graph.OPTIONAL:
            place = place.joinpath(*takewhile(lambda name: "*" not in name, pattern.split("/")))
            raise InputError(f"{place}: has no products of {step.name}; run {step.name} first")
        return [key[index] for key in known if key]

    def place(self, step: Step, key: Key) -> Path:
        """The folder of a step."""
        methods = self.values("method", {}) if "method" in step.each else []
        return self.order.workdir / step.folder(key, methods)

    def changes(self, step: Step, keys: Sequence[Key]) -> list[list[str]]:
        """The changes of settings that go to a step, for each of ``keys``.

        Raises InputError for one that no method has.
        """
        wanted = [change for text in self.order.changes for change in text.split()]
        wanted = [change for change in wanted if not change.endswith(UNCHANGED)]
        if step.name != "training":
            return [wanted for _ in keys]
        [option, *_] = step.options
        applicable = [_applicable(wanted, *self.products(option, key)) for key in keys]
        unused = set(wanted).difference(*applicable)
        if unused:
            place = self.place(graph.STEPS["sampling"], {}) / "methods"
            raise InputError(
                f"--set {' '.join(sorted(unused))}: no method in {place} that is trained has "
                "this setting; see docs/analysis-file.md"
            )
        return applicable


def _selected(step: Step, keys: list[Key], selection: Selection) -> list[Key]:
    """Those of ``keys`` that are selected."""
    for index in step.each:
        name = graph.SELECTORS[index]
        wanted = getattr(selection, name)
        known = dict.fromkeys(str(key[index]) for key in keys)
        if keys and wanted not in (ALL, *known):
            raise InputError(f"--{name} {wanted}: expected {ALL}, or one of {', '.join(known)}")
        keys = [key for key in keys if wanted in (ALL, str(key[index]))]
    return keys


def _applicable(changes: list[str], samples: str) -> list[str]:
    """The changes of settings that the method of these samples has: a histogram has no epochs."""
    if not changes:
        return []
    import numpy as np

    with np.load(samples) as file:
        settings = json.loads(str(file["content"]))["settings"]

    def known(key: str) -> bool:
        section, _, name = key.rpartition(".")
        return name in (settings.get(section, {}) if section else settings)

    return [change for change in changes if known(change.partition("=")[0])]
