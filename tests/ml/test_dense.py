"""Dense networks at all points at once give what MadMiner's evaluation gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from madminer_workflow.ml import dense, networks


@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus"])
@pytest.mark.parametrize("n_hidden", [(7,), (9, 5), (6, 6, 6)])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_numbers_are_madminers(
    monkeypatch: pytest.MonkeyPatch, activation: str, n_hidden: tuple[int, ...], dropout: float
) -> None:
    torch.manual_seed(1)
    rng = np.random.default_rng(2)
    x, thetas = rng.normal(size=(50, 3)), rng.normal(size=(4, 2))
    estimator = networks.RATIO["parameterized"](
        n_hidden=n_hidden, activation=activation, dropout_prob=dropout
    )
    estimator.initialize_input_transform(x)
    estimator.initialize_parameter_transform(thetas)
    estimator.n_observables, estimator.n_parameters = 3, 2
    estimator._create_model()
    expected = networks.evaluate(estimator, x, thetas)[0]
    # Blocks that do not divide the number of events.
    monkeypatch.setattr(dense, "BLOCK", 16)
    found = networks.at_all_points(estimator, x, thetas)
    assert found.shape == (4, 50)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)
