"""Fixtures of tests that run whole workflows, here and elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from madminer_workflow.engines.executors import kubernetes
from tests.support.dask_cluster import DaskCluster, dask_cluster
from tests.support.kube_site import Site, kube_site
from tests.support.warm import steps_are_warm


@pytest.fixture(scope="module")
def warm() -> Iterator[None]:
    """Steps of workflows that this process runs cost no imports."""
    with steps_are_warm():
        yield


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A Dask scheduler with two workers."""
    with dask_cluster(tmp_path_factory.mktemp("dask"), 2) as cluster:
        yield cluster


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A cluster that is asked often."""
    monkeypatch.setattr(kubernetes, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(kubernetes, "LOOK_SECONDS", 0.1)
    with kube_site(tmp_path) as site:
        yield site
