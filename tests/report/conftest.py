"""What the tests of the report share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.plotted import Plotted, pictures, plot_systematics, plot_two
from tests.support.shared import shared


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Plotted:
    """Two parameters, all figures drawn."""
    return shared(tmp_path_factory, "plotted", plot_two)


@pytest.fixture(scope="session")
def systematic(tmp_path_factory: pytest.TempPathFactory) -> Plotted:
    """Two parameters and systematic uncertainties."""
    return shared(tmp_path_factory, "plotted_systematics", plot_systematics)


@pytest.fixture
def undrawn() -> Iterator[None]:
    """The files of figures are empty: drawing them takes most of the time of plotting."""
    with pictures(lambda plot: False):
        yield
