"""First in, first out: how long a run would have taken without any priorities, on the very same seconds.

Decision for decision the simulator's (`simulate`) where all priorities are equal; a test holds the two
together. A queue without priorities is a list in the order of entering, so everything fits into columns
of integers: 20 bytes a task, where the simulator takes 500.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush

from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.realised import FanOut


def first_in_makespan(
    graph: Graph,
    durations: Sequence[float],
    pool_of: Sequence[int],
    pools: Sequence[PoolSpec],
    workers: int = 0,
    fan_outs: Sequence[FanOut] = (),
) -> float:
    """Seconds. `pool_of[t]` is -1 for a step that holds no worker and takes no time; `workers` caps the run.

    Items of `fan_outs` queue when one before them has let go of its worker.
    """
    if not workers and not fan_outs and not any(pool.size for pool in pools):
        return _unlimited(graph, durations, pool_of)
    return _Queues(graph, durations, pool_of, pools, workers, fan_outs).makespan()


def _unlimited(graph: Graph, durations: Sequence[float], pool_of: Sequence[int]) -> float:
    """Nobody waits for a worker."""
    starts = array("d", bytes(8 * len(graph)))
    last = 0.0
    for task in graph.order():
        end = starts[task] + (durations[task] if pool_of[task] >= 0 else 0.0)
        last = max(last, end)
        for d in graph.dependents[task]:
            if end > starts[d]:
                starts[d] = end
    return last


class _Queues:
    def __init__(
        self,
        graph: Graph,
        durations: Sequence[float],
        pool_of: Sequence[int],
        pools: Sequence[PoolSpec],
        workers: int,
        fan_outs: Sequence[FanOut],
    ) -> None:
        self._dependents, self._durations, self._pool_of = graph.dependents, durations, pool_of
        self._pending = array("i", map(len, graph.dependencies))
        self._free = [pool.size or len(graph) for pool in pools]
        self._room = workers or len(graph)
        self._queues = [array("i") for _ in pools]
        self._entries = [array("i") for _ in pools]
        """Per pool: the places in the order of entering over all pools."""
        self._heads = [0] * len(pools)
        self._entered = 0
        self._steps: list[int] = []
        self._fan_out_of = {t: number for number, each in enumerate(fan_outs) for ids in each.items for t in ids}
        self._places = [each.cap for each in fan_outs]
        """Per fan-out: how many more of its items may queue or hold a worker."""
        self._waiting: list[deque[int]] = [deque() for _ in fan_outs]

    def makespan(self) -> float:
        running: list[tuple[float, int, int]] = []
        now, started = 0.0, 0
        for task, count in enumerate(self._pending):
            if not count:
                self._enter(task)
        while True:
            while self._room and (pool := self._oldest()) >= 0:
                task = self._queues[pool][self._heads[pool]]
                self._heads[pool] += 1
                self._free[pool] -= 1
                self._room -= 1
                heappush(running, (now + self._durations[task], started, task))
                started += 1
            ended = self._steps
            self._steps = []
            if not ended:
                if not running:
                    return now
                now, _, task = heappop(running)
                ended = [task]
                while running and running[0][0] == now:
                    ended.append(heappop(running)[2])
                for task in ended:
                    self._free[self._pool_of[task]] += 1
                self._room += len(ended)
                if self._places:
                    self._let_follow(ended)
            self._settle(ended)

    def _oldest(self) -> int:
        """The pool with room whose head has waited longest, -1 where there is none."""
        best, oldest = -1, 0
        for pool, head in enumerate(self._heads):
            entries = self._entries[pool]
            if head < len(entries) and self._free[pool] and (best < 0 or entries[head] < oldest):
                best, oldest = pool, entries[head]
        return best

    def _settle(self, ended: Sequence[int]) -> None:
        pending = self._pending
        for task in ended:
            for d in self._dependents[task]:
                pending[d] -= 1
                if not pending[d]:
                    self._enter(d)

    def _let_follow(self, ended: Sequence[int]) -> None:
        """Items that waited for these, of which no more might be under way, may queue now."""
        for task in ended:
            fan_out = self._fan_out_of.get(task, -1)
            if fan_out >= 0:
                self._places[fan_out] += 1
                if self._waiting[fan_out]:
                    self._enter(self._waiting[fan_out].popleft())

    def _enter(self, task: int) -> None:
        pool = self._pool_of[task]
        if pool < 0:
            self._steps.append(task)
            return
        fan_out = self._fan_out_of.get(task, -1) if self._places else -1
        if fan_out >= 0:
            if not self._places[fan_out]:
                self._waiting[fan_out].append(task)
                return
            self._places[fan_out] -= 1
        self._queues[pool].append(task)
        self._entries[pool].append(self._entered)
        self._entered += 1
