"""Writes the reference page of the expression language from its whitelist.

``python -m madminer_workflow.expressions.reference > docs/expressions.md``
"""

from __future__ import annotations

from collections.abc import Iterable

from madminer_workflow.expressions.language import (
    BINARY_FUNCTIONS,
    EVENT_VARIABLES,
    EXTREMA,
    FUNCTIONS,
    MOMENTA,
    MOMENTUM_ATTRIBUTES,
    MOMENTUM_METHODS,
    NUMBER_METHODS,
    OPERATORS,
    PARTICLE_ATTRIBUTES,
    PARTICLE_LISTS,
)

RECIPES = (
    ("transverse momentum of the leading jet", "j[0].pt"),
    ("scalar sum of the transverse momenta of two jets", "j[0].pt + j[1].pt"),
    ("transverse momentum of the third jet, or 0 if there is none", "j[2].pt if len(j) > 2 else 0"),
    ("invariant mass of two photons", "(a[0] + a[1]).m"),
    ("logarithm of the invariant mass of two jets", "log((j[0] + j[1]).m)"),
    ("transverse momentum of a pair divided by its mass", "(a[0] + a[1]).pt/(a[0] + a[1]).m"),
    ("signed azimuthal angle between two jets", "j[0].deltaphi(j[1])"),
    ("pseudorapidity separation", "abs(j[0].deltaeta(j[1]))"),
    ("distance ΔR in pseudorapidity and azimuth", "l[0].deltaR(j[0])"),
    ("distance to the nearer of two jets", "min(a[0].deltaR(j[0]), a[0].deltaR(j[1]))"),
    (
        "centrality of a pair between two jets (Zeppenfeld variable)",
        "abs((a[0] + a[1]).rapidity - 0.5*(j[0].rapidity + j[1].rapidity))",
    ),
    (
        "transverse mass of a lepton and the missing momentum",
        "sqrt(2*l[0].pt*met.pt*(1 - cos(l[0].deltaphi(met))))",
    ),
    ("missing transverse momentum", "met.pt"),
    ("decay angle in the rest frame of a pair", "a[0].boostCM_of(a[0] + a[1]).costheta"),
    ("scalar product of two four-momenta", "j[0].dot(j[1])"),
    ("invariant mass of the system of two jets and two photons", "(j[0] + j[1] + a[0] + a[1]).m"),
    ("number of leptons", "len(l)"),
    ("product of the charges of two leptons", "l[0].charge*l[1].charge"),
    ("whether the leading jet has a b tag", "j[0].b_tag"),
    ("whether the leading lepton is an electron", "abs(l[0].pdgid) == 11"),
)
"""Descriptions and expressions."""

CUTS = (
    ("at least two jets, the leading one above 50 GeV", "len(j) >= 2 and j[0].pt > 50"),
    ("a mass window", "120 < (a[0] + a[1]).m < 130"),
    ("no b-tagged jet among the leading two", "not (j[0].b_tag or j[1].b_tag)"),
    ("dilepton mass away from the Z boson mass", "abs((l[0] + l[1]).m - 91.2) > 15"),
)

COLUMNS = (
    ("an event-level variable", "MET_pt/1000"),
    ("an entry of a list", "Jet_pt[0]"),
    ("number of entries", "len(Jet_pt)"),
    ("the second entry, or 0", "Jet_pt[1] if len(Jet_pt) > 1 else 0"),
)
"""Expressions in the columns of a table instead of particles."""

_PAGE = """\
# Expressions

Observables, cuts, efficiencies and the weights of tables are expressions in MadMiner's language,
which is Python's expression syntax restricted to the names and functions below.
`madminer-workflow validate` parses every expression and reports where one is wrong.

## Recipes

{recipes}

Cuts keep an event if the expression is not 0:

{cuts}

For [events in tables](events.md), expressions use the names of columns. Write `_` for any
character of a branch name that is neither a letter nor a digit (`Jet.PT` becomes `Jet_PT`):

{columns}

## Names

- lists of particles, sorted by decreasing transverse momentum: {lists}; `l` are electrons and
  muons, `v` neutrinos, `a` photons, `j` jets (quarks and gluons if there is no detector); `tau`
  and `ta` are the same; `p` are all particles in the order of the file, `p_truth` the particles
  before the detector
- momenta: {momenta}: the missing transverse momentum, the sum of all visible particles, and the
  sum of both
- event-level variables, in LHE files: {variables}
- in cuts and efficiencies, the names of observables; they take precedence over particles of the
  same name

`j[0]` is the first element of a list, `j[-1]` the last, and `len(j)` the number of elements.
Momenta can be added and subtracted: `j[0] + j[1]`. Energies, momenta and masses are in GeV,
angles in radians.

## Properties of particles

- of any momentum: {attributes} (as in [vector](https://vector.readthedocs.io))
- of particles only: {particle}
- functions of another momentum that return a number: {number_methods}
- functions of another momentum that return a momentum: {momentum_methods}

## Operators and functions

- {operators}; {comparisons}, which can be chained: `0 < x < 1`
- `and`, `or`, `not`, `yes if condition else no`
- {functions}
- `pi`, numbers, `True` and `False`

`{extrema}` take two or more numbers, `{two}` take two. `deltaphi` returns angles between −π and
π.

## Where an expression is not defined

`j[1].pt` in an event with one jet, `1/0` and `log(-1)` are not defined. An observable whose
expression is not defined takes its `default`, or is NaN; with `required: true` the event is
dropped ([analysis file](analysis-file.md)). A cut whose expression is not defined drops the
event, unless the cut has `required: true`, which has this meaning in MadMiner. In `… if … else …`
only the branch that is taken is evaluated, and `and` and `or` stop as soon as the result is
known.

This page is generated from `src/madminer_workflow/expressions/language.py`.
"""


def page() -> str:
    """Return the reference page as Markdown."""
    return _PAGE.format(
        recipes=_table(RECIPES),
        cuts=_table(CUTS),
        columns=_table(COLUMNS),
        lists=_code(PARTICLE_LISTS),
        momenta=_code(MOMENTA),
        variables=_code(EVENT_VARIABLES),
        attributes=_code(sorted(MOMENTUM_ATTRIBUTES, key=lambda name: (name.lower(), name))),
        particle=_code(PARTICLE_ATTRIBUTES),
        number_methods=_code(f"{name}(…)" for name in sorted(NUMBER_METHODS)),
        momentum_methods=_code(f"{name}(…)" for name in sorted(MOMENTUM_METHODS)),
        operators=_code(symbol for symbol, _ in OPERATORS.values()),
        comparisons=_code(["<", "<=", ">", ">=", "==", "!="]),
        functions=_code(sorted(FUNCTIONS)),
        extrema="`, `".join(EXTREMA),
        two="`, `".join(BINARY_FUNCTIONS),
    )


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = (f"| {what} | `{expression}` |" for what, expression in rows)
    return "\n".join(["| what | expression |", "|---|---|", *lines])


if __name__ == "__main__":
    print(page(), end="")
