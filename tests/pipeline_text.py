"""A checked pipeline as text, whole and easy to compare: what differs from the defaults, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from llmflow.language.pipeline import Pipeline
from llmflow.language.templates import Condition, Structure, Template


def pipeline_text(pipeline: Pipeline) -> str:
    """All of it but its path and the places in the file."""
    return "\n".join(_lines(pipeline, "")) + "\n"


def _lines(pipeline: Pipeline, indent: str) -> Iterator[str]:
    for name in ("name", "named", "description", "env", "scheduling", "models"):
        yield f"{indent}{name}: {_shown(getattr(pipeline, name))}"
    for part in ("inputs", "providers"):
        yield from (f"{indent}{part[:-1]} {_shown(value)}" for value in getattr(pipeline, part).values())
    for part in ("tasks", "finals"):
        for task in getattr(pipeline, part).values():
            yield f"{indent}{'task' if part == 'tasks' else 'finally'} {task.id}: {task.action}"
            for field in _written(task):
                if field in ("id", "action"):
                    continue
                if field == "uses":
                    yield f"{indent}  uses:"
                    yield from _lines(task.uses, indent + "    ")
                else:
                    yield f"{indent}  {field}: {_shown(getattr(task, field))}"
    yield f"{indent}outputs: {_shown(pipeline.outputs)}"
    yield f"{indent}leaves: {', '.join(pipeline.leaves())}"


def _written(value: Any) -> list[str]:
    """The fields that differ from their defaults, places left out."""
    found = []
    for f in fields(value):
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        if f.name != "mark" and getattr(value, f.name) != default:
            found.append(f.name)
    return found


def _shown(value: Any) -> str:
    if isinstance(value, Template | Condition):
        return repr(value.source)
    if isinstance(value, Structure):
        return _shown(value.data)
    if is_dataclass(value) and not isinstance(value, type):
        inside = ", ".join(f"{name}={_shown(getattr(value, name))}" for name in _written(value))
        return f"{type(value).__name__}({inside})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return repr(value)
