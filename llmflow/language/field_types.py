"""Types of fields: each reads a node into a value, says what it takes, and gives its JSON Schema.

A type knows no field by name. `read` reports what is wrong through `Reading` and returns INVALID;
it never raises. What a type says of itself (`words`, `schema`) is what the reference page and
`llmflow schema` print, so the three cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from llmflow.language import yaml_reader as yaml
from llmflow.language.durations import parse_duration
from llmflow.language.reading import INVALID, Reading, Used, described
from llmflow.language.scalars import is_text, place_of
from llmflow.language.source import Source
from llmflow.language.templates import TemplateProblem, parse_condition, parse_template
from llmflow.language.yaml_reader import Node, Scalar

Schema = dict[str, Any]


class FieldType(Protocol):
    """What a field may hold."""

    @property
    def words(self) -> str:
        """How the reference page names it: `text`, `a duration`."""
        ...

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        """The value for field `name`, or INVALID (reported)."""
        ...

    def schema(self) -> Schema: ...


def mismatch(node: Node, name: str, wanted: str, reading: Reading, hint: str = "") -> Any:
    """Report that field `name` must be `wanted`; the value's own unclearness comes first."""
    value = reading.value(node) if isinstance(node, Scalar) else None
    if isinstance(node, yaml.Broken) or value is INVALID:
        return INVALID
    if not hint and wanted.startswith("text") and isinstance(value, int | float):
        hint = "put it in quotes"
    reading.problem(node.at, f"`{name}` must be {wanted}, not {described(node, value)}", hint)
    return INVALID


@dataclass(eq=False, repr=False)
class Text:
    """Text; `pattern` with `pattern_words` narrows it. Not empty unless `empty`."""

    words: str = "text"
    pattern: re.Pattern[str] | None = None
    hint: str = ""
    empty: bool = False

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar):
            return mismatch(node, name, self.words, reading)
        if not is_text(node) and not isinstance(reading_value := reading.value(node), str):
            return INVALID if reading_value is INVALID else mismatch(node, name, self.words, reading)
        text = node.text
        if not text.strip() and not self.empty:
            reading.problem(node.at, f"`{name}` is empty")
            return INVALID
        if self.pattern is not None and not self.pattern.fullmatch(text):
            reading.problem(node.at, f"`{name}` must be {self.words}, not `{text[:80]}`", self.hint)
            return INVALID
        return text

    def schema(self) -> Schema:
        schema: Schema = {"type": "string"}
        if self.pattern is not None:
            schema["pattern"] = f"^(?:{self.pattern.pattern})$"
        elif not self.empty:
            schema["minLength"] = 1
        return schema


@dataclass(eq=False, repr=False)
class TemplateText:
    """Text with `{{ … }}`; parsed, and noted in `reading.templates`."""

    words: str = "text with templates"
    empty: bool = True
    pattern: str = ""
    """What the schema says of its beginning; whoever reads the field checks it."""

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar):
            return mismatch(node, name, "text", reading)
        if not is_text(node) and not isinstance(value := reading.value(node), str):
            return INVALID if value is INVALID else mismatch(node, name, "text", reading)
        if not self.empty and not node.text.strip():
            reading.problem(node.at, f"`{name}` is empty")
            return INVALID
        return template_of(node, reading)

    def schema(self) -> Schema:
        schema: Schema = {"type": "string"} if self.empty else {"type": "string", "minLength": 1}
        return {**schema, "pattern": self.pattern} if self.pattern else schema


def template_of(scalar: Scalar, reading: Reading, source: Source | None = None) -> Any:
    """The parsed template of a scalar, noted in `reading.templates`; INVALID where it is none."""
    source = source or reading.source
    try:
        template = parse_template(scalar.text)
    except TemplateProblem as problem:
        reading.problem(place_of(source, scalar, problem.offset), problem.message, problem.hint, source)
        return INVALID
    if template.paths:
        reading.templates.append(Used(template, scalar, source, reading.field))
    return template


