"""What stands in `{{ … }}`: templates, conditions, and data with templates in it. Rendered once, never twice.

The language is Jinja2's, sandboxed and strict. A text that is only literal text and plain
`{{ a.b.c }}` references is taken apart here and rendered without Jinja (which alone takes longer to
import than a small plan takes); everything else goes through `sandbox.py`. Both paths mean the same.

Available are Jinja's operators, `if for set with macro call filter raw`, the methods in `methods.py`,
`range`, `dict`, `namespace`, and

- filters: abs batch capitalize center count d default dictsort first float format fromjson groupby
  indent int items join last length list lower map max min reject rejectattr replace reverse round
  select selectattr slice sort string sum title tojson trim truncate unique upper wordcount
- tests: boolean defined divisibleby eq equalto even false float ge greaterthan gt in integer iterable
  le lessthan lower lt mapping ne none number odd sameas sequence string true undefined upper,
  and the signs `== != < <= > >=`

Filters that give several things give a list. Nothing can be loaded (`include import extends`), no
attribute of a Python object can be reached, and the work of one rendering is bounded (`meter.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

from llmflow.language.meter import MAX_TEXT, Meter, failure, too_long
from llmflow.language.values import Missing, excerpt, follow, kind_of, none_sentence, plain, shown, written

if TYPE_CHECKING:
    from llmflow.language.sandbox import Program

__all__ = ["Condition", "Reference", "Structure", "Template", "TemplateProblem", "parse_condition", "parse_template"]

RESERVED_NAMES = {
    *("true", "false", "none", "True", "False", "None", "not", "and", "or", "if", "else", "elif", "in", "is"),
    *("recursive", "loop", "self", "super", "caller", "varargs", "kwargs", "range", "dict", "namespace"),
}
"""Names that mean something to Jinja itself; a reference that begins with one is left to Jinja."""

_CHAIN = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_PLAIN_REFERENCE = re.compile(rf"\{{\{{\s*({_CHAIN})\s*\}}\}}", re.ASCII)
_PLAIN_CONDITION = re.compile(rf"\s*(?:\{{\{{\s*({_CHAIN})\s*\}}\}}|({_CHAIN}))\s*", re.ASCII)
_LINE_END = re.compile(r"\r\n?")


class Reference(NamedTuple):
    """A name that a template reads from its scope.

    `path`: as far as it is written out, `("tasks", "people", "output")`; it stops at the first part
    that is computed. `offset`: where the name starts, in characters from the template's beginning.
    """

    path: tuple[str, ...]
    offset: int


class TemplateProblem(ValueError):
    """A template that is wrong as it stands. `offset`: characters from its beginning; `hint` may be empty."""

    def __init__(self, message: str, offset: int = 0, hint: str = "") -> None:
        self.message, self.offset, self.hint = message, offset, hint
        super().__init__(message)


class Template:
    """A parsed text with `{{ … }}` in it. Equal to another one with the same source.

    `single`: it is exactly one `{{ … }}` (white space around it aside), so its value keeps its type.
    """

    __slots__ = ("_parts", "_references", "paths", "single", "source")

    source: str
    single: bool
    paths: tuple[tuple[str, ...], ...]
    """What it reads, in the order written, repetitions included; each as far as it is written out."""

    def __init__(
        self,
        source: str,
        single: bool,
        paths: tuple[tuple[str, ...], ...],
        references: tuple[Reference, ...] | None = None,
    ) -> None:
        """`references` are those of a template that needs Jinja; without them, `source` is text and plain paths."""
        self.source = source
        self.single = single
        self.paths = paths
        self._references = references
        self._parts: list[Any] | None = None  # literal, path, literal, path, …, literal: made at the first use

    @property
    def references(self) -> tuple[Reference, ...]:
        """What it reads, with places. Worked out anew each time: only who reports a problem wants to know."""
        return self._plain_references() if self._references is None else self._references

    def text(self, scope: Mapping[str, Any]) -> str:
        """The rendered text. Raises CallFailed (`template`) where it cannot be rendered."""
        parts = self._parts
        if parts is None:
            if self._references is not None:
                return self._program().text(scope)
            parts = self._parts = self._taken_apart()
        out = parts.copy()
        for index in range(1, len(parts), 2):
            path = parts[index]
            value: Any = scope
            try:
                for key in path:
                    value = value[key]
            except (LookupError, TypeError):
                value = _looked_up(path, scope)
            out[index] = value if type(value) is str else _shown(value, path, scope)
        text = "".join(out)
        if len(text) > MAX_TEXT:
            raise too_long()
        return text

    def value(self, scope: Mapping[str, Any]) -> Any:
        """The value itself, type kept, if the template is `single`; else its text."""
        if not self.single:
            return self.text(scope)
        if self._references is not None:
            return self._program().value(scope)
        return _plain_value(self.paths[0], scope)

    def sequence(self, scope: Mapping[str, Any]) -> Any:
        """As `value`, but a list that is named plainly is given as it stands: rows of a file stay in the file."""
        if self.single and self._references is None:
            value = _looked_up(self.paths[0], scope)
            if isinstance(value, Sequence):
                return value
        return self.value(scope)

    def _taken_apart(self) -> list[Any]:
        parts: list[Any] = _PLAIN_REFERENCE.split(self.source)
        parts[1::2] = self.paths
        if "\r" in self.source:  # Jinja gives one line end for all of them
            parts[::2] = [_LINE_END.sub("\n", literal) for literal in parts[::2]]
        return parts

    def _plain_references(self) -> tuple[Reference, ...]:
        source = self.source
        found = []
        at = 0
        for path in self.paths:
            name = ".".join(path)
            at = source.index(name, source.index("{{", at) + 2)
            found.append(Reference(path, at))
            at = source.index("}}", at + len(name)) + 2
        return tuple(found)

    def _program(self) -> Program:
        from llmflow.language.sandbox import compile_template

        return compile_template(self.source, self.single)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Template({self.source!r})"


class Condition:
    """A parsed condition: an expression that must give a boolean. Equal to another one with the same source."""

    __slots__ = ("_path", "references", "source")

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """What it reads, in the order written."""
        return tuple(path for path, _ in self.references)

    def __init__(self, source: str, path: tuple[str, ...] | None, references: tuple[Reference, ...]) -> None:
        self.source = source
        self.references = references
        self._path = path  # None = needs Jinja

    def holds(self, scope: Mapping[str, Any]) -> bool:
        """Whether it is true. Raises CallFailed (`template`) where it gives anything but true or false."""
        if self._path is not None:
            value = _plain_value(self._path, scope)
        else:
            from llmflow.language.sandbox import compile_condition

            value = compile_condition(self.source).value(scope)
        if not isinstance(value, bool):
            what = f'the text "{excerpt(value, 40)}"' if isinstance(value, str) else kind_of(value)
            raise failure(f"the condition `{self.source.strip()}` must give true or false, not {what}")
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Condition({self.source!r})"


@dataclass(frozen=True, slots=True)
class Structure:
    """Data with templates for some of its leaves: dict, list, tuple, scalars and `Template`."""

    data: Any

    @property
    def references(self) -> tuple[Reference, ...]:
        """What all its templates read, in order. The offsets count within each template."""
        found: list[Reference] = []
        _collect(self.data, found)
        return tuple(found)

    def sequence(self, scope: Mapping[str, Any]) -> Any:
        """As `value`; see `Template.sequence`."""
        return self.data.sequence(scope) if isinstance(self.data, Template) else self.value(scope)

    def value(self, scope: Mapping[str, Any]) -> Any:
        """The data with every template replaced by its value; tuples become lists. Raises CallFailed."""
        return _filled(self.data, scope)


def parse_template(text: str) -> Template:
    """The template that `text` is. Raises TemplateProblem."""
    parts = _PLAIN_REFERENCE.split(text)
    last = len(parts) - 1
    paths = []
    for index in range(0, last, 2):
        literal = parts[index]
        if "{" in literal and (literal[-1] == "{" or _has_tags(literal)):
            return _jinja_template(text)
        path = tuple(map(intern, parts[index + 1].split(".")))
        if path[0] in RESERVED_NAMES:
            return _jinja_template(text)
        paths.append(path)
    if "{" in parts[last] and _has_tags(parts[last]):
        return _jinja_template(text)
    return Template(text, last == 2 and not parts[0].strip() and not parts[2].strip(), tuple(paths))


def _has_tags(literal: str) -> bool:
    return "{{" in literal or "{%" in literal or "{#" in literal


def parse_condition(text: str) -> Condition:
    """The condition that `text` is: a bare expression or exactly one `{{ … }}`. Raises TemplateProblem."""
    found = _PLAIN_CONDITION.fullmatch(text)
    if found is None:
        return _jinja_condition(text)
    group = found.lastindex or 0
    path = tuple(found[group].split("."))
    if path[0] in RESERVED_NAMES:
        return _jinja_condition(text)
    return Condition(text, path, (Reference(path, found.start(group)),))


@lru_cache(maxsize=4096)
def _jinja_template(text: str) -> Template:
    from llmflow.language.syntax import read_template

    references, single = read_template(text)
    return Template(text, single, tuple(path for path, _ in references), references)


@lru_cache(maxsize=4096)
def _jinja_condition(text: str) -> Condition:
    from llmflow.language.syntax import read_condition

    return Condition(text, None, read_condition(text))


def _looked_up(path: tuple[str, ...], scope: Mapping[str, Any]) -> Any:
    if path[0] not in scope:
        raise failure(f"`{path[0]}` is not defined")
    value = follow(scope[path[0]], path)
    if isinstance(value, Missing):
        raise failure(value.sentence)
    return value


def _shown(value: Any, path: tuple[str, ...], scope: Mapping[str, Any]) -> str:
    if value is None:
        raise failure(none_sentence(path, scope))
    return shown(value, written(path))


def _plain_value(path: tuple[str, ...], scope: Mapping[str, Any]) -> Any:
    value = _looked_up(path, scope)
    kind = type(value)
    if value is None or kind is str or kind is dict or kind is list or kind is bool or kind is int or kind is float:
        return value
    return plain(value, Meter())


def _collect(data: Any, found: list[Reference]) -> None:
    if isinstance(data, Template):
        found.extend(data.references)
    elif isinstance(data, Mapping):
        for value in data.values():
            _collect(value, found)
    elif isinstance(data, list | tuple):
        for value in data:
            _collect(value, found)


def _filled(data: Any, scope: Mapping[str, Any]) -> Any:
    if isinstance(data, Template):
        return data.value(scope)
    if isinstance(data, Mapping):
        return {key: _filled(value, scope) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_filled(value, scope) for value in data]
    return data
