"""Fan-out at run time: which items of a `foreach` are let in, and how they flow on from stage to stage.

Items are let in through a window: an admitted item goes through all stages of its chain before the
window moves on. Measured on 2,000 items without one: the first reached its second stage after half
the run. A stage into which items flow gets each of them when it has ended in the stage before.
Where more pieces of a tree wait than the window has places, no item is let in either: their items
are more urgent than they are, so thousands of answers would wait in them until the last item is in.

It listens to the story and answers with reports of growth; the scheduler takes them like any other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmflow.binding.compile import Compiled
from llmflow.binding.items import items_of, key_of, wrong
from llmflow.binding.nodes import Node, Nodes, Ticket
from llmflow.binding.references import RESULTS, asked_as_a_whole
from llmflow.binding.saving import ItemLines
from llmflow.binding.scope import Scope
from llmflow.binding.stages import Role
from llmflow.binding.trees import Tree
from llmflow.binding.values import Items, Values
from llmflow.errors import CallFailed
from llmflow.language.pipeline import Foreach, Task
from llmflow.scheduling import events as ev
from llmflow.scheduling.groups import Settling

SMALLEST_WINDOW = 32
WINDOW_OF_UNLIMITED = 1_024
NO_WINDOW = 1 << 30

Report = Callable[[ev.Reported], None]


@dataclass(slots=True)
class _Group:
    """A `foreach` that is under way. `source` is None where its items flow in from another one."""

    node: int
    owner: Node
    foreach: Foreach
    scope: Scope
    window: int
    source: Iterator[tuple[str, Any]] | None
    lines: ItemLines | None
    keys: dict[str, int] = field(default_factory=dict)
    """Author's keys seen so far → ordinal."""
    admitted: int = 0
    """Tickets under way."""
    count: int = 0
    closed: bool = False
    cap: int = 0
    """How many sub-pipelines may be under way as items; items that are one task are counted by the scheduler."""
    under_way: int = 0
    held: deque[tuple[Node, int, Any]] = field(default_factory=deque)
    """(Item, its id, what it passes on) that have ended and wait for room to flow in."""
    is_last: bool = False
    """Nothing more will flow in but what is held."""

    @property
    def is_full(self) -> bool:
        return 0 < self.cap <= self.under_way


