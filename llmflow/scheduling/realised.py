"""The graph that a run has become: with every item it had, each behind its group, each group behind its items.

While the run goes on, a `foreach` settles by counting and its items carry no edges to it; looking
back, what waited for what is wanted as plain edges. They are kept in columns: a run of 100,000
items must not cost more when it is summed up than while it went on.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from llmflow.scheduling.graph import CycleError, Graph
from llmflow.scheduling.state import RunState


class Edges(Sequence[Sequence[int]]):
    """For each task a row of tasks, all rows in two columns of integers."""

    def __init__(self) -> None:
        self._ends = array("i", [0])
        self._targets = array("i")

    def add(self, *parts: Iterable[int]) -> None:
        """The row of the next task, one part behind the other."""
        for part in parts:
            self._targets.extend(part)
        self._ends.append(len(self._targets))

    def turned(self) -> Edges:
        """The same edges from their other ends."""
        counts = array("i", bytes(4 * len(self._ends)))
        for target in self._targets:
            counts[target + 1] += 1
        for task in range(1, len(counts)):
            counts[task] += counts[task - 1]
        turned = Edges()
        turned._targets = array("i", bytes(4 * len(self._targets)))
        places = counts[:]
        for task, row in enumerate(self):
            for target in row:
                turned._targets[places[target]] = task
                places[target] += 1
        turned._ends = counts
        return turned

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, task: Any) -> Any:
        if task < 0:
            task += len(self)
        return self._targets[self._ends[task] : self._ends[task + 1]]

    def __iter__(self) -> Iterator[Sequence[int]]:
        return (self[task] for task in range(len(self)))


class RealisedGraph(Graph):
    """A graph whose edges are `Edges`: to be read, not to grow."""

    __slots__ = ()

    def __init__(self, graph: Graph, dependencies: Edges) -> None:
        super().__init__()
        self.names = graph.names
        self.dependencies = cast(Any, dependencies)
        self.dependents = cast(Any, dependencies.turned())
        self.stages.extend(range(len(dependencies)))

    def order(self) -> Sequence[int]:
        """As of any graph, in a column."""
        pending = array("i", map(len, self.dependencies))
        order = array("i", (t for t, n in enumerate(pending) if not n))
        dependents, place = self.dependents, 0
        while place < len(order):
            for d in dependents[order[place]]:
                pending[d] -= 1
                if not pending[d]:
                    order.append(d)
            place += 1
        if len(order) < len(pending):
            raise CycleError([self.names[t] for t in self._cycle(pending)])
        return order


class FanOut(NamedTuple):
    """Items of one `foreach`, of which no more than `cap` may hold a worker at once."""

    cap: int
    items: Sequence[range]


def capped_fan_outs(state: RunState, cap_of: Callable[[int], int]) -> list[FanOut]:
    """Each `foreach` that had more items than it may have under way. `cap_of(group)` is 0 where there is no cap."""
    items: dict[int, list[range]] = {}
    for first, size, parent in state.grown:
        if parent >= 0 and cap_of(parent):
            items.setdefault(parent, []).append(range(first, first + size))
    found = [FanOut(cap_of(parent), ranges) for parent, ranges in items.items()]
    return [fan_out for fan_out in found if fan_out.cap < sum(map(len, fan_out.items))]


def realised_graph(state: RunState) -> Graph:
    """A static graph with the same ids. The node of a `foreach` stands for its end: it waits for its items.

    What its items waited for is what it waited for itself before it began; into where items flow
    one by one, they do not wait for their source as a whole.
    """
    graph = state.graph
    if not state.grown:
        return graph
    behind = array("i", [-1]) * len(graph)
    """Task that an item begins with → the group whose dependencies the item waited for."""
    items: dict[int, list[range]] = {}
    first_inner = -1
    for first, size, parent in state.grown:
        if parent < 0:
            first_inner = first
            continue
        items.setdefault(parent, []).append(range(first, first + size))
        for item in range(first, first + size):
            behind[item if first_inner < 0 else first_inner] = parent
            first_inner = -1
    edges = Edges()
    for task in range(len(graph)):
        waits = graph.waited_for(task)
        parent = behind[task]
        if parent >= 0:
            source = graph.flows.get(parent)
            waits = (*waits, *(d for d in graph.dependencies[parent] if d != source))
        edges.add(dict.fromkeys(waits), *items.get(task, ()))
    return RealisedGraph(graph, edges)
