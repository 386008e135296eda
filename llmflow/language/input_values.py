"""Whether a value fits an input's declaration: its type and its `enum`."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from llmflow.language.pipeline import Input


def value_problem(declared: Input, value: Any) -> str | None:
    """What is wrong with a value (`must be an integer, not text`), or None.

    A `file` is judged by its path here: text.
    """
    if not _fits(declared.type, value):
        return f"must be {_TYPE_WORDS[declared.type]}, not {kind_of(value)}"
    if declared.enum and not any(_same(value, allowed) for allowed in declared.enum):
        allowed = ", ".join(f"`{a}`" for a in declared.enum)
        return f"must be one of {allowed}"
    return None


_TYPE_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "list": "a list",
    "object": "a mapping",
    "file": "the path of a file",
}


def _fits(kind: str, value: Any) -> bool:
    if kind in ("string", "file"):
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if kind == "list":
        return isinstance(value, list | tuple)
    return isinstance(value, Mapping) and all(isinstance(k, str) for k in value)


def _same(value: Any, allowed: Any) -> bool:
    """Equal, and not `1 == true`."""
    return bool(value == allowed) and isinstance(value, bool) == isinstance(allowed, bool)


def kind_of(value: Any) -> str:
    """What a Python value is called in a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping" if isinstance(value, Mapping) else type(value).__name__
