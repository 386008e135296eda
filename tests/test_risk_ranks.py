from __future__ import annotations

from math import sqrt

import pytest
from random_schedules import random_graphs

from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.risk_ranks import path_ranks, risk_ranks, work_below

FORK = Graph.of({"root": [], "sure": ["root"], "risky": ["root"], "after": ["sure"]})
ESTIMATES = [Estimate(2.0, 1.0), Estimate(3.0, 0.0), Estimate(4.0, 3.0), Estimate(2.0, 0.0)]


def test_every_rank_weighs_mean_and_risk_in_its_own_way() -> None:
    assert risk_ranks(FORK, ESTIMATES, 2) == {
        "mean-plus-sd": [10.0, 5.0, 7.0, 2.0],
        "mean-plus-2-sd": [14.0, 5.0, 10.0, 2.0],
        "own-sd": [8.0, 5.0, 7.0, 2.0],
        "path-plus-4-sd": [6.0 + 4 * sqrt(10.0), 5.0, 16.0, 2.0],
        "work-below": pytest.approx([12.0 + 0.3 * 11 / 2, 5.0 + 0.3 * 5 / 2, 8.5 + 0.3 * 4 / 2, 2.0 + 0.3 * 2 / 2]),
        "work-below-in-full": [17.5, 7.5, 10.5, 3.0],
        "path-plus-2-sd": [6.0 + 2 * sqrt(10.0), 5.0, 10.0, 2.0],
        "mean-plus-half-sd": [8.0, 5.0, 5.5, 2.0],
    }


def test_independent_deviations_of_a_path_add_up_as_squares() -> None:
    chain = Graph.of({"a": [], "b": ["a"]})
    assert path_ranks(chain, [Estimate(1.0, 3.0), Estimate(1.0, 4.0)], 2.0) == [12.0, 9.0]


def test_without_spread_all_but_the_work_below_are_the_critical_path() -> None:
    for graph, durations, seed in random_graphs(40, (1, 8, 20)):
        ranks = risk_ranks(graph, [Estimate(d) for d in durations], 3)
        expected = upward_ranks(graph, durations)
        for name, found in ranks.items():
            if not name.startswith("work"):
                assert found == pytest.approx(expected), (name, seed)


def test_work_below_counts_each_descendant_once() -> None:
    diamond = Graph.of({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]})
    assert work_below(diamond, [1.0, 10.0, 100.0, 1000.0]) == [1111.0, 1010.0, 1100.0, 1000.0]
