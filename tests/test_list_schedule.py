from __future__ import annotations

from collections.abc import Sequence
from random import Random

from random_schedules import random_graphs, violations
from worked_example import worked_example

from llmflow.scheduling.graph import Graph, timing, upward_ranks
from llmflow.scheduling.list_schedule import Schedule, list_schedule


def step_by_step(
    graph: Graph,
    durations: Sequence[float],
    priorities: Sequence[float],
    workers: Sequence[int],
    pool_of: Sequence[int],
) -> Schedule:
    """List scheduling as it is defined, without a heap: at each moment look at everything."""
    n = len(graph)
    starts, finishes, held = [-1.0] * n, [-1.0] * n, [-1] * n
    now = 0.0
    while True:
        busy = {(pool_of[t], held[t]) for t in range(n) if starts[t] >= 0 and finishes[t] > now}
        ended = [t for t in range(n) if starts[t] >= 0 and finishes[t] <= now]
        ready = [t for t in range(n) if starts[t] < 0 and all(d in ended for d in graph.dependencies[t])]
        at_once = False
        for task in sorted(ready, key=lambda t: (-priorities[t], t)):
            pool = pool_of[task]
            room = n if pool < 0 or not workers[pool] else workers[pool]
            free = [w for w in range(room) if (pool, w) not in busy]
            if free:
                held[task] = -1 if pool < 0 else free[0]
                busy |= {(pool, held[task])} if pool >= 0 else set()
                starts[task], finishes[task] = now, now + durations[task]
                at_once = at_once or not durations[task]
        if at_once:
            continue
        later = [f for f in finishes if f > now]
        if not later:
            return Schedule(max(finishes, default=0.0), starts, finishes, held)
        now = min(later)


def test_the_fast_kernel_gives_the_schedule_of_the_definition() -> None:
    for graph, durations, seed in random_graphs(120, (0, 1, 5, 9, 17)):
        dice = Random(seed)
        priorities = [float(dice.randint(0, 4)) for _ in durations]
        for workers in (0, 1, 2, 3):
            expected = step_by_step(graph, durations, priorities, [workers], [0] * len(graph))
            assert list_schedule(graph, durations, priorities, workers) == expected, (seed, workers)


def test_each_pool_chooses_among_its_own_ready_tasks() -> None:
    for graph, durations, seed in random_graphs(120, (1, 5, 9, 17)):
        dice = Random(seed)
        priorities = [float(dice.randint(0, 4)) for _ in durations]
        pool_of = [dice.choice((-1, 0, 0, 1, 2)) for _ in durations]
        for workers in ([1, 2, 0], [2, 1, 3], [0, 0, 0]):
            schedule = list_schedule(graph, durations, priorities, workers, pool_of)
            assert schedule == step_by_step(graph, durations, priorities, workers, pool_of), (seed, workers)
            assert violations(graph, durations, schedule, workers, pool_of) == []


def test_one_pool_is_the_same_with_and_without_naming_it() -> None:
    for graph, durations, _ in random_graphs(40, (6, 30)):
        ranks = upward_ranks(graph, durations)
        named = list_schedule(graph, durations, ranks, [2, 5], [0] * len(graph))
        assert named == list_schedule(graph, durations, ranks, 2)
        beside = list_schedule(graph, durations, ranks, [5, 2], [1] * len(graph))
        assert beside == named


def test_a_greedy_schedule_keeps_the_guarantee_of_graham() -> None:
    for graph, durations, seed in random_graphs(200, (1, 8, 40), whole=False):
        path = timing(graph, durations).length
        for workers in (1, 2, 4):
            schedule = list_schedule(graph, durations, upward_ranks(graph, durations), workers)
            assert violations(graph, durations, schedule, [workers]) == [], seed
            guarantee = sum(durations) / workers + path * (workers - 1) / workers
            assert path - 1e-9 <= schedule.makespan <= guarantee + 1e-9


def test_unlimited_workers_take_as_long_as_the_critical_path() -> None:
    for graph, durations, _ in random_graphs(60, (1, 8, 40), whole=False):
        schedule = list_schedule(graph, durations, [0.0] * len(graph), 0)
        assert abs(schedule.makespan - timing(graph, durations).length) < 1e-9


def test_the_worked_example_takes_95_62_52_and_52() -> None:
    graph, durations = worked_example()
    ranks = upward_ranks(graph, durations)
    as_written = [0.0] * len(graph)
    assert [
        list_schedule(graph, durations, ranks, 1).makespan,
        list_schedule(graph, durations, ranks, 4).makespan,
        list_schedule(graph, durations, as_written, 0).makespan,
    ] == [95.0, 52.0, 52.0]
