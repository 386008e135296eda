from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from random_graphs import flaws, random_scenarios
from random_schedules import random_graph, random_graphs
from worked_example import worked_example

from llmflow.scheduling.bounds import pooled_lower_bound
from llmflow.scheduling.estimates import Estimate, Source
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.lean_schedule import machine_of
from llmflow.scheduling.list_schedule import list_schedule
from llmflow.scheduling.policies import DEFAULT_POLICY, POLICIES, inherited_priorities
from llmflow.scheduling.setting import Decision, Expansion, Setting
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.spread import with_spread

DIAMOND = Graph.of({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": []})
DURATIONS = [1.0, 5.0, 2.0, 1.0, 9.0]


def test_each_policy_ranks_a_diamond_in_its_own_way() -> None:
    ranks = {name: policy.priorities(DIAMOND, DURATIONS, 0) for name, policy in POLICIES.items() if name != "random"}
    assert ranks == {
        "critical-path": [7.0, 6.0, 3.0, 1.0, 9.0],
        "fifo": [0.0, 0.0, 0.0, 0.0, 0.0],
        "level": [0.0, -1.0, -1.0, -2.0, 0.0],
        "longest-task": [1.0, 5.0, 2.0, 1.0, 9.0],
        "stochastic": [7.0, 6.0, 3.0, 1.0, 9.0],
    }


def test_the_registry_knows_its_default_and_every_policy_by_its_name() -> None:
    assert DEFAULT_POLICY in POLICIES
    assert [policy.name for policy in POLICIES.values()] == list(POLICIES)
    assert all(policy.summary for policy in POLICIES.values())


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_gives_one_number_per_task_and_the_same_ones_again(name: str) -> None:
    for scenario in random_scenarios(40):
        first = POLICIES[name].priorities(scenario.graph, scenario.durations, 7)
        assert len(first) == len(scenario.graph)
        assert first == POLICIES[name].priorities(scenario.graph, scenario.durations, 7)


def test_the_seed_alone_moves_the_random_policy() -> None:
    graph, durations = worked_example()
    shuffle = POLICIES["random"].priorities
    assert shuffle(graph, durations, 1) != shuffle(graph, durations, 2)


def test_critical_path_is_the_upward_rank() -> None:
    graph, durations = worked_example()
    assert POLICIES["critical-path"].priorities(graph, durations, 0) == upward_ranks(graph, durations)


def test_a_priority_is_inherited_by_all_that_it_depends_on() -> None:
    graph = Graph.of({"a": [], "b": ["a"], "c": ["b"], "other": [], "end": ["c", "other"]})
    assert inherited_priorities(graph, [0, 0, 5, 1, 0]) == [5, 5, 5, 1, 0]


def test_a_task_that_urgent_ones_wait_for_cannot_be_put_off() -> None:
    graph = Graph.of({"a": [], "b": ["a"], "leaf": ["a"]})
    assert inherited_priorities(graph, [-5, 0, -2]) == [0, 0, -2]


def test_without_priorities_nothing_is_inherited() -> None:
    graph, _ = worked_example()
    assert inherited_priorities(graph, [0] * len(graph)) == [0] * len(graph)


CLOCKLESS = 40
"""Iterations of a search in these tests: budgets by the clock would make them depend on the machine."""


def believed(durations: Sequence[float], cv: float = 0.0, source: Source = "task", samples: int = 9) -> list[Estimate]:
    return [Estimate(d, d * cv, source, samples) for d in durations]


def setting_of(graph: Graph, durations: Sequence[float], workers: int = 3, cv: float = 0.0, **more: Any) -> Setting:
    return Setting(graph, believed(durations, cv), [workers], iterations=CLOCKLESS, **more)


def decided(setting: Setting) -> Decision:
    return POLICIES["stochastic"].decide(setting)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_gives_a_sound_schedule_on_mixed_pools(name: str) -> None:
    for scenario in random_scenarios(60):
        case = replace(scenario, workers=0)
        graph = case.graph
        setting = Setting(
            graph,
            believed(case.durations, 0.4),
            workers=[pool.size for pool in case.pools],
            pool_of=[spec.pools[0] for spec in case.specs],
            seed=5,
            budget_s=1.0,
            iterations=3,
        )
        decision = POLICIES[name].decide(setting)
        assert decision.policy == name
        ranked = replace(case, priorities=decision.priorities)
        plan = simulate(graph, case.specs, case.pools, case.durations, decision.priorities)
        assert (case.name, flaws(ranked, plan.story)) == (case.name, [])
        bound = pooled_lower_bound(graph, case.durations, setting.pool_of, setting.workers)
        assert bound.value <= plan.makespan * (1 + 1e-9)


def test_with_a_worker_for_every_task_there_is_nothing_to_choose() -> None:
    graph, durations = worked_example()
    for workers in (0, 17, 20):
        found = decided(setting_of(graph, durations, workers, 0.5))
        assert found == Decision(
            "stochastic",
            "critical-path",
            upward_ranks(graph, durations),
            "there is a worker for every task: the order does not matter",
        )


def test_certain_durations_are_planned_and_never_worse_than_the_critical_path() -> None:
    shorter = 0
    for graph, durations, _ in random_graphs(60, [12, 20, 30]):
        found = decided(setting_of(graph, durations, 2))
        reference = list_schedule(graph, durations, upward_ranks(graph, durations), 2).makespan
        length = list_schedule(graph, durations, found.priorities, 2).makespan
        assert length <= reference
        assert found.evidence[0].mean == reference
        assert (found.order == "critical-path") == (length == reference)
        shorter += length < reference
    assert shorter >= 3


def test_a_plan_that_meets_the_bound_says_that_no_schedule_is_shorter() -> None:
    graph, durations = worked_example()
    found = decided(setting_of(graph, durations, 4))
    assert (found.order, found.reason) == (
        "critical-path",
        "the critical path meets the lower bound: no schedule is shorter",
    )


def test_uncertain_durations_are_tried_on_common_samples() -> None:
    graph, durations = random_graph(3, 30, density=0.1)
    found = decided(setting_of(graph, durations, 3, 0.5, budget_s=9.0))
    assert found.samples == 200
    assert found.evidence[0].policy == "critical-path"
    best = next(e for e in found.evidence if e.policy == found.order)
    assert best.difference == 0 if found.order == "critical-path" else best.difference < -2 * best.error


def test_the_same_setting_is_decided_the_same_way_again() -> None:
    graph, durations = random_graph(11, 25, density=0.1)
    for cv in (0.0, 0.1, 0.7):
        first, second = (decided(setting_of(graph, durations, 3, cv, budget_s=9.0, seed=4)) for _ in range(2))
        assert first == second


def test_without_a_budget_the_critical_path_stands() -> None:
    graph, durations = random_graph(3, 30, density=0.1)
    for cv in (0.0, 0.5):
        found = decided(setting_of(graph, durations, 3, cv, budget_s=0.0))
        assert (found.order, found.reason) == ("critical-path", "no time to search was given")
        assert found.priorities == upward_ranks(graph, durations)


def test_a_run_of_milliseconds_gets_no_time_for_a_search() -> None:
    graph, durations = random_graph(3, 30, density=0.1)
    quick = [d / 1e6 for d in durations]
    for cv in (0.0, 0.5):
        assert decided(setting_of(graph, quick, 3, cv)).reason == "a search would cost more than it can save"
    # Simulated runs go faster than real ones: the same seconds, a thousandth of the time to think.
    assert decided(setting_of(graph, durations, 3, speed=1e6)).reason == "a search would cost more than it can save"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"estimates": [Estimate(1.0)] * 5}, "no history: the shape of the graph decides"),
    ],
)
def test_what_keeps_stochastic_from_searching_is_said(changes: dict[str, Any], reason: str) -> None:
    setting = replace(setting_of(DIAMOND, DURATIONS, 1, 0.5), **changes)
    found = decided(setting)
    assert (found.order, found.reason) == ("critical-path", reason)
    assert found.priorities == upward_ranks(DIAMOND, setting.means)


