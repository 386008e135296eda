"""The shape of a run: tasks are the integers 0, 1, …, edges are dependencies. Arithmetic only.

It knows no names' meaning, no status and no time. A graph can grow: `add` appends a task whose
dependencies exist already, so ids are always a topological order of what `add` built. `Graph.of`
takes edges in any order and raises `CycleError` with the cycle as data.

Upward rank (HEFT; the b-level of Adam, Chandy & Dickson 1974) is the longest path from a task to
an end, itself included; the critical path is the longest chain of all; slack is how late a task
may end without moving the makespan on unlimited workers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from llmflow.scheduling.names import Names
from llmflow.scheduling.packed import Packed
from llmflow.scheduling.sparse_rows import SparseRows


class CycleError(ValueError):
    """`cycle` holds the task names around it, the first repeated at the end: `[a, b, a]`."""

    def __init__(self, cycle: list[str]) -> None:
        self.cycle = cycle
        super().__init__(" -> ".join(cycle))


_NOBODY: list[int] = []
"""The dependents of every task that has none yet: 100,000 items share one empty list."""


class Graph:
    """Dependencies both ways. Lists indexed by task id; treat them as read-only from outside.

    `stages[t]` says what task t is one of: itself for a task that is written in the file, one stage
    for all items of a `foreach`. Specs and priorities are per stage, so growth costs them nothing.
    `flows[t]` is the dependency of t that need not settle before t: its items are passed on one by
    one, so t may begin when that one has begun to have items.
    Tasks that had settled before an item was added are not among its `dependencies`: nobody waits
    along them any more, so those of 100,000 items are kept in a column. `waited_for` tells of both.
    """

    __slots__ = ("_joined", "_known_order", "_origin", "dependencies", "dependents", "flows", "names", "stages")

    def __init__(self) -> None:
        self.names = Names()
        self.dependencies: list[tuple[int, ...]] = []
        self.dependents: list[list[int]] = []
        self.stages: array[int] = array("i")
        self._origin: array[int] | Packed[int] = array("i")
        """Per task the settled task it came from; -1: none; -2 - p: the row at place p of `_joined`."""
        self._joined: Packed[int] = Packed("i")
        """Rows of several settled tasks, each behind its length."""
        self.flows: dict[int, int] = {}
        self._known_order: Sequence[int] = ()

    @classmethod
    def of(cls, edges: Mapping[str, Iterable[str]]) -> Graph:
        """A graph of `{task: its dependencies}`; ids follow the mapping's order.

        Raises CycleError, and KeyError for a dependency that is no task.
        """
        index = {name: i for i, name in enumerate(edges)}
        return cls.numbered(edges, [tuple(dict.fromkeys([index[d] for d in ds])) for ds in edges.values()])

    @classmethod
    def numbered(cls, names: Iterable[str], dependencies: list[tuple[int, ...]]) -> Graph:
        """A graph whose edges are ids already, none of them twice. Raises CycleError."""
        graph = cls()
        graph.names = Names(names)
        graph.dependencies = dependencies
        dependents: list[list[int]] = [_NOBODY] * len(dependencies)
        for task, deps in enumerate(dependencies):
            for d in deps:
                if dependents[d] is _NOBODY:
                    dependents[d] = [task]
                else:
                    dependents[d].append(task)
        graph.dependents = dependents
        graph.stages = array("i", range(len(dependencies)))
        graph._origin = array("i", [-1]) * len(dependencies)
        graph.order()
        return graph

    def __len__(self) -> int:
        return len(self.names)

    def add(self, name: str, dependencies: Iterable[int] = (), stage: int | None = None) -> int:
        """Append a task behind tasks that exist; returns its id. `stage` is its own id unless given."""
        task = len(self.names)
        deps = tuple(dict.fromkeys(dependencies))
        if deps and not 0 <= min(deps) <= max(deps) < task:
            raise IndexError(f"{name}: a dependency is not in the graph: {deps}")
        self.names.append(name)
        self._append(deps, task if stage is None else stage, -1)
        for d in deps:
            if self.dependents[d] is _NOBODY:
                self.dependents[d] = [task]
            else:
                self.dependents[d].append(task)
        return task

    def add_item(self, group: int, key: str, stage: int, settled: Sequence[int] = ()) -> int:
        """Append `group[key]`, which came from tasks that have all `settled`; returns its id."""
        task = len(self.names)
        if isinstance(self._origin, array):
            self._origin = Packed("i", self._origin)
            self.dependencies = cast(Any, SparseRows(self.dependencies, ()))
            self.dependents = cast(Any, SparseRows(self.dependents, _NOBODY))
        origin = settled[0] if len(settled) == 1 else -1
        if len(settled) > 1:
            origin = -2 - len(self._joined)
            self._joined.append(len(settled))
            self._joined.extend(settled)
        self.names.append_item(group, key)
        self._append((), stage, origin)
        return task

    def _append(self, dependencies: tuple[int, ...], stage: int, origin: int) -> None:
        self.dependencies.append(dependencies)
        self.dependents.append(_NOBODY)
        self.stages.append(stage)
        self._origin.append(origin)

    def waited_for(self, task: int) -> tuple[int, ...]:
        """What had to settle before the task could begin, what had before it was there included."""
        origin = self._origin[task]
        if origin == -1:
            return self.dependencies[task]
        if origin >= 0:
            return (*self.dependencies[task], origin)
        place = -2 - origin
        return (*self.dependencies[task], *self._joined[place + 1 : place + 1 + self._joined[place]])

    def order(self) -> Sequence[int]:
        """All tasks, each behind its dependencies (Kahn 1962). Raises CycleError."""
        if len(self._known_order) == len(self.dependencies):
            return self._known_order
        pending = [len(d) for d in self.dependencies]
        order = [t for t, n in enumerate(pending) if not n]
        dependents = self.dependents
        for task in order:
            for d in dependents[task]:
                pending[d] -= 1
                if not pending[d]:
                    order.append(d)
        if len(order) < len(pending):
            raise CycleError([self.names[t] for t in self._cycle(pending)])
        self._known_order = array("i", order)
        return self._known_order

    def _cycle(self, pending: Sequence[int]) -> list[int]:
        """One cycle among the tasks that Kahn could not reach: walk dependencies until one repeats."""
        task = next(t for t, n in enumerate(pending) if n)
        seen: dict[int, int] = {}
        path: list[int] = []
        while task not in seen:
            seen[task] = len(path)
            path.append(task)
            task = next(d for d in self.dependencies[task] if pending[d])
        loop = path[seen[task] :]
        loop.reverse()
        start = loop.index(min(loop))
        loop = loop[start:] + loop[:start]
        return [*loop, loop[0]]


class Waits(Sequence[tuple[int, ...]]):
    """`waited_for` of every task of a graph, read like a list."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __len__(self) -> int:
        return len(self._graph)

    def __getitem__(self, task: Any) -> Any:
        return self._graph.waited_for(task)


