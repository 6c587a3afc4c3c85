"""Words of the field that the page explains where they stand, and the site in its glossary.

python -m madminer_workflow.report.terms > docs/glossary.md
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

MARKUP = re.compile(r"[`*]| \(\[[^]]*\]\([^)]*\)\)")
"""What Markdown has beside the words: emphasis, and links in brackets."""


class Term(NamedTuple):
    """What a word means, in Markdown, and its ``forms`` on the page, by default itself."""

    name: str
    words: str
    forms: tuple[str, ...] = ()


TERMS = (
    Term(
        "Asimov data",
        "the expected data set, in which every simulated event counts with its expected weight. "
        "Limits from Asimov data are those of a typical experiment. They do not fluctuate like "
        "data, but they consist of a finite number of simulated events, so best fits can be "
        "slightly off the assumed truth.",
        ("Asimov data", "Asimov data set", "expected data"),
    ),
    Term(
        "Benchmark",
        "a parameter point at which events have weights. Events are drawn at some of the "
        "benchmarks, the *sampling benchmarks*.",
        ("benchmark", "benchmarks", "sampling benchmark"),
    ),
    Term(
        "Calibration",
        "agreement of an estimate with its meaning: among events with an estimated score of 2, the "
        "parton-level score has a mean of 2.",
        ("calibration", "calibrated", "calibration of the score"),
    ),
    Term(
        "Closure",
        "the agreement of a number computed in two ways: cross-sections computed directly and from "
        "the weights of all events, or the mean of a likelihood ratio, which must be 1.",
        ("closure", "closure of the ratio"),
    ),
    Term(
        "Confidence level",
        "the probability that an interval, constructed in this way, contains the true value.",
    ),
    Term(
        "Coverage",
        "the fraction of repeated experiments in which an interval contains the true value. It "
        "should be 68.3 % or 95 %, the confidence level of the interval.",
        ("coverage", "coverage of toys"),
    ),
    Term(
        "Effective number of events",
        "(Σw)²/Σw² for events with weights w: the number of unweighted events with the same "
        "relative fluctuations.",
        ("effective sample size", "effective simulated events", "effective number"),
    ),
    Term(
        "Ensemble",
        "several networks trained on the same events from different initial values. Their spread "
        "is the contribution of training to the uncertainty. Each network is a *member*; limits "
        "use the mean of their outputs.",
        ("ensemble", "ensembles", "agreement of the ensemble"),
    ),
    Term(
        "Fisher information",
        "the expected curvature of the log likelihood at a point. Its inverse is the smallest "
        "covariance that an unbiased estimator can have there.",
    ),
    Term(
        "Impact",
        "the shift of a parameter's best-fit value when a nuisance parameter is fixed one standard "
        "deviation away from its own.",
        ("impact", "impacts"),
    ),
    Term(
        "Job",
        "a share of the events that is generated and analysed separately. `NJOBS` jobs run in "
        "parallel; the results do not depend on their number.",
        ("NJOBS",),
    ),
    Term(
        "Joint score, joint ratio",
        "the gradient of the log likelihood, and the likelihood ratio, of an event, given "
        "everything that the simulation knows about it, including its parton-level momenta.",
        ("joint score", "joint ratio", "parton-level score"),
    ),
    Term(
        "Likelihood ratio",
        "the probability density of an event at one parameter point, divided by that at another "
        "point, the denominator.",
        ("likelihood ratio", "likelihood ratios"),
    ),
    Term(
        "Method",
        "one way to get from events to limits ([list](choosing.md)).",
    ),
    Term(
        "Morphing",
        "the interpolation from weights at the benchmarks to weights at any point, possible "
        "because the cross-section is a polynomial in the parameters.",
    ),
    Term(
        "Neyman construction",
        "intervals whose critical values of the test statistic come from toys instead of the "
        "asymptotic distribution.",
        ("Neyman construction", "Neyman's construction"),
    ),
    Term(
        "Nuisance parameter",
        "the size of a systematic effect, in units of its standard deviation.",
        ("nuisance parameter", "nuisance parameters"),
    ),
    Term(
        "Parton-level ceiling",
        "the limits one would get if the full parton-level information of every event could be "
        "observed. No analysis of the observables can do better.",
    ),
    Term(
        "Profiling",
        "maximising the likelihood over all other parameters for every value of the parameter of "
        "interest.",
        ("profiling", "profiled", "profile"),
    ),
    Term(
        "Proven information",
        "the Fisher information that a method's score is certain to have, calibrated or not: "
        "E[s t]² / E[t²] for the parton-level score s and the estimated score t, from events that "
        "were not used in training.",
    ),
    Term(
        "Pull",
        "the fitted value of a nuisance parameter, in units of its standard deviation before the "
        "fit; for two cross-sections, their difference in standard errors.",
        ("pull", "pulls"),
    ),
    Term(
        "Rate and shape",
        "the rate is the number of events, the shape is their distribution. Limits from the shape "
        "alone do not depend on the normalisation of the cross-section.",
        ("rate and shape", "shape only"),
    ),
    Term(
        "Relative length",
        "the length of a method's intervals divided by that of the recommended method: the "
        "geometric mean over all parameters.",
    ),
    Term(
        "Reliability",
        "the agreement of predicted and true fractions: where a likelihood ratio predicts that "
        "30 % of the events belong to its denominator, 30 % do.",
        ("reliability of the classifier", "reliability"),
    ),
    Term(
        "Score",
        "the gradient of an event's log likelihood with respect to the parameters at one point.",
    ),
    Term(
        "Step",
        "one command of the workflow, such as `generate` or `training`. It reads files and writes "
        "a folder.",
        ("steps of the workflow",),
    ),
    Term(
        "Test statistic q(θ)",
        "twice the difference between the maximum of the log likelihood and its value at θ. By "
        "Wilks' theorem it follows a χ² distribution, which determines where intervals end.",
        ("test statistic", "test statistic q"),
    ),
    Term(
        "Toy",
        "a pseudo-experiment, with events drawn from the simulation.",
        ("toy", "toys"),
    ),
    Term(
        "Wilson coefficient",
        "the strength of an operator in an effective field theory; divided by Λ², it has the unit "
        "TeV⁻². The `param_card_transform` of a parameter relates it to θ.",
        ("Wilson coefficient", "Wilson coefficients", "TeV⁻²"),
    ),
    Term(
        "Work directory",
        "the folder in which a run keeps all its files: `runs/NAME`, or the one given with "
        "`--workdir`.",
    ),
)


def by_form() -> dict[str, dict[str, str]]:
    """The terms by each of their forms, in lower case, for the page."""
    return {
        form.lower(): {"term": term.name, "words": f"{term.name}: {MARKUP.sub('', term.words)}"}
        for term in TERMS
        for form in term.forms or (term.name,)
    }


def glossary() -> Iterator[str]:
    """Lines of the site's page."""
    yield "# Glossary"
    yield ""
    yield "<!-- From report/terms.py: make docs. -->"
    for term in TERMS:
        yield ""
        yield from textwrap.wrap(f"**{term.name}**: {term.words}", 120, break_on_hyphens=False)


if __name__ == "__main__":
    print("\n".join(glossary()))
