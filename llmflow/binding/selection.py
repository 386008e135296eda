"""Running a part of a pipeline: `--only`, `--from`, `--until`, by task or by tag.

`--until T` runs T and all it needs. `--from T` runs T and all that depends on it, `--only T` just T;
what these need from tasks that are left out is taken from the pipeline's last answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from llmflow.errors import UsageError
from llmflow.language.pipeline import Pipeline, Task
from llmflow.language.templates import Reference

TAG = "tag:"

RECALLED = ("model", "python", "command", "http", "approve")
"""Actions whose last answer can stand in for a task; the others are computed anew from what they need."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The words of the command line. Empty: everything."""

    only: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.only or self.start or self.until)


@dataclass(frozen=True, slots=True)
class Selected:
    """The part that runs. `given`: tasks in it that are not asked for anew, only their last answer."""

    pipeline: Pipeline
    given: frozenset[str]


def select(pipeline: Pipeline, selection: Selection) -> Selected:
    """The chosen part, closed under what it needs. Raises UsageError for a task or a tag that does not exist."""
    if not selection:
        return Selected(pipeline, frozenset())
    above = {task.id: _needs(task) for task in pipeline}
    below: dict[str, list[str]] = {name: [] for name in above}
    for name, needs in above.items():
        for need in needs:
            below[need].append(name)
    chosen = set(_named(pipeline, selection.only))
    chosen |= _reach(_named(pipeline, selection.start), below)
    until = _reach(_named(pipeline, selection.until), above)
    if selection.until:
        chosen = chosen & until if selection.start else chosen | until
    kept: dict[str, Task] = {}
    given: set[str] = set()
    waiting = sorted(chosen)
    while waiting:
        task = pipeline.tasks[waiting.pop()]
        if task.id in kept:
            continue
        if task.id in chosen:
            kept[task.id] = replace(
                task,
                dependencies=tuple(d for d in task.dependencies if d in chosen or d not in task.order_only),
                order_only=tuple(d for d in task.order_only if d in chosen),
            )
        else:
            given.add(task.id)
            kept[task.id] = _stand_in(task)
        waiting += [need for need in _needs(kept[task.id]) if need not in kept]
    order = {name: kept[name] for name in pipeline.tasks if name in kept}
    outputs = pipeline.outputs
    if outputs is not None and not all(_read(template.references) <= chosen for template in outputs.values()):
        outputs = None
    return Selected(replace(pipeline, tasks=order, finals={}, outputs=outputs), frozenset(given))


def _stand_in(task: Task) -> Task:
    """A task that is left out but needed: its last answer, without what it waited for; or computed from such."""
    plain = task.action in RECALLED and task.foreach is None and task.reduce is None
    if not plain:
        return replace(task, when=None, trigger_rule="all_done")
    return replace(task, dependencies=(), order_only=(), when=None, trigger_rule="all_success")


def _needs(task: Task) -> tuple[str, ...]:
    return (*task.dependencies, task.source) if task.source else task.dependencies


def _read(references: Iterable[Reference]) -> set[str]:
    return {r.path[1] for r in references if len(r.path) > 1 and r.path[0] == "tasks"}


def _reach(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        task = waiting.pop()
        if task not in found:
            found.add(task)
            waiting += edges[task]
    return found


def _named(pipeline: Pipeline, words: Iterable[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        if word.startswith(TAG):
            tag = word.removeprefix(TAG)
            tagged = [task.id for task in pipeline if tag in task.tags]
            if not tagged:
                tags = sorted({t for task in pipeline for t in task.tags})
                raise UsageError(f"no task has the tag {tag!r}", f"tags: {', '.join(tags) or 'none'}")
            found += tagged
        elif word in pipeline.tasks:
            found.append(word)
        else:
            near = get_close_matches(word, pipeline.tasks, n=1)
            hint = f"did you mean {near[0]}?" if near else f"tasks: {', '.join(pipeline.tasks)}"
            raise UsageError(f"no task {word!r}", hint)
    return found
