from __future__ import annotations

from itertools import count
from random import Random

import pytest
from random_schedules import random_graph, random_graphs
from worked_example import worked_example

from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.improve import in_order
from llmflow.scheduling.list_schedule import list_schedule, ranked
from llmflow.scheduling.portfolio import Choice, _Problem, choose
from llmflow.scheduling.rehearsal import rehearse
from llmflow.scheduling.risk_ranks import risk_ranks
from llmflow.scheduling.ticks import TickSchedules, timed


def still() -> float:
    """A clock that stands still: iterations alone end the searches."""
    return 0.0


def chosen(graph: Graph, estimates: list[Estimate], workers: int, *, samples: int = 60) -> Choice:
    return choose(graph, estimates, workers, seed=3, budget_s=1.0, clock=still, samples=samples, iterations=30)


def test_what_replaces_the_critical_path_is_ahead_by_more_than_two_standard_errors() -> None:
    policies = set()
    for graph, durations, seed in random_graphs(60, (5, 14, 25), whole=False):
        dice = Random(seed)
        estimates = [Estimate(d, d * dice.choice((0.0, 0.1, 1.5))) for d in durations]
        choice = chosen(graph, estimates, 2, samples=30)
        first = choice.evidence[0]
        assert (first.policy, first.difference, first.error) == ("critical-path", 0.0, 0.0)
        own = next(e for e in choice.evidence if e.policy == choice.policy)
        if choice.policy == "critical-path":
            assert choice.priorities == upward_ranks(graph, durations)
        else:
            assert own.difference < -2 * own.error
        assert all(e.mean == pytest.approx(first.mean + e.difference) for e in choice.evidence)
        policies.add(choice.policy)
    assert len(policies) > 2


def test_certain_durations_are_given_the_plan() -> None:
    better = 0
    for seed in range(20):
        graph, durations = random_graph(seed, 20, density=0.1)
        choice = chosen(graph, [Estimate(d) for d in durations], 3)
        by_path = list_schedule(graph, durations, upward_ranks(graph, durations), 3).makespan
        makespan = list_schedule(graph, durations, choice.priorities, 3).makespan
        assert makespan <= by_path
        better += makespan < by_path
    assert better >= 3


def test_the_risky_one_of_two_equal_chains_goes_first() -> None:
    graph = Graph.of(
        {"sure": [], "sure2": ["sure"], "risky": [], "risky2": ["risky"], "other": [], "other2": ["other"]}
    )
    estimates = [Estimate(5.0, 0.1) if name[0] != "r" else Estimate(4.9, 9.0) for name in graph.names]
    choice = chosen(graph, estimates, 2, samples=200)
    assert choice.policy != "critical-path"
    assert ranked(choice.priorities)[0] == graph.names.index("risky")


def test_the_choice_is_the_same_for_the_same_seed() -> None:
    graph, durations = random_graph(4, 25, density=0.1)
    estimates = [Estimate(d, d * 0.05) for d in durations]
    assert chosen(graph, estimates, 2) == chosen(graph, estimates, 2)


def test_a_budget_too_small_for_the_samples_leaves_the_critical_path() -> None:
    graph, durations = random_graph(4, 25, density=0.1)
    estimates = [Estimate(d, d) for d in durations]
    left = Choice("critical-path", upward_ranks(graph, durations), (), 0)
    assert choose(graph, estimates, 2, seed=1, budget_s=0.0, clock=still) == left
    ticking = count()
    hurried = choose(graph, estimates, 2, seed=1, budget_s=12.0, clock=lambda: float(next(ticking)))
    assert hurried == left
    assert next(ticking) < 20