def test_stages_of_a_growing_graph_are_ranked_by_mean_and_spread() -> None:
    estimates = [Estimate(d, sd, "task", 9) for d, sd in zip(DURATIONS, (0.0, 1.0, 7.0, 0.0, 0.0), strict=True)]
    found = decided(replace(setting_of(DIAMOND, DURATIONS, 1), estimates=estimates, grows=True))
    assert found == Decision(
        "stochastic",
        "mean-plus-sd",
        [11.0, 7.0, 10.0, 1.0, 9.0],
        "too many items to try: one rank for all of a task",
    )


def test_a_growing_graph_is_tried_with_the_items_that_are_expected() -> None:
    # By one item each, three tasks of 4 s outrank 40 items of half a second, on which another 3 s wait.
    longs = {f"long{i}": ["first"] for i in range(3)}
    stages = Graph.of({"words": [], "first": [], **longs, "items": ["words"], "item": ["items"], "join": ["item"]})
    seconds = [0.75, 1.0, 4.0, 4.0, 4.0, 0.0, 0.5, 3.0]
    grown, stage_of = Graph(), [0, 1, 2, 3, 4, 5, *([6] * 40), 7]
    for task, stage in enumerate(stage_of):
        grown.add(f"t{task}", {2: [1], 3: [1], 4: [1], 5: [0], 6: [5], 7: list(range(6, 46))}.get(stage, []))
    for cv in (0.0, 0.1):
        setting = replace(
            setting_of(stages, seconds, 4, cv),
            pool_of=[0, 0, 0, 0, 0, -1, 0, 0],
            grows=True,
            expansion=Expansion(grown, stage_of),
        )
        found = decided(setting)
        assert found.order == "stage-work"
        assert len(found.priorities) == len(stages)
        path = next(e for e in found.evidence if e.policy == "critical-path")
        best = next(e for e in found.evidence if e.policy == "stage-work")
        assert best.mean < 0.9 * path.mean
        assert (path.mean, best.mean) == (12.0, 9.75) or cv
        assert found.reason.endswith("over 200 sampled runs" if cv else "as planned")
        assert decided(setting) == found


