"""What the scheduler would do, without its story: for plans that are simulated hundreds of times.

Decision for decision the simulator's (`simulate`), where every attempt succeeds: the same queues, the
same ties (who became ready first), the same cap on the run, the same rounds for steps that hold no
worker and go ahead, the same holds (`idling`). A test holds the two together. No events, so an order of
magnitude faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from llmflow.scheduling.graph import Graph
from llmflow.scheduling.idling import Hold, Idling
from llmflow.scheduling.pools import CONTROL, Pool, PoolSpec
from llmflow.scheduling.tasks import STEPS_AHEAD, TaskSpec


class LeanSchedules:
    """One graph on its pools. `specs` by task; `workers` caps the run, 0 = no cap. Has no tasks of `finally`."""

    def __init__(self, graph: Graph, specs: Sequence[TaskSpec], pools: Sequence[PoolSpec], *, workers: int = 0) -> None:
        self._specs, self._pools = specs, pools
        self._n = len(graph)
        self._dependents = graph.dependents
        self._pending = list(map(len, graph.dependencies))
        self._sources = [task for task, count in enumerate(self._pending) if not count]
        self.pool_of = [spec.pools[0] for spec in specs]
        """Task → its pool, -1 for steps that hold no worker."""
        self._inline = [spec.conditional or spec.pools[0] == CONTROL for spec in specs]
        self._free = [pool.size or self._n for pool in pools]
        self._cap = workers or self._n
        self._base = 1 << (2 * self._n).bit_length()  # whoever is held back enters its queue twice

    def keys(self, priorities: Sequence[float]) -> list[int]:
        """What `schedule` orders by, smaller first: the author's priority, then `priorities`, equal ones alike."""
        wanted: list[Any] = [-p for p in priorities]
        if any(spec.priority for spec in self._specs):
            wanted = [(-spec.priority, p) for spec, p in zip(self._specs, wanted, strict=True)]
        rank = {key: i for i, key in enumerate(sorted(set(wanted)))}
        return [rank[key] * self._base for key in wanted]

    def schedule(
        self,
        keys: Sequence[int],
        durations: Sequence[float],
        log: list[int] | None = None,
        *,
        holds: Sequence[Hold] = (),
        waits: dict[int, float] | None = None,
    ) -> tuple[float, list[float]]:
        """Makespan and start of each task, in the unit of `durations`. Steps without a worker take no time.

        `log` gets, in the order of happening, t where task t takes a worker and ~t where it lets it go;
        `waits` gets how long each task was held back.
        """
        idling = Idling(holds)
        timers: list[tuple[float, int, int]] = []
        dependents, pool_of, inline, base = self._dependents, self.pool_of, self._inline, self._base
        pending, free, room = self._pending[:], self._free[:], self._cap
        queues: list[list[int]] = [[] for _ in free]
        starts = [0.0] * self._n
        entered: list[int] = []
        running: list[tuple[float, int, int]] = []
        steps: list[int] = []
        for task in self._sources:
            if inline[task]:
                steps.append(task)
            else:
                heappush(queues[pool_of[task]], keys[task] + len(entered))
                entered.append(task)
        now, started, set_so_far, only = 0.0, 0, 0, len(queues) == 1
        put_off = 0
        while True:
            put_off = put_off + 1 if steps and put_off < STEPS_AHEAD else 0
            while room and not put_off:
                if only:
                    pool = 0 if queues[0] and free[0] else -1
                else:
                    pool, head = -1, -1
                    for i, queue in enumerate(queues):
                        if queue and free[i] and (head < 0 or queue[0] < head):
                            pool, head = i, queue[0]
                if pool < 0:
                    break
                task = entered[heappop(queues[pool]) % base]
                if holds:
                    patience = idling.patience(task)
                    if patience:
                        set_so_far += 1
                        idling.keep(task, set_so_far)
                        heappush(timers, (now + patience, set_so_far, task))
                        if waits is not None:
                            waits[task] = -now
                        continue
                    for kept, _ in idling.started(task):
                        if waits is not None:
                            waits[kept] += now
                        heappush(queues[pool_of[kept]], keys[kept] + len(entered))
                        entered.append(kept)
                free[pool] -= 1
                room -= 1
                starts[task] = now
                heappush(running, (now + durations[task], started, task))
                started += 1
                if log is not None:
                    log.append(task)
            while timers and not idling.keeps(timers[0][2]):
                heappop(timers)
            if steps:
                ended, steps = steps, []
            elif running or timers:
                now = running[0][0] if not timers or (running and running[0][0] < timers[0][0]) else timers[0][0]
                ended = []
                while running and running[0][0] == now:
                    ended.append(heappop(running)[2])
                for task in ended:
                    free[pool_of[task]] += 1
                room += len(ended)
                if log is not None:
                    log.extend([~task for task in ended])
            else:
                return now, starts
            for task in ended:
                if inline[task] and not pending[task] and pool_of[task] >= 0:
                    pending[task] = -1  # its condition holds: from now on like any other
                    heappush(queues[pool_of[task]], keys[task] + len(entered))
                    entered.append(task)
                    continue
                if pool_of[task] < 0:
                    starts[task] = now
                for d in dependents[task]:
                    pending[d] -= 1
                    if not pending[d]:
                        if inline[d]:
                            steps.append(d)
                        else:
                            heappush(queues[pool_of[d]], keys[d] + len(entered))
                            entered.append(d)
            if timers and timers[0][0] <= now:
                late = timers[0][2]
                for kept in (late, *(task for task, _ in idling.give_up() if task != late)):
                    heappush(queues[pool_of[kept]], keys[kept] + len(entered))
                    entered.append(kept)
                timers.clear()

    def workers(self, log: Sequence[int]) -> list[int]:
        """Task → the worker it had inside its pool, -1 for steps without one; `log` as `schedule` gave it."""
        pools = [Pool(spec) for spec in self._pools]
        held: list[tuple[int, int]] = [(0, -1)] * self._n
        for task in log:
            if task >= 0:
                held[task] = pools[self.pool_of[task]].acquire()
            else:
                pools[self.pool_of[~task]].release(*held[~task])
        return [worker for _, worker in held]


def machine_of(
    graph: Graph,
    workers: Sequence[int],
    pool_of: Sequence[int],
    *,
    cap: int = 0,
    urgencies: Sequence[int] = (),
    conditional: Sequence[bool] = (),
) -> LeanSchedules:
    """Schedules of a graph of which nothing is known but the pool of each task and the workers of each pool.

    `urgencies`: the authors' priorities, per task; `conditional`: which tasks have a condition, all of which hold.
    """
    nothing = [0] * len(graph)
    wanted = list(zip(pool_of, urgencies or nothing, map(bool, conditional or nothing), strict=True))
    specs = {own: TaskSpec(pools=own[:1], priority=own[1], conditional=own[2]) for own in set(wanted)}
    pools = [PoolSpec(str(i), n) for i, n in enumerate(workers)]
    return LeanSchedules(graph, [specs[own] for own in wanted], pools, workers=cap)
