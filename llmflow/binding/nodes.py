"""The nodes of a running graph: which stage each is one of, which tasks its templates mean, which item it has.

Nodes that are there from the start are their stages; nodes of items are added while the run goes
on and forgotten when nobody can ask for them any more, so 100,000 items cost what the window costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmflow.binding.stages import Role, Space, Stage, Stages
from llmflow.scheduling.graph import Graph


@dataclass(slots=True)
class Frame:
    """One instance of a pipeline: task id → node, and its inputs (None until its entry has run)."""

    space: Space
    ids: Mapping[str, int]
    inputs: Mapping[str, Any] | None = None
    address: str = ""
    """The key of the item that this instance belongs to (`outer/inner` where items are nested)."""

    @property
    def folder(self) -> Path:
        """Where relative paths of the pipeline start."""
        path = self.space.pipeline.path
        return Path(path).parent if path != "-" else Path()


@dataclass(slots=True)
class Ticket:
    """One place in a group's window: held until an admitted item has gone through all its stages."""

    group: int
    open: int = 0
    """Its nodes that have not settled."""
    nodes: list[int] = field(default_factory=list)
    is_done: bool = False


@dataclass(slots=True)
class Node:
    """One node. The last four are an item's: `names` is what its templates may say beside the task's own names.

    `lineage`: the task ids whose item led to this one → that item's node.
    """

    stage: Stage
    frame: Frame
    inner: Frame | None = None
    """Of an entry and an exit: the instance of the sub-pipeline between them."""
    key: str = ""
    ordinal: int = -1
    names: dict[str, Any] = field(default_factory=dict)
    lineage: dict[str, int] = field(default_factory=dict)
    ticket: Ticket | None = None
    first: int = -1
    """Of an item: the first of the nodes it consists of; the last is its own."""

    @property
    def address(self) -> str | None:
        """The keys of the items it belongs to, outermost first; None where it belongs to none."""
        around = self.frame.address
        if not self.stage.is_item:
            return around or None
        return f"{around}/{self.key}" if around else self.key


class Nodes:
    """All nodes of one run that can still be asked for."""

    def __init__(self, stages: Stages, graph: Graph, inputs: Mapping[str, Any]) -> None:
        self.stages = stages
        self.graph = graph
        self.root = Frame(stages.space, stages.space.ids, inputs)
        frames = {id(stages.space): self.root}
        self._static = [self._node(stage, frames) for stage in stages.rows[: stages.static]]
        self._items: dict[int, Node] = {}
        self._lingering: dict[int, tuple[Node, set[int]]] = {}
        """Items of which calls that have been outrun are still under way: (item, those attempts)."""
        for node in self._static:
            if node.stage.role in (Role.ENTRY, Role.EXIT):
                node.inner = next(f for f in frames.values() if f.space.prefix == node.stage.name.rstrip("/") + "/")

    def _node(self, stage: Stage, frames: dict[int, Frame]) -> Node:
        space = stage.space
        if id(space) not in frames:
            frames[id(space)] = Frame(space, space.ids)
        return Node(stage, frames[id(space)])

    def __getitem__(self, node: int) -> Node:
        if node < len(self._static):
            return self._static[node]
        return self._items[node] if node in self._items else self._lingering[node][0]

    def linger(self, node: int, attempt: int) -> None:
        """Keep the item at hand, even when it is forgotten, until `let_go` of this attempt."""
        if node >= len(self._static):
            self._lingering.setdefault(node, (self[node], set()))[1].add(attempt)

    @property
    def any_lingers(self) -> bool:
        return bool(self._lingering)

    def let_go(self, node: int, attempt: int) -> None:
        """The attempt has ended."""
        if node in self._lingering:
            attempts = self._lingering[node][1]
            attempts.discard(attempt)
            if not attempts:
                del self._lingering[node]

    def name(self, node: int) -> tuple[str, str | None]:
        """What the history calls it: the stage's name and the item's key, with the keys around it."""
        found = self[node]
        return found.stage.name, found.address

    def source_of(self, node: int) -> int:
        """The group whose items flow into this node, -1 where none do."""
        found = self._static[node] if node < len(self._static) else self._items.get(node)
        if found is None or found.stage.source < 0:
            return -1
        return found.frame.ids[self.stages.rows[found.stage.source].task.id]

    def add_item(
        self, group: int, key: str, ordinal: int, names: dict[str, Any], after: Sequence[int] = ()
    ) -> tuple[range, Node]:
        """Append the nodes of one item to the graph; gives their ids and the item itself, the last of them.

        `after`: the nodes that it came from, all settled.
        """
        first = len(self.graph)
        owner = self[group]
        item = self.stages.rows[owner.stage.item]
        node = Node(item, owner.frame, key=key, ordinal=ordinal, names=names)
        if item.body:
            self._add_body(item, owner.frame, f"{self.graph.names[group]}[{key}]", node, after)
        else:
            self._items[self.graph.add_item(group, key, item.index, after)] = node
        node.first = first
        return range(first, len(self.graph)), node

    def forget(self, node: int) -> range:
        """An item that has settled and led nowhere further, with all that it consisted of: gives their ids."""
        item = self._items.get(node)
        if item is None:
            return range(0)
        gone = range(item.first, node + 1)
        for inner in gone:
            self._items.pop(inner, None)
        return gone

    def _add_body(self, item: Stage, frame: Frame, shown: str, last: Node, after: Sequence[int]) -> None:
        """The sub-pipeline that the item is: entry, its tasks, exit."""
        rows = self.stages.rows
        ids: dict[int, int] = {}
        inner: Frame | None = None
        spaces: dict[int, Frame] = {}
        for index in item.body:
            stage = rows[index]
            if stage is item:
                node = last
            else:
                node = Node(stage, self._body_frame(stage, frame, spaces, last))
                if index == item.body[0]:  # the entry stands for the item: it sees what the item's templates see
                    node.key, node.names = last.key, last.names
            name = shown if stage is item else shown + stage.name.removeprefix(item.name)
            waits = after if index == item.body[0] else [ids[d] for d in stage.dependencies if d in ids]
            new = self.graph.add(name, waits, index)
            if stage.source in ids and stage.streams:
                self.graph.flows[new] = ids[stage.source]
            ids[index] = new
            self._items[new] = node
        for owner in spaces.values():
            owner.ids = {task: ids[stage] for task, stage in owner.space.ids.items() if stage in ids}
        for index, new in ids.items():
            stage = rows[index]
            if stage.role in (Role.ENTRY, Role.EXIT):
                prefix = stage.name.rstrip("/") + "/"
                inner = next(f for f in spaces.values() if f.space.prefix == prefix)
                self._items[new].inner = inner

    def _body_frame(self, stage: Stage, outer: Frame, spaces: dict[int, Frame], last: Node) -> Frame:
        if stage.space is outer.space:
            return outer
        if id(stage.space) not in spaces:
            spaces[id(stage.space)] = Frame(stage.space, {}, address=last.address or "")
        return spaces[id(stage.space)]
