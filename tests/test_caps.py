"""A cap on the run over pools of different sizes: the search knows it, and nothing plainer is ever shorter."""

from __future__ import annotations

from random import Random

from random_schedules import random_graph

from llmflow.scheduling.bounds import capped_lower_bound
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.improve import in_order, plan
from llmflow.scheduling.lean_schedule import machine_of
from llmflow.scheduling.list_schedule import list_schedule, ranked
from llmflow.scheduling.plain_orders import PLAIN
from llmflow.scheduling.policies import POLICIES, inherited_priorities
from llmflow.scheduling.pool_ranks import pool_ranks
from llmflow.scheduling.setting import Decision, Expansion, Setting, still
from llmflow.scheduling.ticks import TickSchedules

SPARING = Graph.of(
    {
        "t0": [],
        "t1": ["t0"],
        "t2": ["t0"],
        "t3": ["t0"],
        "t4": ["t1"],
        "t5": ["t1"],
        "t6": ["t0"],
        "t7": ["t5"],
        "t8": ["t3"],
        "t9": ["t8"],
        "t10": ["t6"],
        "t11": ["t5"],
    }
)
LASTING = [4.0, 9.0, 5.0, 15.0, 24.0, 20.0, 6.0, 6.0, 15.0, 12.0, 13.0, 4.0]
IN_POOL = [1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0]
"""Two may work at once; pool 0 has one worker and 68 s of work, so it must hardly ever stand idle."""


def decided(setting: Setting) -> Decision:
    return POLICIES["stochastic"].decide(setting)


def certain(durations: list[float]) -> list[Estimate]:
    return [Estimate(d, 0.0, "author") for d in durations]


def test_a_pool_that_a_cap_would_starve_is_served_and_the_plan_is_proved_the_shortest() -> None:
    found = decided(Setting(SPARING, certain(LASTING), [1, 2], pool_of=IN_POOL, cap=2))
    lean = machine_of(SPARING, [1, 2], IN_POOL, cap=2)
    taken = {
        name: lean.schedule(lean.keys(rank(Setting(SPARING, certain(LASTING)))), LASTING)[0]
        for name, (_, rank) in PLAIN.items()
    }
    assert taken == {"critical-path": 87.0, "fifo": 83.0, "level": 83.0, "longest-task": 81.0, "random": 84.0}
    assert lean.schedule(lean.keys(found.priorities), LASTING)[0] == 72.0
    assert found.reason == "17 % shorter than the critical path as planned; no schedule is shorter"


def test_what_leads_to_the_fullest_pool_goes_first_and_then_all_of_that_pool() -> None:
    graph = Graph.of({"long": [], "feeds": [], "one": ["feeds"], "two": [], "three": []})
    found = pool_ranks(graph, [6.0, 1.0, 4.0, 4.0, 4.0], [1, 1, 0, 0, 0], [1, 3], cap=2)
    load = 7 / 2 / 12
    assert found["pool-load"] == [6 * load, 4.0 + load, 4.0, 4.0, 4.0]
    assert ranked(found["fullest-pool"]) == [2, 3, 4, 0, 1]


def test_schedules_in_ticks_are_those_of_the_dispatcher_also_under_a_cap() -> None:
    capped = 0
    for seed in range(60):
        graph, durations = random_graph(seed, 25, density=0.15)
        dice = Random(seed)
        pool_of = [dice.choice((0, 0, 1, 1, 2)) for _ in durations]
        sizes, cap = [dice.choice((0, 1, 2)), dice.choice((0, 1, 3)), 1], dice.choice((1, 2, 3))
        order = list(range(len(graph)))
        dice.shuffle(order)
        lean = machine_of(graph, sizes, pool_of, cap=cap)
        length, starts = lean.schedule(lean.keys(in_order(order)), durations)
        search = TickSchedules(graph, durations, pool_of, sizes, cap)
        ticked = search.schedule(0, order)
        assert abs(ticked[0] / search.scale - length) < 1e-6, seed
        exact = list_schedule(graph, durations, in_order(order), sizes, pool_of, cap=cap)
        assert (exact.makespan, exact.starts) == (length, starts), seed
        capped += length > list_schedule(graph, durations, in_order(order), sizes, pool_of).makespan
    assert capped > 20


