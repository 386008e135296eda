from __future__ import annotations

import itertools
from graphlib import CycleError as StdlibCycle
from graphlib import TopologicalSorter
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_scenarios
from worked_example import worked_example

from llmflow.scheduling.graph import CycleError, Graph, timing, upward_ranks


def test_edges_may_be_written_in_any_order_and_twice() -> None:
    graph = Graph.of({"c": ["b", "a", "b"], "b": ["a"], "a": []})
    assert (graph.names, graph.dependencies, graph.dependents, list(graph.order())) == (
        ["c", "b", "a"],
        [(1, 2), (2,), ()],
        [[], [0], [0, 1]],
        [2, 1, 0],
    )


def test_a_graph_grows_behind_what_it_has() -> None:
    graph = Graph.of({"a": [], "b": ["a"]})
    assert graph.add("c", [1, 0, 1]) == 2
    assert (len(graph), graph.dependencies, graph.dependents) == (3, [(), (0,), (1, 0)], [[1, 2], [2], []])


@pytest.mark.parametrize("dependencies", [[0], [1], [-1]])
def test_a_task_cannot_be_added_behind_itself_or_behind_nothing(dependencies: list[int]) -> None:
    graph = Graph()
    with pytest.raises(IndexError, match="a: a dependency is not in the graph"):
        graph.add("a", dependencies)
    assert len(graph) == 0


def test_an_unknown_dependency_is_refused() -> None:
    with pytest.raises(KeyError, match="ghost"):
        Graph.of({"a": ["ghost"]})


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"x": [], "a": ["c", "x"], "b": ["a"], "c": ["b"], "end": ["c"]}, ["a", "b", "c", "a"]),
        ({"end": ["b"], "b": ["c"], "c": ["b"]}, ["b", "c", "b"]),
    ],
)
def test_a_cycle_is_named_whole_in_the_order_of_its_edges(edges: dict[str, list[str]], cycle: list[str]) -> None:
    with pytest.raises(CycleError) as caught:
        Graph.of(edges)
    assert (caught.value.cycle, str(caught.value)) == (cycle, " -> ".join(cycle))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.integers(0, 9), st.sets(st.integers(0, 9), max_size=3), min_size=1))
def test_a_graph_has_a_cycle_exactly_where_graphlib_says_so_and_it_is_a_real_one(edges: dict[int, set[int]]) -> None:
    named = {str(t): [str(d) for d in sorted(ds) if d in edges] for t, ds in edges.items()}
    try:
        list(TopologicalSorter(named).static_order())
    except StdlibCycle:
        with pytest.raises(CycleError) as caught:
            Graph.of(named)
        cycle = caught.value.cycle
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(before in named[after] for before, after in itertools.pairwise(cycle))
    else:
        place = {t: i for i, t in enumerate(Graph.of(named).order())}
        graph = Graph.of(named)
        assert all(place[d] < place[t] for t, ds in enumerate(graph.dependencies) for d in ds)


def test_the_worked_example_has_a_critical_path_of_52() -> None:
    graph, durations = worked_example()
    times = timing(graph, durations)
    assert times.length == 52.0
    assert [graph.names[t] for t in times.path] == ["S1", "Gate", "C1", "C2", "C3", "End"]
    assert dict(zip(graph.names, times.upward, strict=True)) == {
        **{f"S{i}": 52.0 for i in range(1, 5)},
        **{f"M{i}": 10.0 for i in range(1, 9)},
        "Gate": 51.0,
        "C1": 50.0,
        "C2": 30.0,
        "C3": 15.0,
        "End": 5.0,
    }
    assert [times.slack(t) for t, name in enumerate(graph.names) if name[0] == "M"] == [42.0] * 8
    assert [times.slack(t) for t in times.path] == [0.0] * 6


def test_ranks_slack_and_path_agree_with_one_another() -> None:
    for scenario in random_scenarios(200):
        graph, durations = scenario.graph, scenario.durations
        times = timing(graph, durations)
        assert times.upward == upward_ranks(graph, durations)
        assert sum(durations[t] for t in times.path) == times.length
        assert all(b in graph.dependents[a] for a, b in zip(times.path, times.path[1:], strict=False))
        for task in range(len(graph)):
            below = max((times.upward[d] for d in graph.dependents[task]), default=0.0)
            above = max((times.earliest[d] + durations[d] for d in graph.dependencies[task]), default=0.0)
            assert (times.upward[task], times.earliest[task]) == (durations[task] + below, above)
            assert times.earliest[task] + times.upward[task] <= times.length


def test_a_graph_without_tasks_and_one_without_durations_have_no_length() -> None:
    assert timing(Graph(), []).length == 0.0
    nothing = timing(Graph.of({"a": [], "b": ["a"]}), [0.0, 0.0])
    assert (nothing.length, nothing.path, nothing.slack(0)) == (0.0, [0, 1], 0.0)


def test_a_chain_of_100_000_tasks_does_not_recurse() -> None:
    graph = Graph()
    for task in range(100_000):
        graph.add(str(task), [task - 1] if task else [])
    assert timing(graph, [1.0] * 100_000).length == 100_000.0
    ends = Graph.of({str(t): [str((t + 1) % 100_000)] for t in range(99_999)} | {"99999": []})
    assert list(ends.order()[:2]) == [99_999, 99_998]


def test_an_endless_task_makes_an_endless_path() -> None:
    assert timing(Graph.of({"a": [], "b": ["a"]}), [inf, 1.0]).upward == [inf, 1.0]
