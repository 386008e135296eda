from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from llmflow.language.output_schema import SchemaProblem, check_json_schema, shorthand_schema


def test_the_shorthand_becomes_a_json_schema() -> None:
    schema = shorthand_schema(
        {
            "label": "enum[bug, billing]",
            "urgency": "integer",
            "score": "number",
            "done": "boolean",
            "tags": "list[string]",
            "table": "list[list[number]]",
            "kinds": "list[enum[a, 'b c']]",
            "note": "string?",
            "author": {"name": "string", "mail": "string ?"},
        }
    )
    assert schema == {
        "type": "object",
        "properties": {
            "label": {"type": "string", "enum": ["bug", "billing"]},
            "urgency": {"type": "integer"},
            "score": {"type": "number"},
            "done": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "table": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
            "kinds": {"type": "array", "items": {"type": "string", "enum": ["a", "b c"]}},
            "note": {"type": "string"},
            "author": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "mail": {"type": "string"}},
                "required": ["name"],
                "additionalProperties": False,
            },
        },
        "required": ["label", "urgency", "score", "done", "tags", "table", "kinds", "author"],
        "additionalProperties": False,
    }
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"a": "int"}, ("`int` is not a type", ("a",), "write `integer`")),
        ({"a": "str"}, ("`str` is not a type", ("a",), "write `string`")),
        ({"a": "float"}, ("`float` is not a type", ("a",), "write `number`")),
        ({"a": "bool?"}, ("`bool` is not a type", ("a",), "write `boolean`")),
        ({"a": "String"}, ("`String` is not a type", ("a",), "write `string`")),
        ({"a": "array"}, ("`array` is not a type", ("a",), "write `list[string]`")),
        ({"a": "Array[x]"}, ("`Array[x]` is not a type", ("a",), "write `list[x]`")),
        ({"a": "dict"}, ("`dict` is not a type", ("a",), "write a nested map with its keys, such as `{name: string}`")),
        ({"a": "strng"}, ("`strng` is not a type", ("a",), "did you mean `string`?")),
        (
            {"a": "colour"},
            ("`colour` is not a type", ("a",), "one of string, integer, number, boolean, list[…], enum[…]"),
        ),
        ({"a": {"b": {"c": "list[int]"}}}, ("`int` is not a type", ("a", "b", "c"), "write `integer`")),
        ({"a": "list[]"}, ("`list[]` does not say of what", ("a",), "for example `list[string]`")),
        ({"a": "list[string?]"}, ("an element of a list cannot be optional", ("a",), "write `list[string]`")),
        (
            {"a": "enum[x,]"},
            ("an `enum` needs its choices, separated by commas", ("a",), "for example `enum[bug, billing]`"),
        ),
        ({"a": "enum[x, x]"}, ("`x` is named twice in the `enum`", ("a",), "")),
        ({"a": ["int"]}, ("`a` needs a type, not a list", ("a",), "write `list[integer]`")),
        ({"a": ["x", "y"]}, ("`a` needs a type, not a list", ("a",), 'write `"enum[x, y]"`')),
        ({"a": 3}, ("`a` needs a type", ("a",), "one of string, integer, number, boolean, list[…], enum[…]")),
        ({"a": ""}, ("the type is empty", ("a",), "one of string, integer, number, boolean, list[…], enum[…]")),
        ({"a": {}}, ("the schema names no key", ("a",), "for example `{label: string}`")),
        (
            "string",
            ("a schema is a map of names and types", (), "for example `{label: string, tags: list[string]}`"),
        ),
    ],
)
def test_a_wrong_shorthand_says_where_and_how_to_write_it(data: Any, problem: tuple[str, tuple[str, ...], str]) -> None:
    with pytest.raises(SchemaProblem) as caught:
        shorthand_schema(data)
    assert (caught.value.message, caught.value.path, caught.value.hint) == problem


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"$ref": {"type": "string"}}},
        {"$ref": "#/$defs/a%20b", "$defs": {"a%20b": {"type": "string"}}},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "string"}}},
        {"$ref": "#/allOf/0", "allOf": [{"type": "string"}]},
        {"$ref": "#here", "$defs": {"a": {"$anchor": "here"}}},
        {"const": {"$ref": "http://example.com/data"}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "null"}}},
    ],
)
def test_a_valid_json_schema_is_accepted(schema: dict[str, Any]) -> None:
    check_json_schema(schema)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (
            {"properties": {"a": {"type": "objct"}}},
            (
                "not a valid JSON Schema: 'objct' is not valid under any of the given schemas",
                ("properties", "a", "type"),
                "",
            ),
        ),
        (
            {"items": {"$ref": "http://example.com/s.json"}},
            (
                "`http://example.com/s.json` lies outside the schema",
                ("items", "$ref"),
                "only references such as `#/$defs/name` are followed",
            ),
        ),
        (
            {"allOf": [{"$dynamicRef": "other.json#a"}]},
            (
                "`other.json#a` lies outside the schema",
                ("allOf", 0, "$dynamicRef"),
                "only references such as `#/$defs/name` are followed",
            ),
        ),
        ({"$ref": "#/$defs/a"}, ("`#/$defs/a` leads nowhere in the schema", ("$ref",), "")),
        (["string"], ("a JSON Schema is a map", (), "")),
    ],
)
def test_a_wrong_or_remote_json_schema_is_refused(schema: Any, problem: tuple[str, tuple[Any, ...], str]) -> None:
    with pytest.raises(SchemaProblem) as caught:
        check_json_schema(schema)
    assert (caught.value.message, caught.value.path, caught.value.hint) == problem
