"""The methods: what each learns, its cost and its use, for the page and for the site.

python -m madminer_workflow.report.methods > docs/choosing.md
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import NamedTuple

WIDTH = 98
"""Of lines of the site's page."""

LOCAL = "arXiv:1805.00013"
"""Where most of the methods were introduced."""


class Description(NamedTuple):
    """What there is to say of a method, in plain text; its ``formula`` is HTML."""

    title: str
    stands_for: str
    learns: str
    formula: str
    cost: str
    use: str
    avoid: str
    sources: tuple[str, ...] = (LOCAL,)


CROSS_ENTROPY = (
    "minimise −E[s log ŝ + (1 − s) log(1 − ŝ)], with s = 1/(1 + r(x, z | θ)) "
    "and ŝ = 1/(1 + r̂(x | θ))"
)
LABELS = "minimise −E[y log ŝ + (1 − y) log(1 − ŝ)], with ŝ = 1/(1 + r̂(x | θ))"
SQUARES = "minimise E[y (r(x, z | θ) − r̂(x | θ))² + (1 − y) (1/r(x, z | θ) − 1/r̂(x | θ))²]"
LIKELIHOOD = "minimise −E[log p̂(x | θ)]"
SCORE_OF_RATIO = "plus α E[(1 − y) |t(x, z | θ) − ∇ log r̂(x | θ)|²]"
SCORE_OF_DENSITY = "plus α E[|t(x, z | θ) − ∇ log p̂(x | θ)|²]"

GRID = (
    "The network is evaluated at every grid point, and the number of grid points grows "
    "exponentially with the number of parameters"
)
"""What limits cost with a network that takes parameters as inputs."""

