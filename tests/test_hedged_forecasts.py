"""Forecasts of runs with second calls: as long as such runs are, from the rules that they go by."""

from __future__ import annotations

import json
from math import exp
from pathlib import Path
from random import Random

import pytest
from command_line import llmflow, pipeline

from bench.calibration import random_graph
from llmflow.history.records import SampleRecord
from llmflow.scheduling.calibration import Interval, calibration
from llmflow.scheduling.doubles import Durations, Took
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.hedged_runs import HedgedRuns
from llmflow.scheduling.hedging import HedgeRule, Hedging
from llmflow.scheduling.lean_schedule import LeanSchedules
from llmflow.scheduling.learning import Learner, Subject
from llmflow.scheduling.outlook import look_out
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.tasks import TaskSpec


def straggling(mean: float, dice: Random) -> float:
    return mean * exp(0.2 * dice.gauss(0.0, 1.0)) * (6.0 if dice.random() < 0.05 else 1.0)


def foretold(number: int, *, knowing: bool) -> tuple[Interval, float]:
    """The first run with second calls of a pipeline that ran 30 times without, on 16 workers; and what came."""
    dice = Random(f"{number} hedged")
    graph = Graph()
    for task in range(100):
        graph.add(f"task-{task}", dice.sample(range(max(0, task - 10), task), min(task, 2)))
    means = [dice.uniform(1.0, 5.0) for _ in range(len(graph))]
    learner = Learner(
        SampleRecord(name, straggling(mean, dice), float(k))
        for k in range(30)
        for name, mean in zip(graph.names, means, strict=True)
    )
    estimates = [learner.estimate(Subject(name)) for name in graph.names]
    expected = [e.mean for e in estimates]
    ranks = upward_ranks(graph, expected)
    rules = {task: HedgeRule(e.quantile(0.9)) for task, e in enumerate(estimates)}
    hedging = Hedging(rules, ranks, expected, [True] * len(graph), 0.08, 1.0)
    specs, pools = [TaskSpec(pools=(0,))] * len(graph), [PoolSpec("p", 16)]
    told = look_out(
        graph,
        estimates,
        LeanSchedules(graph, specs, pools),
        {"critical-path": ranks},
        hedged=HedgedRuns(graph, specs, pools, hedging) if knowing else None,
        samples=60,
        seed=number,
    )
    assert told is not None
    first, second = ([straggling(mean, dice) for mean in means] for _ in range(2))
    came = simulate(graph, specs, pools, first, ranks, hedging=hedging, second=second).makespan
    q = told.makespans["critical-path"]
    return Interval(q.p10, q.p50, q.p90), came


def test_a_forecast_that_knows_of_second_calls_holds_and_one_that_does_not_is_too_long() -> None:
    knowing = calibration([foretold(number, knowing=True) for number in range(16)])
    ignorant = calibration([foretold(number, knowing=False) for number in range(16)])
    assert 0.65 <= knowing.coverage <= 0.95
    assert abs(knowing.bias) < 0.1
    assert ignorant.bias < -0.12
    assert ignorant.below > 0.25


def test_calls_that_go_together_are_foretold_to_gain_nothing() -> None:
    graph = random_graph(Random(1), 20)
    specs, pools = [TaskSpec(pools=(0,))] * len(graph), [PoolSpec("p", 16)]
    learner = Learner(SampleRecord(name, 3.0, 0.0) for name in graph.names)
    estimates = [learner.estimate(Subject(name)) for name in graph.names]
    ranks = upward_ranks(graph, [3.0] * len(graph))

    def drawn(rule: HedgeRule) -> list[list[tuple[float, float]]]:
        rules = dict.fromkeys(range(len(graph)), rule)
        hedging = Hedging(rules, ranks, [3.0] * len(graph), [True] * len(graph))
        return HedgedRuns(graph, specs, pools, hedging).drawn(estimates, Random(2), 50)

    assert all(first == second for pairs in drawn(HedgeRule(4.0, alike=1.0)) for first, second in pairs)
    apart = [first != second for pairs in drawn(HedgeRule(4.0, alike=0.5)) for first, second in pairs]
    assert sum(apart) / len(apart) == pytest.approx(0.5, abs=0.1)
    assert {x for pairs in drawn(HedgeRule(4.0, calls=(1.0, 9.0))) for pair in pairs for x in pair} == {1.0, 9.0}


def test_likely_durations_know_of_those_that_were_cut_off() -> None:
    known = Durations.of([Took(1.0), Took(2.0), Took(2.5, cut_off=True), Took(4.0)])
    assert known.likely(4) == (known.quantile(0.125), known.quantile(0.375), known.quantile(0.625), 3.5)
    assert Durations.of([Took(1.0), Took(3.0, cut_off=True)]).likely(2) == (known.seconds[0], 1.0)
    assert Durations.of([Took(1.0, cut_off=True)]).likely(9) == ()


def test_plan_and_the_stored_forecast_count_on_second_calls(tmp_path: Path) -> None:
    text = (
        "name: {name}\nproviders: {{sim: {{kind: simulated, speed: 1000, workers: 8}}}}\ndefaults: {{model: sim/any}}\n"
        "scheduling: {{hedge_extra: 100%}}\ntasks:\n"
        "  a: {{prompt: one, estimate: {{p50: 2s, p95: 20s}}{more}}}\n"
        '  b: {{prompt: "{{{{ tasks.a.output }}}}", estimate: {{p50: 2s, p95: 20s}}{more}}}\n'
    )
    planned, stored = {}, {}
    for name, more in (("plain", ""), ("hedged", ", hedge: {after: p50}")):
        file = pipeline(tmp_path, text.format(name=name, more=more))
        planned[name] = json.loads(llmflow("plan", file.name, "--json", cwd=tmp_path).out)["p90"]
        assert llmflow("run", file.name, cwd=tmp_path).code == 0
        stored[name] = json.loads(llmflow("show", "last", "--json", cwd=tmp_path).out)["forecast"]["p90"]
    assert planned["hedged"] < 0.8 * planned["plain"]
    assert stored["hedged"] < 0.8 * stored["plain"]
