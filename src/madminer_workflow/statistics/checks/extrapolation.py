"""Whether limits are set where the prior of the training has been.

A network that is a function of the parameters has learned it where the prior put parameter points.
Elsewhere it extrapolates, and nothing says how well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from madminer_workflow.analysis.types import GaussianPrior, Prior
from madminer_workflow.statistics.checks import make, say
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.quantiles import gaussian_deviations
from madminer_workflow.statistics.results import Check, ExtrapolationPlot

CENTRAL = 0.99
LARGEST_SHARE = 0.05


def prior_range(prior: Prior, central: float) -> tuple[float, float]:
    """The central part of one parameter's prior, as in the analysis file; all of a flat one."""
    if isinstance(prior, GaussianPrior):
        half = gaussian_deviations(0.5 * (1.0 - central)) * prior.std
        return prior.mean - half, prior.mean + half
    return prior.min, prior.max


def extrapolation_check(
    region: np.ndarray,
    thetas: np.ndarray,
    priors: Sequence[Prior],
    parameters: Sequence[str],
) -> Check:
    """The share of a confidence region that lies outside of the prior.

    ``region`` (n_points,) says which of the grid's ``thetas`` (n_points, n_parameters) are in the
    widest region; ``priors`` are those of ``parameters``, one each.
    """
    low, high = np.transpose([prior_range(prior, CENTRAL) for prior in priors])
    # A grid that ends where the prior does has its last points there only up to rounding.
    margin = 1e-9 * (high - low)
    outside = (thetas[region] < low - margin) | (thetas[region] > high + margin)
    share = float(np.mean(outside.any(axis=1))) if region.any() else np.nan
    beyond = [name for name, any_ in zip(parameters, outside.any(axis=0), strict=True) if any_]
    where = f", along {' and '.join(beyond)}" if beyond else ""
    allowed = thetas[region] if region.any() else np.full((1, len(low)), np.nan)
    return make(
        "region within the prior",
        share,
        None,
        share <= LARGEST_SHARE,
        expected=f"at most {LARGEST_SHARE}",
        meaning="fraction of the widest confidence region, for all parameters together, that is "
        f"outside the central {CENTRAL:.0%} of the prior used to train the network",
        reason="there were hardly any training events outside; 5 % are corners of the region, "
        "which do not affect intervals",
        proves="its limits are within the region where it was trained",
        sentence=f"{say(100.0 * share)} % of the confidence region is outside the region where "
        f"the network was trained{where}.",
        plot=ExtrapolationPlot(
            prior=plain(np.column_stack([low, high])),
            region=plain(np.column_stack([allowed.min(axis=0), allowed.max(axis=0)])),
        ),
    )
