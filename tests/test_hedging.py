"""Second calls: when one starts, who has answered, what it costs, and that every report survives two calls at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from io import StringIO
from math import inf
from random import Random

import pytest
from chaos import chaotic_run, fold, generous, snapshot
from random_graphs import Scenario, flaws, random_scenario, random_scenarios
from virtual_run import story_of

from llmflow.errors import CallFailed, FailureKind
from llmflow.reports.chronicle import Chronicle
from llmflow.reports.spans import Spans, seconds_held
from llmflow.reports.summary import summarise
from llmflow.reports.summary_text import render_summary
from llmflow.reports.time_booking import Setting, book_time
from llmflow.runtime.engine import Call
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.hedging import LOOKED_AT, Hedger, HedgeRule, Hedging
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.simulate import Simulation, simulate
from llmflow.scheduling.state import IllegalEvent, RunState
from llmflow.scheduling.tasks import RetryPolicy, TaskSpec
from llmflow.views.frame import Watched, picture
from llmflow.views.plain import PlainLines
from llmflow.views.remaining import Remaining
from llmflow.views.view import PoolInfo, RunContext

CALL = TaskSpec(pools=(0,))


def hedging(
    tasks: int, after: float | Mapping[int, float] = 10.0, *, copies: int = 1, extra: float = 1.0, carried: float = 0.0
) -> Hedging:
    """Every task may be doubled `after` seconds; task t has rank t."""
    times = after if isinstance(after, Mapping) else dict.fromkeys(range(tasks), after)
    rules = {task: HedgeRule(seconds, copies) for task, seconds in times.items()}
    return Hedging(rules, [float(task) for task in range(tasks)], [0.0] * tasks, [True] * tasks, extra, carried)


def scheduler(
    edges: Mapping[str, Sequence[str]] | str,
    rules: Hedging,
    *,
    workers: int = 0,
    spec: TaskSpec = CALL,
) -> Scheduler:
    graph = Graph.of({name: [] for name in edges} if isinstance(edges, str) else edges)
    return Scheduler(graph, [spec] * len(graph), [PoolSpec("p", workers)], [0.0] * len(graph), hedging=rules)


def doubled(at: float, task: int, attempt: int, copy: int, worker: int, *, number: int = 1) -> list[ev.Event]:
    return [ev.AttemptDoubled(at, task, attempt, copy), started(at, task, copy, worker, number=number)]


def started(at: float, task: int, attempt: int, worker: int, *, number: int = 1) -> ev.AttemptStarted:
    return ev.AttemptStarted(at, task, attempt, number, 0, 0, worker)


# ---- when -----------------------------------------------------------------------------------------


def test_a_straggler_gets_a_second_call_and_the_faster_one_has_answered() -> None:
    core = scheduler({"a": [], "b": ["a"]}, hedging(2))
    assert core.handle(ev.RunStarted(0.0)) == [ev.RunStarted(0.0), started(0.0, 0, 1, 0), ev.AlarmSet(0.0, 10.0)]
    assert core.handle(ev.AlarmRang(10.0)) == [ev.AlarmRang(10.0), *doubled(10.0, 0, 1, 2, 1)]
    assert core.handle(ev.AttemptSucceeded(12.0, 0, 2)) == [
        ev.AttemptSucceeded(12.0, 0, 2),
        ev.CancelRequested(12.0, 0, 1, "outrun"),
        ev.TaskSucceeded(12.0, 0),
        started(12.0, 1, 3, 1),
        ev.AlarmSet(12.0, 22.0),
    ]
    assert core.handle(ev.AttemptCancelled(12.5, 0, 1, "outrun")) == [ev.AttemptCancelled(12.5, 0, 1, "outrun")]
    assert core.handle(ev.AttemptSucceeded(13.0, 1, 3)) == [
        ev.AttemptSucceeded(13.0, 1, 3),
        ev.TaskSucceeded(13.0, 1),
        ev.RunFinished(13.0, "succeeded"),
    ]


def test_the_first_call_may_win_and_a_late_answer_is_unused() -> None:
    core = scheduler("a", hedging(1))
    core.handle(ev.RunStarted(0.0))
    core.handle(ev.AlarmRang(10.0))
    assert core.handle(ev.AttemptSucceeded(11.0, 0, 1), ev.AttemptSucceeded(11.0, 0, 2, "unused")) == [
        ev.AttemptSucceeded(11.0, 0, 1),
        ev.CancelRequested(11.0, 0, 2, "outrun"),
        ev.TaskSucceeded(11.0, 0),
        ev.AttemptSucceeded(11.0, 0, 2, "unused"),
        ev.RunFinished(11.0, "succeeded"),
    ]


def test_a_run_is_over_only_when_the_slower_call_has_ended() -> None:
    core = scheduler("a", hedging(1))
    core.handle(ev.RunStarted(0.0))
    core.handle(ev.AlarmRang(10.0))
    assert core.handle(ev.AttemptSucceeded(11.0, 0, 1))[-1] == ev.TaskSucceeded(11.0, 0)
    assert core.handle(ev.AttemptCancelled(11.1, 0, 2, "outrun"))[-1] == ev.RunFinished(11.1, "succeeded")


def test_nothing_is_doubled_while_a_task_is_ready_or_no_worker_is_idle() -> None:
    core = scheduler("abc", hedging(3), workers=2)
    core.handle(ev.RunStarted(0.0))
    news = core.handle(ev.AttemptSucceeded(11.0, 0, 1))
    assert news[2:] == [started(11.0, 2, 3, 0)]  # task 1 is slow, but task 2 waits for the worker
    news = core.handle(ev.AttemptSucceeded(12.0, 2, 3))
    assert news[2:] == doubled(12.0, 1, 2, 4, 0)


def test_of_several_stragglers_the_one_with_the_highest_rank_goes_first() -> None:
    core = scheduler("abcd", hedging(4), workers=4)
    core.handle(ev.RunStarted(0.0))
    news = core.handle(ev.AttemptSucceeded(11.0, 0, 1))
    assert [e for e in news if isinstance(e, ev.AttemptStarted)] == [started(11.0, 3, 5, 0)]


def test_a_straggler_that_the_run_does_not_wait_for_is_not_doubled() -> None:
    """Beside it stands a call with much behind it: only when that is late too does the straggler count."""
    means, ranks = [5.0, 5.0], [5.0, 100.0]
    rules = Hedging({0: HedgeRule(10.0)}, ranks, means, [True, True], 1.0)
    core = scheduler("ab", rules)
    core.handle(ev.RunStarted(0.0))
    assert core.handle(ev.AlarmRang(10.0)) == [ev.AlarmRang(10.0)]
    assert core.handle(ev.AttemptSucceeded(20.0, 1, 2))[1:] == [
        ev.TaskSucceeded(20.0, 1),
        *doubled(20.0, 0, 1, 3, 1),
    ]


def test_where_the_share_is_used_up_fast_only_what_is_last_already_is_doubled() -> None:
    edges = {name: [] for name in "abc"} | {name: ["a"] for name in "defghijklm"}
    ranks = [24.0, 8.0, 20.0] + [1.0] * 10
    for extra, doubled in ((1.0, [1]), (0.1, [])):
        rules = Hedging({1: HedgeRule(10.0)}, ranks, [5.0] * 3 + [1.0] * 10, [True] * 13, extra)
        core = scheduler(edges, rules)
        core.handle(ev.RunStarted(0.0))
        core.handle(ev.AlarmRang(15.0))
        assert [core.state.running[a].task for a in core.state.copies] == doubled, extra


def test_choosing_among_many_stragglers_that_nobody_waits_for_looks_at_few_of_them() -> None:
    count = 5_000
    rules = Hedging({0: HedgeRule(10.0)}, [5.0, 1e6], [5.0, 5.0], [True, True], 1.0)
    hedger = Hedger(rules, 1)
    hedger.planned([0] * count + [1])
    hedger.started(1, 0, 1, 0, 0.0)
    for attempt in range(2, count + 2):
        hedger.started(attempt, attempt, 0, 0, 0.0)
    asked: list[int] = []

    def may(task: int) -> bool:
        asked.append(task)
        return True

    for second in range(10, 110):
        assert hedger.choose(float(second), lambda pool: True, may) is None
    assert len(asked) == 100 * LOOKED_AT
    hedger.ended(1)
    assert hedger.choose(200.0, lambda pool: True, may) == 2


def test_a_second_call_costs_an_attempt_of_nobody_else_and_the_share_bounds_them_all() -> None:
    core = scheduler("abcdefghij", hedging(10, extra=0.25))
    core.handle(ev.RunStarted(0.0))
    news = core.handle(ev.AlarmRang(10.0))
    assert [e.task for e in news if isinstance(e, ev.AttemptStarted)] == [9, 8]
    assert not [e for e in news if isinstance(e, ev.AlarmSet)]


def test_what_earlier_runs_left_over_helps_a_run_that_is_short() -> None:
    for carried, allowed in ((0.0, 0), (0.7, 1), (1.0, 1), (-0.5, 0)):
        core = scheduler("abcd", hedging(4, extra=0.08, carried=carried))
        core.handle(ev.RunStarted(0.0))
        core.handle(ev.AlarmRang(10.0))
        news = core.handle(ev.AttemptSucceeded(11.0, 0, 1))
        assert len(core.state.copies) == allowed, (carried, news)


def test_a_task_may_have_as_many_second_calls_as_its_author_wrote() -> None:
    core = scheduler("a", hedging(1, copies=2, extra=9.0))
    core.handle(ev.RunStarted(0.0))
    assert core.handle(ev.AlarmRang(10.0))[1:] == [*doubled(10.0, 0, 1, 2, 1), ev.AlarmSet(10.0, 20.0)]
    assert core.handle(ev.AlarmRang(20.0))[1:] == doubled(20.0, 0, 2, 3, 2)
    assert core.handle(ev.AttemptSucceeded(21.0, 0, 2))[1:] == [
        ev.CancelRequested(21.0, 0, 1, "outrun"),
        ev.CancelRequested(21.0, 0, 3, "outrun"),
        ev.TaskSucceeded(21.0, 0),
    ]


def test_without_rules_a_run_is_what_it_was() -> None:
    for seed in range(0, 60, 3):
        scenario = random_scenario(seed)
        nothing = Hedging({}, [], [], [])
        first, second = (
            simulate(scenario.graph, scenario.specs, scenario.pools, scenario.durations, scenario.priorities, hedging=h)
            for h in (None, nothing)
        )
        assert first.story == second.story


# ---- failures, retries, stops ---------------------------------------------------------------------

ONCE = TaskSpec(pools=(0,), retry=RetryPolicy(2, initial=1.0, jitter=False))


def failed(at: float, task: int, attempt: int) -> ev.AttemptFailed:
    return ev.AttemptFailed(at, task, attempt, FailureKind.SERVER)


def test_one_call_that_fails_leaves_the_task_to_the_other() -> None:
    core = scheduler("a", hedging(1), spec=ONCE)
    core.handle(ev.RunStarted(0.0))
    core.handle(ev.AlarmRang(10.0))
    assert core.handle(failed(11.0, 0, 1)) == [failed(11.0, 0, 1)]
    assert core.handle(ev.AttemptSucceeded(12.0, 0, 2))[1:] == [
        ev.TaskSucceeded(12.0, 0),
        ev.RunFinished(12.0, "succeeded"),
    ]


def test_two_calls_that_fail_are_one_failed_attempt() -> None:
    core = scheduler("a", hedging(1), spec=ONCE)
    core.handle(ev.RunStarted(0.0))
    core.handle(ev.AlarmRang(10.0))
    core.handle(failed(11.0, 0, 2))
    assert core.handle(failed(12.0, 0, 1)) == [failed(12.0, 0, 1), ev.TimerSet(12.0, 1, 0, 13.0, "retry")]
    again = core.handle(ev.TimerFired(13.0, 1))
    assert again[1:] == [started(13.0, 0, 3, 0, number=2), ev.AlarmSet(13.0, 23.0)]
    assert core.handle(failed(14.0, 0, 3))[1] == ev.TaskFailed(14.0, 0, FailureKind.SERVER)


def test_asking_again_begins_a_new_attempt_beside_the_slower_call_of_the_last() -> None:
    core = scheduler("a", hedging(1, extra=9.0))
    core.handle(ev.RunStarted(0.0))
    core.handle(ev.AlarmRang(10.0))
    assert core.handle(ev.AttemptSucceeded(11.0, 0, 2, "again"))[1:] == [
        ev.CancelRequested(11.0, 0, 1, "outrun"),
        started(11.0, 0, 3, 1, number=2),
        ev.AlarmSet(11.0, 21.0),
    ]
    assert core.state.lost == {1}
    assert core.handle(failed(12.0, 0, 1)) == [failed(12.0, 0, 1)]
    assert core.handle(ev.AlarmRang(21.0))[1:] == doubled(21.0, 0, 3, 4, 0, number=2)


def test_after_a_stop_nothing_is_doubled_and_a_second_stop_cancels_both_calls() -> None:
    core = scheduler("ab", hedging(2, {0: 10.0, 1: 20.0}))
    core.handle(ev.RunStarted(0.0))
    core.handle(ev.AlarmRang(10.0))
    core.handle(ev.StopRequested(11.0, "SIGINT"))
    assert core.handle(ev.AlarmRang(20.0)) == [ev.AlarmRang(20.0)]
    news = core.handle(ev.StopRequested(21.0, "SIGINT", "cancel"))
    assert [(e.task, e.attempt, e.reason) for e in news[1:]] == [  # type: ignore[union-attr]
        (0, 1, "requested"),
        (1, 2, "requested"),
        (0, 3, "requested"),
    ]
    news = core.handle(*(ev.AttemptCancelled(21.5, task, attempt) for task, attempt in ((0, 1), (0, 3), (1, 2))))
    assert [e for e in news if isinstance(e, ev.TaskCancelled)] == [
        ev.TaskCancelled(21.5, 0, "SIGINT"),
        ev.TaskCancelled(21.5, 1, "SIGINT"),
    ]
    assert news[-1] == ev.RunFinished(21.5, "stopped")


def test_a_second_call_counts_among_those_that_a_foreach_may_have_at_once() -> None:
    graph = Graph.of({"each": []})
    item = TaskSpec(pools=(0,), inner=True)
    rules = Hedging({1: HedgeRule(10.0)}, [0.0, 0.0], [0.0, 0.0], [False, True], 1.0)
    core = Scheduler(graph, [TaskSpec(item_workers=2), item], [PoolSpec("p")], [0.0, 0.0], hedging=rules)
    core.handle(ev.RunStarted(0.0))
    for key in "xyz":
        graph.add_item(0, key, 1)
    core.handle(ev.AttemptSucceeded(0.0, 0, 1, "expand"), ev.TasksAdded(0.0, 0, 1, 3), ev.ItemsClosed(0.0, 0))
    assert sorted(r.task for r in core.state.running.values()) == [1, 2]
    assert core.handle(ev.AlarmRang(10.0)) == [ev.AlarmRang(10.0)]
    core.handle(ev.AttemptSucceeded(11.0, 1, 2))
    assert sorted(r.task for r in core.state.running.values()) == [2, 3]
    core.handle(ev.AttemptSucceeded(12.0, 3, 4))
    assert sorted(r.task for r in core.state.running.values()) == [2, 2]
    core.handle(ev.AttemptSucceeded(13.0, 2, 5))
    assert core.handle(ev.AttemptCancelled(13.5, 2, 3, "outrun"))[-1] == ev.RunFinished(13.5, "succeeded")


def test_a_slower_call_that_lets_go_makes_room_for_the_next_item() -> None:
    graph = Graph.of({"each": []})
    item = TaskSpec(pools=(0,), inner=True)
    rules = Hedging({1: HedgeRule(10.0)}, [0.0, 0.0], [0.0, 0.0], [False, True], 1.0)
    core = Scheduler(graph, [TaskSpec(item_workers=2), item], [PoolSpec("p")], [0.0, 0.0], hedging=rules)
    core.handle(ev.RunStarted(0.0))
    graph.add_item(0, "x", 1)
    core.handle(ev.AttemptSucceeded(0.0, 0, 1, "expand"), ev.TasksAdded(0.0, 0, 1, 1))
    core.handle(ev.AlarmRang(10.0))
    for key in "yz":
        graph.add_item(0, key, 1)
    core.handle(ev.TasksAdded(11.0, 0, 2, 2), ev.ItemsClosed(11.0, 0))
    core.handle(ev.AttemptSucceeded(12.0, 1, 3))
    assert sorted(r.task for r in core.state.running.values()) == [1, 2]
    core.handle(ev.AttemptCancelled(12.5, 1, 2, "outrun"))
    assert sorted(r.task for r in core.state.running.values()) == [2, 3]


def test_only_a_call_of_the_running_attempt_can_be_a_second_one() -> None:
    def state() -> RunState:
        state = RunState(Graph.of({"a": []}))
        state.apply(ev.RunStarted(0.0))
        state.apply(started(0.0, 0, 1, 0))
        return state

    with pytest.raises(IllegalEvent, match="AttemptStarted of a while it is running"):
        state().apply(started(1.0, 0, 2, 1))
    with pytest.raises(IllegalEvent, match="AttemptDoubled of attempt 7, which is not running"):
        state().apply(ev.AttemptDoubled(1.0, 0, 7, 2))
    doubling = state()
    doubling.apply(ev.AttemptDoubled(1.0, 0, 1, 2))
    with pytest.raises(IllegalEvent, match="attempt 2 is no second call of what is running"):
        doubling.apply(started(1.0, 0, 2, 1, number=2))


# ---- whatever happens -----------------------------------------------------------------------------


def hedged(scenario: Scenario, seed: int) -> tuple[Hedging, list[float], Simulation]:
    dice = Random(f"{seed} second")
    rules = generous(scenario, seed)
    second = [dice.randint(1, 1 << 14) / 1024 for _ in scenario.durations]
    plan = simulate(
        scenario.graph,
        scenario.specs,
        scenario.pools,
        scenario.durations,
        scenario.priorities,
        workers=scenario.workers,
        hedging=rules,
        second=second,
    )
    return rules, second, plan


def test_no_story_with_second_calls_has_flaws() -> None:
    copies = won = 0
    for seed, scenario in enumerate(random_scenarios(300)):
        rules, _, plan = hedged(scenario, seed)
        assert flaws(scenario, plan.story, rules) == [], scenario.name
        state = fold(scenario, plan.story)
        assert list(state.ended_at) == plan.finishes
        copies += len(state.copies)
        won += sum(isinstance(e, ev.AttemptSucceeded) and e.attempt in state.copies for e in plan.story)
    assert copies > 300
    assert won > 100


def lasting_twice(core: Scheduler, first: Sequence[float], second: Sequence[float]) -> Call:
    async def call(begun: ev.AttemptStarted) -> str:
        await asyncio.sleep((second if begun.attempt in core.state.copies else first)[begun.task])
        return "done"

    return call


def test_runtime_and_simulator_tell_the_same_story_with_second_calls() -> None:
    for seed, scenario in enumerate(random_scenarios(200)):
        rules, second, plan = hedged(scenario, seed)
        core = scenario.scheduler(rules)
        story = story_of(core, lasting_twice(core, scenario.durations, second))
        assert (scenario.name, story) == (scenario.name, plan.story)


@pytest.mark.parametrize("seed", range(300))
def test_whatever_happens_a_hedged_run_ends_and_settles_every_task_once(seed: int) -> None:
    run = chaotic_run(seed, hedged=True)
    story, state = run.story, run.scheduler.state
    settling = (ev.TaskSucceeded, ev.TaskFailed, ev.TaskSkipped, ev.TaskBlocked, ev.TaskCancelled)
    settled = [event.task for event in story if isinstance(event, settling)]
    assert sorted(settled) == list(range(len(run.scenario.graph)))
    assert (state.running, state.timers, state.lost, state.doubled) == ({}, {}, set(), {})
    assert snapshot(fold(run.scenario, story)) == snapshot(state)
    held: dict[int, ev.AttemptStarted] = {}
    numbers: dict[int, int] = {}
    for event in story:
        if isinstance(event, ev.AttemptStarted) and event.pool != CONTROL:
            assert (event.pool, event.worker) not in {(other.pool, other.worker) for other in held.values()}
            held[event.attempt] = event
            assert not run.scenario.workers or len(held) <= run.scenario.workers
            copy = event.attempt in state.copies
            assert event.number == numbers.get(event.task, 0) + (not copy)
            numbers[event.task] = event.number
        elif isinstance(event, ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled):
            held.pop(event.attempt, None)


def test_chaos_reaches_every_way_for_two_calls_to_end() -> None:
    copies = unused = refused = 0
    for seed in range(300):
        run = chaotic_run(seed, hedged=True)
        state = run.scheduler.state
        copies += len(state.copies)
        outrun = {e.attempt for e in run.story if isinstance(e, ev.CancelRequested) and e.reason == "outrun"}
        unused += sum(isinstance(e, ev.AttemptSucceeded) and e.attempt in outrun for e in run.story)
        refused += sum(isinstance(e, ev.AttemptFailed) and e.attempt in outrun for e in run.story)
    assert min(copies, unused, refused) > 20, (copies, unused, refused)


# ---- the reports ----------------------------------------------------------------------------------


def test_where_the_time_went_adds_up_and_a_second_call_is_the_models_time() -> None:
    graph = Graph.of({"a": [], "b": ["a"]})
    plan = simulate(
        graph, [CALL] * 2, [PoolSpec("p", 2)], [60.0, 1.0], [0.0] * 2, hedging=hedging(2), second=[4.0, 1.0]
    )
    chronicle = Chronicle()
    chronicle.on_events(plan.story)
    booking = book_time(chronicle, graph.dependencies, Setting(["p"]))
    assert {c: booking.seconds(c) for c in booking.nanoseconds} == {"model": 15.0}
    assert plan.finishes == [14.0, 15.0]


def test_whatever_happens_the_columns_of_a_hedged_run_add_up() -> None:
    for seed in range(200):
        run = chaotic_run(seed, hedged=True)
        for cut in (len(run.story) // 3, 2 * len(run.story) // 3, len(run.story)):
            chronicle = Chronicle()
            chronicle.on_events(run.story[:cut])
            booking = book_time(
                chronicle, run.scenario.graph.dependencies, Setting([p.name for p in run.scenario.pools])
            )
            assert sum(booking.nanoseconds.values()) == round(booking.makespan * 1e9)
            assert all(ns > 0 for ns in booking.nanoseconds.values())


def test_the_seconds_of_two_calls_side_by_side_count_once() -> None:
    story: list[ev.Event] = [
        started(0.0, 0, 1, 0),
        *doubled(10.0, 0, 1, 2, 1),
        ev.AttemptSucceeded(14.0, 0, 2),
        ev.CancelRequested(14.0, 0, 1, "outrun"),
        started(14.0, 1, 3, 1),
        ev.AttemptCancelled(14.5, 0, 1, "outrun"),
        ev.AttemptSucceeded(15.0, 1, 3),
    ]
    spans = Spans()
    spans.on_events(story)
    assert [(s.task, s.start, s.end, s.ok, s.outrun) for s in spans.spans] == [
        (0, 10.0, 14.0, True, False),
        (0, 0.0, 14.5, False, True),
        (1, 14.0, 15.0, True, False),
    ]
    assert list(seconds_held(spans.spans, 2)) == [14.0, 1.0]
    assert (spans.copies, spans.overtaken) == (1, 1)


def test_no_task_holds_a_worker_longer_than_it_runs() -> None:
    for seed, scenario in enumerate(random_scenarios(100, control=False)):
        _, _, plan = hedged(scenario, seed)
        spans = Spans()
        spans.on_events(plan.story)
        held = seconds_held(spans.spans, len(scenario.graph))
        for task, seconds in enumerate(held):
            assert seconds == pytest.approx(plan.finishes[task] - plan.starts[task]), scenario.name


# ---- the engine -----------------------------------------------------------------------------------


def test_the_engine_cancels_the_slower_call_and_says_why() -> None:
    core = scheduler("a", hedging(1))
    cancelled: list[int] = []

    async def call(begun: ev.AttemptStarted) -> str:
        try:
            await asyncio.sleep(inf if begun.attempt == 1 else 2.0)
        except asyncio.CancelledError:
            cancelled.append(begun.attempt)
            raise
        return "done"

    assert story_of(core, call)[-4:] == [
        ev.CancelRequested(12.0, 0, 1, "outrun"),
        ev.TaskSucceeded(12.0, 0),
        ev.AttemptCancelled(12.0, 0, 1, "outrun"),
        ev.RunFinished(12.0, "succeeded"),
    ]
    assert cancelled == [1]


def test_a_failure_of_the_slower_call_is_nobodys() -> None:
    core = scheduler("a", hedging(1))

    async def call(begun: ev.AttemptStarted) -> str:
        try:
            await asyncio.sleep(inf if begun.attempt == 1 else 2.0)
        except asyncio.CancelledError:
            raise CallFailed(FailureKind.NETWORK, "cut off") from None
        return "done"

    assert story_of(core, call)[-2:] == [
        ev.AttemptFailed(12.0, 0, 1, FailureKind.NETWORK, "cut off"),
        ev.RunFinished(12.0, "succeeded"),
    ]


# ---- watched as it happens ------------------------------------------------------------------------


def watched(core: Scheduler, now: float) -> RunContext:
    return RunContext(
        "hedged", "RUN", core.state, lambda: now, [PoolInfo("p", 4)], [0] * 2, [10.0, 5.0], ["p/m", "p/m"]
    )


def lines_of(context: RunContext) -> list[str]:
    return ["".join(text for text, _ in line) for line in picture(context, Watched(), 120, 24)]


def test_the_live_table_shows_two_calls_of_one_attempt_as_one_task() -> None:
    core = scheduler({"a": [], "b": ["a"]}, hedging(2))
    core.handle(ev.RunStarted(0.0))
    core.handle(ev.AlarmRang(10.0))
    lines = lines_of(watched(core, 11.0))
    assert [line.split()[:3] for line in lines if line.startswith("a ")] == [["a", "●", "running"]]
    assert " 1+1 " in next(line for line in lines if line.startswith("a "))
    core.handle(ev.AttemptSucceeded(12.0, 0, 2))
    lines = lines_of(watched(core, 12.0))
    assert [line.split()[2] for line in lines if line.startswith(("a ", "b "))] == ["succeeded", "running"]
    assert "1/2 done" in lines[1]


def test_the_time_that_is_left_counts_two_calls_of_one_attempt_once_and_outrun_ones_not_at_all() -> None:
    core = scheduler({"a": [], "b": ["a"]}, hedging(2), workers=4)
    core.handle(ev.RunStarted(0.0))
    core.handle(ev.AlarmRang(10.0))
    assert Remaining(watched(core, 4.0)).seconds() == 11.0
    core.handle(ev.AttemptSucceeded(12.0, 0, 2))
    assert core.state.lost == {1}
    assert Remaining(watched(core, 13.0)).seconds() == 4.0


def test_plain_lines_tell_of_a_second_call_and_of_its_end() -> None:
    core = scheduler("a", hedging(1))
    stream = StringIO()
    view = PlainLines(stream)
    view.start(watched(core, 0.0))
    for report in (
        ev.RunStarted(0.0),
        ev.AlarmRang(10.0),
        ev.AttemptSucceeded(12.0, 0, 2),
        ev.AttemptCancelled(12.5, 0, 1, "outrun"),
    ):
        view.on_events(core.handle(report))
    assert stream.getvalue().splitlines()[1:] == [
        "     0.00  a  started on p/0",
        "    10.00  a  started a second call on p/1",
        "    12.00  a  succeeded after 12.00 s",
        "    12.50  a  the slower call was cancelled and may be billed",
        "    12.50  run succeeded",
    ]


def test_the_closing_lines_count_second_calls() -> None:
    graph = Graph.of({"a": [], "b": ["a"]})
    plan = simulate(
        graph, [CALL] * 2, [PoolSpec("p", 2)], [60.0, 1.0], [0.0] * 2, hedging=hedging(2), second=[4.0, 1.0]
    )
    state, spans = RunState(graph), Spans()
    for event in plan.story:
        state.apply(event)
    spans.on_events(plan.story)
    summary = summarise(state, [PoolSpec("p", 2)], spans, {})
    assert (summary.makespan, summary.lower_bound, summary.ratio) == (15.0, 15.0, 1.0)
    assert (summary.attempts, summary.copies, summary.overtaken) == (3, 1, 1)
    assert "hedged        1 second call, 1 answered first; the others may be billed" in render_summary(summary)
