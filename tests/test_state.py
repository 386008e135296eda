from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from random import Random

import pytest
from chaos import chaotic_run, fold, snapshot
from random_graphs import random_scenarios

from llmflow.errors import FailureKind
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.packed import SIZE, Packed
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.state import MOVES, SETTLED, IllegalEvent, Running, RunState, Status

PAIR = Graph.of({"a": [], "b": ["a"]})
START = ev.AttemptStarted(1.0, 0, 1, 1, 0, 0, 0)


def state_after(*events: ev.Event) -> RunState:
    state = RunState(PAIR)
    for event in events:
        state.apply(event)
    return state


def test_a_task_is_ready_runs_and_settles_and_releases_what_waits_for_it() -> None:
    state = state_after(ev.RunStarted(0.0), START)
    assert (list(state.status), state.counts[Status.RUNNING]) == ([Status.RUNNING, Status.PENDING], 1)
    assert state.running == {1: Running(0, 0, 0, 0, 1.0, 1, 0)}
    state.apply(ev.AttemptSucceeded(3.0, 0, 1))
    state.apply(ev.TaskSucceeded(3.0, 0))
    assert (list(state.status), state.unsettled, state.running) == ([Status.SUCCEEDED, Status.READY], 1, {})
    assert (list(state.ready_at), state.first_started_at[0], state.now) == ([0.0, 3.0], 1.0, 3.0)
    assert state.ended_at[0] == 3.0
    assert isnan(state.ended_at[1])


def test_evaluating_a_condition_is_no_attempt() -> None:
    state = state_after(
        ev.RunStarted(0.0), START._replace(number=0, pool=-1), ev.AttemptSucceeded(2.0, 0, 1, "proceed")
    )
    assert (state.attempts[0], Status(state.status[0]), isnan(state.first_started_at[0])) == (0, Status.READY, True)
    state.apply(START._replace(at=5.0, attempt=2))
    assert (state.attempts[0], state.first_started_at[0], state.ready_at[0]) == (1, 5.0, 2.0)


def test_a_retry_keeps_the_first_start_and_the_count_of_attempts() -> None:
    state = state_after(
        ev.RunStarted(0.0),
        START,
        ev.AttemptFailed(2.0, 0, 1, FailureKind.SERVER),
        ev.TimerSet(2.0, 9, 0, 4.0, "retry"),
    )
    assert (Status(state.status[0]), state.timers, state.waiting) == (Status.WAITING, {9: 0}, {0: 9})
    state.apply(ev.TimerFired(4.0, 9))
    state.apply(START._replace(at=5.0, attempt=2, number=2))
    assert (state.attempts[0], state.first_started_at[0], state.running[2].started_at) == (2, 1.0, 5.0)
    assert (state.timers, state.waiting) == ({}, {})


def test_cancelling_a_waiting_task_takes_its_timer_with_it() -> None:
    state = state_after(
        ev.RunStarted(0.0),
        START,
        ev.AttemptFailed(2.0, 0, 1, FailureKind.SERVER),
        ev.TimerSet(2.0, 9, 0, 4.0, "retry"),
        ev.TaskCancelled(3.0, 0, "SIGINT"),
    )
    assert (state.timers, state.waiting, Status(state.status[0])) == ({}, {}, Status.CANCELLED)
    with pytest.raises(IllegalEvent, match="TimerFired of timer 9, which is not set"):
        state.apply(ev.TimerFired(4.0, 9))


DONE = (ev.RunStarted(0.0), START, ev.AttemptSucceeded(2.0, 0, 1), ev.TaskSucceeded(2.0, 0))
ILLEGAL: list[tuple[tuple[ev.Event, ...], ev.Event, str]] = [
    ((), START, "AttemptStarted of a while it is pending"),
    ((ev.RunStarted(0.0),), START._replace(task=1), "AttemptStarted of b while it is pending"),
    ((ev.RunStarted(0.0), START), START, "AttemptStarted of attempt 1, which is running already"),
    (DONE, START._replace(attempt=2), "AttemptStarted of a while it is succeeded"),
    (DONE[:1], ev.AttemptSucceeded(1.0, 0, 1), "AttemptSucceeded of a while it is ready"),
    (DONE[:2], ev.AttemptSucceeded(1.0, 0, 2), "AttemptSucceeded of attempt 2, which is not running"),
    (DONE[:3], ev.AttemptFailed(2.0, 0, 1, FailureKind.CODE), "AttemptFailed of attempt 1, which is not running"),
    (DONE, ev.AttemptCancelled(2.0, 0, 1), "AttemptCancelled of a while it is succeeded"),
    (DONE, ev.TaskSucceeded(2.0, 0), "TaskSucceeded of a while it is succeeded"),
    (DONE[:1], ev.TaskSucceeded(2.0, 0), "TaskSucceeded of a while it is ready"),
    (DONE, ev.TaskFailed(2.0, 0, FailureKind.CODE), "TaskFailed of a while it is succeeded"),
    ((), ev.TaskSkipped(2.0, 1), "TaskSkipped of b while it is pending"),
    (DONE[:2], ev.TaskBlocked(2.0, 0, 1), "TaskBlocked of a while it is running"),
    (DONE, ev.TaskCancelled(2.0, 0, "SIGINT"), "TaskCancelled of a while it is succeeded"),
    ((), ev.TimerSet(2.0, 1, 0, 3.0, "retry"), "TimerSet of a while it is pending"),
    ((), ev.TimerFired(2.0, 1), "TimerFired of timer 1, which is not set"),
    ((), ev.CancelRequested(2.0, 0, 1), "CancelRequested of attempt 1, which is not running"),
    (DONE, ev.RunFinished(2.0, "succeeded"), "RunFinished with 1 tasks open and 0 attempts running"),
    (DONE[:2], ev.RunFinished(2.0, "succeeded"), "RunFinished with 2 tasks open and 1 attempts running"),
]


