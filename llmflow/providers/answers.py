"""Scripted answers: which of the answers that a pipeline writes belongs to which call.

`answers` of a provider is one answer for every task, a list (one per call of a task, the last one
repeats), or a map from task to either. A task is named by its id, by `id[key]`, or by a pattern (`*`, `?`)
that is tried in the order written; an exact name goes first. An answer is text, or data that is written as
JSON. It knows no provider and no delay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from llmflow.protocol import Request, Usage

BYTES_PER_TOKEN = 3.6
"""English prose and JSON, roughly, over the tokenisers in use."""

_DEPTH = 12
"""How deep a made-up instance goes before optional parts are left away for good."""


class Script:
    """The answers of one provider in one run; counts the calls of each task that has a list of them."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers
        self._calls: dict[str, int] = {}

    def next(self, request: Request) -> Any:
        """What is written for this call of the request's task; raises LookupError where nothing is.

        Counts from whichever is further on, the calls seen or the attempt's number, so that a run that is
        resumed does not begin its list anew.
        """
        written = self._written(request.label)
        if isinstance(written, Sequence) and not isinstance(written, str):
            if not written:
                raise LookupError(request.label)
            call = max(self._calls.get(request.label, 0), request.attempt - 1)
            if call < len(written):
                self._calls[request.label] = call + 1
            return written[min(call, len(written) - 1)]
        return written

    def _written(self, label: str) -> Any:
        if self._answers is None:
            raise LookupError(label)
        if not isinstance(self._answers, Mapping):
            return self._answers
        task = label.partition("[")[0]
        for name in (label, task):
            if name in self._answers:
                return self._answers[name]
        for pattern, written in self._answers.items():
            if fnmatchcase(label, str(pattern)) or fnmatchcase(task, str(pattern)):
                return written
        raise LookupError(label)


def as_text(answer: Any) -> str:
    """An answer as a model would say it: text as it stands, data as JSON."""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def made_up(request: Request) -> str:
    """An answer where none is written: a line that names the task, or a small instance of its schema."""
    if request.schema is not None:
        return json.dumps(instance(request.schema), ensure_ascii=False)
    return f"A made-up answer to {request.label or 'a request'}."


def instance(schema: Mapping[str, Any]) -> Any:
    """A small value that fits a JSON Schema; always the same for the same schema.

    Knows types, `const`, `enum`, `default`, bounds, required properties, the first branch of `anyOf`,
    `oneOf` and of a list of types, merged `allOf`, and references within the schema; not `pattern`,
    `format`, `not` or `if`.
    """
    return _instance(schema, schema, 0)


def _instance(schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping):
        return None
    if depth > _DEPTH:
        return None
    if "$ref" in schema:
        return _instance(_referred(str(schema["$ref"]), root), root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _instance({**_without(schema, key), **schema[key][0]}, root, depth + 1)
    if schema.get("allOf"):
        merged: dict[str, Any] = _without(schema, "allOf")
        for part in schema["allOf"]:
            part = _referred(str(part["$ref"]), root) if "$ref" in part else part
            merged = {
                **merged,
                **part,
                "properties": {**merged.get("properties", {}), **part.get("properties", {})},
                "required": [*merged.get("required", []), *part.get("required", [])],
            }
        return _instance(merged, root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    return _of_type(kind, schema, root, depth)


def _of_type(kind: Any, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    if kind == "object" or (kind is None and "properties" in schema):
        properties = schema.get("properties", {})
        wanted = schema.get("required", [])
        return {name: _instance(properties.get(name, {}), root, depth + 1) for name in dict.fromkeys(wanted)}
    if kind == "array":
        items = schema.get("items", {})
        count = max(int(schema.get("minItems", 0)), 0 if depth >= _DEPTH - 2 else 1)
        return [_instance(items, root, depth + 1) for _ in range(min(count, int(schema.get("maxItems", count))))]
    if kind in ("integer", "number"):
        return _number(kind, schema)
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    text = "made up"[: int(schema.get("maxLength", 7))]
    return text.ljust(int(schema.get("minLength", 0)), ".")


def _number(kind: str, schema: Mapping[str, Any]) -> int | float:
    """The value nearest to 1 within the bounds, a multiple of `multipleOf` where that is written."""
    step = schema.get("multipleOf") or (1 if kind == "integer" else 0)
    gap = step or 0.5
    low, high = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
    low = max(low, schema["exclusiveMinimum"] + gap) if "exclusiveMinimum" in schema else low
    high = min(high, schema["exclusiveMaximum"] - gap) if "exclusiveMaximum" in schema else high
    value = min(max(1, low), high)
    if step:
        value = -(-value // step) * step
        value = value if value <= high else high // step * step
    return int(value) if kind == "integer" else value


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    """What `#/a/b` points to (RFC 6901), an empty schema where it points nowhere."""
    node: Any = root
    for part in reference.lstrip("#").strip("/").split("/") if reference not in ("#", "#/") else []:
        name = part.replace("~1", "/").replace("~0", "~")
        node = node.get(name, {}) if isinstance(node, Mapping) else {}
    return node


def _without(schema: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in schema.items() if k != key}


def estimated_usage(request: Request, text: str) -> Usage:
    """Tokens as the bytes let one guess them; the author's `output_tokens`, if written, is believed."""
    said = len(request.system.encode()) + sum(len(m.content.encode()) for m in request.messages)
    written = request.expected_output_tokens
    output = written if written is not None else max(1, round(len(text.encode()) / BYTES_PER_TOKEN))
    return Usage(input_tokens=max(1, round(said / BYTES_PER_TOKEN)), output_tokens=output, estimated=True)
