"""Schedules of an order counted in whole ticks, from either end of the graph: what a search calls hundreds of times.

Because durations are integers, a moment and a task fit into one integer and a heap of integers is
all the bookkeeping; because edges that others imply are left out, a dense graph costs no more than
a sparse one. Ties of priorities are the caller's: the order it hands over is complete.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from llmflow.scheduling.graph import Graph

TICKS = 1 << 32
"""Into how many ticks the sum of all durations is divided where they are not whole numbers."""

STEPS = (-1,)
"""The pool of tasks that hold no worker: no cap is theirs."""

REDUCED = 4096
"""Up to how many tasks implied edges are left out: the ancestors of each are kept as a set of bits."""


def timed(durations: Sequence[float]) -> tuple[list[int], float]:
    """Durations in ticks, and how many ticks are one unit of theirs: one, where all are whole numbers."""
    total = sum(durations)
    whole = total < TICKS and all(float(d).is_integer() for d in durations)
    scale = 1.0 if whole or not total else TICKS / total
    return [round(d * scale) for d in durations], scale


@dataclass(frozen=True, slots=True)
class _Side:
    """The graph as seen from its start, or mirrored, from its end. Ticks."""

    pending: list[int]
    sources: list[int]
    following: list[tuple[int, ...]]


class TickSchedules:
    """One graph on its workers, of whom no more than `cap` work at once, 0 = no cap.

    `ticks` may be replaced by other durations of the same tasks (see `retime`).
    """

    def __init__(
        self, graph: Graph, durations: Sequence[float], pool_of: Sequence[int], workers: Sequence[int], cap: int = 0
    ) -> None:
        self.n = len(graph)
        self.retime(durations)
        self.base = 1 << self.n.bit_length()
        above, below = _needed_edges(graph)
        self.sides = tuple(
            _Side([len(x) for x in before], [t for t, x in enumerate(before) if not x], after)
            for before, after in ((above, below), (below, above))
        )
        # As many workers as tasks are as good as unlimited; index -1 is the pool that holds none.
        self.workers = [w or self.n for w in workers] + [self.n]
        self.pool_of = list(pool_of)
        self.cap = cap if cap < self.n else 0
        self.one_pool = self.workers[pool_of[0]] if len(set(pool_of)) == 1 and not self.cap else 0

    def retime(self, durations: Sequence[float]) -> None:
        """Count these durations from now on; `scale` is ticks per unit of theirs."""
        self.ticks, self.scale = timed(durations)

    def makespans(self, order: Sequence[int], times: Iterable[tuple[list[int], float]]) -> Iterator[float]:
        """The makespan of `order` under one `timed` vector of durations after the other."""
        for self.ticks, self.scale in times:
            yield self.schedule(0, order)[0] / self.scale

    def schedule(self, mirrored: int, order: Sequence[int]) -> tuple[int, list[int]]:
        """Makespan and finishes of the greedy schedule of `order`; `mirrored` 1 counts time from the end."""
        rank = [0] * self.n
        for position, task in enumerate(order):
            rank[task] = position
        kernel = self._one_pool if self.one_pool else self._pools
        return kernel(self.sides[mirrored], order, rank)

    def serial(self, mirrored: int, order: Sequence[int]) -> tuple[int, list[int]]:
        """Makespan and finishes if the tasks are placed one by one, each as early as it can go.

        A task takes the worker that is free last before it can begin, else the first that gets free; one whose
        dependencies are not all placed waits for them and follows at once. A worker may so be kept free for a
        task ahead of its time, and any order of starts gives a schedule that starts no task later: the
        shortest there is can be reached, which greed cannot promise (serial and parallel generation, Kolisch 1996).
        """
        side, ticks, pool_of = self.sides[mirrored], self.ticks, self.pool_of
        following, pending = side.following, side.pending[:]
        earliest, finishes = [0] * self.n, [0] * self.n
        passed = [False] * self.n
        free_at = [[0] * min(w, self.n) for w in self.workers]
        # Whoever is placed takes one of so many places of the run as well; a step without a worker takes none.
        places = [0] * self.cap
        for turn in order:
            if pending[turn]:
                passed[turn] = True
                continue
            placing = [turn]
            while placing:
                task = placing.pop()
                pool, start = pool_of[task], earliest[task]
                workers = free_at[pool]
                if places and pool >= 0:
                    start = max(start, workers[0], places[0])
                    del places[bisect_right(places, start) - 1]
                    insort(places, start + ticks[task])
                free = bisect_right(workers, start)
                if free:
                    del workers[free - 1]
                else:
                    start = workers.pop(0)
                finishes[task] = end = start + ticks[task]
                insort(workers, end)
                for d in following[task]:
                    if end > earliest[d]:
                        earliest[d] = end
                    pending[d] -= 1
                    if passed[d] and not pending[d]:
                        placing.append(d)
        return max(finishes), finishes

    def _one_pool(self, side: _Side, order: Sequence[int], rank: list[int]) -> tuple[int, list[int]]:
        following, ticks, base = side.following, self.ticks, self.base
        pending = side.pending[:]
        ready = [rank[t] for t in side.sources]
        heapify(ready)
        finishes = [0] * self.n
        running: list[int] = []
        free, now = self.one_pool, 0
        while True:
            while free and ready:
                task = order[heappop(ready)]
                finishes[task] = end = now + ticks[task]
                heappush(running, end * base + task)
                free -= 1
            if not running:
                return now, finishes
            entry = heappop(running)
            now = entry // base
            later = (now + 1) * base
            while True:
                free += 1
                for d in following[entry % base]:
                    if pending[d] == 1:
                        heappush(ready, rank[d])
                    else:
                        pending[d] -= 1
                if running and running[0] < later:
                    entry = heappop(running)
                else:
                    break

    def _pools(self, side: _Side, order: Sequence[int], rank: list[int]) -> tuple[int, list[int]]:
        following, ticks, base, pool_of = side.following, self.ticks, self.base, self.pool_of
        pending = side.pending[:]
        free = self.workers[:]
        ready: list[list[int]] = [[] for _ in free]
        for task in side.sources:
            ready[pool_of[task]].append(rank[task])
        for queue in ready:
            heapify(queue)
        finishes = [0] * self.n
        running: list[int] = []
        now = 0
        pools = range(len(free))
        cap = room = self.cap
        while True:
            while room:
                # The most urgent head of all pools that have a worker takes the next place.
                heads = [queue[0] for queue, workers in zip(ready, free, strict=True) if queue and workers]
                if not heads:
                    break
                task = order[min(heads)]
                pool = pool_of[task]
                heappop(ready[pool])
                finishes[task] = end = now + ticks[task]
                heappush(running, end * base + task)
                free[pool] -= 1
                room -= pool >= 0
            for pool in pools if not cap else STEPS:
                queue = ready[pool]
                while queue and free[pool]:
                    task = order[heappop(queue)]
                    finishes[task] = end = now + ticks[task]
                    heappush(running, end * base + task)
                    free[pool] -= 1
            if not running:
                return now, finishes
            now = running[0] // base
            later = (now + 1) * base
            while running and running[0] < later:
                task = heappop(running) % base
                free[pool_of[task]] += 1
                room += cap > 0 and pool_of[task] >= 0
                for d in following[task]:
                    if pending[d] == 1:
                        heappush(ready[pool_of[d]], rank[d])
                    else:
                        pending[d] -= 1


def _needed_edges(graph: Graph) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Dependencies and dependents of each task without those that follow from others (transitive reduction)."""
    if len(graph) > REDUCED:
        return graph.dependencies, [tuple(d) for d in graph.dependents]
    ancestors = [0] * len(graph)
    above: list[tuple[int, ...]] = [()] * len(graph)
    below: list[list[int]] = [[] for _ in ancestors]
    for task in graph.order():
        direct = further = 0
        for d in graph.dependencies[task]:
            direct |= 1 << d
            further |= ancestors[d]
        ancestors[task] = direct | further
        above[task] = tuple(d for d in graph.dependencies[task] if not further >> d & 1)
        for d in above[task]:
            below[d].append(task)
    return above, [tuple(d) for d in below]