class Expansion:
    """The groups of one run."""

    def __init__(
        self,
        compiled: Compiled,
        nodes: Nodes,
        values: Values,
        *,
        report: Report,
        now: Callable[[], float],
        added: Callable[[range], None],
        stopping: Callable[[], bool],
        told: Callable[[str], str],
    ) -> None:
        """`added(ids)` hears of new nodes before the scheduler does. Where the run is `stopping` no item is let in.

        `told(text)`: what may be said of a failure.
        """
        self._compiled, self._nodes, self._values = compiled, nodes, values
        self._report, self._now, self._added = report, now, added
        self._groups: dict[int, _Group] = {}
        self._trees: dict[int, Tree] = {}
        self._early: dict[int, list[tuple[int, Node]]] = {}
        """Group that has not begun → items of its source that have ended already."""
        self._ended: set[int] = set()
        """Groups that have settled, for those that begin later."""
        self._asked = asked_as_a_whole(compiled.stages)
        self._growing = any(stage.item >= 0 for stage in compiled.stages)
        self._is_stopping, self._told = stopping, told

    def on_events(self, events: Sequence[ev.Event]) -> None:
        """Groups begin, items that have settled make room and flow on, groups that have settled close what they fed."""
        if not self._growing:
            return
        for event in events:
            if isinstance(event, ev.AttemptSucceeded):
                if event.outcome == "expand":
                    self._guard(event.task, self._begin)
            elif isinstance(event, Settling):
                self._settled(event)

    def _guard(self, node: int, do: Callable[[int], None]) -> None:
        """An item that cannot be had (a wrong line, a key twice) ends its group, not the run."""
        try:
            do(node)
        except CallFailed as failure:
            self._close(node, self._told(failure.detail))

    # ---- beginning --------------------------------------------------------------------------------

    def _begin(self, node: int) -> None:
        owner = self._nodes[node]
        task = owner.stage.task
        self._values.groups[node] = Items()
        if owner.stage.role is Role.TREE:
            self._begin_tree(node, owner)
            return
        foreach = task.foreach
        assert foreach is not None
        flowing = self._nodes.source_of(node) >= 0
        group = _Group(node, owner, foreach, Scope({}), NO_WINDOW, None, None)
        self._groups[node] = group
        group.scope = self._values.scope(owner)
        group.window = foreach.window or self._window(owner, foreach)
        if self._compiled.stages.rows[owner.stage.item].body:
            group.cap = foreach.workers or 0
        if task.save is not None:
            group.lines = ItemLines(owner.frame.folder, task.save.text(group.scope))
        if flowing:
            self._flow_early(node)
        else:
            group.source = items_of(foreach, group.scope, owner.frame.folder)
            self._admit(group)

    def _window(self, owner: Node, foreach: Foreach) -> int:
        """max(32, 4 × workers), workers being the smallest cap that applies; 1,024 where there is none."""
        if owner.stage.task.action == "approve":
            return NO_WINDOW  # nobody can be waited for behind a window of people
        item = self._compiled.stages.rows[owner.stage.item]
        pools = {p for s in (*item.body, item.index) for p in self._compiled.specs[s].pools if p >= 0}
        caps = [self._compiled.pools[p].size for p in pools]
        known = [cap for cap in (*caps, foreach.workers, self._compiled.workers) if cap]
        return max(SMALLEST_WINDOW, 4 * min(known)) if known else WINDOW_OF_UNLIMITED

    # ---- letting in -------------------------------------------------------------------------------

    def _admit(self, group: _Group) -> None:
        """Let items in while the window has room; tell the scheduler when there are no more."""
        first = len(self._nodes.graph)
        items: list[range] = []
        exhausted = group.closed or group.source is None
        try:
            while not (exhausted or group.is_full or group.admitted >= group.window or self._is_held_up(group)):
                found = next(group.source, None)  # type: ignore[arg-type]
                exhausted = found is None
                if found is not None:
                    items.append(self._item(group, *found, {}, Ticket(group.node), group.count))
                    group.admitted += 1
        finally:
            self._tell(group.node, first, items)
        if exhausted and group.source is not None:
            self._close(group.node)

    def _is_held_up(self, group: _Group) -> bool:
        """The run is stopping, or pieces of a tree that the group's items lead to have heaped up."""
        most = max(group.window, SMALLEST_WINDOW)
        crowded = (node for node, tree in self._trees.items() if tree.open >= most)
        return self._is_over(group) or any(self._head_of(node) == group.node for node in crowded)

    def _is_over(self, group: _Group) -> bool:
        """The run is stopping; what is done finally is done all the same."""
        return self._is_stopping() and not group.owner.stage.final

    def _head_of(self, node: int) -> int:
        """The first group of the chain that flows into `node`; itself where none does."""
        while (source := self._nodes.source_of(node)) >= 0:
            node = source
        return node

    def _item(
        self,
        group: _Group,
        default: str,
        item: Any,
        lineage: dict[str, int],
        ticket: Ticket | None,
        ordinal: int,
    ) -> range:
        """Add one item to the graph; gives the ids of what it consists of.

        `ordinal` is its place among the items: where items flow, that of the item it came from.
        """
        foreach = group.foreach
        names = {foreach.name: item}
        key = default
        if foreach.key is not None:
            key = key_of(foreach, default, group.scope.also(**names))
            if key in group.keys:
                raise wrong(f"items {group.keys[key]} and {ordinal} have the same key: {key}")
            group.keys[key] = ordinal
        came_from = tuple(lineage.values())[-1:]
        ids, node = self._nodes.add_item(group.node, key, ordinal, names, came_from)
        node.lineage = self._nodes[ids[0]].lineage = lineage
        if ticket is not None and not ticket.is_done:
            node.ticket = ticket
            ticket.open += 1
            ticket.nodes.append(ids[-1])
        group.count += 1
        group.under_way += 1
        kept = self._values.groups[group.node]
        kept.add(ids[-1], ordinal)
        if self._asked.get(group.owner.stage.index) == RESULTS:
            kept.keys.append(key)
            kept.items.append(item)
        return ids

    def _tell(self, parent: int, first: int, items: Sequence[range]) -> None:
        """Report new nodes in the order of their ids: what is inside an item is nobody's, the item is the group's."""
        if not items:
            return
        self._added(range(first, len(self._nodes.graph)))
        at = self._now()
        if all(len(ids) == 1 for ids in items):
            self._report(ev.TasksAdded(at, parent, first, len(items)))
            return
        for ids in items:
            self._report(ev.TasksAdded(at, -1, ids[0], len(ids) - 1))
            self._report(ev.TasksAdded(at, parent, ids[-1], 1))

    def _close(self, node: int, problem: str = "") -> None:
        """No more items will come to the group."""
        group = self._groups.get(node)
        if group is not None:
            if group.closed:
                return
            group.closed = True
        self._report(ev.ItemsClosed(self._now(), node, problem))

    # ---- flowing on -------------------------------------------------------------------------------

    def _settled(self, event: Settling) -> None:
        node = event.task
        if node < self._compiled.stages.static or self._nodes[node].stage.item >= 0:
            if self._nodes[node].stage.item >= 0:
                self._group_ended(node)
            return
        item = self._nodes[node]
        if not item.stage.is_item:
            return
        owner = item.frame.ids[item.stage.task.id]
        if isinstance(event, ev.TaskFailed) and owner in self._values.groups:
            self._values.groups[owner].errors[node] = event.detail
        if owner in self._trees:
            self._piece_ended(owner, node, item)
            return
        self._save_line(owner, node, item)
        early = self._pass_on(owner, node, item)
        self._make_room(owner)
        self._release(item.ticket, early)

    def _release(self, ticket: Ticket | None, early: bool = False) -> None:
        """One fewer holds the ticket; with the last, what it admitted is forgotten and its window moves on."""
        if ticket is None or ticket.is_done:
            return
        ticket.open -= 1
        if ticket.open:
            return
        ticket.is_done = True
        if not early and not self._is_stopping():  # what is cancelled around a running call is still asked for
            for gone in ticket.nodes:
                self._forget(gone)
        head = self._groups.get(ticket.group)
        if head is not None:
            head.admitted -= 1
            self._guard(head.node, lambda _: self._admit(head))

    def _consumers(self, group: int) -> list[int]:
        return [d for d in self._nodes.graph.dependents[group] if self._nodes.source_of(d) == group]

    def _pass_on(self, owner: int, node: int, item: Node) -> bool:
        """Item `node` has ended: every stage it flows into gets its successor. True if one has not begun yet."""
        early = False
        for consumer in self._consumers(owner):
            if consumer in self._groups or consumer in self._trees:
                self._flow(consumer, node, item)
            elif consumer not in self._ended:
                self._early.setdefault(consumer, []).append((node, item))
                early = True
        return early

    def _flow(self, consumer: int, node: int, item: Node) -> None:
        tree = self._trees.get(consumer)
        if tree is not None:
            tree.put(item.ordinal, self._values.outputs.get(node), self._values.has_answer(node), node)
            self._grow_tree(tree)
            return
        group = self._groups[consumer]
        if self._is_over(group) or group.closed:
            return
        if not (group.foreach.source_results or self._values.has_answer(node)):
            self._leave_out(consumer, item.ordinal)
            return
        task = item.stage.task
        passed = self._values.outputs.get(node)
        if group.foreach.source_results:
            assert task.foreach is not None
            error = self._values.groups[item.frame.ids[task.id]].errors.get(node)
            passed = self._values.result_of(node, item.key, item.names.get(task.foreach.name), error)
        if group.is_full:
            group.held.append((item, node, passed))
            if item.ticket is not None:
                item.ticket.open += 1
        else:
            self._flow_in(group, item, node, passed)

    def _flow_in(self, group: _Group, item: Node, node: int, passed: Any) -> None:
        first = len(self._nodes.graph)

        def add(consumer: int) -> None:
            lineage = {**item.lineage, item.stage.task.id: node}
            ids = self._item(group, item.key, passed, lineage, item.ticket, item.ordinal)
            self._tell(consumer, first, [ids])

        self._guard(group.node, add)

    def _make_room(self, node: int) -> None:
        """An item of the group has ended: the next one may come where so many may be under way and no more."""
        group = self._groups.get(node)
        if group is None:
            return
        group.under_way -= 1
        if not group.cap:
            return
        while group.held and (group.closed or not group.is_full or self._is_over(group)):
            item, source, passed = group.held.popleft()
            if not group.closed and not self._is_over(group):
                self._flow_in(group, item, source, passed)
            self._release(item.ticket)
        if group.is_last and not group.held:
            self._close(node)
        if group.source is not None:
            self._guard(node, lambda _: self._admit(group))

    def _leave_out(self, group: int, ordinal: int) -> None:
        """No item of this ordinal will come to the group: a tree that it flows into need not wait for it."""
        for consumer in self._consumers(group):
            tree = self._trees.get(consumer)
            if tree is not None:
                tree.put(ordinal, None, False)
                self._grow_tree(tree)
            elif consumer in self._groups:
                self._leave_out(consumer, ordinal)

    def _flow_early(self, node: int) -> None:
        """What ended before the group began flows in now."""
        for source, item in self._early.pop(node, ()):
            self._flow(node, source, item)
        if self._nodes.source_of(node) in self._ended:
            self._source_ended(node)

    def _group_ended(self, node: int) -> None:
        self._ended.add(node)
        self._trees.pop(node, None)
        self._early.pop(node, None)
        group = self._groups.pop(node, None)
        if group is not None and group.lines is not None:
            group.lines.close()
        for consumer in self._consumers(node):
            if consumer in self._groups or consumer in self._trees:
                self._source_ended(consumer)

    def _source_ended(self, node: int) -> None:
        tree = self._trees.get(node)
        if tree is not None:
            tree.close()
            self._grow_tree(tree)
        elif node in self._groups and self._groups[node].held:
            self._groups[node].is_last = True
        else:
            self._close(node)

    def _forget(self, node: int) -> None:
        """Let go of an item that nobody can ask for any more, but for what its group keeps."""
        item, values = self._nodes[node], self._values
        gone = self._nodes.forget(node)
        values.fold_usage(gone, item.frame.ids[item.stage.task.id])
        if item.stage.group not in self._asked:
            values.outputs.pop(node, None)
        values.forget(range(gone.start, node))
        self._ended.difference_update(gone)

    def _save_line(self, owner: int, node: int, item: Node) -> None:
        group = self._groups.get(owner)
        if group is not None and group.lines is not None:
            error = self._values.groups[owner].errors.get(node)
            row = self._values.result_of(node, item.key, None, error)
            group.lines.add({name: row[name] for name in ("key", "output", "status", "error")})

    # ---- trees ------------------------------------------------------------------------------------

    def _begin_tree(self, node: int, owner: Node) -> None:
        task: Task = owner.stage.task
        assert task.reduce is not None
        tree = self._trees[node] = Tree(node, task.reduce.batch)
        if self._nodes.source_of(node) >= 0:
            self._flow_early(node)
            return
        items = task.reduce.items.value(self._values.scope(owner))
        if isinstance(items, str) or not isinstance(items, Sequence):
            raise wrong("`reduce.items` must be a list")
        for ordinal, item in enumerate(items):
            tree.put(ordinal, item, True)
        tree.close()
        self._grow_tree(tree)

    def _piece_ended(self, owner: int, node: int, item: Node) -> None:
        tree = self._trees[owner]
        answered = self._values.has_answer(node)
        tree.ended(item.key, self._values.outputs.pop(node, None), answered, node)
        self._values.fold_usage(self._nodes.forget(node), owner)
        self._grow_tree(tree)
        head = self._groups.get(self._head_of(owner))
        if head is not None:
            self._guard(head.node, lambda _: self._admit(head))

    def _grow_tree(self, tree: Tree) -> None:
        """Start the pieces whose items are there; when one value is left, it is the result."""
        first = len(self._nodes.graph)
        nodes = self._values.groups[tree.node].nodes
        made = []
        for key, items, came_from in tree.ready():
            ids, _ = self._nodes.add_item(tree.node, key, len(nodes), {"items": items}, came_from)
            nodes.append(ids[-1])
            made.append(ids)
        self._tell(tree.node, first, made)
        if (tree.is_done or tree.failed) and not tree.told:
            tree.told = True
            if not tree.failed:
                self._values.outputs[tree.node] = tree.result
            self._close(tree.node)