def longest_path(graph: Graph, durations: Sequence[float], order: Sequence[int] | None = None) -> float:
    """The length of the critical path, in the unit of `durations`; of graphs whose ranks nobody wants to keep."""
    ranks = array("d", durations)
    dependents = graph.dependents
    for task in reversed(graph.order() if order is None else order):
        below = dependents[task]
        if below:
            ranks[task] += max(ranks[d] for d in below) if len(below) > 1 else ranks[below[0]]
    return max(ranks, default=0.0)


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of every task on unlimited workers, in seconds, for one vector of durations.

    `upward[t]` runs from the start of t to the end of the run; `earliest[t]` is its earliest start;
    `slack[t]` is `length - earliest - upward`.
    """

    upward: list[float]
    earliest: list[float]
    length: float
    path: list[int]
    """The critical path, first task first; ties go to the smaller id."""

    def slack(self, task: int) -> float:
        return max(0.0, self.length - self.earliest[task] - self.upward[task])

    def slacks(self) -> list[float]:
        """`slack` of every task."""
        length = self.length
        return [max(0.0, length - early - rank) for early, rank in zip(self.earliest, self.upward, strict=True)]


def upward_ranks(graph: Graph, durations: Sequence[float], order: Sequence[int] | None = None) -> list[float]:
    """Longest path from each task to an end, itself included, in the unit of `durations`."""
    ranks = list(map(float, durations))
    dependents = graph.dependents
    for task in reversed(graph.order() if order is None else order):
        below = dependents[task]
        if below:
            best = 0.0
            for d in below:
                if ranks[d] > best:
                    best = ranks[d]
            ranks[task] += best
    return ranks


def timing(graph: Graph, durations: Sequence[float]) -> Timing:
    """Ranks, earliest starts and the critical path. O(tasks + edges)."""
    order = graph.order()
    upward = upward_ranks(graph, durations, order)
    earliest = [0.0] * len(graph)
    for task in order:
        end = earliest[task] + durations[task]
        for d in graph.dependents[task]:
            if end > earliest[d]:
                earliest[d] = end
    length = max(upward, default=0.0)
    path: list[int] = []
    below: Iterable[int] = (t for t in order if not graph.dependencies[t])
    while step := list(below):
        task = min(step, key=lambda t: (-upward[t], t))
        path.append(task)
        below = graph.dependents[task]
    return Timing(upward, earliest, length, path)