def test_orders_are_tried_under_the_priorities_of_the_author() -> None:
    better = 0
    for seed in range(12):
        graph, durations = random_graph(seed, 30, density=0.1)
        dice = Random(seed)
        urgencies = inherited_priorities(graph, [dice.choice((0, 0, 0, 2)) for _ in durations])
        estimates = [Estimate(d, d * dice.choice((0.05, 1.5)), "task", 9) for d in durations]
        setting = Setting(graph, estimates, [3], urgencies=urgencies)
        found = decided(setting)
        schedules = machine_of(graph, [3], [0] * len(graph), urgencies=urgencies)
        draws = [e.mean for e in estimates]
        starts = schedules.schedule(schedules.keys(found.priorities), draws)[1]
        # Whatever was chosen: at no moment does a task begin while a more urgent one is ready.
        for task, deps in enumerate(graph.dependencies):
            ready = max((starts[d] + draws[d] for d in deps), default=0.0)
            for other in range(len(graph)):
                assert urgencies[other] >= urgencies[task] or not ready < starts[other] < starts[task], seed
        better += found.order != "critical-path"
    assert better


def test_under_a_cap_over_pools_of_different_sizes_orders_are_tried_as_elsewhere() -> None:
    better = 0
    for seed in range(4):
        graph, durations = random_graph(seed, 30, density=0.1)
        dice = Random(seed)
        pool_of = [dice.randrange(2) for _ in range(len(graph))]
        estimates = [Estimate(d, d * dice.choice((0.05, 1.5)), "task", 9) for d in durations]
        found = decided(Setting(graph, estimates, [3, 1], pool_of=pool_of, cap=3, iterations=10))
        assert found.samples == 200
        own = next(e for e in found.evidence if e.policy == found.order)
        assert found.order == "critical-path" or own.difference < -2 * own.error
        better += found.order != "critical-path"
    assert better


def test_a_cap_on_the_run_is_one_pool_to_the_search() -> None:
    graph, durations = random_graph(7, 30, density=0.1)
    halves = [task % 2 for task in range(len(graph))]
    capped = decided(replace(setting_of(graph, durations), workers=[0, 3], pool_of=halves, cap=3))
    pooled = decided(setting_of(graph, durations, 3))
    assert capped == pooled


def test_guesses_and_single_samples_get_the_spread_that_they_cannot_have_measured() -> None:
    given = [
        Estimate(2.0),
        Estimate(2.0, 0.0, "task", 1),
        Estimate(2.0, 0.0, "task", 2),
        Estimate(2.0, 0.3, "model", 1),
        Estimate(2.0, 0.0, "author"),
        Estimate(0.0),
    ]
    assert [e.sd for e in with_spread(given)] == [2.0, 1.0, 0.0, 0.3, 0.0, 0.0]
    assert [e.mean for e in with_spread(given)] == [e.mean for e in given]


def test_the_dispatcher_gives_what_the_search_has_promised_also_where_ranks_are_equal() -> None:
    for seed in range(40):
        graph, durations = random_graph(seed, 40, density=0.2)
        found = decided(setting_of(graph, durations, 3))
        promised = next((e.mean for e in found.evidence if e.policy == found.order), None)
        schedules = machine_of(graph, [3], [0] * len(graph))
        if promised is not None:
            assert schedules.schedule(schedules.keys(found.priorities), durations)[0] == promised, seed
