from __future__ import annotations

from random import Random

from random_schedules import best_makespan, random_graph, random_graphs
from worked_example import worked_example

from llmflow.scheduling.barriers import parts
from llmflow.scheduling.bounds import Bound, lower_bound, pooled_lower_bound
from llmflow.scheduling.earliest import heads_and_tails
from llmflow.scheduling.graph import Graph, timing, upward_ranks
from llmflow.scheduling.list_schedule import list_schedule


def test_no_schedule_is_shorter_than_the_bound() -> None:
    for graph, durations, seed in random_graphs(300, (1, 6, 25, 60), whole=False):
        dice = Random(seed)
        for workers in (0, 1, 2, 3, 8):
            bound = lower_bound(graph, durations, workers).value
            for priorities in (upward_ranks(graph, durations), [dice.random() for _ in durations]):
                makespan = list_schedule(graph, durations, priorities, workers).makespan
                assert bound <= makespan * (1 + 1e-9), (seed, workers)


def test_the_bound_never_passes_the_optimum_and_often_meets_it() -> None:
    met = tried = 0
    for seed in range(60):
        graph, durations = random_graph(seed, 7, density=(0.05, 0.3)[seed % 2])
        for workers in (2, 3):
            optimum = best_makespan(graph, durations, workers)
            bound = lower_bound(graph, durations, workers).value
            assert bound <= optimum, (seed, workers)
            met += bound == optimum
            tried += 1
    assert met / tried > 0.85


def test_no_schedule_on_several_pools_is_shorter_than_the_bound() -> None:
    for graph, durations, seed in random_graphs(300, (1, 6, 25, 60), whole=False):
        dice = Random(seed)
        pool_of = [dice.choice((-1, 0, 0, 1)) for _ in durations]
        for workers in ([1, 2], [2, 0], [3, 1]):
            bound = pooled_lower_bound(graph, durations, pool_of, workers).value
            makespan = list_schedule(graph, durations, upward_ranks(graph, durations), workers, pool_of).makespan
            assert timing(graph, durations).length <= bound * (1 + 1e-9)
            assert bound <= makespan * (1 + 1e-9), (seed, workers)


def test_the_kind_says_which_argument_gave_the_bound() -> None:
    chain = Graph.of({"a": [], "b": ["a"], "c": ["b"]})
    assert lower_bound(chain, [1.0, 2.0, 3.0], 2) == Bound(6.0, "critical path")
    apart = Graph.of({name: [] for name in "abcde"})
    assert lower_bound(apart, [1.0, 2.0, 3.0, 1.0, 1.0], 2) == Bound(4.0, "work")
    # Four tasks of 3 behind a head of 2: two workers need 6 after it, though path and work say 5 and 7.
    fan = Graph.of({"head": [], **{name: ["head"] for name in "abcd"}})
    assert lower_bound(fan, [2.0, 3.0, 3.0, 3.0, 3.0], 2) == Bound(8.0, "interval")
    assert lower_bound(fan, [2.0, 3.0, 3.0, 3.0, 3.0], 2, interval=False) == Bound(7.0, "work")


def test_one_worker_must_take_two_of_three_whole_tasks() -> None:
    apart = Graph.of({"head": [], **{name: ["head"] for name in "abc"}, "tail": ["a", "b", "c"]})
    assert lower_bound(apart, [1.0, 5.0, 4.0, 3.0, 2.0], 2) == Bound(10.0, "interval")
    many = Graph.of({name: [] for name in "abcde"})
    assert lower_bound(many, [4.0, 4.0, 4.0, 4.0, 4.0], 2) == Bound(12.0, "interval")


def test_unlimited_workers_and_an_empty_graph_have_their_bound_too() -> None:
    graph, durations = worked_example()
    assert lower_bound(Graph(), [], 4) == Bound(0.0, "critical path")
    assert [lower_bound(graph, durations, n) for n in (0, 1, 4)] == [
        Bound(52.0, "critical path"),
        Bound(95.0, "work"),
        Bound(52.0, "critical path"),
    ]


def test_a_bound_of_whole_numbers_is_rounded_up_and_of_parts_is_not() -> None:
    apart = Graph.of({name: [] for name in "abc"})
    assert lower_bound(apart, [1.0, 1.0, 1.0], 2) == Bound(2.0, "work")
    assert lower_bound(apart, [0.5, 0.5, 0.5], 2, interval=False) == Bound(0.75, "work")
    assert lower_bound(apart, [0.0, 0.0, 0.0], 2) == Bound(0.0, "critical path")


