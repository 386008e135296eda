"""First in, first out without the simulator's memory: the same makespan, on graphs of every kind."""

from __future__ import annotations

from random import Random

import pytest

from llmflow.reports.lower_bound import lower_bound_of
from llmflow.scheduling import events as ev
from llmflow.scheduling.first_in import first_in_makespan
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.names import Names
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.realised import FanOut, realised_graph
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.sparse_rows import SparseRows
from llmflow.scheduling.state import RunState
from llmflow.scheduling.tasks import TaskSpec


def simulated(graph: Graph, durations: list[float], pool_of: list[int], pools: list[PoolSpec], workers: int) -> float:
    specs = [TaskSpec(pools=(pool,)) for pool in pool_of]
    return simulate(graph, specs, pools, durations, [0.0] * len(graph), workers=workers, keep_story=False).makespan


@pytest.mark.parametrize("seed", range(60))
def test_it_takes_as_long_as_the_simulator_says(seed: int) -> None:
    dice = Random(seed)
    count = dice.randint(0, 60)
    edges = {str(t): [str(d) for d in range(t) if dice.random() < dice.choice([0.05, 0.3])] for t in range(count)}
    graph = Graph.of(edges)
    pools = [PoolSpec(f"p{i}", dice.choice([0, 1, 2, 5])) for i in range(dice.randint(1, 3))]
    pool_of = [dice.randint(CONTROL, len(pools) - 1) for _ in range(count)]
    durations = [dice.choice([0.0, 0.25, 1.0, dice.random() * 3]) if pool >= 0 else 0.0 for pool in pool_of]
    workers = dice.choice([0, 0, 1, 3])
    assert first_in_makespan(graph, durations, pool_of, pools, workers) == simulated(
        graph, durations, pool_of, pools, workers
    )


@pytest.mark.parametrize(("sizes", "takes"), [((0,), 6.0), ((3, 0), 6.0)])
def test_items_that_may_not_all_be_under_way_come_one_after_the_other(sizes: tuple[int, ...], takes: float) -> None:
    graph = Graph.of({"beside": [], **{f"each[{k}]": [] for k in range(5)}, "last": ["each[4]"]})
    pools = [PoolSpec(f"p{i}", size) for i, size in enumerate(sizes)]
    fan_outs = [FanOut(2, [range(1, 3), range(3, 6)])]
    durations = [2.0, 1.0, 2.0, 2.0, 2.0, 2.0, 1.0]
    assert first_in_makespan(graph, durations, [0] * 7, pools, 0, fan_outs) == takes
    assert first_in_makespan(graph, durations, [0] * 7, pools, 0) == {1: 3.0, 2: 5.0}[len(sizes)]
    assert lower_bound_of(graph, durations, [0] * 7, pools, 0, fan_outs).value >= 4.5


def test_a_graph_that_has_grown_reads_like_one_of_plain_edges() -> None:
    graph = Graph.of({"first": [], "each": ["first"], "last": ["each"]})
    state = RunState(graph)
    for at, size in ((1.0, 3), (2.0, 2)):
        first = len(graph)
        for key in range(first - 3, first - 3 + size):
            graph.add_item(1, str(key), 1)
        state.apply(ev.TasksAdded(at, 1, first, size))
    grown = realised_graph(state)
    items = [3, 4, 5, 6, 7]
    assert list(state.grown) == [(3, 5, 1)]
    assert [list(row) for row in grown.dependencies] == [[], [0, *items], [1], *([0] for _ in items)]
    assert [list(row) for row in grown.dependents] == [[1, *items], [2], [], *([1] for _ in items)]
    assert list(grown.order()) == [0, *items, 1, 2]


def test_an_item_that_came_from_another_waited_for_it() -> None:
    graph = Graph.of({"one": [], "two": ["one"]})
    graph.flows = {1: 0}
    state = RunState(graph)
    graph.add_item(0, "a", 0)
    state.apply(ev.TasksAdded(1.0, 0, 2, 1))
    graph.add_item(1, "a", 1, (2,))
    state.apply(ev.TasksAdded(2.0, 1, 3, 1))
    graph.add_item(1, "b", 1, (2, 3))
    state.apply(ev.TasksAdded(3.0, 1, 4, 1))
    assert [list(row) for row in realised_graph(state).dependencies] == [[2], [0, 3, 4], [], [2], [2, 3]]


def test_names_of_items_read_like_those_that_are_written() -> None:
    names = Names(["first", "each"])
    keys = (
        "0",
        "17",
        "007",
        "a b",
        "99999999999",
        "\u0663",
        "0.0",
        "2.17",
        "30.67108863",
        "30.67108864",
        "31.0",
        "1.02",
    )
    for key in (*keys, ".5", "5.", "1.2.3"):
        names.append_item(1, key)
    names.append("each[x]/inner")
    names.append_item(17, "2")
    expected = ["first", "each", "each[0]", "each[17]", "each[007]", "each[a b]", "each[99999999999]", "each[\u0663]"]
    expected += ["each[0.0]", "each[2.17]", "each[30.67108863]", "each[30.67108864]", "each[31.0]", "each[1.02]"]
    expected += ["each[.5]", "each[5.]", "each[1.2.3]", "each[x]/inner", "each[x]/inner[2]"]
    assert (list(names), names[2:4], names[-1], names[-9], len(names)) == (
        expected,
        expected[2:4],
        expected[-1],
        expected[-9],
        19,
    )
    assert names == expected
    with pytest.raises(IndexError):
        names[19]
    with pytest.raises(IndexError):
        names[-20]


def test_rows_that_are_mostly_empty_read_like_a_list() -> None:
    dice = Random(1)
    nobody: list[int] = []
    plain: list[list[int]] = [[1], nobody, [2, 3]]
    rows = SparseRows([[1], nobody, [2, 3]], nobody)
    for n in range(3_000):
        row = [n] if 700 <= n < 710 or n == 2_999 else nobody
        plain.append(row)
        rows.append(row)
        if n % 500 == 0:
            place = dice.randrange(len(plain))
            plain[place] = rows[place] = [-n]
    assert (rows, len(rows), rows[-1], rows[700:720:3]) == (plain, 3_003, [2_999], plain[700:720:3])
    assert [rows[n] for n in range(len(rows))] == plain
    for outside in (3_003, -3_004):
        with pytest.raises(IndexError):
            rows[outside]
    with pytest.raises(IndexError):
        rows[3_003] = [1]
