"""Workers that are kept free on purpose: where it pays, what is kept back, and how a run falls back to greed."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from random import Random

import pytest
from random_graphs import random_scenarios
from random_schedules import random_graph
from virtual_run import on_virtual_time

from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, RunResult, execute
from llmflow.binding.loading import bind, load_file, model_choice
from llmflow.binding.planning import Question, plan_of
from llmflow.errors import FailureKind
from llmflow.reports.plan_json import plan_json
from llmflow.scheduling import events as ev
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.idling import Hold
from llmflow.scheduling.lean_schedule import LeanSchedules
from llmflow.scheduling.list_schedule import list_schedule
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.setting import Decision, Setting
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.tasks import RetryPolicy, TaskSpec

KEPT_FREE = Graph.of({"long": [], "key": [], "lock": [], "side": ["key"], "left": ["lock"], "right": ["lock"]})
"""On 3 workers the one that `key` leaves at 1 s must not take `side`: `left` and `right` need it from 2 s on."""

DURATIONS = [5.0, 1.0, 2.0, 7.0, 10.0, 10.0]
SIDE, LEFT, RIGHT = 3, 4, 5


def decided(graph: Graph, durations: list[float], workers: int, *, cv: float = 0.0, may_idle: bool = True) -> Decision:
    estimates = [Estimate(d, d * cv, "task", 5) for d in durations]
    return POLICIES["stochastic"].decide(Setting(graph, estimates, [workers], seed=1, may_idle=may_idle))


def lean(graph: Graph, workers: int) -> LeanSchedules:
    return LeanSchedules(graph, [TaskSpec(pools=(0,))] * len(graph), [PoolSpec("sim", workers)])


def test_a_worker_is_kept_free_where_every_greedy_order_takes_longer() -> None:
    shortest = min(
        list_schedule(KEPT_FREE, DURATIONS, [float(p) for p in order], 3).makespan for order in permutations(range(6))
    )
    assert shortest == 15.0
    found = decided(KEPT_FREE, DURATIONS, 3)
    assert (found.order, found.holds) == ("idle-plan", (Hold(SIDE, RIGHT, 4.0),))
    assert found.reason == "a worker is kept free once: 20 % shorter than any order that was found, as planned"
    assert [(e.policy, e.mean) for e in found.evidence][-1] == ("idle-plan", 12.0)
    schedules = lean(KEPT_FREE, 3)
    length, _ = schedules.schedule(schedules.keys(found.priorities), DURATIONS, holds=found.holds)
    assert length == 12.0  # the work of 35 s needs 11 2/3 on 3 workers


def test_who_cannot_follow_holds_is_given_the_best_order_alone() -> None:
    found = decided(KEPT_FREE, DURATIONS, 3, may_idle=False)
    assert found.holds == ()
    assert list_schedule(KEPT_FREE, DURATIONS, found.priorities, 3).makespan == 15.0


@pytest.mark.parametrize(("cv", "keeps"), [(0.005, True), (0.05, True), (0.1, False), (0.5, False)])
def test_only_near_certain_durations_are_waited_for(cv: float, keeps: bool) -> None:
    assert bool(decided(KEPT_FREE, DURATIONS, 3, cv=cv).holds) is keeps


def test_one_uncertain_task_is_enough_not_to_wait() -> None:
    estimates = [Estimate(d, d * (task == 0), "task", 5) for task, d in enumerate(DURATIONS)]
    assert POLICIES["stochastic"].decide(Setting(KEPT_FREE, estimates, [3], may_idle=True)).holds == ()


def test_the_simulated_dispatcher_follows_the_plan_and_the_story_tells_what_waits() -> None:
    found = decided(KEPT_FREE, DURATIONS, 3)
    specs = [TaskSpec(pools=(0,))] * 6
    run = simulate(KEPT_FREE, specs, [PoolSpec("sim", 3)], DURATIONS, found.priorities, holds=found.holds)
    assert (run.makespan, run.starts) == (12.0, [0.0, 0.0, 0.0, 5.0, 2.0, 2.0])
    timers = [event for event in run.story if isinstance(event, ev.TimerSet | ev.TimerFired)]
    assert timers == [ev.TimerSet(1.0, 1, SIDE, 5.0, "worker_kept"), ev.TimerFired(2.0, 1)]


def test_patience_ends_all_holds_and_the_run_goes_on_greedily() -> None:
    found = decided(KEPT_FREE, DURATIONS, 3)
    late = [5.5, 1.0, 8.0, 7.0, 10.0, 10.0]  # `lock` takes four times as long as it should
    run = simulate(
        KEPT_FREE, [TaskSpec(pools=(0,))] * 6, [PoolSpec("sim", 3)], late, found.priorities, holds=found.holds
    )
    assert run.starts[SIDE] == 5.0  # kept from 1 s on, for 4 s
    assert run.starts[LEFT] == 8.0


def test_a_failed_attempt_ends_all_holds() -> None:
    found = decided(KEPT_FREE, DURATIONS, 3)
    specs = [TaskSpec(pools=(0,), retry=RetryPolicy(jitter=False, initial=2.0))] * 6
    scheduler = Scheduler(KEPT_FREE, specs, [PoolSpec("sim", 3)], found.priorities, holds=found.holds)
    started = {e.task: e.attempt for e in scheduler.handle(ev.RunStarted(0.0)) if isinstance(e, ev.AttemptStarted)}
    scheduler.handle(ev.AttemptSucceeded(1.0, 1, started[1]))
    assert scheduler.state.waiting == {SIDE: 1}
    news = scheduler.handle(ev.AttemptFailed(1.5, 2, started[2], FailureKind.SERVER, "", retryable=True))
    assert [e.task for e in news if isinstance(e, ev.AttemptStarted)] == [SIDE]


def test_a_stop_cancels_what_is_held_back() -> None:
    found = decided(KEPT_FREE, DURATIONS, 3)
    specs = [TaskSpec(pools=(0,))] * 6
    scheduler = Scheduler(KEPT_FREE, specs, [PoolSpec("sim", 3)], found.priorities, holds=found.holds)
    started = {e.task: e.attempt for e in scheduler.handle(ev.RunStarted(0.0)) if isinstance(e, ev.AttemptStarted)}
    scheduler.handle(ev.AttemptSucceeded(1.0, 1, started[1]))
    news = scheduler.handle(ev.StopRequested(1.5, "signal", "drain"))
    assert SIDE in [e.task for e in news if isinstance(e, ev.TaskCancelled)]
    assert scheduler.state.timers == {}
    assert not scheduler.handle(ev.TimerFired(5.0, 1))
    news = scheduler.handle(*(ev.AttemptSucceeded(6.0, t, started[t]) for t in (0, 2)))
    assert isinstance(news[-1], ev.RunFinished)


def test_the_lean_schedule_and_the_simulator_hold_back_alike_whatever_comes_true() -> None:
    held = 0
    for case in random_scenarios(400, ties=False):
        dice = Random(case.name)
        queued = [task for task, spec in enumerate(case.specs) if spec.pools[0] >= 0]
        if len(queued) < 2:
            continue
        holds = {}
        for _ in range(dice.randint(1, 4)):
            task, until = sorted(dice.sample(queued, 2))
            holds[task] = Hold(task, until, dice.choice((0.3, 1.5, 4.0, 20.0)))
        whole = replace(case, durations=[float(round(4 * d)) for d in case.durations])
        full = simulate(
            case.graph,
            case.specs,
            case.pools,
            whole.durations,
            case.priorities,
            workers=case.workers,
            holds=list(holds.values()),
        )
        schedules = LeanSchedules(case.graph, case.specs, case.pools, workers=case.workers)
        found = schedules.schedule(schedules.keys(case.priorities), whole.durations, holds=list(holds.values()))
        assert (case.name, found) == (case.name, (full.makespan, full.starts))
        held += any(isinstance(event, ev.TimerSet) for event in full.story)
    assert held > 50


def test_idling_is_never_longer_than_the_best_order_and_comes_out_as_planned() -> None:
    kept = 0
    for seed in range(60):
        graph, durations = random_graph(seed, 40, density=0.2)
        found, alone = (decided(graph, durations, 3, may_idle=idle) for idle in (True, False))
        schedules = lean(graph, 3)
        length, _ = schedules.schedule(schedules.keys(found.priorities), durations, holds=found.holds)
        by_order, _ = schedules.schedule(schedules.keys(alone.priorities), durations)
        assert length <= by_order, seed
        if found.holds:
            kept += 1
            assert length < by_order
            assert found.evidence[-1].mean == pytest.approx(length)
    assert kept


PIPELINE = """\
name: kept-free
providers: {sim: {kind: simulated, workers: 3}}
defaults: {model: sim/any}
tasks:
  long: {prompt: x, estimate: 5s}
  key: {prompt: x, estimate: 1s}
  lock: {prompt: x, estimate: 2s}
  side: {prompt: x, estimate: 7s, depends_on: [key]}
  left: {prompt: x, estimate: 10s, depends_on: [lock]}
  right: {prompt: x, estimate: 10s, depends_on: [lock]}
