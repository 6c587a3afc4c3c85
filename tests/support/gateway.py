"""A real dask-gateway on this machine, which starts clusters as processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import pytest

from tests.support.kube_server.services import free_port, responds, running, waited

CONFIGURATION = """
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.Proxy.address = "127.0.0.1:{port}"
c.ClusterConfig.scheduler_cmd = [{python!r}, "-m", "dask", "scheduler"]
c.ClusterConfig.worker_cmd = [{python!r}, "-m", "dask", "worker"]
"""


@contextmanager
def dask_gateway(directory: Path) -> Iterator[str]:
    """Its address; ``--on dask=gateway`` of this process finds it."""
    pytest.importorskip("dask_gateway")
    pytest.importorskip("dask_gateway_server")
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    configuration = directory / "configuration.py"
    configuration.write_text(CONFIGURATION.format(port=port, python=sys.executable))
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "dask_gateway_server", "-f", str(configuration)]
    with running(command, directory / "gateway.log"):
        assert waited(lambda: responds(f"{address}/api/health")), "no gateway"
        with dask.config.set({"gateway.address": address}):
            yield address
