"""The plan report: the worked example word for word, and large, wide and empty graphs."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from small_graphs import graphs
from worked_example import EDGES, worked_example

from llmflow.reports.gantt_text import Block, render_gantt
from llmflow.reports.graph_text import render_graph
from llmflow.reports.plan import Plan, make_plan
from llmflow.reports.plan_json import plan_json
from llmflow.reports.plan_text import render_plan
from llmflow.sanitise import width
from llmflow.scheduling.estimates import Estimate, Source
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.tasks import TaskSpec


def belief(mean: float, sd: float = 0.0, source: Source = "author", samples: int = 0) -> Estimate:
    return Estimate(mean, sd, source, samples)


def plan_of_the_worked_example(policy: str = "critical-path", workers: int = 4) -> Plan:
    graph, durations = worked_example()
    specs = [TaskSpec(pools=(0,))] * len(graph)
    beliefs = [belief(d) for d in durations]
    pools, compare = [PoolSpec("sim", workers)], ["critical-path", "fifo"]
    return make_plan(graph, specs, pools, beliefs, policy=policy, compare=compare, name="worked_example")


def test_the_plan_of_the_worked_example() -> None:
    assert render_plan(plan_of_the_worked_example()) == (
        "worked_example: 17 tasks; workers: sim × 4\n"
        "\n"
        "0  S1, S2, S3, S4, M1, M2, M3, M4, M5, M6, M7, M8\n"
        "1  Gate ← S1, S2, S3, S4\n"
        "2  C1 ← Gate\n"
        "3  C2 ← C1\n"
        "4  C3 ← C2\n"
        "5  End ← C3, M1, M2, M3, M4, M5, M6, M7, M8\n"
        "\n"
        "   TASK   RANK  SLACK  START  FINISH  WORKER  ESTIMATE  FROM\n"
        "*  S1    52.00   0.00   0.00    1.00  sim/0       1.00  author\n"
        "   S2    52.00   0.00   0.00    1.00  sim/1       1.00  author\n"
        "   S3    52.00   0.00   0.00    1.00  sim/2       1.00  author\n"
        "   S4    52.00   0.00   0.00    1.00  sim/3       1.00  author\n"
        "*  Gate  51.00   0.00   1.00    2.00  sim/0       1.00  author\n"
        "*  C1    50.00   0.00   2.00   22.00  sim/0      20.00  author\n"
        "*  C2    30.00   0.00  22.00   37.00  sim/0      15.00  author\n"
        "*  C3    15.00   0.00  37.00   47.00  sim/0      10.00  author\n"
        "   M1    10.00  42.00   1.00    6.00  sim/1       5.00  author\n"
        "   M2    10.00  42.00   1.00    6.00  sim/2       5.00  author\n"
        "   M3    10.00  42.00   1.00    6.00  sim/3       5.00  author\n"
        "   M4    10.00  42.00   6.00   11.00  sim/1       5.00  author\n"
        "   M5    10.00  42.00   6.00   11.00  sim/2       5.00  author\n"
        "   M6    10.00  42.00   6.00   11.00  sim/3       5.00  author\n"
        "   M7    10.00  42.00  11.00   16.00  sim/1       5.00  author\n"
        "   M8    10.00  42.00  11.00   16.00  sim/2       5.00  author\n"
        "*  End    5.00   0.00  47.00   52.00  sim/0       5.00  author\n"
        "\n"
        "critical path  S1 → Gate → C1 → C2 → C3 → End = 52.00 s\n"
        "makespan       critical-path     52.00 s  (chosen)\n"
        "               fifo              62.00 s\n"
        "               one worker        95.00 s\n"
        "               unlimited workers 52.00 s\n"
        "lower bound    52.00 s (critical path); ratio of makespan to lower bound 1.000\n"
        "\n"
        "sim/0  │S│G│C1────────────────────────────────│C2────────────────────────│C3───────────────│End─────\n"
        "sim/1  │S│M1──────│M4──────│M7──────································································\n"
        "sim/2  │S│M2──────│M5──────│M8──────································································\n"
        "sim/3  │S│M3──────│M6──────·········································································\n"
        "       0                                                                                     52.00 s"
    )


@pytest.mark.parametrize(
    ("policy", "workers", "makespan"),
    [("critical-path", 1, 95.0), ("fifo", 4, 62.0), ("critical-path", 4, 52.0), ("critical-path", 0, 52.0)],
)
def test_the_worked_example_planned_the_four_ways(policy: str, workers: int, makespan: float) -> None:
    plan = plan_of_the_worked_example(policy, workers)
    assert plan.makespan == plan.policies[policy] == makespan
    assert plan.critical_path == ("S1", "Gate", "C1", "C2", "C3", "End")
    assert (plan.one_worker, plan.unlimited) == (95.0, 52.0)


def test_plan_json_has_the_promised_keys() -> None:
    record = plan_json(plan_of_the_worked_example())
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    schedule, tasks = record.pop("schedule"), record.pop("tasks")
    assert record == {
        "schema": "llmflow.plan/1",
        "name": "worked_example",
        "policy": "critical-path",
        "decision": {"order": "critical-path", "reason": "", "samples": 0, "evidence": []},
        "makespan": 52.0,
        "p10": 52.0,
        "p50": 52.0,
        "p90": 52.0,
        "samples": 1,
        "lower_bound": 52.0,
        "lower_bound_kind": "critical path",
        "ratio": 1.0,
        "policies": {"critical-path": 52.0, "fifo": 62.0},
        "forecasts": {
            "critical-path": {"mean": 52.0, "p10": 52.0, "p50": 52.0, "p90": 52.0},
            "fifo": {"mean": 62.0, "p10": 62.0, "p50": 62.0, "p90": 62.0},
        },
        "one_worker": 95.0,
        "unlimited": 52.0,
        "workers": None,
        "pools": [{"name": "sim", "workers": 4}],
        "one_more_worker": [],
        "what_if": [],
        "critical_path": ["S1", "Gate", "C1", "C2", "C3", "End"],
        "criticality": {name: float(not name.startswith("M")) for name in EDGES},
        "notes": [],
        "timeouts": {},
        "held_back": [],
        "estimated": True,
    }
    assert schedule[4] == {"task": "M1", "pool": "sim", "worker": 1, "start": 1.0, "finish": 6.0}
    assert schedule[-1] == {"task": "End", "pool": "sim", "worker": 0, "start": 47.0, "finish": 52.0}
    assert tasks["M1"] == {
        "depends_on": [],
        "rank": 10.0,
        "slack": 42.0,
        "estimate": 5.0,
        "sd": 0.0,
        "source": "author",
        "samples": 0,
        "expected_start": 1.0,
        "expected_finish": 6.0,
    }


def test_without_any_estimate_the_plan_says_that_it_counts_units() -> None:
    graph = Graph.of({"a": [], "v": ["a"], "b": ["v"]})
    specs = [TaskSpec(pools=(0,)), TaskSpec(pools=(CONTROL,)), TaskSpec(pools=(0,))]
    beliefs = [belief(1.0, source="default")] * 3
    plan = make_plan(graph, specs, [PoolSpec("local", 2)], beliefs, policy="fifo", name="hello", compare=[])
    assert render_plan(plan, columns=60) == (
        "hello: 3 tasks; workers: local × 2\n"
        "no history: every task counts as 1 unit\n"
        "\n"
        "0  a\n"
        "1  v ← a\n"
        "2  b ← v\n"
        "\n"
        "   TASK  RANK  SLACK  START  FINISH  WORKER   ESTIMATE  FROM\n"
        "*  a     2.00   0.00   0.00    1.00  local/0      1.00  nobody:…\n"
        "*  v     1.00   0.00   1.00    1.00  -                  holds n…\n"
        "*  b     1.00   0.00   1.00    2.00  local/0      1.00  nobody:…\n"
        "\n"
        "critical path  a → v → b = 2.00 units\n"
        "makespan       fifo              2.00 units  (chosen)\n"
        "               one worker        2.00 units\n"
        "               unlimited workers 2.00 units\n"
        "lower bound    2.00 units (critical path); ratio of makespan to lower bound 1.000\n"
        "\n"
        "local/0  │a────────────────────────│b───────────────────────\n"
        "         0                                        2.00 units"
    )


def test_all_policies_are_compared_unless_some_are_named() -> None:
    graph, durations = worked_example()
    specs, beliefs = [TaskSpec(pools=(0,))] * len(graph), [belief(d) for d in durations]
    plan = make_plan(graph, specs, [PoolSpec("sim", 4)], beliefs, policy="fifo")
    assert sorted(plan.policies) == sorted(POLICIES)
    assert next(iter(plan.policies)) == plan.policy == "fifo"


def test_learned_durations_show_their_spread_and_on_how_many_samples_they_stand() -> None:
    graph = Graph.of({"a": []})
    learned = belief(2.5, 0.25, "task", 12)
    plan = make_plan(graph, [TaskSpec(pools=(0,))], [PoolSpec("local", 2)], [learned], policy="fifo", name="x")
    assert "*  a     2.50   0.00   0.00    2.50  local/0  2.50 ± 0.25  task (12 samples)\n" in render_plan(plan)


def test_a_large_plan_shows_its_top_and_says_how_much_is_left_out() -> None:
    graph = Graph.of({f"t{i}": [f"t{i - 100}"] if i >= 100 else [] for i in range(6000)})
    specs = [TaskSpec(pools=(0,))] * 6000
    plan = make_plan(graph, specs, [PoolSpec("sim", 40)], [belief(1.0)] * 6000, policy="fifo", name="large")
    text = render_plan(plan, columns=80, most=10)
    lines = text.splitlines()
    assert list(plan.policies) == ["fifo"]
    assert max(map(width, lines)) <= 130
    assert "… 5,861 more tasks down to level 59" in lines
    assert "… 5,990 more tasks of lower rank" in lines
    assert "… 24 more workers" in lines
    assert len(lines) < 90


def test_an_empty_graph_has_an_empty_plan() -> None:
    plan = make_plan(Graph(), [], [], [], policy="critical-path", name="empty")
    assert (plan.makespan, plan.critical_path, plan_json(plan)["ratio"]) == (0.0, (), None)
    assert render_plan(plan).startswith("empty: 0 tasks; workers: none\n")


def test_a_graph_is_shown_level_by_level_with_like_tasks_on_one_line() -> None:
    graph = Graph.of({"a": [], "b": [], "x\x1b[2J[1]": ["a", "b"], "y": ["a", "b"], "z": ["y", "a"]})
    assert render_graph(graph) == "0  a, b\n1  x[1], y ← a, b\n2  z ← y, a"
    assert render_graph(graph, most=1) == "0  a, b\n… 3 more tasks down to level 2"
    wide = Graph.of({f"task{i}": [] for i in range(1000)})
    assert render_graph(wide, columns=40) == "0  task0, task1, task2, task3, … (1,000)"


def test_a_gantt_chart_shows_short_and_many_blocks_as_far_as_it_can() -> None:
    few = [Block(("p", 0), "alpha", 0.0, 5.0), Block(("p", 0), "b", 5.0, 5.1), Block(("p", 1), "c", 5.0, 10.0)]
    assert render_gantt(few, 10.0, columns=25) == (
        "p/0  │alpha────│·········\np/1  ··········│c────────\n     0            10.00 s"
    )
    many = [Block(("p", 0), "x", i * 0.1, i * 0.1 + (0.1 if i < 50 else 0.05)) for i in range(100)]
    assert render_gantt(many, 10.0, columns=25).splitlines()[0] == "p/0  ██████████▒▒▒▒▒▒▒▒▒▒"
    assert render_gantt([], 10.0) == ""


@settings(max_examples=60)
@given(graphs())
def test_a_schedule_keeps_dependencies_and_never_doubles_a_worker(case: tuple[Graph, list[float]]) -> None:
    graph, durations = case
    specs = [TaskSpec(pools=(0,))] * len(graph)
    plan = make_plan(graph, specs, [PoolSpec("sim", 2)], [belief(d) for d in durations], policy="critical-path")
    for task, dependencies in zip(plan.tasks, graph.dependencies, strict=True):
        assert all(plan.tasks[d].finish <= task.start for d in dependencies)
    for worker in (0, 1):
        row = sorted((t.start, t.finish) for t in plan.tasks if t.worker == worker)
        assert all(a[1] <= b[0] for a, b in pairwise(row))
    assert plan.unlimited <= plan.lower_bound <= min(plan.policies.values())
    assert max(plan.policies.values()) <= plan.one_worker
    assert all(width(line) <= 200 for line in render_plan(plan).splitlines())
