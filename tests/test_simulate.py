from __future__ import annotations

from collections import defaultdict
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import flaws, random_scenario, random_scenarios, spans
from virtual_run import lasting, story_of
from worked_example import DURATIONS, worked_example

from llmflow.scheduling.graph import Graph, timing
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.simulate import Simulation, simulate
from llmflow.scheduling.tasks import TaskSpec

CALL = TaskSpec(pools=(0,))


@pytest.mark.parametrize(
    ("workers", "policy", "makespan"),
    [(1, "fifo", 95.0), (4, "fifo", 62.0), (4, "critical-path", 52.0), (0, "critical-path", 52.0)],
)
def test_the_worked_example_the_four_ways(workers: int, policy: str, makespan: float) -> None:
    graph, durations = worked_example()
    specs, pools = [CALL] * len(graph), [PoolSpec("sim", workers)]
    priorities = POLICIES[policy].priorities(graph, durations, 0)
    plan = simulate(graph, specs, pools, durations, priorities)
    story = story_of(Scheduler(graph, specs, pools, priorities), lasting(durations))
    assert plan.makespan == makespan
    assert story == plan.story


def test_the_plan_of_the_worked_example_on_four_workers() -> None:
    graph, durations = worked_example()
    ranks = POLICIES["critical-path"].priorities(graph, durations, 0)
    plan = simulate(graph, [CALL] * len(graph), [PoolSpec("sim", 4)], durations, ranks)
    chart: dict[int, list[tuple[str, float, float]]] = defaultdict(list)
    for task in sorted(range(len(graph)), key=lambda t: plan.starts[t]):
        chart[plan.workers[task]].append((graph.names[task], plan.starts[task], plan.finishes[task]))
    assert dict(chart) == {
        0: [("S1", 0, 1), ("Gate", 1, 2), ("C1", 2, 22), ("C2", 22, 37), ("C3", 37, 47), ("End", 47, 52)],
        1: [("S2", 0, 1), ("M1", 1, 6), ("M4", 6, 11), ("M7", 11, 16)],
        2: [("S3", 0, 1), ("M2", 1, 6), ("M5", 6, 11), ("M8", 11, 16)],
        3: [("S4", 0, 1), ("M3", 1, 6), ("M6", 6, 11)],
    }
    assert sum(DURATIONS.values()) == 95.0


def test_an_empty_graph_takes_no_time() -> None:
    assert simulate(Graph(), [], [PoolSpec("p")], [], []).makespan == 0.0


def test_steps_without_a_worker_take_no_time_and_hold_none() -> None:
    graph = Graph.of({"a": [], "v": ["a"], "b": ["v"]})
    plan = simulate(graph, [CALL, TaskSpec(), CALL], [PoolSpec("p", 1)], [2.0, 99.0, 3.0], [0.0] * 3)
    assert (plan.makespan, plan.starts, plan.finishes) == (5.0, [0.0, 2.0, 2.0], [2.0, 2.0, 5.0])
    assert (plan.workers, plan.pools) == ([0, -1, 0], [0, CONTROL, 0])


@pytest.mark.parametrize("bad", [nan, inf, -1.0, -inf])
@pytest.mark.parametrize("place", [0, 1])
def test_a_duration_that_would_never_end_is_refused(bad: float, place: int) -> None:
    durations = [1.0, 1.0]
    durations[place] = bad
    with pytest.raises(ValueError, match="durations must be finite and not negative"):
        simulate(Graph.of({"a": [], "b": []}), [CALL] * 2, [PoolSpec("p")], durations, [0.0] * 2)


def test_tasks_that_take_no_time_still_take_turns() -> None:
    graph = Graph.of({"a": [], "b": ["a"], "c": ["b"], "d": []})
    plan = simulate(graph, [CALL] * 4, [PoolSpec("p", 1)], [0.0] * 4, [0.0] * 4)
    assert (plan.makespan, plan.starts, plan.workers) == (0.0, [0.0] * 4, [0] * 4)
    assert [span.task for span in spans(plan.story)] == [0, 3, 1, 2]


def simulated(seed: int, *, ties: bool = False) -> tuple[list[str], Simulation]:
    scenario = random_scenario(seed, ties=ties)
    plan = simulate(
        scenario.graph,
        scenario.specs,
        scenario.pools,
        scenario.durations,
        scenario.priorities,
        workers=scenario.workers,
    )
    return flaws(scenario, plan.story), plan


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 1 << 32), st.booleans())
def test_no_story_has_flaws(seed: int, ties: bool) -> None:
    assert simulated(seed, ties=ties)[0] == []


@pytest.mark.parametrize("ties", [False, True], ids=["any durations", "whole seconds"])
def test_runtime_and_simulator_tell_the_same_story(ties: bool) -> None:
    for scenario in random_scenarios(300, ties=ties):
        plan = simulate(
            scenario.graph,
            scenario.specs,
            scenario.pools,
            scenario.durations,
            scenario.priorities,
            workers=scenario.workers,
        )
        story = story_of(scenario.scheduler(), lasting(scenario.durations))
        assert (scenario.name, story) == (scenario.name, plan.story)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_makespan_lies_between_its_bounds_under_every_policy(policy: str) -> None:
    for scenario in random_scenarios(120, control=False):
        graph, durations = scenario.graph, scenario.durations
        specs = [CALL] * len(graph)
        priorities = POLICIES[policy].priorities(graph, durations, 1)
        path, work = timing(graph, durations).length, sum(durations)
        for workers in (1, 2, 3, 7):
            makespan = simulate(graph, specs, [PoolSpec("p", workers)], durations, priorities).makespan
            assert max(path, work / workers) <= makespan + 1e-9
            assert makespan <= work / workers + path * (1 - 1 / workers) + 1e-9
        assert simulate(graph, specs, [PoolSpec("p")], durations, priorities).makespan == path
        assert simulate(graph, specs, [PoolSpec("p", 1)], durations, priorities).makespan == work


def test_a_cap_on_the_run_is_the_same_as_a_pool_of_that_size() -> None:
    for scenario in random_scenarios(60, control=False):
        specs = [CALL] * len(scenario.graph)
        pooled = simulate(scenario.graph, specs, [PoolSpec("p", 3)], scenario.durations, scenario.priorities)
        capped = simulate(scenario.graph, specs, [PoolSpec("p")], scenario.durations, scenario.priorities, workers=3)
        assert pooled.story == capped.story


def test_what_a_simulation_says_of_each_task_is_what_its_story_says() -> None:
    for scenario in random_scenarios(100):
        _, plan = simulated(int(scenario.name.rpartition("-")[2]))
        for span in spans(plan.story):
            said = (plan.pools[span.task], plan.workers[span.task], plan.starts[span.task], plan.finishes[span.task])
            assert said == (span.pool, span.worker, span.start, span.end)
        assert plan.makespan == plan.story[-1].at
