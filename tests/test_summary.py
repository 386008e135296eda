"""The closing lines of a run and its JSON: computed from what really happened."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import graphs
from watched_run import (
    WatchedRun,
    a_run_in_which_much_goes_wrong,
    graph_of_troubles,
    started,
    story_of_the_worked_example,
)

from llmflow.protocol import Usage
from llmflow.reports.realised_path import realised_path
from llmflow.reports.summary import RunSummary, summarise
from llmflow.reports.summary_text import render_summary, run_json
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.tasks import TaskSpec


def summary_of_the_worked_example(policy: str, workers: int) -> RunSummary:
    graph, _, story = story_of_the_worked_example(policy, workers)
    run = WatchedRun(graph)
    run.tell(*story)
    return summarise(run.state, [PoolSpec("sim", workers)], run.spans, {0: Usage(1000, 20), 1: Usage(5, 5)})


def test_the_worked_example_by_critical_path_meets_its_bound() -> None:
    assert render_summary(summary_of_the_worked_example("critical-path", 4)) == (
        "run succeeded: 17 tasks, 17 succeeded\n"
        "makespan      52.00 s · lower bound 52.00 s (critical path), ratio 1.000\n"
        "fifo          62.00 s, first in, first out on the same durations\n"
        "critical path S1 → Gate → C1 → C2 → C3 → End\n"
        "workers       sim × 4, 46 % busy (0: 100 %, 1: 31 %, 2: 31 %, 3: 21 %)\n"
        "tokens        1,005 input, 25 output"
    )


def test_the_worked_example_first_in_first_out_shows_which_workers_it_waited_for() -> None:
    assert render_summary(summary_of_the_worked_example("fifo", 4)) == (
        "run succeeded: 17 tasks, 17 succeeded\n"
        "makespan      62.00 s · lower bound 52.00 s (critical path), ratio 1.192\n"
        "fifo          62.00 s, first in, first out on the same durations\n"
        "critical path S1 ⇢ M1 ⇢ M5 ⇢ Gate → C1 → C2 → C3 → End\n"
        "workers       sim × 4, 38 % busy (0: 100 %, 1: 18 %, 2: 18 %, 3: 18 %)\n"
        "tokens        1,005 input, 25 output"
    )


@pytest.mark.parametrize(
    ("policy", "workers", "makespan", "bound", "kind"),
    [
        ("critical-path", 1, 95.0, 95.0, "work"),
        ("fifo", 4, 62.0, 52.0, "critical path"),
        ("critical-path", 4, 52.0, 52.0, "critical path"),
        ("critical-path", 0, 52.0, 52.0, "critical path"),
    ],
)
def test_the_worked_example_the_four_ways(policy: str, workers: int, makespan: float, bound: float, kind: str) -> None:
    summary = summary_of_the_worked_example(policy, workers)
    assert (summary.makespan, summary.lower_bound, summary.bound_kind) == (makespan, bound, kind)
    assert summary.ratio == makespan / bound
    assert summary.work == 95.0


def test_a_run_full_of_trouble_names_its_failures_and_counts_only_what_held_a_worker() -> None:
    run = started(graph_of_troubles())
    a_run_in_which_much_goes_wrong(run)
    summary = summarise(run.state, [PoolSpec("sim", 4)], run.spans, run.context.usage)
    assert render_summary(summary) == (
        "run failed: 6 tasks, 1 succeeded, 1 skipped, 1 blocked, 1 failed, 1 cancelled, 1 accepted\n"
        "failed        b: server: [/nope] 500\n"
        "failed        d (accepted): empty\n"
        "makespan      6.25 s · lower bound 2.00 s (critical path), ratio 3.125\n"
        "fifo          2.00 s, first in, first out on the same durations\n"
        "critical path e\n"
        "workers       sim × 4, 21 % busy (0: 40 %, 1: 24 %, 2: 20 %)\n"
        "tokens        1,200 input, 34 output"
    )


def test_run_json_has_the_promised_keys_and_numbers() -> None:
    run = started(graph_of_troubles())
    a_run_in_which_much_goes_wrong(run)
    summary = summarise(run.state, [PoolSpec("sim", 4)], run.spans, run.context.usage)
    record = run_json(summary, run.state, run="01J0", outputs={"x": 1}, usage=run.context.usage)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    tasks = record.pop("tasks")
    tokens = {
        "input_tokens": 1200,
        "output_tokens": 34,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "estimated": False,
    }
    assert record == {
        "schema": "llmflow.run/1",
        "run": "01J0",
        "status": "failed",
        "outputs": {"x": 1},
        "makespan": 6.25,
        "lower_bound": 2.0,
        "lower_bound_kind": "critical path",
        "ratio": 3.125,
        "fifo_makespan": 2.0,
        "critical_path": ["e"],
        "pools": [
            {
                "name": "sim",
                "workers": 4,
                "busy": 5.25,
                "utilisation": 0.21,
                "used": [
                    {"worker": 0, "busy": 2.5, "utilisation": 0.4},
                    {"worker": 1, "busy": 1.5, "utilisation": 0.24},
                    {"worker": 2, "busy": 1.25, "utilisation": 0.2},
                ],
            }
        ],
        "second_calls": {"made": 0, "answered_first": 0},
        "usage": tokens,
        "cost_usd": None,
    }
    assert tasks["a"] == {
        "status": "succeeded",
        "attempts": 1,
        "duration": 1.0,
        "started": 0.0,
        "finished": 1.0,
        "usage": tokens,
    }
    assert tasks["d"] == {
        "status": "failed",
        "attempts": 1,
        "duration": 1.0,
        "started": 4.0,
        "finished": 5.0,
        "error": {"kind": "empty", "detail": "", "accepted": True},
    }
    assert tasks["c"] == {"status": "blocked", "attempts": 0, "duration": 0.0, "started": None, "finished": 4.0}


def test_an_unfinished_run_has_pending_tasks_and_no_ratio() -> None:
    run = started(Graph.of({"a": [], "b": ["a"]}))
    summary = summarise(run.state, [PoolSpec("sim", 1)], run.spans, {})
    record = run_json(summary, run.state, run="01J0", outputs=None, usage={})
    assert [task["status"] for task in record["tasks"].values()] == ["pending", "pending"]
    assert (record["makespan"], record["ratio"], record["critical_path"]) == (0.0, None, [])
    assert render_summary(summary) == (
        "run unfinished: 2 tasks, 1 pending, 1 ready\n"
        "makespan      0.00 s · lower bound 0.00 s (critical path), ratio ?\n"
        "fifo          0.00 s, first in, first out on the same durations"
    )


def test_time_between_attempts_is_not_work_and_a_step_without_a_worker_costs_nothing() -> None:
    run = started(Graph.of({"v": [], "a": ["v"]}))
    run.tell(ev.AttemptStarted(0.0, 0, 1, 1, CONTROL, 0, 0), ev.AttemptSucceeded(0.5, 0, 1), ev.TaskSucceeded(0.5, 0))
    run.tell(ev.AttemptStarted(0.5, 1, 2, 1, 0, 0, 0), ev.AttemptCancelled(1.5, 1, 2, "unknown_outcome"))
    run.tell(ev.TimerSet(1.5, 1, 1, 9.0, "retry"), ev.TimerFired(9.0, 1))
    run.tell(ev.AttemptStarted(9.0, 1, 3, 2, 0, 0, 0), ev.AttemptSucceeded(11.0, 1, 3), ev.TaskSucceeded(11.0, 1))
    summary = summarise(run.state, [PoolSpec("sim", 1)], run.spans, {})
    assert list(summary.held) == [0.0, 3.0]
    assert (summary.makespan, summary.lower_bound, summary.work, summary.attempts) == (11.0, 3.0, 3.0, 2)
    assert summary.critical_path == ("v", "a")


def test_each_pool_is_bounded_by_its_own_workers_and_the_run_by_its_cap() -> None:
    graph = Graph.of({f"{pool}{i}": [] for pool in "ab" for i in range(4)})
    specs = [TaskSpec(pools=(0,))] * 4 + [TaskSpec(pools=(1,))] * 4
    pools = [PoolSpec("a", 1), PoolSpec("b", 2)]
    for cap, bound in ((0, 40.0), (1, 80.0)):
        story = simulate(graph, specs, pools, [10.0] * 8, [0.0] * 8, workers=cap).story
        run = WatchedRun(graph)
        run.tell(*story)
        summary = summarise(run.state, pools, run.spans, {}, workers=cap)
        assert (summary.makespan, summary.lower_bound, summary.fifo_makespan) == (bound, bound, bound)
        assert [pool.utilisation for pool in summary.pools] == [40 / bound, 40 / (2 * bound)]


@settings(max_examples=150)
@given(graphs(), st.integers(0, 4), st.sampled_from(sorted(POLICIES)))
def test_the_realised_path_is_an_unbroken_chain_as_long_as_the_run(
    case: tuple[Graph, list[float]], workers: int, policy: str
) -> None:
    graph, durations = case
    pools, specs = [PoolSpec("sim", workers)], [TaskSpec(pools=(0,))] * len(graph)
    story = simulate(graph, specs, pools, durations, POLICIES[policy].priorities(graph, durations, 1)).story
    run = WatchedRun(graph)
    run.tell(*story)
    summary = summarise(run.state, pools, run.spans, {})
    path = [step.task for step in realised_path(graph, run.state, run.spans.spans)]
    assert sum(durations[task] for task in path) == summary.makespan
    assert all(run.state.ended_at[a] == run.state.first_started_at[b] for a, b in pairwise(path))
    assert summary.lower_bound <= summary.makespan
    assert summary.lower_bound <= summary.fifo_makespan
    assert list(summary.held) == durations
