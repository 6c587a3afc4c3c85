"""The text of an expression: parsed by Python's grammar, and what its author is told of it."""

from __future__ import annotations

import ast
import difflib
import re
import unicodedata
import warnings
from collections.abc import Iterable

from madminer_workflow.errors import InputError

_MAX_LENGTH = 4096
_WORDS = {
    "Lambda": "a lambda",
    "ListComp": "a list comprehension",
    "GeneratorExp": "a generator",
    "JoinedStr": "a string",
    "List": "a list",
    "Tuple": "a tuple",
    "Dict": "a dictionary",
    "Set": "a set",
    "NamedExpr": "an assignment",
    **{"BitAnd": "'&'", "BitOr": "'|'", "BitXor": "'^'", "LShift": "'<<'", "RShift": "'>>'"},
    **{"MatMult": "'@'", "Is": "'is'", "IsNot": "'is not'", "In": "'in'", "NotIn": "'not in'"},
}


_OPERATORS = (("&&", "and"), ("||", "or"))


class Source:
    """The text of an expression, read as one line: any white space is a blank."""

    def __init__(self, text: str):
        """Take `text` as its author wrote it."""
        self.text = text
        self._line = "".join(" " if character.isspace() else character for character in text)
        self._indent = len(self._line) - len(self._line.lstrip())

    def parse(self) -> ast.expr:
        """Parse with Python's grammar. Raises ExpressionError where it is not an expression."""
        line, indent = self._line, self._indent
        if not line.strip():
            raise ExpressionError(self.text, 1, "the expression is empty")
        if len(line) > _MAX_LENGTH:
            raise ExpressionError(self.text, 1, f"longer than {_MAX_LENGTH} characters")
        if "#" in line:
            column = line.index("#") + 1
            raise ExpressionError(self.text, column, "comments are not part of the language")
        if "\0" in line:
            # Some Pythons do not say where.
            raise ExpressionError(self.text, line.index("\0") + 1, "not an expression: U+0000")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(line[indent:], mode="eval").body
        except SyntaxError as error:
            column = min(indent + error.offset, len(line)) if error.offset else len(line)
            problem = f"not an expression: {error.msg}"
            raise ExpressionError(self.text, column, problem, self._other_language()) from None
        except (ValueError, MemoryError, RecursionError):
            problem = "not an expression: unreadable or too deeply nested"
            raise ExpressionError(self.text, 1, problem) from None

    def _other_language(self) -> str:
        """What to write instead of the operators of C and ROOT, if there are any."""
        there = [f"'{right}' for '{wrong}'" for wrong, right in _OPERATORS if wrong in self.text]
        if re.search(r"!(?!=)", self.text):
            there.append("'not' for '!'")
        words = dict.fromkeys(re.findall(r"\b(?:AND|OR|NOT|And|Or|Not)\b", self.text))
        there += [f"'{word.lower()}' for '{word}'" for word in words]
        return f"write {', '.join(there)}" if there else ""

    def need_plain_text(self) -> None:
        """Raise ExpressionError for a character that MadMiner's files, or people, cannot read.

        Python takes letters that look like others for the same ones, and much for a blank.
        """
        for column, character in enumerate(self.text, 1):
            if not (" " <= character <= "~" or character in "\t\n\r"):
                name = unicodedata.name(character, "a control character")
                problem = f"U+{ord(character):04X} ({name.lower()}) is not part of the language"
                raise ExpressionError(self.text, column, problem, "write it in ASCII")

    def error(self, node: ast.AST | None, problem: str, hint: str = "") -> ExpressionError:
        """Return the error that puts `problem` at `node`, or at the whole expression if None."""
        offset = getattr(node, "col_offset", 0)
        if isinstance(node, ast.Attribute) and node.end_col_offset is not None:
            offset = node.end_col_offset - len(node.attr.encode())
        # Python counts the bytes of a line, people count characters.
        before = self._line[self._indent :].encode()[:offset].decode(errors="replace")
        return ExpressionError(self.text, self._indent + len(before) + 1, problem, hint)


def describe(node: ast.AST) -> str:
    """Name a piece of Python for people."""
    name = type(node).__name__
    return _WORDS.get(name, f"Python's '{name}'")


_ABBREVIATION = 3
"""Letters with which a name begins, and no other one that is known, are that name."""
#: What people write for what the language calls otherwise; edit distance cannot find these.
_SYNONYMS = {
    synonym: name
    for name, synonyms in {
        "j": "jet jets",
        "a": "photon photons gamma y",
        "e": "electron electrons",
        "mu": "muon muons m",
        "tau": "taus",
        "l": "lepton leptons lep",
        "v": "neutrino neutrinos nu",
        "p": "particle particles",
        "met": "mpt missing_et",
        "pdgid": "id pid",
        "deltaR": "dr delta_r",
        "deltaphi": "dphi delta_phi",
        "deltaeta": "deta delta_eta",
        "log": "ln",
    }.items()
    for synonym in synonyms.split()
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
    beginning = [c for c in candidates if len(name) >= _ABBREVIATION and c.startswith(name.lower())]
    if len(beginning) == 1:
        return beginning[0]
    return next(iter(difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the hint for an unknown `name`: the nearest of the `known` ones, or all of them."""
    known = sorted(known)
    nearest = nearest_name(name, known)
    return f"did you mean '{nearest}'?" if nearest else f"known are: {', '.join(known)}"