@dataclass(eq=False, repr=False)
class ConditionText:
    """A bare expression or exactly one `{{ … }}` that gives a boolean; `true` and `false` as they stand."""

    words: str = "a condition"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar):
            return mismatch(node, name, self.words, reading, "write an expression such as `inputs.x > 3`")
        value = node.text if is_text(node) else reading.value(node)
        if value is INVALID:
            return INVALID
        if not isinstance(value, str | bool):
            return mismatch(node, name, self.words, reading, "write an expression such as `inputs.x > 3`")
        try:
            condition = parse_condition(node.text)
        except TemplateProblem as problem:
            place = place_of(reading.source, node, problem.offset)
            reading.problem(place, problem.message, problem.hint)
            return INVALID
        if condition.references:
            reading.templates.append(Used(condition, node, reading.source, reading.field))
        return condition

    def schema(self) -> Schema:
        return {"type": ["string", "boolean"]}


@dataclass(eq=False, repr=False)
class Boolean:
    words: str = "`true` or `false`"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if isinstance(node, Scalar) and not is_text(node):
            value = reading.value(node)
            if value is INVALID or isinstance(value, bool):
                return value
        return mismatch(node, name, self.words, reading)

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(eq=False, repr=False)
class Number:
    """A number, whole where `whole`; `minimum` is allowed itself unless `above`."""

    whole: bool = False
    minimum: float | None = None
    above: bool = False

    @property
    def words(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if self.minimum is None:
            return kind
        return f"{kind} above {self.minimum:g}" if self.above else f"{kind} of at least {self.minimum:g}"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        value = reading.value(node) if isinstance(node, Scalar) else None
        if value is INVALID:
            return INVALID
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            shown = isinstance(value, float)
            if shown and isinstance(node, Scalar):
                reading.problem(node.at, f"`{name}` must be {self.words}, not {node.text[:40]}")
                return INVALID
            return mismatch(node, name, self.words, reading)
        if self.minimum is not None and (value < self.minimum or (self.above and value == self.minimum)):
            reading.problem(node.at, f"`{name}` must be {self.words}, not {value}")
            return INVALID
        return value

    def schema(self) -> Schema:
        schema: Schema = {"type": "integer" if self.whole else "number"}
        if self.minimum is not None:
            schema["exclusiveMinimum" if self.above else "minimum"] = self.minimum
        return schema


@dataclass(eq=False, repr=False)
class Duration:
    """`500ms`, `90s`, `10m`, `2h` → seconds; a bare number is an error."""

    zero: bool = False
    words: str = "a duration"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar):
            return mismatch(node, name, self.words, reading, "write `90s`, `10m` or `2h`")
        try:
            seconds = parse_duration(node.text)
        except ValueError as error:
            reading.problem(node.at, f"`{name}`: {error}")
            return INVALID
        if not seconds and not self.zero:
            reading.problem(node.at, f"`{name}` must be longer than 0")
            return INVALID
        return seconds

    def schema(self) -> Schema:
        number = r"[0-9]+(\.[0-9]+)?"
        units = "".join(f"({number}{unit})?" for unit in ("h", "m", "s", "ms"))
        return {"type": "string", "pattern": rf"^\s*(?=[0-9]){units}\s*$", "examples": ["90s", "10m"]}


@dataclass(eq=False, repr=False)
class OneOf:
    """One of a few words. `hints` are for words that people bring from elsewhere."""

    choices: tuple[str, ...]
    hints: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return "one of " + ", ".join(f"`{c}`" for c in self.choices)

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if isinstance(node, Scalar):
            text = node.text
            if text in self.choices:
                return text
            if is_text(node) or isinstance(reading.value(node), str):
                hint = self.hints.get(text) or reading.did_you_mean(text, self.choices)
                message = f"`{name}` must be {self.words}, not `{text[:80]}`"
                reading.problem(node.at, message, hint)
                return INVALID
        return mismatch(node, name, self.words, reading)

    def schema(self) -> Schema:
        return {"enum": list(self.choices)}


