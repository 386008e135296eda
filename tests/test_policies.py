from __future__ import annotations

import pytest
from random_graphs import random_scenarios
from worked_example import worked_example

from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.policies import DEFAULT_POLICY, POLICIES, inherited_priorities

DIAMOND = Graph.of({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": []})
DURATIONS = [1.0, 5.0, 2.0, 1.0, 9.0]


def test_each_policy_ranks_a_diamond_in_its_own_way() -> None:
    ranks = {name: policy.priorities(DIAMOND, DURATIONS, 0) for name, policy in POLICIES.items() if name != "random"}
    assert ranks == {
        "critical-path": [7.0, 6.0, 3.0, 1.0, 9.0],
        "fifo": [0.0, 0.0, 0.0, 0.0, 0.0],
        "level": [0.0, -1.0, -1.0, -2.0, 0.0],
        "longest-task": [1.0, 5.0, 2.0, 1.0, 9.0],
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
