"""What the author of a refused expression is told."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from madminer_workflow.errors import InputError

#: What people write for what the language calls otherwise; edit distance cannot find these.
_SYNONYMS = {
    "jet": "j",
    "jets": "j",
    "photon": "a",
    "photons": "a",
    "gamma": "a",
    "y": "a",
    "electron": "e",
    "electrons": "e",
    "muon": "mu",
    "muons": "mu",
    "m": "mu",
    "taus": "tau",
    "lepton": "l",
    "leptons": "l",
    "lep": "l",
    "neutrino": "v",
    "neutrinos": "v",
    "nu": "v",
    "particle": "p",
    "particles": "p",
    "mpt": "met",
    "missing_et": "met",
    "id": "pdgid",
    "pid": "pdgid",
    "dr": "deltaR",
    "delta_r": "deltaR",
    "dphi": "deltaphi",
    "delta_phi": "deltaphi",
    "deta": "deltaeta",
    "delta_eta": "deltaeta",
    "ln": "log",
}


class ExpressionError(InputError):
    """An expression that the language does not accept.

    ``problem`` says what is wrong, ``column`` (from 1) where, ``hint`` what to write instead (may
    be empty); ``message`` joins them in one line.
    """

    def __init__(self, text: str, column: int, problem: str, hint: str = ""):
        """Describe the problem at `column` (from 1) of `text`."""
        self.text, self.column, self.problem, self.hint = text, column, problem, hint
        shown = text if len(text) <= 100 else text[:97] + "..."
        self.message = f"{problem} (column {column} of '{shown}')" + (f"; {hint}" if hint else "")
        super().__init__(self.message)


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return which of the `known` names was probably meant by `name`, if any comes close."""
    candidates = sorted(known)
    same_letters = [candidate for candidate in candidates if candidate.lower() == name.lower()]
    if same_letters:
        return same_letters[0]
    synonym = _SYNONYMS.get(name.lower())
    if synonym in candidates:
        return synonym
    return next(iter(difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the hint for an unknown `name`: the nearest of the `known` ones, or all of them."""
    known = sorted(known)
    nearest = nearest_name(name, known)
    return f"did you mean '{nearest}'?" if nearest else f"known are: {', '.join(known)}"