METHODS = {
    "histogram": Description(
        "Histogram",
        "counts in bins",
        "counts events in bins of observables; the content of each bin is a polynomial in the "
        "parameters",
        "p(bin | θ) = Σ<sub>events in the bin</sub> w(θ) / Σ<sub>all events</sub> w(θ)",
        "0.5 s of CPU time for the bins and 1 s for the limits: nothing is trained",
        "one or two observables; any uncertainty, bin by bin; checking everything else, because "
        "readers can check it themselves",
        "more observables: bins run out of events, and information within bins is lost",
        (),
    ),
    "polynomial": Description(
        "Polynomial",
        "the likelihood ratio as a polynomial",
        "a network learns the likelihood ratio as a polynomial in the parameters, with "
        "coefficients that are functions of the observables",
        "minimise Σ<sub>θ</sub> λ<sub>θ</sub> E[w(θ<sub>1</sub>) r̂(x | θ) − w(θ) log r̂(x | θ)], "
        "with r̂(x | θ) = |L(x)<sup>T</sup> v(θ)|²; L is a triangular matrix, and v contains the "
        "monomials of an amplitude in θ − θ<sub>1</sub>",
        "6 s of CPU time to train a member and 2 s for the limits, which are fits and need no "
        "grid; toys are fits, too",
        "limits near the reference and far from it; any number of parameters; few events; shape "
        "uncertainties, event by event",
        "parameters in which the cross-section is not a polynomial; interference alone, unless "
        "there are many data",
        ("arXiv:2007.10356", "arXiv:2211.02058"),
    ),
    "sally": Description(
        "SALLY",
        "score approximates likelihood locally",
        "a network learns the score at one point, which is then histogrammed",
        "minimise E[|t(x, z | θ<sub>1</sub>) − t̂(x)|²]: then t̂(x) = E[t(x, z | θ<sub>1</sub>) "
        "given x] = ∇ log p(x | θ<sub>1</sub>)",
        "6 s of CPU time to train a member and 3 s for the limits",
        "any number of parameters near the reference, where the score contains all information; "
        "shape uncertainties, which it also learns",
        "limits far from the reference, where the squared terms matter; histograms of the score "
        "for many parameters, which need many events",
    ),
    "sallino": Description(
        "SALLINO",
        "score approximates likelihood locally in one dimension",
        "like SALLY, with the component of the score along the direction to each tested point",
        "h(x | θ) = t̂(x) · (θ − θ<sub>1</sub>), in bins for every θ, with t̂ as for SALLY",
        "6 s of CPU time to train a member and 3 s for the limits, with new bins at every grid "
        "point",
        "so many parameters that a histogram of the whole score would be too large",
        "finding out which direction the data prefer: every direction has bins of its own",
    ),
    "alice": Description(
        "ALICE",
        "approximate likelihood with improved cross-entropy estimator",
        "a network learns the likelihood ratio from the joint ratio, by cross-entropy",
        CROSS_ENTROPY,
        f"16 s of CPU time to train a member and 6 s for the limits. {GRID}",
        "parameters in which the cross-section is not a polynomial",
        "many parameters: all points have to be learned and scanned; limits beyond the prior; "
        "shape uncertainties",
        ("arXiv:1808.00973",),
    ),
    "alices": Description(
        "ALICES",
        "approximate likelihood with improved cross-entropy estimator and score",
        "like ALICE, with the joint score in the loss",
        f"{CROSS_ENTROPY}, {SCORE_OF_RATIO}",
        f"27 s of CPU time to train a member and 6 s for the limits. {GRID}",
        "parameters in which the cross-section is not a polynomial; it is the best of the methods "
        "that learn the ratio at all points of a prior",
        "many parameters: all points have to be learned and scanned; limits beyond the prior; "
        "shape uncertainties",
        ("arXiv:1808.00973",),
    ),
    "carl": Description(
        "CARL",
        "calibrated approximate ratios of likelihoods",
        "a network learns the likelihood ratio by classifying two samples",
        LABELS,
        f"15 s of CPU time to train a member and 6 s for the limits. {GRID}",
        "events that have no weights at other points; showing the value of the joint ratio: of "
        "the information that polynomials prove, CARL proves 63 %, ALICE 77 % and ALICES 89 %",
        "events that have weights at other points",
        ("arXiv:1506.02169",),
    ),
    "cascal": Description(
        "CASCAL",
        "CARL and score approximate likelihood ratio",
        "like CARL, with the joint score in the loss",
        f"{LABELS}, {SCORE_OF_RATIO}",
        f"15 s of CPU time to train a member and 6 s for the limits. {GRID}",
        "showing the value of the joint score",
        "events that have weights at other points: ALICES uses them, too",
    ),
    "rolr": Description(
        "ROLR",
        "regression on likelihood ratio",
        "a network learns the likelihood ratio from the joint ratio, by least squares",
        SQUARES,
        f"about as much as RASCAL. {GRID}",
        "checking ALICE",
        "ratios with a heavy tail, which dominates a squared error",
    ),
    "rascal": Description(
        "RASCAL",
        "ratio and score approximate likelihood ratio",
        "like ROLR, with the joint score in the loss",
        f"{SQUARES}, {SCORE_OF_RATIO}",
        f"29 s of CPU time to train a member and 5 s for the limits. {GRID}",
        "checking ALICES",
        "ratios with a heavy tail, which dominates a squared error",
    ),
    "nde": Description(
        "NDE",
        "neural density estimator",
        "normalising flows learn the probability density of the observables",
        LIKELIHOOD,
        f"about as much as SCANDAL. {GRID}",
        "a model of the data at any parameter point",
        "sharp edges, counts, a single observable; it has to learn everything, most of which "
        "depends on no parameter",
    ),
    "scandal": Description(
        "SCANDAL",
        "score-augmented neural density approximates likelihood",
        "like NDE, with the joint score in the loss",
        f"{LIKELIHOOD}, {SCORE_OF_DENSITY}",
        "16 s of CPU time to train a member with a fifth of the samples, and 29 s for the "
        f"limits. {GRID}",
        "a model of the data at any parameter point",
        "sharp edges, counts, a single observable; it has to learn everything, most of which "
        "depends on no parameter",
    ),
}
"""By the name in the analysis file."""

NOTATION = (
    "An event has the observables x. The simulation also knows z, everything that happened at "
    "parton level, and with it the weight w(θ) of the event at all parameters θ: the joint ratio "
    "r(x, z | θ) = p(x, z | θ)/p(x, z | θ₁), where θ₁ is the reference or denominator, and the "
    "joint score t(x, z | θ) = ∇ log p(x, z | θ). What a network estimates has a hat. E is a mean "
    "over simulated events; for ratios, half of them are drawn at θ (y = 0) and half at θ₁ "
    "(y = 1). α is the weight of the term with the score."
)
"""Of the formulae."""

