"""What is left of a run: exact on unlimited workers, never too much on few."""

from __future__ import annotations

from math import isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import graphs
from watched_run import WatchedRun, started

from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.tasks import TaskSpec
from llmflow.views.remaining import Remaining


@settings(max_examples=150)
@given(graphs(), st.integers(0, 4), st.sampled_from(sorted(POLICIES)))
def test_true_durations_give_a_true_rest_on_unlimited_workers_and_at_most_that_on_few(
    case: tuple[Graph, list[float]], workers: int, policy: str
) -> None:
    graph, durations = case
    specs, pools = [TaskSpec(pools=(0,))] * len(graph), [PoolSpec("sim", workers)]
    plan = simulate(graph, specs, pools, durations, POLICIES[policy].priorities(graph, durations, 1))
    run = WatchedRun(graph, workers=workers, expected=durations)
    remaining = Remaining(run.context)
    for event in plan.story:
        if event.at > run.now:
            rest = plan.makespan - run.now
            assert remaining.seconds() <= rest + 1e-9
            if not workers:
                assert remaining.seconds() == pytest.approx(rest)
        run.tell(event)
        if isinstance(event, ev.TaskSucceeded):
            remaining.settled(event.task)
    assert remaining.seconds() == 0.0


def test_nothing_is_known_without_expected_durations() -> None:
    assert isnan(Remaining(started(Graph.of({"a": []})).context).seconds())


def test_a_task_that_takes_longer_than_expected_has_what_depends_on_it_left() -> None:
    run = started(Graph.of({"a": [], "b": ["a"]}), expected=[2.0, 3.0])
    remaining = Remaining(run.context)
    run.tell(ev.AttemptStarted(0.0, 0, 1, 1, 0, 0, 0))
    run.now = 10.0
    assert remaining.seconds() == 3.0


def test_a_task_that_waits_to_be_tried_again_is_still_ahead() -> None:
    run = started(Graph.of({"a": [], "b": []}), expected=[7.0, 1.0])
    remaining = Remaining(run.context)
    run.tell(ev.AttemptStarted(0.0, 0, 1, 1, 0, 0, 0))
    assert remaining.seconds() == 7.0
    run.tell(ev.AttemptCancelled(1.0, 0, 1), ev.TimerSet(1.0, 1, 0, 5.0, "retry"))
    assert remaining.seconds() == 7.0


def test_steps_that_hold_no_worker_take_no_time() -> None:
    run = WatchedRun(Graph.of({"a": [], "v": ["a"]}), expected=[2.0, 1.0])
    run.context.pool_of = [0, -1]
    assert Remaining(run.context).seconds() == 2.0