def test_a_pool_is_bounded_by_its_own_work_on_its_own_workers() -> None:
    apart = Graph.of({name: [] for name in "abcdef"})
    durations = [4.0, 4.0, 4.0, 1.0, 1.0, 9.0]
    assert pooled_lower_bound(apart, durations, [0, 0, 0, 1, 1, -1], [1, 1]) == Bound(12.0, "work")
    assert pooled_lower_bound(apart, durations, [0, 0, 0, 1, 1, -1], [0, 1]) == Bound(9.0, "critical path")


def test_a_large_graph_is_bounded_from_a_sample_of_its_windows() -> None:
    graph, durations = random_graph(3, 700, density=0.01)
    for workers in (4, 16):
        bound = lower_bound(graph, durations, workers).value
        makespan = list_schedule(graph, durations, upward_ranks(graph, durations), workers).makespan
        assert lower_bound(graph, durations, workers, interval=False).value <= bound <= makespan


def test_bounds_add_up_over_barriers() -> None:
    # Three tasks of 2 on two workers take 4, twice over; work alone says 6 for both, a window no more than 7.
    edges: dict[str, list[str]] = {name: [] for name in "abc"} | {name: list("abc") for name in "def"}
    graph = Graph.of(edges)
    durations = [2.0] * 6
    assert parts(graph) == [[0, 1, 2], [3, 4, 5]]
    assert lower_bound(graph, durations, 2) == Bound(8.0, "barriers")
    assert list_schedule(graph, durations, [0.0] * 6, 2).makespan == 8.0
    through = Graph.of({name: [] for name in "abc"} | {"gate": list("abc")} | {name: ["gate"] for name in "def"})
    assert parts(through) == [[0, 1, 2], [3], [4, 5, 6]]
    assert lower_bound(through, [2.0, 2.0, 2.0, 0.5, 2.0, 2.0, 2.0], 2) == Bound(8.5, "barriers")


def test_barriers_stand_where_all_of_one_side_is_above_all_of_the_other() -> None:
    several = 0
    for graph, _, seed in random_graphs(200, (1, 6, 12, 25)):
        above: list[set[int]] = []
        for deps in graph.dependencies:
            above.append(set(deps).union(*(above[d] for d in deps)))
        found = parts(graph)
        assert sorted(task for group in found for task in group) == list(range(len(graph)))
        before: set[int] = set()
        for group in found:
            assert all(before <= above[task] for task in group), seed
            before |= set(group)
        # No other cut is left out: sizes of all sides above which everything else lies, by trying each task's place.
        order = sorted(range(len(graph)), key=lambda task: len(above[task]))
        cuts = [k for k in range(1, len(order)) if all(set(order[:k]) <= above[task] for task in order[k:])]
        assert len(found) == len(cuts) + 1, seed
        several += len(found) > 2
    assert several > 20


def test_a_join_waits_until_its_ancestors_have_shared_their_workers_across_pools() -> None:
    graph = Graph.of({"a": [], "b": [], "join": ["a", "b"], "c": ["join"], "d": ["join"], "aside": []})
    durations, pool_of = [3.0, 3.0, 2.0, 2.0, 2.0, 1.0], [0, 0, 1, 1, 1, 2]
    # One worker each: `join` cannot start before 6, though every path to it takes 3; then three twos go one by one.
    assert pooled_lower_bound(graph, durations, pool_of, [1, 1, 0]) == Bound(12.0, "interval")
    assert pooled_lower_bound(graph, durations, pool_of, [1, 1, 0], shared=False) == Bound(10.0, "interval")


def test_heads_and_tails_count_whole_rounds_and_the_way_that_is_left() -> None:
    # Three twos on two workers take two rounds; the way from each to the join leads through `on`, `by` or `up`.
    graph = Graph.of(
        {"a": [], "b": [], "c": [], "on": ["a"], "by": ["b"], "up": ["c"], "join": ["on", "by", "up"], "end": ["join"]}
    )
    durations = [2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 4.0, 5.0]
    heads, tails = heads_and_tails(graph, durations, [0, 0, 0, 1, 1, 1, 1, 1], [2, 0])
    assert heads == [0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 5.0, 9.0]
    assert tails == [12.0, 12.0, 12.0, 10.0, 10.0, 10.0, 9.0, 5.0]