@dataclass(eq=False, repr=False)
class ListOf:
    """A list, as a tuple; where `alone`, one element may stand without the list."""

    item: FieldType
    minimum: int = 0
    alone: bool = False
    many: str = ""
    """How several of `item` are called, where adding an s would not do."""

    @property
    def words(self) -> str:
        many = f"a list of {self.many or _plural(self.item.words)}"
        return f"{self.item.words}, or {many}" if self.alone else many

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if not isinstance(node, yaml.Sequence):
            if self.alone and not isinstance(node, yaml.Mapping):
                value = self.item.read(node, name, reading)
                return INVALID if value is INVALID else (value,)
            return mismatch(node, name, self.words, reading)
        if len(node.items) < self.minimum:
            reading.problem(node.at, f"`{name}` is an empty list")
            return INVALID
        values = [self.item.read(item, name, reading) for item in node.items]
        return INVALID if any(v is INVALID for v in values) else tuple(values)

    def schema(self) -> Schema:
        many: Schema = {"type": "array", "items": self.item.schema()}
        if self.minimum:
            many["minItems"] = self.minimum
        return {"anyOf": [self.item.schema(), many]} if self.alone else many


def _plural(words: str) -> str:
    for article in ("a ", "an "):
        if words.startswith(article):
            return words.removeprefix(article) + "s"
    return words if words.startswith(("one of", "text", "any")) else words + "s"


@dataclass(eq=False, repr=False)
class NameRule:
    """What keys of a mapping may be: `check` gives what is wrong with one, or nothing."""

    what: str
    pattern: str
    check: Callable[[str], tuple[str, str] | None]
    """name → (what is wrong, hint), or None."""


@dataclass(eq=False, repr=False)
class Name:
    """A name that the author gives to something."""

    rule: NameRule

    @property
    def words(self) -> str:
        return "a name"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        text = TEXT.read(node, name, reading)
        if text is INVALID:
            return INVALID
        if wrong := self.rule.check(text):
            reading.problem(node.at, *wrong)
            return INVALID
        return text

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^(?:{self.rule.pattern})$", "maxLength": 64}


@dataclass(eq=False, repr=False)
class MapOf:
    """name → value, as a dict in file order; names are unique ignoring case."""

    value: FieldType
    names: NameRule
    minimum: int = 0

    @property
    def words(self) -> str:
        value = self.value.words
        return f"a mapping of {self.names.what} to {'its fields' if value.startswith('a mapping') else value}"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if not isinstance(node, yaml.Mapping):
            return mismatch(node, name, self.words, reading)
        if len(node.entries) < self.minimum:
            reading.problem(node.at, f"`{name}` is empty", f"it needs at least one {self.names.what}")
            return INVALID
        values = {}
        for (key, child), place in zip(node.entries.items(), node.key_places, strict=True):
            if wrong := self.names.check(key):
                reading.problem(place, *wrong)
            value = self.value.read(child, key, reading)
            if value is not INVALID:
                values[key] = value
        check_unique(node, self.names.what, reading)
        return values

    def schema(self) -> Schema:
        schema: Schema = {
            "type": "object",
            "additionalProperties": self.value.schema(),
            "propertyNames": {"pattern": f"^(?:{self.names.pattern})$", "maxLength": 64},
        }
        if self.minimum:
            schema["minProperties"] = self.minimum
        return schema


def check_unique(node: yaml.Mapping, what: str, reading: Reading) -> None:
    """Names must differ in more than upper and lower case."""
    if len({key.lower() for key in node.entries}) == len(node.entries):
        return
    first: dict[str, tuple[str, int]] = {}
    for key, place in zip(node.entries, node.key_places, strict=True):
        other, line = first.setdefault(key.lower(), (key, place))
        if other != key:
            message = f"{what} `{key}` differs from `{other}` (line {reading.source.mark(line).line}) only by case"
            reading.problem(place, message, "rename one of the two")


@dataclass(eq=False, repr=False)
class Either:
    """One of several types, told apart by the node: the first whose `takes` is true reads it."""

    choices: tuple[tuple[Callable[[Node], bool], FieldType], ...]
    called: str = ""

    @property
    def words(self) -> str:
        return self.called or ", or ".join(t.words for _, t in self.choices)

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        for takes, kind in self.choices:
            if takes(node):
                return kind.read(node, name, reading)
        return mismatch(node, name, self.words, reading)

    def schema(self) -> Schema:
        return {"anyOf": [t.schema() for _, t in self.choices]}


def is_scalar(node: Node) -> bool:
    return isinstance(node, Scalar)


def is_list(node: Node) -> bool:
    return isinstance(node, yaml.Sequence)


def is_mapping(node: Node) -> bool:
    return isinstance(node, yaml.Mapping)


TEXT = Text()
