from __future__ import annotations

from itertools import count, pairwise
from random import Random

import pytest
from random_schedules import best_makespan, random_graph, random_graphs, violations
from worked_example import worked_example

from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.improve import CRITICAL_PATH, Plan, plan
from llmflow.scheduling.list_schedule import list_schedule


def still() -> float:
    """A clock that stands still: iterations alone end the search."""
    return 0.0


def search(graph: Graph, durations: list[float], workers: int, iterations: int = 60) -> Plan:
    return plan(graph, durations, workers, budget_s=1.0, seed=4, clock=still, iterations=iterations)


def test_a_plan_is_valid_and_never_worse_than_critical_path_nor_better_than_its_bound() -> None:
    for whole in (True, False):
        for graph, durations, seed in random_graphs(80, (0, 1, 7, 30), whole=whole):
            for workers in (0, 1, 2, 4):
                found = search(graph, durations, workers, 20)
                listed = list_schedule(graph, durations, upward_ranks(graph, durations), workers)
                assert violations(graph, durations, found.schedule, [workers]) == [], (seed, workers)
                assert found.bound.value <= found.makespan * (1 + 1e-9)
                assert found.makespan <= listed.makespan


def test_a_plan_on_several_pools_is_valid_and_never_worse_than_critical_path() -> None:
    for graph, durations, seed in random_graphs(80, (1, 7, 30), whole=False):
        dice = Random(seed)
        pool_of = [dice.choice((-1, 0, 0, 1)) for _ in durations]
        for workers in ([1, 2], [2, 0]):
            found = plan(graph, durations, workers, budget_s=1.0, seed=1, clock=still, pool_of=pool_of, iterations=15)
            listed = list_schedule(graph, durations, upward_ranks(graph, durations), workers, pool_of)
            assert violations(graph, durations, found.schedule, workers, pool_of) == [], seed
            assert found.bound.value * (1 - 1e-9) <= found.makespan <= listed.makespan


def test_small_graphs_are_planned_to_the_optimum() -> None:
    for seed in range(60):
        graph, durations = random_graph(seed, 7, density=(0.05, 0.2, 0.4)[seed % 3])
        for workers in (2, 3):
            assert search(graph, durations, workers, 2000).makespan == best_makespan(graph, durations, workers), seed


def test_graphs_with_no_idle_moment_in_their_optimum_are_planned_to_it() -> None:
    """Cut the time of each worker into tasks at random and link some that do not overlap: the optimum is known."""
    for seed in range(12):
        dice = Random(seed)
        workers, length = (2, 4, 8)[seed % 3], 60
        spans: list[tuple[int, int]] = []
        for _ in range(workers):
            cuts = sorted({0, length, *dice.sample(range(1, length), 7)})
            spans += pairwise(cuts)
        spans.sort()
        graph = Graph()
        for task, (start, _) in enumerate(spans):
            graph.add(str(task), [d for d in range(task) if spans[d][1] <= start and dice.random() < 0.1])
        durations = [float(end - start) for start, end in spans]
        assert search(graph, durations, workers, 1500).makespan == length, seed


def test_priorities_reproduce_the_plan_unless_it_idles_on_purpose() -> None:
    idle = 0
    for graph, durations, seed in random_graphs(200, (8, 14, 25)):
        found = search(graph, durations, 2)
        greedy = list_schedule(graph, durations, found.priorities, 2)
        assert (greedy.makespan > found.makespan) == found.idles, seed
        idle += found.idles
    assert idle < 20


def test_a_plan_idles_on_purpose_where_greed_costs() -> None:
    # Greedy, both workers take the long tasks at 0 and the chain behind `short` waits for one of them.
    graph = Graph.of({"head": [], "long": [], "late": [], "chain": ["head"], "end": ["chain"]})
    durations = [1.0, 6.0, 6.0, 3.0, 3.0]
    found = search(graph, durations, 2, 200)
    assert found.makespan == best_makespan(graph, durations, 2)


def test_the_same_seed_gives_the_same_plan() -> None:
    graph, durations = random_graph(5, 40, density=0.1)
    assert search(graph, durations, 3) == search(graph, durations, 3)


def test_the_budget_ends_the_search() -> None:
    graph, durations = random_graph(8, 60, density=0.35)
    ticking = count()
    found = plan(graph, durations, 4, budget_s=50.0, seed=1, clock=lambda: float(next(ticking)))
    assert next(ticking) < 70
    assert found.proved or 0 < found.iterations < 50
    nothing = plan(graph, durations, 4, budget_s=0.0, seed=1, clock=still)
    assert (nothing.iterations, nothing.method) == (0, CRITICAL_PATH)


def test_the_worked_example_is_proved_at_95_52_and_52() -> None:
    graph, durations = worked_example()
    plans = [search(graph, durations, n) for n in (1, 4, 0)]
    assert [(p.makespan, p.bound.value, p.proved) for p in plans] == [(95, 95, True), (52, 52, True), (52, 52, True)]


def test_durations_of_parts_of_seconds_leave_the_plan_exact() -> None:
    graph = Graph.of({"a": [], "b": [], "c": ["a"], "d": ["a", "b"], "e": []})
    found = search(graph, [0.1, 0.2, 0.3, 0.1, 0.7], 2)
    assert found.makespan == pytest.approx(0.7, rel=1e-15)
    assert found.proved


def test_beside_a_plan_that_idles_stands_the_best_that_an_order_alone_gives() -> None:
    idle = better = 0
    for seed in range(60):
        graph, durations = random_graph(seed, 40, density=0.2)
        found = search(graph, durations, 3, 20)
        assert list_schedule(graph, durations, found.greedy, 3).makespan == found.greedy_makespan, seed
        assert found.greedy_makespan <= list_schedule(graph, durations, upward_ranks(graph, durations), 3).makespan
        if not found.idles:
            assert found.greedy_makespan == found.makespan, seed
            continue
        idle += 1
        assert found.greedy_makespan > found.makespan, seed
        better += found.greedy_makespan < list_schedule(graph, durations, found.priorities, 3).makespan
    assert idle
    assert better


def test_parts_between_barriers_are_planned_one_behind_the_other() -> None:
    dice = Random(3)
    idle = 0
    for _ in range(12):
        graph, durations, best = Graph(), [], 0.0
        before: list[int] = []
        for _ in range(3):
            part, seconds = random_graph(dice.randrange(1000), 7, density=0.15)
            first = len(graph)
            for deps in part.dependencies:
                graph.add(str(len(graph)), before if not deps else [first + d for d in deps])
            before = [first + task for task, below in enumerate(part.dependents) if not below]
            durations += seconds
            best += best_makespan(part, seconds, 2)
        found = search(graph, durations, 2, 1500)
        assert violations(graph, durations, found.schedule, [2], [0] * len(graph)) == []
        assert found.makespan == best
        assert list_schedule(graph, durations, found.greedy, 2).makespan == found.greedy_makespan
        idle += found.idles
    assert idle < 6


def test_plans_that_greedy_passes_miss_by_one_are_found_by_placing_task_by_task() -> None:
    """Layers of nearly equal tasks: where each goes is a puzzle, and how long it takes hardly tells two plans apart."""
    for seed in (14, 16):
        dice = Random(seed)
        graph, layer = Graph(), sorted(dice.randrange(8) for _ in range(40))
        for task in range(40):
            graph.add(str(task), [d for d in range(task) if layer[d] == layer[task] - 1 and dice.random() < 0.3])
        assert search(graph, [float(dice.randint(8, 12)) for _ in range(40)], 6, 150).proved, seed
