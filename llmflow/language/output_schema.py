"""The schemas of answers: our shorthand turned into JSON Schema, and the check of a JSON Schema that was written out.

The shorthand says what stands under each key: `string integer number boolean`, `list[T]`,
`enum[a, b]`, a `?` behind the type for a key that may be left out, and a map for a nested object.
Nothing extra is allowed in an answer. What comes out is JSON Schema, draft 2020-12.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

TYPES = ("string", "integer", "number", "boolean")

_OTHER_WORDS = {
    "str": "string", "text": "string", "char": "string", "int": "integer", "long": "integer", "float": "number",
    "double": "number", "decimal": "number", "bool": "boolean", "array": "list[string]", "list": "list[string]",
    "arr": "list[string]",
}  # fmt: skip
_MAPS = ("dict", "map", "object", "mapping")

Path = tuple[str | int, ...]


class SchemaProblem(ValueError):
    """A schema that is wrong. `path` leads to the part of it that is meant; `hint` may be empty."""

    def __init__(self, message: str, path: Path = (), hint: str = "") -> None:
        self.message, self.path, self.hint = message, path, hint
        super().__init__(message)


def shorthand_schema(data: Any) -> dict[str, Any]:
    """The JSON Schema of a shorthand, a map at its top. Raises SchemaProblem."""
    if not isinstance(data, Mapping):
        raise SchemaProblem(
            "a schema is a map of names and types", (), "for example `{label: string, tags: list[string]}`"
        )
    return _object(data, ())


def _object(data: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    if not data:
        raise SchemaProblem("the schema names no key", path, "for example `{label: string}`")
    properties: dict[str, Any] = {}
    required: list[str] = []
    for key, written in data.items():
        name = str(key)
        optional = False
        if isinstance(written, Mapping):
            properties[name] = _object(written, (*path, name))
        elif isinstance(written, str):
            word = written.strip()
            optional = word.endswith("?")
            properties[name] = _type(word.removesuffix("?").strip(), (*path, name))
        elif isinstance(written, list):
            raise SchemaProblem(f"`{name}` needs a type, not a list", (*path, name), _list_hint(written))
        else:
            raise SchemaProblem(f"`{name}` needs a type", (*path, name), f"one of {', '.join(TYPES)}, list[…], enum[…]")
        if not optional:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _list_hint(written: list[Any]) -> str:
    if len(written) == 1 and isinstance(written[0], str):
        return f"write `list[{_OTHER_WORDS.get(written[0], written[0])}]`"
    return f'write `"enum[{", ".join(map(str, written))}]"`' if written else "write `list[string]`"


def _type(word: str, path: Path) -> dict[str, Any]:
    if word in TYPES:
        return {"type": word}
    head, bracket, rest = word.partition("[")
    head = head.strip()
    if bracket and rest.endswith("]") and head.lower() in ("list", "enum", "array"):
        inner = rest[:-1].strip()
        if head == "list":
            return _list(inner, path)
        if head == "enum":
            return {"type": "string", "enum": _choices(inner, path)}
        raise SchemaProblem(f"`{word}` is not a type", path, f"write `{'enum' if head == 'Enum' else 'list'}[{inner}]`")
    raise SchemaProblem(f"`{word}` is not a type" if word else "the type is empty", path, _type_hint(word))


def _list(inner: str, path: Path) -> dict[str, Any]:
    if not inner:
        raise SchemaProblem("`list[]` does not say of what", path, "for example `list[string]`")
    if inner.endswith("?"):
        raise SchemaProblem("an element of a list cannot be optional", path, f"write `list[{inner[:-1]}]`")
    return {"type": "array", "items": _type(inner, path)}


def _choices(inner: str, path: Path) -> list[str]:
    choices = [_unquoted(choice.strip()) for choice in inner.split(",")]
    if not all(choices):
        raise SchemaProblem(
            "an `enum` needs its choices, separated by commas", path, "for example `enum[bug, billing]`"
        )
    doubled = next((choice for n, choice in enumerate(choices) if choice in choices[:n]), None)
    if doubled is not None:
        raise SchemaProblem(f"`{doubled}` is named twice in the `enum`", path)
    return choices


def _unquoted(choice: str) -> str:
    if len(choice) >= 2 and choice[0] == choice[-1] and choice[0] in "\"'":
        return choice[1:-1]
    return choice


def _type_hint(word: str) -> str:
    bare = word.split("[", 1)[0].strip().lower()
    if bare in TYPES and word.lower() in TYPES:
        return f"write `{bare}`"
    if bare in _MAPS:
        return "write a nested map with its keys, such as `{name: string}`"
    if bare in _OTHER_WORDS:
        return f"write `{_OTHER_WORDS[bare]}`"
    if bare == "enum":
        return "for example `enum[bug, billing]`"
    near = get_close_matches(bare, [*TYPES, "list", "enum"], 1)
    if near:
        example = {"list": "list[string]", "enum": "enum[bug, billing]"}.get(near[0], near[0])
        return f"did you mean `{example}`?"
    return f"one of {', '.join(TYPES)}, list[…], enum[…]"


def check_json_schema(data: Any) -> None:
    """Raises SchemaProblem unless `data` is a valid JSON Schema that refers to nothing outside itself.

    The draft is the one its `$schema` names, else 2020-12.
    """
    if not isinstance(data, Mapping):
        raise SchemaProblem("a JSON Schema is a map")
    _check_references(data, (), data)
    from jsonschema import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for

    try:
        validator_for(data, default=Draft202012Validator).check_schema(dict(data))
    except SchemaError as error:
        path: Path = tuple(error.absolute_path)
        raise SchemaProblem(f"not a valid JSON Schema: {error.message}", path) from error


def _check_references(data: Any, path: Path, whole: Mapping[str, Any]) -> None:
    if isinstance(data, Mapping):
        for key, value in data.items():
            if key in ("$ref", "$dynamicRef", "$recursiveRef") and isinstance(value, str):
                _check_reference(value, (*path, key), whole)
            elif key not in ("const", "enum", "default", "examples"):  # plain data, whatever it looks like
                _check_references(value, (*path, key), whole)
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            _check_references(value, (*path, index), whole)


def _check_reference(target: str, path: Path, whole: Mapping[str, Any]) -> None:
    if not target.startswith("#"):
        raise SchemaProblem(
            f"`{target}` lies outside the schema", path, "only references such as `#/$defs/name` are followed"
        )
    if not target.startswith("#/"):
        return
    found: Any = whole
    for part in target[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise SchemaProblem(f"`{target}` leads nowhere in the schema", path)
