"""Whether there are enough simulated events for the number of events expected in the data.

The expected data, and the templates, are simulated events. Compared with data of N events, n
effective simulated ones fluctuate by themselves as the data do, N / n times as much in variance:
errors grow by sqrt(1 + N / n) (Barlow and Beeston, Comput. Phys. Commun. 77 (1993) 219, for
templates). The effective number of weighted events is that of Kish, (sum w)^2 / sum w^2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from madminer_workflow.statistics.checks import make, say
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import BinsPlot, Check, SizesPlot
from madminer_workflow.statistics.weights import effective_size

LARGEST_NOISE = 0.25

LARGEST_PREFERENCE = 1.0
"""One standard deviation of one parameter."""

FEWEST_PER_BIN = 25.0


def size_check(expected: float, weights: Mapping[str, np.ndarray]) -> Check:
    """Expected over effective simulated events, worst of the points.

    ``expected`` is the number of events in the data; ``weights`` (n_events,) those of the test
    events at points, by their names: the assumed truth and edges of intervals.
    """
    sizes = {name: effective_size(values) for name, values in weights.items()}
    noise = {name: expected / size for name, size in sizes.items()}
    worst = max(noise, key=lambda name: noise[name])
    growth = np.sqrt(1.0 + noise[worst]) - 1.0
    return make(
        "effective sample size",
        noise[worst],
        None,
        noise[worst] <= LARGEST_NOISE,
        expected=f"at most {LARGEST_NOISE}",
        meaning="expected number of events divided by the effective number of test events, at "
        "the assumed truth or, after reweighting, at the edges of the intervals, "
        "whichever is worse",
        reason="simulated events fluctuate like data; errors add in quadrature, and an "
        "additional quarter of the variance makes the error of a limit 12 % larger",
        proves="there are enough simulated events",
        sentence=f"{expected:.0f} expected events are compared with {sizes[worst]:.0f} effective "
        f"simulated events at {worst}, whose fluctuations make errors "
        f"{say(100.0 * growth)} % larger.",
        plot=SizesPlot(
            points=list(sizes),
            size=plain(list(sizes.values())),
            needed=expected / LARGEST_NOISE,
        ),
    )


def truth_check(log_likelihood: np.ndarray) -> Check:
    """Whether the expected data favour another point over the one that they were drawn from.

    ``log_likelihood``, (n_points + 1,), has the truth as its last entry. The expected data are
    simulated events, and so is what they are compared with: where there are too few of them, their
    fluctuations look like a signal.
    """
    preference = float(2.0 * (np.max(log_likelihood) - log_likelihood[-1]))
    return make(
        "expected data prefer the truth",
        preference,
        None,
        preference <= LARGEST_PREFERENCE,
        expected=f"at most {LARGEST_PREFERENCE:g}",
        meaning="2 log of the ratio of the likelihood at the best point on the grid to that at "
        "the parameter point of the expected data",
        reason="a value above 1, one standard deviation, means that limits reflect the "
        "fluctuations of too few simulated events, or a bias of the model",
        proves="its best fit to the expected data is the truth",
        sentence=f"The best fit to the expected data is {say(np.sqrt(max(preference, 0.0)))} "
        "standard deviations away from their true parameter point.",
    )


def bins_check(sums: np.ndarray, squares: np.ndarray) -> Check:
    """Whether every bin that counts is filled by enough simulated events.

    ``sums`` and ``squares``, (n_bins,), are those of the events' weights.
    """
    share = sums / sums.sum()
    counting = share > 1e-3
    sizes = sums[counting] ** 2 / squares[counting]
    smallest = float(np.min(sizes))
    return make(
        "events per bin",
        smallest,
        None,
        smallest >= FEWEST_PER_BIN,
        expected=f"at least {FEWEST_PER_BIN:g}",
        meaning="effective number of simulated events in the least populated bin with more than "
        "0.1 % of the rate",
        reason="with fewer than 25 events, a bin of the template fluctuates by over 20 %, which "
        "mimics sensitivity",
        proves="its bins are well filled",
        sentence=f"The least populated of {int(counting.sum())} bins has {smallest:.0f} "
        "effective simulated events.",
        plot=BinsPlot(size=plain(sizes), needed=FEWEST_PER_BIN),
    )
