"""What yadage 0.20 and adage 0.10 compute again and again at every turn of their loop.

Untouched, the loop takes a third of a core for a small workflow, which the steps could use, and
more for a wide one. Nothing but the time changes.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import adage.dagstate
import jq
import yadage.wflowview
from adage.node import Node


def choose_fast_options() -> None:
    """Switches of yadage and packtivity themselves; whoever has set them otherwise keeps that.

    Without the first, every step's expected result is published again at every turn. Without the
    second, every read of a result is searched for encoded Python objects, which we do not use.
    """
    os.environ.setdefault("YADAGE_IGNORE_PREPUBLISHING", "1")
    os.environ.setdefault("PACKTIVITY_DATAMODEL_IMPL", "purejson")


def parse_queries_once() -> None:
    """Building the grammar of jsonpath_rw takes 9 ms for each of the same few expressions."""
    queries = yadage.wflowview.jsonpath_rw
    queries.parse = functools.cache(queries.parse)


def compile_jq_programs_once() -> None:
    """packtivity and yadage compile the same few programs of 2 ms at every call."""
    jq.jq = functools.lru_cache(maxsize=1000)(jq.jq)


_failed: set[str] = set()
"""The identifiers of all steps that failed."""


def ask_finished_steps_once() -> None:
    """adage asks the backend for the result of every finished step again, at every turn."""
    update_state = Node.update_state

    def update_unless_finished(node: Any, backend: Any = None) -> None:
        # Without a proxy the step has been reset by hand and starts anew.
        if node.resultproxy is None or not node.ready():
            update_state(node, backend)
            if adage.dagstate.node_ran_and_failed(node):
                _failed.add(node.identifier)

    Node.update_state = update_unless_finished


def visit_ancestors_once() -> None:
    """adage looks for failed ancestors along every path, also while nothing has failed.

    The number of paths grows like a product.
    """

    def upstream_failure(dag: Any, node: Any) -> bool:
        if not _failed:
            return False
        waiting = list(dag.predecessors(node.identifier))
        seen = set(waiting)
        while waiting:
            identifier = waiting.pop()
            if adage.dagstate.node_ran_and_failed(dag.getNode(identifier)):
                return True
            further = set(dag.predecessors(identifier)) - seen
            seen |= further
            waiting.extend(further)
        return False

    adage.dagstate.upstream_failure = upstream_failure


choose_fast_options()
parse_queries_once()
compile_jq_programs_once()
ask_finished_steps_once()
visit_ancestors_once()
