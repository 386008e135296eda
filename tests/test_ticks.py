from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from random import Random

from random_schedules import best_makespan, random_graph, random_graphs

from llmflow.scheduling.graph import Graph
from llmflow.scheduling.ticks import TickSchedules


def wrong_with(graph: Graph, search: TickSchedules, finishes: Sequence[int], mirrored: int) -> list[str]:
    """Tasks that begin too early, and moments at which a pool has more of them than workers."""
    starts = [end - own for end, own in zip(finishes, search.ticks, strict=True)]
    before = [tuple(d) for d in graph.dependents] if mirrored else graph.dependencies
    found = [f"{t} before {d}" for t, deps in enumerate(before) for d in deps if starts[t] < finishes[d]]
    for pool, workers in enumerate(search.workers[:-1]):
        own = [t for t, p in enumerate(search.pool_of) if p == pool]
        for moment in {starts[t] for t in own}:
            if sum(starts[t] <= moment < finishes[t] for t in own) > workers:
                found.append(f"more than {workers} at {moment}")
    return found


def test_tasks_that_are_placed_one_by_one_make_a_valid_schedule_in_any_order() -> None:
    for graph, durations, seed in random_graphs(80, (1, 7, 30)):
        dice = Random(seed)
        pool_of = [dice.choice((-1, 0, 0, 1)) for _ in durations]
        for pools, workers in ((pool_of, [2, 1]), (pool_of, [1, 0]), ([0] * len(durations), [3])):
            search = TickSchedules(graph, durations, pools, workers)
            order = dice.sample(range(len(durations)), len(durations))
            for mirrored in (0, 1):
                length, finishes = search.serial(mirrored, order)
                assert wrong_with(graph, search, finishes, mirrored) == [], seed
                assert length == max(finishes)


def test_tasks_placed_in_the_order_of_a_schedule_begin_no_later_than_there() -> None:
    for graph, durations, seed in random_graphs(60, (7, 30)):
        search = TickSchedules(graph, durations, [0] * len(durations), [3])
        order = Random(seed).sample(range(len(durations)), len(durations))
        for mirrored in (0, 1):
            _, finishes = search.serial(mirrored, order)
            place = [graph.order().index(t) * (-1) ** mirrored for t in range(len(durations))]
            # A task without length shares its moment with one that follows on the same worker: it goes first.
            key = [(f - own, own > 0, at) for f, own, at in zip(finishes, search.ticks, place, strict=True)]
            again = search.serial(mirrored, sorted(range(len(durations)), key=key.__getitem__))[1]
            assert all(a <= f for a, f in zip(again, finishes, strict=True)), seed


def test_some_order_of_placing_gives_the_optimum_where_greed_gives_it_in_none() -> None:
    greed_fails = 0
    for seed in range(180, 210):
        graph, durations = random_graph(seed, 6, density=0.25)
        search = TickSchedules(graph, durations, [0] * 6, [2])
        orders = list(permutations(range(6)))
        best = best_makespan(graph, durations, 2)
        assert min(search.serial(0, order)[0] for order in orders) == best, seed
        greed_fails += min(search.schedule(0, order)[0] for order in orders) > best
    assert greed_fails
