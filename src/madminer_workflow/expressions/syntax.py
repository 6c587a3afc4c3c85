"""From the text of an expression to Python's syntax tree, and from a node back to its column."""

from __future__ import annotations

import ast
import warnings

from madminer_workflow.expressions.errors import ExpressionError

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
    "BitAnd": "'&'",
    "BitOr": "'|'",
    "BitXor": "'^'",
    "LShift": "'<<'",
    "RShift": "'>>'",
    "MatMult": "'@'",
    "Is": "'is'",
    "IsNot": "'is not'",
    "In": "'in'",
    "NotIn": "'not in'",
}


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
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(line[indent:], mode="eval").body
        except SyntaxError as error:
            column = min(indent + error.offset, len(line)) if error.offset else len(line)
            raise ExpressionError(self.text, column, f"not an expression: {error.msg}") from None
        except (ValueError, MemoryError, RecursionError):
            problem = "not an expression: unreadable or too deeply nested"
            raise ExpressionError(self.text, 1, problem) from None

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