COSTS = (
    "CPU times are those of one member with the settings of the reference analyses `inputs/wbf` "
    "and `inputs/wbf-estimators`: training, and evaluation with limits and checks at 961 points, "
    "including processes and imports. The machine was busy with other work, so these times are "
    "only good for comparing methods."
)

INTRODUCTION = """\
# Methods for people who know likelihoods

<!-- From report/methods.py: make docs. -->

An analysis ends with a likelihood L(θ) = Π p(x | θ) × Poisson(n | μ(θ)) of the observables x,
which include the effects of shower and detector. A simulation cannot evaluate p(x | θ). But it
can tell how the *weight* of every event depends on θ, given everything that happened at parton
level, z, and so it knows the likelihood ratio and the score of x and z together. Averaged over
all z that lead to the same x, they become the ratio and the score of the observables alone, which
the likelihood needs ([arXiv:1805.00013](https://arxiv.org/abs/1805.00013),
[arXiv:1805.00020](https://arxiv.org/abs/1805.00020)). The methods differ in the function of x
that they learn.

## Which one

Start with [`polynomial`](#polynomial) and a [histogram](#histogram). The cross-section is a
polynomial in the Wilson coefficients, so `polynomial` does not need to learn the dependence on θ.
It gives limits, fits, gradients and toys in closed form, for any number of parameters. A
histogram is something anyone can check. If the two agree, there is little left to gain. Use the
others for cases that `polynomial` does not cover, and for comparison.
"""

REPORT = """\
## What the report says about each

- **Limits** are intervals of q(θ) = −2 log L(θ)/L(θ̂), at the confidence levels given in the
  analysis file, with nuisance parameters profiled.
- **Proven information** is what a method demonstrably uses of the available information, measured
  on events that it was not trained on
  ([how](methods.md#whether-a-method-uses-all-information)).
- **Checks** decide whether a method is recommended: calibration, closure at other points,
  agreement between the members of an ensemble, coverage in toys. A perfect method would fail a
  given check in 0.27 % of all cases.
- **Errors** of limits come from the data (with toys), from the simulation (finite number of
  events) and from training (with an ensemble): see [intervals](intervals.md).

SALLY may show more information than ALICES and yet give wider limits. Information is a local
quantity, which SALLY learns directly, whereas limits extend to values of θ where the squared
terms matter."""


def address(source: str) -> str:
    """Where a paper is, from its number."""
    return f"https://arxiv.org/abs/{source.removeprefix('arXiv:')}"


def page() -> Iterator[str]:
    """Lines of the site's page."""
    yield INTRODUCTION
    yield "| method | in words |"
    yield "|---|---|"
    for method in METHODS.values():
        yield f"| [{method.title}](#{method.title.lower()}) | {method.stands_for} |"
    yield ""
    yield "## The methods"
    for paragraph in (NOTATION, COSTS):
        yield ""
        yield from wrapped(paragraph)
    for name, method in METHODS.items():
        yield ""
        yield from section(name, method)
    yield ""
    yield REPORT


def section(name: str, method: Description) -> Iterator[str]:
    """Lines on one method."""
    yield f"### {method.title}"
    yield ""
    yield from wrapped(f"*{method.stands_for}*: {method.learns}.")
    rows = {
        "in the analysis file": f"`method: {name}`",
        "formula": method.formula,
        "cost": method.cost,
        "use it for": method.use,
        "not for": method.avoid,
        "source": ", ".join(f"[{one}]({address(one)})" for one in method.sources),
    }
    if name == "polynomial":
        rows["source"] += "; [how it works](methods.md#one-training-the-whole-likelihood)"
    yield ""
    for title, words in rows.items():
        line = f"- *{title}*: {words}"
        if words:
            # Formulae stay in one piece.
            yield from [line] if title == "formula" else wrapped(line, "  ")


def wrapped(text: str, indent: str = "") -> list[str]:
    """A paragraph, or an entry of a list, in lines."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


if __name__ == "__main__":
    print("\n".join(page()))