"""


def test_a_run_keeps_a_worker_free_as_its_plan_says(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE)
    compiled = bind(load_file(str(file), model_choice(())), model_choice(()), None)
    plan = plan_of(compiled, None, Question("stochastic", budget_s=60.0))
    assert (plan.makespan, plan.policies["critical-path"], plan.lower_bound) == (12.0, 15.0, 12.0)
    document = plan_json(plan)
    assert document["held_back"] == [{"task": "side", "until": "right", "patience": 4.0}]

    async def run() -> RunResult:
        beliefs = believed(compiled, None)
        return await execute(compiled, RunOptions({}, "stochastic", beliefs, environment={}, plan_budget=60.0))

    result = on_virtual_time(run())
    assert result.summary.makespan == pytest.approx(12.0)
    started = {name: task["started"] for name, task in result.tasks.items()}
    assert started == {task.name: pytest.approx(task.start) for task in plan.tasks}


@pytest.mark.parametrize("change", ['when: "{{ true }}"', "hedge: true"])
def test_where_a_task_may_be_skipped_or_doubled_no_worker_is_kept_free(tmp_path: Path, change: str) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE.replace("long: {prompt: x,", f"long: {{prompt: x, {change},"))
    compiled = bind(load_file(str(file), model_choice(())), model_choice(()), None)
    plan = plan_of(compiled, None, Question("stochastic", budget_s=60.0))
    assert (plan.makespan, plan.decision.holds) == (15.0, ())
