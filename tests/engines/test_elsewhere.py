"""What is the same wherever steps run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from madminer_workflow.engines.run import run_yadage
from tests.engines.test_dask import leftovers, products
from tests.engines.test_run import TOY, Toy, ran
from tests.support.gateway import dask_gateway

# The gateway's client would close once more what is closed already, when nobody hears it.
DEAF = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
GATEWAY = pytest.param("gateway", marks=[pytest.mark.slow, DEAF])


@pytest.fixture(params=["dask", "kubernetes", GATEWAY])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """What ``--on`` takes, and a directory that steps see there."""
    if request.param == "kubernetes":
        site = request.getfixturevalue("site")
        yield site.on, site.volume
    elif request.param == "dask":
        yield request.getfixturevalue("cluster").on, tmp_path
    else:
        with dask_gateway(tmp_path / "gateway"):
            yield "dask=gateway", tmp_path


def run(toy: Toy, on: str) -> dict[str, str]:
    jobs = run_yadage("workflow.yml", TOY, toy.parameters(0), toy.workdir, 4, on=on)
    return {job.name.removeprefix("part/"): job.status for job in jobs}


def test_the_same_products_as_on_this_machine(elsewhere: tuple[str, Path], tmp_path: Path):
    on, directory = elsewhere
    (tmp_path / "here").mkdir()
    here, there = Toy(tmp_path / "here"), Toy(directory)
    run(here, "local")
    assert len(ran(run(there, on))) == 5
    assert products(there.workdir) == products(here.workdir)
    assert leftovers(there.workdir) == []
    assert "doubling" in "".join(log.read_text() for log in there.workdir.rglob("*.run.log"))
    # What was computed there is known here.
    assert ran(run(there, "local")) == set()