@pytest.mark.parametrize(("before", "event", "message"), ILLEGAL, ids=[message for *_, message in ILLEGAL])
def test_an_illegal_event_is_refused_by_name(before: tuple[ev.Event, ...], event: ev.Event, message: str) -> None:
    state = state_after(*before)
    with pytest.raises(IllegalEvent) as caught:
        state.apply(event)
    assert str(caught.value) == message


def test_no_move_leads_out_of_a_settled_status() -> None:
    assert {move.__name__ for move, (before, _) in MOVES.items() if before & SETTLED} == set()


def test_growing_counts_only_dependencies_that_are_still_open() -> None:
    graph = Graph.of({"a": [], "b": ["a"]})
    state = RunState(graph)
    for event in DONE:
        state.apply(event)
    graph.add("c", [0, 1])
    graph.add("d", [0])
    state.grow([2, 3])
    assert (list(state.pending), state.unsettled) == ([0, 0, 1, 0], 3)


def test_folding_a_simulated_story_ends_where_the_simulation_ended() -> None:
    for scenario in random_scenarios(100):
        simulated = simulate(
            scenario.graph,
            scenario.specs,
            scenario.pools,
            scenario.durations,
            scenario.priorities,
            workers=scenario.workers,
        )
        state = fold(scenario, simulated.story)
        assert list(state.status) == [Status.SUCCEEDED] * len(scenario.graph)
        assert list(state.ended_at) == simulated.finishes
        assert (state.finished, state.now) == ("succeeded", simulated.makespan)


@pytest.mark.parametrize("seed", range(150))
def test_folding_a_chaotic_story_rebuilds_the_state_that_lived_through_it(seed: int) -> None:
    run = chaotic_run(seed)
    assert snapshot(fold(run.scenario, run.story)) == snapshot(run.scheduler.state)


def consistent(state: RunState) -> list[str]:
    """What is wrong inside a state: its counters must say what its statuses say."""
    wrong = []
    statuses = list(state.status)
    if state.counts != [statuses.count(s) for s in range(len(Status))]:
        wrong.append("counts")
    if state.unsettled != sum(s not in SETTLED for s in statuses):
        wrong.append("unsettled")
    if {task: timer for timer, task in state.timers.items()} != state.waiting:
        wrong.append("timers")
    if {t for t, s in enumerate(statuses) if s == Status.WAITING} != set(state.waiting):
        wrong.append("waiting")
    for task, deps in enumerate(state.graph.dependencies):
        if state.pending[task] != sum(statuses[d] not in SETTLED for d in deps):
            wrong.append(f"pending of {task}")
    if state.finished and (state.unsettled or state.running):
        wrong.append("finished too early")
    return wrong


def fold_till_refused(state: RunState, story: Sequence[ev.Event]) -> str:
    """Fold what can be folded; gives the words of the refusal, nothing if there was none."""
    for event in story:
        try:
            state.apply(event)
        except IllegalEvent as refusal:
            return str(refusal)
    return ""


@pytest.mark.parametrize("seed", range(150))
def test_a_story_that_was_tampered_with_is_refused_or_leaves_a_consistent_state(seed: int) -> None:
    run = chaotic_run(seed)
    dice = Random(seed)
    for _ in range(20):
        story = list(run.story)
        at = dice.randrange(len(story))
        match dice.choice(("drop", "twice", "swap")):
            case "drop":
                del story[at]
            case "twice":
                story.insert(dice.randint(at, len(story)), story[at])
            case "swap":
                other = dice.randrange(len(story))
                story[at], story[other] = story[other], story[at]
        state = RunState(run.scenario.graph)
        refused = fold_till_refused(state, story)
        assert consistent(state) == []
        assert refused == "" or refused.partition(" ")[0] in ev.EVENTS


def test_what_is_known_of_thousands_of_items_stays_though_it_is_packed() -> None:
    """Items settle in another order than they came, the first of them last."""
    items = 3 * SIZE
    graph = Graph()
    graph.add("each")
    state = RunState(graph)
    state.apply(ev.RunStarted(0.0))
    for task in range(1, items + 1):
        graph.add_item(0, str(task), 0)
        state.apply(ev.TasksAdded(task / 7, 0, task, 1))
    for task in sorted(range(1, items + 1), key=lambda t: (t == 1, t // 100, -t)):
        state.apply(ev.AttemptStarted(3_000.0 + task, task, task, 1, 0, 0, 0))
        state.apply(ev.AttemptSucceeded(5_000.0 + task / 3, task, task))
        state.apply(ev.TaskSucceeded(5_000.0 + task / 3, task))
    tasks = range(1, items + 1)
    assert list(state.ready_at)[1:] == [task / 7 for task in tasks]
    assert list(state.first_started_at)[1:] == [3_000.0 + task for task in tasks]
    assert list(state.ended_at)[1:] == [5_000.0 + task / 3 for task in tasks]
    assert (list(state.attempts), set(state.pending), state.unsettled) == ([0] + [1] * items, {0}, 1)
    columns = (state.ready_at, state.first_started_at, state.ended_at, state.attempts, state.pending)
    assert all(isinstance(column, Packed) for column in columns)
