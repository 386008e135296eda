"""Sampled runs: quantiles of the makespan, criticality, and what stops them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isclose
from random import Random

import pytest
from random_schedules import random_graphs
from worked_example import worked_example

from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph, timing, upward_ranks
from llmflow.scheduling.lean_schedule import LeanSchedules
from llmflow.scheduling.outlook import (
    FEWEST,
    LeanRuns,
    Outlook,
    Quantiles,
    affordable,
    certain,
    longest_chains,
    look_out,
)
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.tasks import TaskSpec


def outlook_of(graph: Graph, estimates: list[Estimate], workers: int, samples: int = 50, seed: int = 0) -> Outlook:
    lean = LeanSchedules(graph, [TaskSpec(pools=(0,))] * len(graph), [PoolSpec("p", workers)])
    ranks = upward_ranks(graph, [e.mean for e in estimates])
    policies = {"critical-path": ranks, "fifo": [0.0] * len(graph)}
    found = look_out(graph, estimates, lean, policies, samples=samples, seed=seed)
    assert found is not None
    return found


def test_tasks_on_longest_chains_are_those_without_slack() -> None:
    for graph, durations, _ in random_graphs(120, [1, 8, 30]):
        times = timing(graph, durations)
        slackless = {t for t in range(len(graph)) if times.slack(t) == 0}
        assert set(longest_chains(graph, durations, graph.order())) == slackless


def test_of_certain_durations_every_sample_is_the_plan() -> None:
    graph, durations = worked_example()
    found = outlook_of(graph, [Estimate(d, 0.0, "author") for d in durations], 4, samples=25)
    assert found.makespans == {"critical-path": Quantiles(52.0, 52.0, 52.0, 52.0), "fifo": Quantiles(62, 62, 62, 62)}
    assert found.criticality == [float(not name.startswith("M")) for name in graph.names]
    assert found.durations == durations
    plan = certain(graph, durations, {"critical-path": 52.0, "fifo": 62.0}, found.starts)
    assert (plan.makespans["fifo"].p90, plan.criticality, plan.samples) == (62.0, found.criticality, 1)


def test_quantiles_are_in_order_and_between_what_single_samples_give() -> None:
    for graph, durations, seed in random_graphs(10, [20]):
        found = outlook_of(graph, [Estimate(d, d * 0.6, "task", 9) for d in durations], 3, seed=seed)
        for q in found.makespans.values():
            assert 0 < q.p10 <= q.p50 <= q.p90
            assert q.p10 < q.mean < q.p90 * 1.5
        assert all(0 <= share <= 1 for share in found.criticality)
        assert sum(found.criticality) >= 1  # in each sample somebody is


def test_the_seed_alone_moves_an_outlook() -> None:
    graph, durations = worked_example()
    estimates = [Estimate(d, d, "task", 9) for d in durations]
    assert outlook_of(graph, estimates, 4) == outlook_of(graph, estimates, 4)
    assert outlook_of(graph, estimates, 4) != outlook_of(graph, estimates, 4, seed=1)


def test_the_riskier_of_two_equal_chains_is_critical_more_often_than_not_at_all() -> None:
    graph = Graph.of({"sure": [], "risky": [], "end": ["sure", "risky"]})
    found = outlook_of(graph, [Estimate(5.0, 0.0, "author"), Estimate(5.0, 2.0, "task", 9), Estimate(1.0)], 0, 200)
    sure, risky, end = found.criticality
    assert isclose(sure + risky, 1.0)
    assert end == 1.0
    assert 0.3 < risky < 0.7


def ticking(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


@pytest.mark.parametrize(("step", "samples"), [(0.0, 200), (0.004, 96), (0.1, None)])
def test_a_budget_allows_fewer_samples_or_none(step: float, samples: int | None) -> None:
    graph, durations = worked_example()
    lean = LeanSchedules(graph, [TaskSpec(pools=(0,))] * len(graph), [PoolSpec("p", 4)])
    clock = ticking(step)  # it is looked at thrice: at the begin, before the first sample and after 4 of them
    found = look_out(
        graph,
        [Estimate(d, d, "task", 9) for d in durations],
        lean,
        {"fifo": [0.0] * len(graph)},
        samples=200,
        seed=0,
        budget_s=0.1,
        clock=lambda: next(clock),
    )
    assert (found and found.samples) == samples


def test_no_more_is_drawn_than_the_budget_allows() -> None:
    graph, durations = worked_example()
    asked: list[int] = []

    class Counted(LeanRuns):
        def drawn(self, estimates: Sequence[Estimate], dice: Random, count: int) -> list[list[float]]:
            asked.append(count)
            return super().drawn(estimates, dice, count)

    lean = LeanSchedules(graph, [TaskSpec(pools=(0,))] * len(graph), [PoolSpec("p", 4)])
    estimates = [Estimate(d, d, "task", 9) for d in durations]
    for step in (0.1, 0.004):
        clock = ticking(step)
        look_out(
            graph,
            estimates,
            lean,
            {"fifo": [0.0] * len(graph)},
            hedged=Counted(lean),
            samples=200,
            seed=0,
            budget_s=0.1,
            clock=clock.__next__,
        )
    assert asked == [4, 4, 92]


def test_large_graphs_get_fewer_samples_and_the_largest_none() -> None:
    assert [affordable(n, 1) for n in (10, 1_000, 5_000, 10_000, 10_001)] == [200, 200, 40, 20, 0]
    assert affordable(1_000, 6) == 57
    assert affordable(10, 1, 0) == 0
    assert affordable(10, 1, 5) == 5
    assert FEWEST == 20