def most_at_once(starts: list[float], finishes: list[float]) -> int:
    changes = sorted([(end, -1) for end in finishes] + [(start, 1) for start in starts])
    busy = most = 0
    for _, change in changes:
        busy += change
        most = max(most, busy)
    return most


def test_a_plan_under_a_cap_keeps_to_pools_cap_and_dependencies_and_is_never_longer_than_the_critical_path() -> None:
    shorter = idles = 0
    for seed in range(30):
        graph, _ = random_graph(seed, 20, density=0.15)
        dice = Random(seed)
        durations = [float(dice.randint(1, 9)) for _ in range(len(graph))]
        pool_of, sizes, cap = [dice.randrange(2) for _ in durations], [1, 3], dice.choice((2, 3))
        found = plan(
            graph, durations, sizes, budget_s=1.0, seed=seed, clock=still, pool_of=pool_of, cap=cap, iterations=40
        )
        ends = found.schedule.finishes
        assert [e - s for s, e in zip(found.starts, ends, strict=True)] == durations, seed
        for task, deps in enumerate(graph.dependencies):
            assert all(ends[d] <= found.starts[task] for d in deps), seed
        assert most_at_once(found.starts, ends) <= cap, seed
        for pool, size in enumerate(sizes):
            own = [t for t, p in enumerate(pool_of) if p == pool]
            assert most_at_once([found.starts[t] for t in own], [ends[t] for t in own]) <= size, seed
        path = list_schedule(graph, durations, upward_ranks(graph, durations), sizes, pool_of, cap=cap).makespan
        bound = capped_lower_bound(graph, durations, pool_of, sizes, cap).value
        assert bound <= found.makespan <= path, seed
        shorter += found.makespan < path
        idles += found.idles
    assert (shorter > 10, idles > 0) == (True, True)


def test_where_all_is_certain_no_plain_order_is_shorter_whatever_the_setting() -> None:
    replaced = 0
    for seed in range(120):
        graph, _ = random_graph(seed, 14, density=0.15)
        dice = Random(seed)
        n = len(graph)
        durations = [float(dice.choice((1, 2, 3, 10))) for _ in range(n)]
        pool_of, sizes = [dice.randrange(2) for _ in range(n)], [dice.choice((0, 1, 2)), dice.choice((1, 2))]
        urgencies = inherited_priorities(graph, [dice.choice((0, 0, 5)) for _ in range(n)]) if seed % 3 == 1 else []
        expansion = None
        if seed % 3 == 2:  # three items of every stage
            items, stages = Graph(), []
            for stage in range(n):
                for item in range(3):
                    items.add(f"{stage}[{item}]", [3 * d + k for d in graph.dependencies[stage] for k in range(3)])
                    stages.append(stage)
            expansion = Expansion(items, stages)
        setting = Setting(
            graph,
            certain(durations),
            sizes,
            pool_of=pool_of,
            cap=dice.choice((0, 2, 3)),
            urgencies=urgencies,
            grows=expansion is not None,
            expansion=expansion,
            may_idle=expansion is None and not urgencies,
            seed=seed,
            iterations=3,
        )
        found = decided(setting)
        laid = expansion or Expansion(graph, range(n))
        lean = machine_of(
            laid.graph,
            sizes,
            [pool_of[s] for s in laid.stages],
            cap=setting.cap,
            urgencies=[urgencies[s] for s in laid.stages] if urgencies else (),
        )
        expected = [durations[s] for s in laid.stages]
        own = lean.keys([found.priorities[s] for s in laid.stages])
        length = lean.schedule(own, expected, holds=found.holds)[0]
        for name, (_, rank) in PLAIN.items():
            keys = lean.keys([rank(setting)[s] for s in laid.stages])
            assert length <= lean.schedule(keys, expected)[0] * (1 + 1e-9), (seed, name)
        replaced += found.order in PLAIN and found.order != "critical-path"
    assert replaced > 5
