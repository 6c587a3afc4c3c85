"""MadMiner trains a small network with torch."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import torch
from madminer.ml import ScoreEstimator

import madminer_workflow  # noqa: F401

rng = np.random.default_rng(0)
x = rng.normal(size=(200, 2))
with tempfile.TemporaryDirectory() as directory:
    for name, values in {"x": x, "t_xz": x + rng.normal(size=x.shape)}.items():
        np.save(Path(directory) / f"{name}.npy", values)
    logging.disable(logging.INFO)
    estimator = ScoreEstimator(n_hidden=(4,))
    estimator.train(
        method="sally",
        x=f"{directory}/x.npy",
        t_xz=f"{directory}/t_xz.npy",
        n_epochs=1,
        batch_size=50,
        n_workers=0,
    )
    assert np.isfinite(estimator.evaluate_score(x)).all()
device = f"CUDA {torch.version.cuda}" if torch.version.cuda else "processors only"
print(f"torch: {torch.__version__}, for {device}")
