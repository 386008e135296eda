"""List scheduling of a static graph whose durations are known: who runs when on which worker.

Greedy (Graham 1966): whenever a worker is free and a task is ready, the ready task of the highest
priority starts. It knows no events, retries or endpoints: that is the simulator's. What it gives up
in generality it returns in speed, so that a planner can afford hundreds of schedules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from llmflow.scheduling.graph import Graph


@dataclass(frozen=True, slots=True)
class Schedule:
    """Start, finish (seconds) and worker of every task.

    Workers count from 0 inside their pool, the lowest free number first; -1 for a task without a pool.
    """

    makespan: float
    starts: list[float]
    finishes: list[float]
    workers: list[int]


def ranked(priorities: Sequence[float]) -> list[int]:
    """Tasks by falling priority, ties to the smaller id."""
    return sorted(range(len(priorities)), key=priorities.__getitem__, reverse=True)


def list_schedule(
    graph: Graph,
    durations: Sequence[float],
    priorities: Sequence[float],
    workers: int | Sequence[int],
    pool_of: Sequence[int] | None = None,
    *,
    cap: int = 0,
) -> Schedule:
    """The greedy schedule of `priorities`, higher first, ties to the smaller id.

    `workers`: how many identical ones there are, 0 = unlimited. With `pool_of` it is one number per
    pool, and each pool chooses among its own ready tasks; pool -1 holds no worker. With `cap` no more than
    so many workers are busy at once, and a task of pool -1 takes no time.
    All tasks that end at one moment end before the next is chosen.
    """
    if pool_of is None:
        if not isinstance(workers, int):
            raise TypeError("several pools need pool_of")
        return _one_pool(graph, durations, priorities, workers)
    if isinstance(workers, int):
        workers = [workers]
    if cap:
        return _capped(graph, durations, priorities, workers, pool_of, cap)
    if all(p == 0 for p in pool_of):
        return _one_pool(graph, durations, priorities, workers[0] if len(workers) else 0)
    return _pools(graph, durations, priorities, workers, pool_of)


def _one_pool(graph: Graph, durations: Sequence[float], priorities: Sequence[float], workers: int) -> Schedule:
    n = len(graph)
    dependents = graph.dependents
    order = ranked(priorities)
    rank = [0] * n
    for position, task in enumerate(order):
        rank[task] = position
    pending = list(map(len, graph.dependencies))
    ready = [rank[t] for t in range(n) if not pending[t]]
    heapify(ready)
    idle = list(range(min(workers or n, n)))
    starts, finishes, held = [0.0] * n, [0.0] * n, [0] * n
    running: list[tuple[float, int]] = []
    now = 0.0
    while True:
        while ready and idle:
            task = order[heappop(ready)]
            end = now + durations[task]
            starts[task] = now
            finishes[task] = end
            held[task] = heappop(idle)
            heappush(running, (end, task))
        if not running:
            break
        now, task = heappop(running)
        while True:
            heappush(idle, held[task])
            for d in dependents[task]:
                if pending[d] == 1:
                    heappush(ready, rank[d])
                else:
                    pending[d] -= 1
            if running and running[0][0] == now:
                task = heappop(running)[1]
            else:
                break
    return Schedule(now, starts, finishes, held)


def _capped(
    graph: Graph,
    durations: Sequence[float],
    priorities: Sequence[float],
    workers: Sequence[int],
    pool_of: Sequence[int],
    cap: int,
) -> Schedule:
    from llmflow.scheduling.lean_schedule import machine_of

    machine, log = machine_of(graph, workers, pool_of, cap=cap), list[int]()
    turns = [0.0] * len(graph)
    for turn, task in enumerate(ranked(priorities)):
        turns[task] = -float(turn)
    length, starts = machine.schedule(machine.keys(turns), durations, log)
    finishes = [s + d if p >= 0 else s for s, d, p in zip(starts, durations, pool_of, strict=True)]
    return Schedule(length, starts, finishes, machine.workers(log))


def _pools(
    graph: Graph,
    durations: Sequence[float],
    priorities: Sequence[float],
    workers: Sequence[int],
    pool_of: Sequence[int],
) -> Schedule:
    n = len(graph)
    dependents = graph.dependents
    order = ranked(priorities)
    rank = [0] * n
    for position, task in enumerate(order):
        rank[task] = position
    pending = list(map(len, graph.dependencies))
    # Index -1 is the last entry: steps without a worker, as many at a time as there are tasks.
    ready: list[list[int]] = [[] for _ in range(len(workers) + 1)]
    idle = [list(range(min(w or n, n))) for w in workers] + [list(range(n))]
    for task in order:
        if not pending[task]:
            ready[pool_of[task]].append(rank[task])
    awake = {p % len(ready) for p in set(pool_of)}
    starts, finishes, held = [0.0] * n, [0.0] * n, [-1] * n
    running: list[tuple[float, int]] = []
    now = 0.0
    while True:
        for pool in awake:
            queue, free = ready[pool], idle[pool]
            while queue and free:
                task = order[heappop(queue)]
                end = now + durations[task]
                starts[task] = now
                finishes[task] = end
                held[task] = heappop(free)
                heappush(running, (end, task))
        awake.clear()
        if not running:
            break
        now = running[0][0]
        while running and running[0][0] == now:
            task = heappop(running)[1]
            heappush(idle[pool_of[task]], held[task])
            awake.add(pool_of[task])
            for d in dependents[task]:
                pending[d] -= 1
                if not pending[d]:
                    heappush(ready[pool_of[d]], rank[d])
                    awake.add(pool_of[d])
    for task, pool in enumerate(pool_of):
        if pool < 0:
            held[task] = -1
    return Schedule(now, starts, finishes, held)
