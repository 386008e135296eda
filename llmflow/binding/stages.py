"""Stages: what a node of a run's graph is one of, and how a pipeline becomes them.

A task that is written in the file is one stage and one node. A `foreach` is two stages, the group
(one node, which settles when its items have) and the item (as many nodes as there are items, added
while the run goes on); so is a tree `reduce`, whose items are its pieces. A sub-pipeline is an entry
(its condition and its inputs), its own tasks, and an exit that carries the task's name and outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from llmflow.language.pipeline import Pipeline, Task


class Role(Enum):
    """What has to be done when a node of the stage starts."""

    PLAIN = "plain"
    GROUP = "group"
    TREE = "tree"
    ENTRY = "entry"
    EXIT = "exit"


@dataclass(slots=True)
class Stage:
    """`name` is what people see (`parent/child`); of an item it is the name of its group.

    `dependencies` are stages by number, the entry of the sub-pipeline first where `gated`. `final`:
    belongs to `finally`, as a task of it or as something that one consists of. `item`
    is the stage of a group's items, `body` what an item that is a sub-pipeline consists of: the
    entry, its tasks and, last, the exit, which is the item. `group` is set on `item`.
    """

    index: int
    name: str
    task: Task
    role: Role
    space: Space
    dependencies: tuple[int, ...] = ()
    gated: bool = False
    inner: bool = False
    final: bool = False
    item: int = -1
    body: tuple[int, ...] = ()
    group: int = -1
    source: int = -1
    """Of a group: the stage of the `foreach` whose items flow into it."""

    streams: bool = False
    """Of a group with a `source`: it need not wait for its source as a whole."""
    group_entry: bool = False
    """The entry of a sub-pipeline that is an item."""

    @property
    def is_item(self) -> bool:
        return self.group >= 0

    @property
    def loops(self) -> bool:
        """Whether one node makes several calls in a row: a `repeat` and a fold."""
        reduce = self.task.reduce
        return self.task.repeat is not None or (reduce is not None and reduce.mode == "fold")

    @property
    def has_own_workers(self) -> bool:
        """Of the items of a `foreach`: only so many may be under way at once."""
        return self.is_item and self.task.foreach is not None and bool(self.task.foreach.workers)


@dataclass(slots=True)
class Space:
    """The tasks of one pipeline, as its templates name them: task id → stage. `parent` uses it."""

    pipeline: Pipeline
    prefix: str = ""
    parent: Space | None = None
    ids: dict[str, int] = field(default_factory=dict)


class Stages:
    """All stages of a pipeline, sub-pipelines included.

    `rows` has first those that are nodes from the start (`static` of them), then those whose nodes
    come as items.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.rows: list[Stage] = []
        self.space = Space(pipeline)
        self._later: list[Stage] = []
        self._lay_out(self.space, {**pipeline.tasks, **pipeline.finals}, gate=-1)
        self.static = len(self.rows)
        for group in self._later:
            self._items_of(group)
        for stage in self.rows:
            stage.final = stage.name.partition("/")[0] in pipeline.finals

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def layout(self) -> dict[str, list[str]]:
        """What a story does not tell of its tasks, by their names: `finals` and `own_workers`."""
        return {
            "finals": list(self.space.pipeline.finals),
            "own_workers": list(dict.fromkeys(stage.name for stage in self.rows if stage.has_own_workers)),
        }

    def _add(self, name: str, task: Task, role: Role, space: Space) -> Stage:
        stage = Stage(len(self.rows), name, task, role, space, inner=space.parent is not None)
        self.rows.append(stage)
        return stage

    def _lay_out(self, space: Space, tasks: Mapping[str, Task], gate: int) -> list[Stage]:
        """The stages of one pipeline's tasks, dependencies included; `gate` is the entry above them."""
        laid: list[Stage] = []
        entries: dict[str, Stage] = {}
        for task in tasks.values():
            name = space.prefix + task.id
            if task.foreach is not None:
                stage = self._add(name, task, Role.GROUP, space)
                self._later.append(stage)
            elif task.reduce is not None and task.reduce.mode == "tree":
                stage = self._add(name, task, Role.TREE, space)
                self._later.append(stage)
            elif task.uses is not None:
                entries[task.id] = self._add(f"{name}/", task, Role.ENTRY, space)
                laid += [entries[task.id], *self._below(entries[task.id], task, space)]
                stage = self._add(name, task, Role.EXIT, space)
            else:
                stage = self._add(name, task, Role.PLAIN, space)
            space.ids[task.id] = stage.index
            laid.append(stage)
        for task in tasks.values():
            stage = self.rows[space.ids[task.id]]
            edges = tuple(space.ids[d] for d in task.dependencies)
            if task.source:
                stage.source = space.ids[task.source]
                stage.streams = stage.source not in edges
                if stage.streams:
                    edges = (*edges, stage.source)
            start = stage
            if task.id in entries:
                start = entries[task.id]
                self._close(stage, start)
            start.dependencies = (gate, *edges) if gate >= 0 else edges
            start.gated = gate >= 0
        return laid

    def _below(self, entry: Stage, task: Task, space: Space) -> list[Stage]:
        """The tasks of the sub-pipeline that `task` uses."""
        assert task.uses is not None
        inner = Space(task.uses, f"{space.prefix}{task.id}/", space)
        return self._lay_out(inner, task.uses.tasks, entry.index)

    def _close(self, leave: Stage, entry: Stage) -> None:
        """The exit waits for everything between it and its entry."""
        between = range(entry.index + 1, leave.index)
        leave.dependencies = (entry.index, *(i for i in between if not self.rows[i].is_item))
        leave.gated = True

    def _items_of(self, group: Stage) -> None:
        """The stage of a group's items, with the sub-pipeline that each of them is, if it is one."""
        task, space = group.task, group.space
        if task.uses is None or group.role is Role.TREE:
            item = self._add(group.name, task, Role.PLAIN, space)
            item.dependencies = ()
        else:
            entry = self._add(f"{group.name}/", task, Role.ENTRY, space)
            below = self._below(entry, task, space)
            item = self._add(group.name, task, Role.EXIT, space)
            self._close(item, entry)
            entry.inner = entry.group_entry = True
            item.body = (entry.index, *(stage.index for stage in below), item.index)
        item.inner = True
        item.group = group.index
        group.item = item.index


def shadow_edges(stages: Stages) -> list[tuple[int, ...]]:
    """Dependencies among stages as if each `foreach` had one item: what ranks are computed on.

    Whoever waits for a group waits for its item; the item waits for its group, and where items
    flow, for the item they come from.
    """
    rows = stages.rows

    def ends(index: int) -> int:
        return rows[index].item if rows[index].item >= 0 else index

    first = {stage.body[0]: stage.group for stage in rows if stage.body}
    """Entry of a sub-pipeline that is an item → the group."""
    edges = []
    for stage in rows:
        waits = [ends(d) for d in stage.dependencies if d != stage.source]
        if stage.is_item:
            group = rows[stage.group]
            waits.append(group.index)
            if group.source >= 0:
                waits.append(ends(group.source))
        elif stage.index in first:
            waits.append(first[stage.index])
        edges.append(tuple(dict.fromkeys(waits)))
    return edges
