"""The releases of REANA that the tests know: how each differs, and what its engine runs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tests.support.paths import REANA_CLIENT, REANA_CLIENT_95

SPECIFICATIONS = "openapi_specifications"


@dataclass(frozen=True)
class Release:
    """A release of REANA: its client, its descriptions and the packages of its yadage engine.

    ``bundles``: the client uploads its specification unread, with the files that this names, and
    the server loads them; it is told its server once and sends its token in a header. Before, the
    client loads the specification itself and takes both from the environment.
    """

    name: str
    client: Path | None
    engine: tuple[str, ...]
    resources: tuple[str, ...]
    bundles: bool = False

    @property
    def python(self) -> str:
        """The interpreter of the client."""
        return str(Path(str(self.client)).with_name("python"))

    def description(self, component: str) -> Path:
        """REANA's official description of a component, in OpenAPI."""
        if not self.bundles:
            return Path(str(files("reana_commons") / SPECIFICATIONS / f"{component}.json"))
        places = Path(self.python).parents[1].glob("lib/python*/site-packages/reana_commons")
        return next(places) / SPECIFICATIONS / f"{component}.json"


# What the engine hands on from a step's resources to its job controller.
OLD_RESOURCES = (
    *("compute_backend", "kubernetes_memory_limit", "kubernetes_job_timeout"),
    *("htcondor_max_runtime", "slurm_partition", "slurm_time"),
)
# reana-workflow-engine-yadage 0.9.4 and 0.9.5 pin yadage 0.20.1, packtivity 0.14.24, yadage-schemas
# 0.10.6, adage 0.10.1 and jq 0.1.7, on Python 3.8. The networkx of adage 0.10.1 needs Python < 3.9,
# and jq 0.1.7 has no wheel: releases that install, instead.
OLDEST = Release(
    "0.9",
    REANA_CLIENT,
    (
        *("yadage==0.20.1", "packtivity==0.14.24", "yadage-schemas==0.10.6"),
        *("adage==0.10.3", "jq==1.4.1"),
    ),
    OLD_RESOURCES,
)
# The pins of reana-workflow-engine-yadage 0.95.0-alpha.5, on Python 3.12.
ALPHA = Release(
    "0.95",
    REANA_CLIENT_95,
    (
        *("yadage==0.20.1", "packtivity==0.16.2", "yadage-schemas==0.10.6"),
        *("adage==0.11.0", "jq==1.7.0"),
    ),
    (*OLD_RESOURCES, "kubernetes_cpu_request", "kubernetes_cpu_limit"),
    bundles=True,
)
# What reana-commons 0.95.0a26 asks for, so that the engine's next release has it.
NEWEST = Release(
    "0.95 with yadage 0.21",
    REANA_CLIENT_95,
    (
        *("yadage==0.21.2", "packtivity==0.17.1", "yadage-schemas==0.11.1"),
        *("adage==0.11.0", "jq==1.13.0"),
    ),
    ALPHA.resources,
    bundles=True,
)
RELEASES = (OLDEST, ALPHA, NEWEST)
# The first releases that check Gherkin files; REANA's client has the command from 0.95 on.
GHERKIN = ("reana-commons==0.95.0a26", "gherkin-official==39.1.0", "parse==1.22.1")


def install(directory: Path, *packages: str) -> str:
    """Install ``packages`` into ``directory``; the value is empty, or why that was impossible."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    installed = subprocess.run(
        [*pip, "--target", str(directory), *packages], capture_output=True, text=True
    )
    return installed.stderr.strip()[-300:] if installed.returncode else ""
