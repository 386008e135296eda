"""Field types of llmflow's own: free data with templates in it, workers, URLs, output schemas.

Like the general ones in `field_types.py` they know no field by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmflow.language import yaml_reader as yaml
from llmflow.language.endpoint_urls import url_problem
from llmflow.language.field_types import TEXT, Number, Schema, Text, mismatch, template_of
from llmflow.language.key_like import has_key, is_key_field, is_random_word
from llmflow.language.output_schema import SchemaProblem, check_json_schema, shorthand_schema
from llmflow.language.pipeline import UNLIMITED
from llmflow.language.pipeline_files import FileProblem, read_text_below
from llmflow.language.reading import INVALID, Reading
from llmflow.language.records import Record
from llmflow.language.scalars import is_text
from llmflow.language.templates import Structure
from llmflow.language.yaml_reader import Node, Scalar

_MARKS = ("{{", "{%", "{#")


def plain_data(node: Node, reading: Reading) -> Any:
    """The node as Python data, text left as it stands; INVALID where a scalar in it is unclear."""
    if isinstance(node, Scalar):
        return node.text if is_text(node) else reading.value(node)
    if isinstance(node, yaml.Sequence):
        items = [plain_data(item, reading) for item in node.items]
        return INVALID if any(i is INVALID for i in items) else items
    if isinstance(node, yaml.Mapping):
        _check_secrets(node, reading)
        entries = {key: plain_data(child, reading) for key, child in node.entries.items()}
        return INVALID if any(v is INVALID for v in entries.values()) else entries
    return INVALID


def template_data(node: Node, reading: Reading) -> Any:
    """The node as Python data whose texts with `{{`, `{%` or `{#` in them are parsed templates."""
    if isinstance(node, Scalar):
        if not is_text(node):
            return reading.value(node)
        text = node.text
        return template_of(node, reading) if any(m in text for m in _MARKS) else text
    if isinstance(node, yaml.Sequence):
        items = [template_data(item, reading) for item in node.items]
        return INVALID if any(i is INVALID for i in items) else items
    if isinstance(node, yaml.Mapping):
        _check_secrets(node, reading)
        entries = {key: template_data(child, reading) for key, child in node.entries.items()}
        return INVALID if any(v is INVALID for v in entries.values()) else entries
    return INVALID


def _check_secrets(node: yaml.Mapping, reading: Reading) -> None:
    for key, child in node.entries.items():
        if is_key_field(key) and isinstance(child, Scalar) and "{{" not in child.text and is_secret(child.text):
            reading.problem(child.at, f"`{key[:40]}` holds what looks like a key", "keys never stand in YAML")


def is_secret(text: str) -> bool:
    """Whether the value of a field named like a key is one; the shapes of known keys are found in the whole file."""
    if has_key(text):
        return False
    word = text.removeprefix("Bearer ").strip()
    return is_random_word(word) or (len(word) >= 16 and " " not in word and any(c.isdigit() for c in word))


@dataclass(eq=False, repr=False)
class PlainData:
    """Any YAML, taken as it stands: no templates."""

    words: str = "any data"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        return plain_data(node, reading)

    def schema(self) -> Schema:
        return {}


@dataclass(eq=False, repr=False)
class TemplateData:
    """Any YAML whose texts may be templates, as a Structure."""

    words: str = "any data, with templates"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        data = template_data(node, reading)
        return INVALID if data is INVALID else Structure(data)

    def schema(self) -> Schema:
        return {}


@dataclass(eq=False, repr=False)
class ItemList(TemplateData):
    """A YAML list whose elements may be or hold templates, as a Structure."""

    words: str = "a list"

    def schema(self) -> Schema:
        return {"type": "array"}


@dataclass(eq=False, repr=False)
class ItemTemplate:
    """Exactly one `{{ … }}`, which keeps the type of its value; other text would never be a list."""

    words: str = "a template that gives a list"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar):
            return mismatch(node, name, "a list", reading)
        if not is_text(node) and not isinstance(value := reading.value(node), str):
            return INVALID if value is INVALID else mismatch(node, name, "a list", reading)
        template = template_of(node, reading)
        if template is INVALID:
            return INVALID
        if not template.single:
            hint = ""
            if any(mark in node.text for mark in _MARKS):
                hint = "exactly one `{{ … }}` keeps the type of its value; with text around it, it is text"
            elif _PATH.fullmatch(node.text):
                hint = f'write `"{{{{ {node.text[:80]} }}}}"`'
            elif re.fullmatch(r"\S+\.[a-z]+", node.text):
                hint = f"write `{{file: {node.text[:80]}}}` for the rows of a file"
            reading.problem(node.at, f"`{name}` must be a list, not text", hint)
            return INVALID
        return Structure(template)

    def schema(self) -> Schema:
        return {"type": "string", "pattern": r"^\s*\{\{[\s\S]*\}\}\s*$"}


_PATH = re.compile(r"(?:inputs|tasks|env|item)(?:\.\w+)+")


@dataclass(eq=False, repr=False)
class Tolerance:
    """`3` or `5%`, as (count, share of one): so many items, or such a share of them."""

    words: str = "a whole number, or a share such as `5%`"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        share, value = _share(node, name, self.words, reading)
        if value is INVALID or share is not None:
            return value if value is INVALID else (0, share)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return (value, 0.0)
        hint = f"write `{100 * value:g}%`" if isinstance(value, float) and 0 < value < 1 else ""
        reading.problem(node.at, f"`{name}` must be {self.words}, not `{_text(node)}`", hint)
        return INVALID

    def schema(self) -> Schema:
        share = {"type": "string", "pattern": _SHARE_PATTERN, "examples": ["5%"]}
        return {"anyOf": [Number(whole=True, minimum=0).schema(), share]}


_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%", re.ASCII)
_SHARE_PATTERN = r"^([0-9]|[1-9][0-9])(\.[0-9]+)?%$|^100%$"


def _share(node: Node, name: str, words: str, reading: Reading) -> tuple[float | None, Any]:
    """A share that is written as one, else None; and what is written, INVALID where it has been reported."""
    if not isinstance(node, Scalar):
        return None, mismatch(node, name, words, reading)
    if found := _SHARE.fullmatch(node.text):
        share = float(found[1]) / 100
        if share <= 1:
            return share, node.text
        reading.problem(node.at, f"`{name}` must be at most `100%`, not `{_text(node)}`")
        return None, INVALID
    return None, node.text if is_text(node) else reading.value(node)


def _text(node: Node) -> str:
    return node.text[:40] if isinstance(node, Scalar) else ""


@dataclass(eq=False, repr=False)
class Share:
    """`8%`, as a share of one: 0.08."""

    words: str = "a share such as `8%`"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        share, value = _share(node, name, self.words, reading)
        if value is INVALID or share is not None:
            return value if value is INVALID else share
        hint = ""
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100:
            hint = f"write `{value if value >= 1 else 100 * value:g}%`"
        reading.problem(node.at, f"`{name}` must be {self.words}, not `{_text(node)}`", hint)
        return INVALID

    def schema(self) -> Schema:
        return {"type": "string", "pattern": _SHARE_PATTERN, "examples": ["8%"]}


@dataclass(eq=False, repr=False)
class Percentile:
    """`p90`, as a share of one: 0.9."""

    words: str = "a quantile from `p50` to `p99`"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if not isinstance(node, Scalar):
            return mismatch(node, name, self.words, reading)
        if found := _PERCENTILE.fullmatch(node.text):
            return int(found[1]) / 100
        if reading.value(node) is not INVALID:
            hint = "a second call starts when the first has taken as long as nine of ten did: `p90`"
            reading.problem(node.at, f"`{name}` must be {self.words}, not `{node.text[:40]}`", hint)
        return INVALID

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^p[5-9][0-9]$", "examples": ["p90"]}


_PERCENTILE = re.compile(r"p([5-9][0-9])", re.ASCII)


@dataclass(eq=False, repr=False)
class ProgramText:
    """A program, or a word of one: text without templates, so that no value can become part of it."""

    words: str = "text"
    empty: bool = False

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        text = (_ANY_TEXT if self.empty else TEXT).read(node, name, reading)
        if text is INVALID or not any(mark in text for mark in _MARKS):
            return text
        message = "a command holds no template: a value could become part of the program"
        reading.problem(node.at, message, "hand the value over with `args`, `env` or `stdin`")
        return INVALID

    def schema(self) -> Schema:
        return {"type": "string", "pattern": r"^(?![\s\S]*\{[{%#])" + ("" if self.empty else r"[\s\S]*\S")}


_ANY_TEXT = Text(empty=True)


@dataclass(eq=False, repr=False)
class PythonTarget:
    """`file.py:function` or `package.module:function`."""

    words: str = "`file.py:function` or `package.module:function`"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        text = TEXT.read(node, name, reading)
        if text is INVALID or re.fullmatch(_TARGET, text):
            return text
        hint = ""
        if "{{" in text:
            hint = "the function cannot be a template; its arguments stand in `with`"
        elif text.endswith(".py"):
            hint = f"write `{text[:80]}:FUNCTION`"
        elif re.fullmatch(r"[A-Za-z_][\w.]*\.[A-Za-z_]\w*", text):
            hint = f"write `{':'.join(text.rsplit('.', 1))}`"
        elif text.endswith(")"):
            hint = "write the function without `()`; its arguments stand in `with`"
        reading.problem(node.at, f"`{name}` must be {self.words}, not `{text[:80]}`", hint)
        return INVALID

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^(?:{_TARGET})$"}


_TARGET = r"(?:[^:{}]+\.py|[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*):[A-Za-z_][A-Za-z0-9_]*"


@dataclass(eq=False, repr=False)
class Parameters:
    """Sampling parameters: those known are checked where they are no template, others are passed through.

    Gives a dict of plain values and templates; `refused` names keys that llmflow calls otherwise.
    """

    known: Record
    refused: Mapping[str, str]

    @property
    def words(self) -> str:
        return (
            "a mapping of " + ", ".join(f"`{f.name}`" for f in self.known.fields) + " and what else the endpoint takes"
        )

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if not isinstance(node, yaml.Mapping):
            return mismatch(node, name, "a mapping", reading)
        _check_secrets(node, reading)
        values = {}
        for index, (key, child) in enumerate(node.entries.items()):
            if key in self.refused:
                reading.problem(node.key_places[index], f"`{key}` is not used here", self.refused[key])
                continue
            known = self.known.by_name.get(key)
            templated = isinstance(child, Scalar) and any(m in child.text for m in _MARKS)
            if known is None or templated:
                value = template_data(child, reading)
            else:
                value = known.type.read(child, key, reading)
            if value is not INVALID:
                values[key] = list(value) if isinstance(value, tuple) else value
        return values

    def schema(self) -> Schema:
        schema = self.known.schema()
        for key, entry in schema["properties"].items():
            described = {"description": entry.pop("description")}
            template = {"type": "string", "pattern": r"\{\{"}
            schema["properties"][key] = {"anyOf": [entry, template], **described}
        schema["properties"] |= dict.fromkeys(self.refused, False)
        schema["additionalProperties"] = True
        return schema


@dataclass(eq=False, repr=False)
class Workers:
    """A whole number of at least 1, or `unlimited` (which is 0, `UNLIMITED`)."""

    words: str = "a whole number of at least 1, or `unlimited`"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if isinstance(node, Scalar) and node.text == "unlimited":
            return UNLIMITED
        if isinstance(node, Scalar) and not is_text(node):
            value = reading.value(node)
            if value is INVALID or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
                return value
        if isinstance(node, Scalar):
            reading.problem(node.at, f"`{name}` must be {self.words}, not `{node.text[:40]}`")
            return INVALID
        return mismatch(node, name, self.words, reading)

    def schema(self) -> Schema:
        return {"anyOf": [Number(whole=True, minimum=1).schema(), {"const": "unlimited"}]}


@dataclass(eq=False, repr=False)
class Url:
    words: str = "an `http://` or `https://` URL"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        text = TEXT.read(node, name, reading)
        if text is INVALID:
            return INVALID
        if wrong := url_problem(text):
            reading.problem(node.at, *wrong)
            return INVALID
        return text.rstrip("/")

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^https?://"}


@dataclass(eq=False, repr=False)
class VariableName:
    """The name of an environment variable; what looks like a key itself is not repeated."""

    words: str = "the name of an environment variable"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        text = TEXT.read(node, name, reading)
        if text is INVALID:
            return INVALID
        if has_key(text):
            return INVALID  # reported already: such keys are looked for in the whole file
        if is_random_word(text):
            hint = "put the key into an environment variable and write that variable's name"
            reading.problem(node.at, f"`{name}` holds what looks like a key, not a name", hint)
            return INVALID
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
            reading.problem(
                node.at, f"`{name}` must be {self.words}", "letters, digits and `_`, as in `OPENAI_API_KEY`"
            )
            return INVALID
        return text

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}


@dataclass(eq=False, repr=False)
class ShorthandSchema:
    """`{label: "enum[bug, billing]", urgency: integer}` → a JSON Schema."""

    words: str = "a mapping of names to types"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        data = plain_data(node, reading)
        return INVALID if data is INVALID else _translated(node, data, shorthand_schema, reading)

    def schema(self) -> Schema:
        return {
            "type": ["object", "string"],
            "examples": [{"label": "enum[bug, billing]", "urgency": "integer", "note": "string?"}],
        }


@dataclass(eq=False, repr=False)
class JsonSchema:
    """A JSON Schema as a mapping, or the path of a JSON file that holds one."""

    words: str = "a JSON Schema, or the path of its file"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        if isinstance(node, Scalar):
            return self._from_file(node, name, reading)
        if not isinstance(node, yaml.Mapping):
            return mismatch(node, name, self.words, reading)
        data = plain_data(node, reading)
        return INVALID if data is INVALID else _translated(node, data, _checked, reading)

    def _from_file(self, node: Scalar, name: str, reading: Reading) -> Any:
        import json

        path = TEXT.read(node, name, reading)
        if path is INVALID:
            return INVALID
        try:
            data = json.loads(read_text_below(reading.folder, path))
        except FileProblem as problem:
            reading.problem(node.at, problem.message, problem.hint)
            return INVALID
        except (ValueError, RecursionError) as error:
            reading.problem(node.at, f"`{path[:200]}` is not JSON: {error}")
            return INVALID
        if not isinstance(data, dict):
            reading.problem(node.at, f"`{path[:200]}` holds no JSON Schema: its top is not an object")
            return INVALID
        return _translated(node, data, _checked, reading)

    def schema(self) -> Schema:
        return {"type": ["object", "string"]}


def _checked(data: Any) -> Any:
    check_json_schema(data)
    return data


def _translated(node: Node, data: Any, translate: Any, reading: Reading) -> Any:
    """`translate(data)`; a SchemaProblem is reported at the node its path leads to."""
    try:
        return translate(data)
    except SchemaProblem as problem:
        place = node
        for step in problem.path:
            if isinstance(place, yaml.Mapping) and str(step) in place.entries:
                place = place.entries[str(step)]
            elif isinstance(place, yaml.Sequence) and isinstance(step, int) and step < len(place.items):
                place = place.items[step]
            else:
                break
        reading.problem(place.at, problem.message, problem.hint)
        return INVALID
