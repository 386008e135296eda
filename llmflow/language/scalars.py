"""What a scalar's text means, and where a character of its value stands in the file.

Types follow YAML 1.2's core schema, made stricter wherever two readers could disagree:

- `null`, `~` and nothing at all are none; `true` and `false` are booleans, nothing else is.
- `12`, `-3`, `0x1F`, `0o17` are whole numbers, `1.5`, `.5` and `1e3` are numbers with a fraction.
- Refused: `yes no on off` (any case), `True`, `FALSE`, a leading zero (`010`), `1_000`, `.inf`,
  `.nan`, numbers that overflow and whole numbers of 4,300 digits and more.
- Text: all the rest, `1:30` and `2024-01-31` among it, and everything in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmflow.language.source import Source
from llmflow.language.yaml_reader import Scalar

MAX_DIGITS = 4299
"""Python refuses to read whole numbers of more digits; so do we, before it is asked."""

_MAYBE_TYPED = frozenset("tTfFnNyYoO~.+-0123456789")
"""First characters of plain scalars that can be something else than text."""

_CONSTANTS: dict[str, bool | None] = {"null": None, "~": None, "": None, "true": True, "false": False}
_NORWAY = frozenset({"yes", "no", "on", "off"})
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OTHER_BASE = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_UNDERSCORED = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?")


class UnclearScalar(ValueError):
    """A plain scalar that people and programs read differently. `hint` is the way out."""

    def __init__(self, message: str, hint: str) -> None:
        self.message, self.hint = message, hint
        super().__init__(message)


def is_text(scalar: Scalar) -> bool:
    """True where the scalar is certainly text; False means: ask `resolve`."""
    text = scalar.text
    return bool(scalar.style) or (text != "" and text[0] not in _MAYBE_TYPED)


def resolve(scalar: Scalar) -> str | int | float | bool | None:
    """The value of a scalar. Raises UnclearScalar."""
    text = scalar.text
    if is_text(scalar):
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    lower = text.lower()
    if lower in _NORWAY:
        raise UnclearScalar(f"unquoted `{text}` could mean text or a boolean", "quote it, or write `true` or `false`")
    if lower in ("true", "false"):
        raise UnclearScalar(f"unquoted `{text}` is no boolean", f"write `{lower}`, or quote it")
    if lower == "null":
        return None
    if _NUMBER.fullmatch(text):
        return _number(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _NOT_FINITE.fullmatch(text):
        raise UnclearScalar(f"`{text}` is not a finite number", "quote it to make it text")
    if _UNDERSCORED.fullmatch(text):
        raise UnclearScalar(f"unquoted `{text}` could mean text or a number", "quote it or drop the underscores")
    return text


def _number(text: str) -> int | float:
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        raise UnclearScalar(f"a number with a leading zero: `{text[:40]}`", "quote it or drop the zero")
    if _INTEGER.fullmatch(text):
        if len(digits) > MAX_DIGITS:
            raise UnclearScalar(f"a number of {len(digits):,} digits", "quote it to make it text")
        return int(text)
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise UnclearScalar(f"`{text[:40]}` is too large for a number", "quote it to make it text")
    return value


def place_of(source: Source, scalar: Scalar, offset: int) -> int:
    """Where character `offset` of the scalar's value stands in `source.text`.

    Exact for plain, quoted and literal (`|`) scalars, of one line or many. In a folded (`>`) one the
    line is found by its words, so a place in the white space between two lines may be off by one.
    """
    if scalar.style == "file":
        return offset
    start = _behind_properties(source.text, scalar.at)
    if scalar.style in ("|", ">"):
        return _place_in_block(source, scalar.text, start, offset)
    for n, place in enumerate(_flow_places(source.text, start, scalar.style)):
        if n == offset:
            return place
    return scalar.at


_PROPERTY = re.compile(r"[&!][^\s,\[\]{}]*(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*")


def _behind_properties(text: str, at: int) -> int:
    """An event's mark stands at the anchor where there is one; the text comes after it."""
    while text[at : at + 1] in ("&", "!"):
        found = _PROPERTY.match(text, at)
        if found is None or found.end() == at:
            break
        at = found.end()
    return at


_FOLD = re.compile(r"[ \t]*(?:\r\n?|\n)[ \t\r\n]*")
_ESCAPED = {"x": 4, "u": 6, "U": 10}


def _flow_places(text: str, at: int, style: str) -> Iterator[int]:
    """The place of every character of a plain or quoted scalar's value, one after the other."""
    if style:
        at += 1
    end = len(text)
    while at < end:
        c = text[at]
        if c == "\\" and style == '"':
            following = text[at + 1 : at + 2]
            if following and following in "\r\n":
                found = _FOLD.match(text, at + 1)
                at = found.end() if found else at + 2
                continue
            yield at
            at += _ESCAPED.get(following, 2)
        elif c == style:
            if c != "'" or text[at + 1 : at + 2] != "'":
                yield at
                return
            yield at
            at += 2
        elif c in " \t\r\n" and (found := _FOLD.match(text, at)):
            breaks = found.group().replace("\r\n", "\n").count("\n")
            for _ in range(max(1, breaks - 1)):
                yield at
            at = found.end()
        else:
            yield at
            at += 1


def _place_in_block(source: Source, value: str, start: int, offset: int) -> int:
    """Match the lines below the `|` or `>` with the value, in order, until `offset` is reached."""
    number = source.mark(start).line + 1
    position = 0
    indent: int | None = None
    while position < len(value):
        try:
            begin, line = source.start(number), source.line(number)
        except IndexError:
            break
        if indent is None and line.strip():
            first = value.lstrip("\n").split("\n", 1)[0]
            indent = len(line) - len(line.lstrip(" ")) - (len(first) - len(first.lstrip(" ")))
        content = line[indent or 0 :]
        found = value.find(content, position) if content.strip() else -1
        if found >= 0:
            if offset < found + len(content):
                return begin + (indent or 0) + max(0, offset - found)
            position = found + len(content)
        number += 1
    return start
