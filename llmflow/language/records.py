"""Mappings with known keys: a Field is the only definition of a key, a Record reads them all.

What people bring from elsewhere gets a hint; what is written is kept with its place as a Draft.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llmflow.language import yaml_reader as yaml
from llmflow.language.field_types import Either, FieldType, ListOf, MapOf, Schema, mismatch
from llmflow.language.reading import INVALID, Reading, Used
from llmflow.language.yaml_reader import Node, Scalar


@dataclass(eq=False, repr=False)
class Field:
    """One key of a record: the only definition there is of it."""

    name: str
    type: FieldType
    doc: str
    """One or two sentences for the reference page and for the editor's hover."""
    default: str = ""
    """What holds where it is not written, in words."""
    required: bool = False
    place: str = ""
    """What `Reading.field` says while it is read: its name, with the prefix of its record."""


@dataclass(eq=False, repr=False)
class Record:
    """A mapping with known keys, read into a dict of those that are written and valid.

    `aliases` are hints for keys that people bring from elsewhere. `one_of` are keys of which
    exactly one must be written, `beside` keys that mean something only beside one of others, `apart`
    pairs that exclude each other (checked by whoever reads the record; shown in the schema).
    """

    title: str
    """How the reference page calls it; also the name of its definition in the schema."""
    fields: tuple[Field, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()
    none_is_empty: bool = False
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    apart: tuple[tuple[str, str], ...] = ()
    prefix: str = ""
    """Tells the templates of its fields from those of the record around it: `foreach.`."""
    by_name: dict[str, Field] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fields = tuple(replace(f, place=self.prefix + f.name) for f in self.fields)
        self.by_name.update((f.name, f) for f in self.fields)
        self.required.extend(f.name for f in self.fields if f.required)

    @property
    def words(self) -> str:
        return "a mapping of " + ", ".join(f"`{f.name}`" for f in self.fields)

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if not isinstance(node, yaml.Mapping):
            if self.none_is_empty and isinstance(node, Scalar) and not node.style and node.text in ("", "~", "null"):
                return {}
            return mismatch(node, name, f"a mapping (`{self.fields[0].name}`, …)", reading)
        known = self.by_name
        values: dict[str, Any] = {}
        hints = ""
        for index, (key, child) in enumerate(node.entries.items()):
            known_field = known.get(key)
            if known_field is None:
                hints += self._unknown(node, index, key, reading)
                continue
            reading.field = known_field.place
            value = known_field.type.read(child, key, reading)
            if value is not INVALID:
                values[key] = value
        for needed in self.required:
            if needed not in node.entries and f"`{needed}`" not in hints:
                reading.problem(node.at, f"{self.title} needs `{needed}`")
        return values

    def _unknown(self, node: yaml.Mapping, index: int, key: str, reading: Reading) -> str:
        """Report a key that is not known; gives the hint."""
        hint = self.aliases.get(key) or reading.did_you_mean(key, self.by_name)
        if not hint:
            hint = "known here: " + ", ".join(self.by_name)
        reading.problem(node.key_places[index], f"unknown key `{key[:80]}` in {self.title}", hint)
        return hint

    def schema(self) -> Schema:
        properties = {}
        for f in self.fields:
            description = f.doc + (f" Default: {f.default}." if f.default else "")
            properties[f.name] = {**f.type.schema(), "description": description}
        schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if self.required:
            schema["required"] = list(self.required)
        if self.one_of:
            schema["oneOf"] = [{"required": [name]} for name in self.one_of]
        if self.beside:
            schema["dependencies"] = {
                key: {"anyOf": [{"required": [other]} for other in others]} for key, others in self.beside.items()
            }
        if self.apart:
            schema["not"] = {"anyOf": [{"required": list(pair)} for pair in self.apart]}
        if self.none_is_empty:
            schema["type"] = ["object", "null"]
        return schema


@dataclass(eq=False, repr=False, slots=True)
class Draft:
    """A record that was read: the valid values, where they stand, and the templates found in them."""

    node: yaml.Mapping
    values: dict[str, Any]
    templates: list[Used]

    def has(self, key: str) -> bool:
        """True where `key` is written, valid or not."""
        return key in self.node.entries

    def place(self, key: str) -> int:
        """Where the value of `key` stands."""
        return self.node.entries[key].at


@dataclass(eq=False, repr=False)
class Drafted:
    """A record whose places and templates are wanted afterwards: read as a Draft."""

    record: Record

    @property
    def words(self) -> str:
        return self.record.words

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        outside = reading.templates
        reading.templates = []
        values = self.record.read(node, name, reading)
        templates, reading.templates = reading.templates, outside
        if values is INVALID:
            return INVALID
        return Draft(node if isinstance(node, yaml.Mapping) else yaml.Mapping({}, [], node.at), values, templates)

    def schema(self) -> Schema:
        return self.record.schema()


def records_in(kind: FieldType) -> Sequence[Record]:
    """The records that stand directly in a type: itself, an element, a choice."""
    if isinstance(kind, Record):
        return (kind,)
    if isinstance(kind, Drafted):
        return (kind.record,)
    if isinstance(kind, ListOf):
        return records_in(kind.item)
    if isinstance(kind, MapOf):
        return records_in(kind.value)
    if isinstance(kind, Either):
        return [r for _, choice in kind.choices for r in records_in(choice)]
    return ()
