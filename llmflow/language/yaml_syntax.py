"""What YAML's own syntax errors mean to the person who wrote the file.

The parser says what it could not do; what was meant is read from the text around the place: a tab,
an unquoted template, a colon inside a text, a quote that is never closed.
"""

from __future__ import annotations

import re

from yaml import YAMLError
from yaml.error import MarkedYAMLError
from yaml.reader import ReaderError

from llmflow.errors import Problem
from llmflow.language.source import Source

_UNQUOTED_TEMPLATE = r"(?:^|[:\-,\[{])[ \t]+(\{\{)"
_CLOSED_QUOTE = r""":[ \t]+("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')[ \t]*[^\s#,}\]]"""
_FORBIDDEN = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
# Patterns are compiled where they are used: a file that is right needs none of them.

_HINTS: tuple[tuple[str, str, str], ...] = (
    (
        "mapping values are not allowed",
        "a `: ` where no key can stand",
        "indent it as its neighbours, or quote the text",
    ),
    ("found unexpected end of stream", "a quote that is never closed", ""),
    ("found unknown escape character", "unknown escape in a double-quoted text", r"write `\\`, or use single quotes"),
    ("could not find expected ':'", "a line that is neither a key nor part of a text", "is a `:` missing?"),
    ("cannot start any token", "a text cannot start with this character", "put it in quotes"),
    ("found invalid Unicode character escape", "this escape is no character", ""),
    ("nesting depth", "nested deeper than 64 levels", ""),
    ("directive", "YAML directives are not used here", "delete the line"),
)
"""(a piece of the parser's words, ours, the way out)"""


def syntax_problem(source: Source, error: YAMLError) -> Problem:
    """The problem that made the parser give up, in our words where they are better than its own."""
    if isinstance(error, ReaderError):
        return _forbidden_character(source)
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return source.problem(0, f"not YAML: {error}")
    at = min(error.problem_mark.index, len(source.text))
    words = error.problem or ""
    number = source.mark(at).line
    line = source.line(number)
    start = at - source.mark(at).column + 1
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent and "cannot start" in words:
        return source.problem(start + indent.index("\t"), f"tab in indentation, line {number}", "indent with spaces")
    for where, text in _around(source, number):
        if found := re.search(_UNQUOTED_TEMPLATE, text):
            return source.problem(
                where + found.start(1), "an unquoted `{{` is a mapping to YAML", "put the template in quotes"
            )
    if found := re.search(_CLOSED_QUOTE, line):
        return source.problem(
            start + found.end() - 1, "text goes on behind its closing quote", "quote the whole text, or use `|`"
        )
    for piece, message, hint in _HINTS:
        if piece in words:
            if piece == "found unexpected end of stream" and error.context_mark is not None:
                at = error.context_mark.index
            return source.problem(at, message, hint)
    context = f" {error.context}" if error.context else ""
    return source.problem(at, f"not YAML: {words}{context}", _closing_hint(words))


def _around(source: Source, number: int) -> list[tuple[int, str]]:
    """The line where the parser gave up and the one above, each with the place of its first character."""
    starts = []
    for n in (number, number - 1):
        if n > 0:
            starts.append((source.start(n), source.line(n)))
    return starts


def _closing_hint(words: str) -> str:
    if "',' or '}'" in words:
        return "a `{` is never closed, or a comma is missing"
    if "',' or ']'" in words:
        return "a `[` is never closed, or a comma is missing"
    return "look at the indentation and the quotes of this line and the one above"


def _forbidden_character(source: Source) -> Problem:
    found = re.search(_FORBIDDEN, source.text)
    at, code = (found.start(), ord(found.group())) if found else (0, 0)
    name = "NUL" if code == 0 else f"U+{code:04X}"
    return source.problem(at, f"control character {name} in the file", r"in a double-quoted text write `\x..`")
