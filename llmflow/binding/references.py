"""What the templates of a pipeline ask for: whether the outputs of a `foreach` are wanted as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from llmflow.binding.stages import Role, Space, Stages
from llmflow.language.pipeline import Foreach, Pipeline, Reduce, Task
from llmflow.language.templates import Condition, Structure, Template

OUTPUTS, RESULTS = 1, 2


def asked_as_a_whole(stages: Stages) -> dict[int, int]:
    """Group stage → OUTPUTS where its outputs are asked for together, RESULTS where keys and items are too.

    A `foreach` or a tree into which items flow one by one does not ask for the whole.
    """
    asked: dict[int, int] = {}
    if not any(stage.role is Role.GROUP for stage in stages):
        return asked

    def ask(space: Space, path: tuple[str, ...]) -> None:
        if len(path) > 1 and path[0] == "tasks" and path[1] in space.ids:
            stage = space.ids[path[1]]
            if stages.rows[stage].role is Role.GROUP:
                level = OUTPUTS if path[2:3] == ("outputs",) else RESULTS if path[2:3] in ((), ("results",)) else 0
                asked[stage] = max(asked.get(stage, 0), level)

    seen: set[int] = set()
    for stage in stages:
        for path in paths_of(stage.task):
            ask(stage.space, path)
        if id(stage.space) not in seen:
            seen.add(id(stage.space))
            for path in _paths_of_outputs(stage.space.pipeline):
                ask(stage.space, path)
    return {stage: level for stage, level in asked.items() if level}


def _paths_of_outputs(pipeline: Pipeline) -> Iterator[tuple[str, ...]]:
    if pipeline.outputs is None:
        yield from (("tasks", leaf, "outputs") for leaf in pipeline.leaves())
    else:
        for template in pipeline.outputs.values():
            yield from (reference.path for reference in template.references)


def paths_of(part: Any) -> Iterator[tuple[str, ...]]:
    """Every reference in the templates of a task, or of a part of one; flows left out."""
    if isinstance(part, Template | Condition | Structure):
        yield from (reference.path for reference in part.references)
    elif isinstance(part, Pipeline):
        return
    elif isinstance(part, Foreach | Reduce) and part.source:
        for f in fields(part):
            if f.name != "items":
                yield from paths_of(getattr(part, f.name))
    elif is_dataclass(part) and not isinstance(part, type):
        for f in fields(part):
            yield from paths_of(getattr(part, f.name))
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from paths_of(value)
    elif isinstance(part, tuple | list):
        for value in part:
            yield from paths_of(value)


def reads(task: Task, root: str) -> bool:
    """True where a template of the task says `root`."""
    return any(path[:1] == (root,) for path in paths_of(task))
