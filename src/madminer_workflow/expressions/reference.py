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
    ("scalar sum of two jets' transverse momenta", "j[0].pt + j[1].pt"),
    ("the third jet's transverse momentum, 0 without one", "j[2].pt if len(j) > 2 else 0"),
    ("invariant mass of two photons", "(a[0] + a[1]).m"),
    ("logarithm of the mass of two jets", "log((j[0] + j[1]).m)"),
    ("transverse momentum of a pair over its mass", "(a[0] + a[1]).pt/(a[0] + a[1]).m"),
    ("signed azimuthal angle between two jets", "j[0].deltaphi(j[1])"),
    ("distance in pseudorapidity", "abs(j[0].deltaeta(j[1]))"),
    ("distance in the plane of rapidity and angle", "l[0].deltaR(j[0])"),
    ("the nearer of two jets", "min(a[0].deltaR(j[0]), a[0].deltaR(j[1]))"),
    (
        "how central a pair lies between two jets (Zeppenfeld)",
        "abs((a[0] + a[1]).rapidity - 0.5*(j[0].rapidity + j[1].rapidity))",
    ),
    (
        "transverse mass of a lepton and the missing momentum",
        "sqrt(2*l[0].pt*met.pt*(1 - cos(l[0].deltaphi(met))))",
    ),
    ("missing transverse momentum", "met.pt"),
    ("decay angle in the rest frame of a pair", "a[0].boostCM_of(a[0] + a[1]).costheta"),
    ("scalar product of two four-momenta", "j[0].dot(j[1])"),
    ("mass of two jets and two photons together", "(j[0] + j[1] + a[0] + a[1]).m"),
    ("number of leptons", "len(l)"),
    ("product of two leptons' charges", "l[0].charge*l[1].charge"),
    ("whether the leading jet has a b tag", "j[0].b_tag"),
    ("whether the leading lepton is an electron", "abs(l[0].pdgid) == 11"),
)
"""What it is, and its expression."""

CUTS = (
    ("at least two jets, the leading one above 50 GeV", "len(j) >= 2 and j[0].pt > 50"),
    ("a mass window", "120 < (a[0] + a[1]).m < 130"),
    ("no b-tagged jet among the leading two", "not (j[0].b_tag or j[1].b_tag)"),
    ("two leptons away from the Z boson", "abs((l[0] + l[1]).m - 91.2) > 15"),
)

COLUMNS = (
    ("a number of the event", "MET_pt/1000"),
    ("an entry of a list", "Jet_pt[0]"),
    ("how many entries", "len(Jet_pt)"),
    ("the second entry, or 0", "Jet_pt[1] if len(Jet_pt) > 1 else 0"),
)
"""With the columns of a table in place of particles."""

_PAGE = """\
# Expressions

Observables, cuts, efficiencies and the weights of tables are expressions: MadMiner's, which are
Python's, with the names and functions below and no others. `madminer-workflow validate` parses
every one of them, and says where one is wrong.

## Recipes

{recipes}

As cuts, which keep an event where the expression is not 0:

{cuts}

Of [events in tables](events.md), columns are names; what is no letter or digit in the name of a
branch is written `_` (`Jet.PT` is `Jet_PT`):

{columns}

## Names

- lists of particles, each ordered by falling transverse momentum: {lists}; `l` are electrons and
  muons, `v` neutrinos, `a` photons, `j` jets (quarks and gluons where there is no detector), `tau`
  and `ta` the same; `p` are all particles in the order of the file, `p_truth` those before the
  detector
- momenta: {momenta}: the missing transverse momentum, the sum of what was seen, and both together
- numbers of the event, in LHE files: {variables}
- the observables by their names, in cuts and efficiencies; they go before particles of the same
  name

`j[0]` is the first of a list, `j[-1]` the last, `len(j)` their number. Momenta add and subtract:
`j[0] + j[1]`. Energies, momenta and masses are in GeV, angles in radians.

## What a particle knows

- any momentum: {attributes} (as in [vector](https://vector.readthedocs.io))
- particles also: {particle}
- with another momentum, to a number: {number_methods}
- with another momentum, to a momentum: {momentum_methods}

## Operators and functions

- {operators}; {comparisons}, also in chains as in `0 < x < 1`
- `and`, `or`, `not`, `yes if condition else no`
- {functions}
- `pi`, numbers, `True` and `False`

`{extrema}` take two numbers or more, `{two}` two. Angles of `deltaphi` lie between −π and π.

## Where an expression is not defined

`j[1].pt` in an event with one jet, `1/0` and `log(-1)` are not defined. An observable then has its
`default`, or is NaN; with `required: true` the event is dropped ([analysis
file](analysis-file.md)). A cut that is not defined drops the event, unless it says `required:
true`, which is MadMiner's meaning of the word there. Only the branch of `… if … else …` that is
taken counts, and `and` and `or` stop where the answer is known.

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
