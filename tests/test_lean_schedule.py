"""The lean schedules beside the simulator: the same decisions, whatever the pools, caps, conditions and priorities."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from random_graphs import Scenario, random_scenarios
from worked_example import worked_example

from llmflow.scheduling.graph import Graph
from llmflow.scheduling.lean_schedule import LeanSchedules
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.tasks import TaskSpec


def both(case: Scenario) -> tuple[tuple[float, list[float]], tuple[float, list[float]]]:
    """(makespan, starts) as the simulator and as the lean schedule give them."""
    full = simulate(case.graph, case.specs, case.pools, case.durations, case.priorities, workers=case.workers)
    lean = LeanSchedules(case.graph, case.specs, case.pools, workers=case.workers)
    return (full.makespan, full.starts), lean.schedule(lean.keys(case.priorities), case.durations)


@pytest.mark.parametrize("ties", [False, True])
def test_a_lean_schedule_starts_every_task_when_the_simulator_does(ties: bool) -> None:
    for case in random_scenarios(400, ties=ties):
        full, lean = both(case)
        assert (case.name, lean) == (case.name, full)


@pytest.mark.parametrize("ties", [False, True])
def test_its_log_tells_which_worker_every_task_had(ties: bool) -> None:
    for case in random_scenarios(200, ties=ties):
        full = simulate(case.graph, case.specs, case.pools, case.durations, case.priorities, workers=case.workers)
        lean = LeanSchedules(case.graph, case.specs, case.pools, workers=case.workers)
        log: list[int] = []
        lean.schedule(lean.keys(case.priorities), case.durations, log)
        assert (case.name, lean.workers(log)) == (case.name, full.workers)


def test_with_several_endpoints_the_log_tells_the_same_workers_too() -> None:
    for case in random_scenarios(100, ties=True):
        pools = [replace(pool, endpoints=3) for pool in case.pools]
        full = simulate(case.graph, case.specs, pools, case.durations, case.priorities, workers=case.workers)
        lean = LeanSchedules(case.graph, case.specs, pools, workers=case.workers)
        log: list[int] = []
        lean.schedule(lean.keys(case.priorities), case.durations, log)
        assert (case.name, lean.workers(log)) == (case.name, full.workers)


def test_priorities_of_the_author_outrank_the_policy_in_both() -> None:
    for case in random_scenarios(100, ties=True):
        dice = Random(case.name)
        urgent = [replace(spec, priority=dice.choice((0, 0, 3))) for spec in case.specs]
        full, lean = both(replace(case, specs=urgent))
        assert (case.name, lean) == (case.name, full)


@pytest.mark.parametrize(
    ("workers", "policy", "makespan"),
    [(1, "fifo", 95.0), (4, "fifo", 62.0), (4, "critical-path", 52.0), (0, "critical-path", 52.0)],
)
def test_the_worked_example_the_four_ways(workers: int, policy: str, makespan: float) -> None:
    graph, durations = worked_example()
    lean = LeanSchedules(graph, [TaskSpec(pools=(0,))] * len(graph), [PoolSpec("sim", workers)])
    keys = lean.keys(POLICIES[policy].priorities(graph, durations, 0))
    assert lean.schedule(keys, durations)[0] == makespan
    assert lean.schedule(keys, durations)[0] == makespan


def test_an_empty_graph_takes_no_time() -> None:
    assert LeanSchedules(Graph(), [], []).schedule([], []) == (0.0, [])