def test_several_pools_are_chosen_for_at_once() -> None:
    graph, durations = random_graph(9, 30, density=0.1)
    pool_of = [(-1, 0, 1)[t % 3] for t in range(30)]
    estimates = [Estimate(d, d / 2) for d in durations]
    choice = choose(
        graph, estimates, [1, 2], seed=1, budget_s=1.0, clock=still, pool_of=pool_of, samples=40, iterations=20
    )
    certain = list_schedule(graph, durations, choice.priorities, [1, 2], pool_of)
    assert choice.samples == 40
    assert certain.makespan >= sum(durations[t] for t in range(30) if pool_of[t] == 0)


def test_the_worked_example_needs_nothing_but_its_critical_path() -> None:
    graph, durations = worked_example()
    choice = chosen(graph, [Estimate(d, d / 10) for d in durations], 4)
    assert list_schedule(graph, durations, choice.priorities, 4).makespan == 52.0


def test_a_rehearsed_order_is_no_worse_on_the_samples_it_was_rehearsed_on() -> None:
    shorter = 0
    for graph, durations, seed in random_graphs(40, (2, 12, 25)):
        kernel = TickSchedules(graph, durations, [0] * len(graph), [2])
        dice = Random(seed)
        samples = [timed([d * dice.uniform(0.8, 1.2) for d in durations]) for _ in range(10)]
        order = ranked(upward_ranks(graph, durations))
        found = rehearse(kernel, durations, samples, order, seed=1, in_time=lambda: True, iterations=60)
        before, after = (sum(kernel.makespans(o, samples)) for o in (order, found))
        assert sorted(found) == sorted(order)
        assert after <= before * (1 + 1e-12)
        shorter += after < before
    assert shorter > 10


def test_schedules_in_ticks_are_those_of_the_list_scheduler() -> None:
    for graph, durations, seed in random_graphs(80, (1, 9, 30)):
        dice = Random(seed)
        pool_of = [dice.choice((-1, 0, 0, 1)) for _ in durations]
        order = ranked([dice.random() for _ in durations])
        for pools, workers in (([0] * len(graph), [2]), (pool_of, [1, 3])):
            kernel = TickSchedules(graph, durations, pools, workers)
            listed = list_schedule(graph, durations, in_order(order), workers, pools)
            assert kernel.schedule(0, order) == (listed.makespan, listed.finishes), seed


def test_candidates_that_are_clearly_behind_meet_fewer_samples_and_are_not_chosen() -> None:
    graph, durations = random_graph(4, 30, density=0.05, whole=False)
    problem = _Problem(graph, [Estimate(d, d * 0.02) for d in durations], 3, None, 1, still)
    path = upward_ranks(graph, durations)
    backwards = [-rank for rank in path]
    draws = problem.draws(100, "trial")
    found = problem.race({"critical-path": path, "backwards": backwards}, draws, 1.0, 0.0)
    assert {name: len(makespans) for name, makespans in found.items()} == {"critical-path": 100, "backwards": 20}
    assert found["backwards"] == list(problem.kernel.makespans(ranked(backwards), draws[:20]))
    # The reference is what all are compared with: it meets every sample, however bad it is.
    found = problem.race({"critical-path": backwards, "better": path}, draws, 1.0, 0.0)
    assert {name: len(makespans) for name, makespans in found.items()} == {"critical-path": 100, "better": 100}


def test_a_race_without_time_goes_on_with_the_reference_and_the_leader_alone() -> None:
    led_by_others = 0
    for seed in range(6):
        graph, durations = random_graph(seed, 30, density=0.05, whole=False)
        dice = Random(seed)
        problem = _Problem(graph, [Estimate(d, d * dice.choice((0.1, 2.0))) for d in durations], 3, None, 1, still)
        candidates = {"critical-path": upward_ranks(graph, durations), **risk_ranks(graph, problem.estimates, 3)}
        found = problem.race(candidates, problem.draws(40, "trial"), 0.0, 1.0)
        leader = min(found, key=lambda name: sum(found[name][:8]))
        assert {name: len(makespans) for name, makespans in found.items()} == {
            name: 40 if name in ("critical-path", leader) else 8 for name in candidates
        }
        led_by_others += leader != "critical-path"
    assert led_by_others
