"""Where the time went: every second of a run is booked once, live and from the stored story alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from chaos import chaotic_run
from growing_run import EACH, growing_run
from random_graphs import random_scenarios
from watched_run import story_of_the_worked_example

from llmflow.errors import FailureKind
from llmflow.history import stories
from llmflow.history.identity import new_run_id
from llmflow.history.journal import Journal
from llmflow.history.records import RunRecord, TaskRecord
from llmflow.history.store import Store
from llmflow.reports.chronicle import Chronicle
from llmflow.reports.time_booking import (
    COLUMNS,
    Setting,
    TimeBooking,
    book_time,
    booking_json,
    booking_text,
    task_times,
)
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import CONTROL
from llmflow.scheduling.simulate import simulate


def chronicle_of(story: Sequence[ev.Event]) -> Chronicle:
    chronicle = Chronicle()
    chronicle.on_events(story)
    return chronicle


def booked(story: Sequence[ev.Event], graph: Graph, pools: Sequence[str] = ("sim",)) -> TimeBooking:
    return book_time(chronicle_of(story), graph.dependencies, Setting(pools))


def columns(booking: TimeBooking) -> dict[str, float]:
    return {column: booking.seconds(column) for column in booking.nanoseconds}


def steps(booking: TimeBooking, graph: Graph) -> list[tuple[str, dict[str, float]]]:
    return [(graph.names[s.task], {c: ns / 1e9 for c, ns in s.nanoseconds.items()}) for s in booking.steps]


def test_first_in_first_out_on_the_worked_example_waited_ten_seconds_for_a_worker() -> None:
    graph, _, story = story_of_the_worked_example("fifo", 4)
    booking = booked(story, graph)
    assert booking_text(booking) == "model 52.00 s (84 %), waiting for a worker 10.00 s (16 %)"
    assert steps(booking, graph) == [
        ("S4", {"model": 1.0}),
        ("Gate", {"model": 1.0, "worker": 10.0}),
        ("C1", {"model": 20.0}),
        ("C2", {"model": 15.0}),
        ("C3", {"model": 10.0}),
        ("End", {"model": 5.0}),
    ]


@pytest.mark.parametrize(
    ("policy", "workers", "expected"),
    [
        ("critical-path", 1, {"model": 10.0, "worker": 85.0}),
        ("fifo", 4, {"model": 52.0, "worker": 10.0}),
        ("critical-path", 4, {"model": 52.0}),
        ("critical-path", 0, {"model": 52.0}),
    ],
)
def test_the_worked_example_the_four_ways(policy: str, workers: int, expected: dict[str, float]) -> None:
    graph, _, story = story_of_the_worked_example(policy, workers)
    assert columns(booked(story, graph)) == expected


def troubled() -> tuple[Graph, list[ev.Event]]:
    """A value, a condition, a rate limit, a failure, an answer that cannot be used, a person, code."""
    graph = Graph.of({"v": [], "ask": ["v"], "approve": ["ask"], "code": ["approve"]})
    story: list[ev.Event] = [
        ev.RunStarted(0.0),
        ev.AttemptStarted(0.25, 0, 1, 1, CONTROL, 0, 0),
        ev.AttemptSucceeded(0.5, 0, 1),
        ev.TaskSucceeded(0.5, 0),
        ev.AttemptStarted(0.5, 1, 2, 0, CONTROL, 0, 0),
        ev.AttemptSucceeded(0.75, 1, 2, "proceed"),
        ev.AttemptStarted(0.75, 1, 3, 1, 0, 0, 0),
        ev.AttemptFailed(1.0, 1, 3, FailureKind.RATE_LIMIT, "slow down", 2.0),
        ev.TimerSet(1.0, 1, 1, 3.0, "rate_limit"),
        ev.TimerFired(3.0, 1),
        ev.AttemptStarted(3.0, 1, 4, 2, 0, 0, 0),
        ev.AttemptFailed(4.0, 1, 4, FailureKind.SERVER),
        ev.TimerSet(4.0, 2, 1, 4.5, "retry"),
        ev.TimerFired(4.5, 2),
        ev.AttemptStarted(4.5, 1, 5, 3, 0, 0, 0),
        ev.AttemptSucceeded(6.5, 1, 5, "again"),
        ev.AttemptStarted(6.5, 1, 6, 4, 0, 0, 0),
        ev.AttemptSucceeded(9.5, 1, 6),
        ev.TaskSucceeded(9.5, 1),
        ev.AttemptStarted(9.5, 2, 7, 1, CONTROL, 0, 0),
        ev.AttemptSucceeded(9.5, 2, 7, "hold"),
        ev.ApprovalGiven(19.5, 2, True),
        ev.AttemptStarted(19.5, 2, 8, 2, CONTROL, 0, 0),
        ev.AttemptSucceeded(19.5, 2, 8),
        ev.TaskSucceeded(19.5, 2),
        ev.AttemptStarted(19.5, 3, 9, 1, 1, 0, 0),
        ev.AttemptSucceeded(20.0, 3, 9),
        ev.TaskSucceeded(20.0, 3),
        ev.RunFinished(20.0, "succeeded"),
    ]
    return graph, story


def test_each_kind_of_time_has_its_column() -> None:
    graph, story = troubled()
    chronicle = Chronicle()
    chronicle.answered(5, 1.5, invalid=True)
    chronicle.answered(6, 2.75)
    chronicle.on_events(story)
    booking = book_time(chronicle, graph.dependencies, Setting(["sim", "host"]))
    assert columns(booking) == {
        "model": 2.75,
        "code": 0.5,
        "failed": 1.25,
        "asked_again": 1.5,
        "rate_limit": 2.0,
        "backoff": 0.5,
        "approval": 10.0,
        "llmflow": 1.5,
    }
    assert booking_json(booking, graph.names) == {
        "makespan": 20.0,
        "columns": {
            "model": 2.75,
            "code": 0.5,
            "failed": 1.25,
            "cancelled": 0.0,
            "asked_again": 1.5,
            "dependency": 0.0,
            "worker": 0.0,
            "rate_limit": 2.0,
            "backoff": 0.5,
            "approval": 10.0,
            "llmflow": 1.5,
        },
        "path": [
            {"task": "v", "seconds": {"llmflow": 0.5}},
            {
                "task": "ask",
                "seconds": {
                    "model": 2.75,
                    "failed": 1.25,
                    "asked_again": 1.5,
                    "rate_limit": 2.0,
                    "backoff": 0.5,
                    "llmflow": 1.0,
                },
            },
            {"task": "approve", "seconds": {"approval": 10.0}},
            {"task": "code", "seconds": {"code": 0.5}},
        ],
    }
    assert task_times(chronicle, graph.dependencies, Setting(["sim", "host"]))[2:] == [
        {"dependency": 9.5, "approval": 10.0},
        {"dependency": 19.5, "code": 0.5},
    ]


def test_what_a_repeat_asks_again_is_model_time() -> None:
    graph, story = troubled()
    assert columns(booked(story, graph, ["sim", "host"]))["model"] == 5.0


def test_a_resumed_run_goes_back_through_the_moment_at_which_it_was_stopped() -> None:
    graph = Graph.of({"a": [], "b": ["a"]})
    story: list[ev.Event] = [
        ev.RunStarted(0.0),
        ev.AttemptStarted(0.0, 0, 1, 1, 0, 0, 0),
        ev.AttemptSucceeded(2.0, 0, 1),
        ev.TaskSucceeded(2.0, 0),
        ev.AttemptStarted(2.0, 1, 2, 1, 0, 0, 0),
        ev.StopRequested(5.0, "SIGINT", "cancel"),
        ev.CancelRequested(5.0, 1, 2),
        ev.AttemptCancelled(5.5, 1, 2),
        ev.TaskCancelled(5.5, 1, "SIGINT"),
        ev.RunFinished(5.5, "stopped"),
        ev.RunResumed(6.0),
        ev.AttemptStarted(6.0, 1, 3, 1, 0, 0, 0),
        ev.AttemptSucceeded(9.0, 1, 3),
        ev.TaskSucceeded(9.0, 1),
        ev.RunFinished(9.0, "succeeded"),
    ]
    booking = booked(story, graph)
    assert steps(booking, graph) == [
        ("a", {"model": 2.0}),
        ("b", {"cancelled": 3.5, "llmflow": 0.5}),
        ("b", {"model": 3.0}),
    ]
    assert columns(booked(story[:10], graph)) == {"model": 2.0, "cancelled": 3.5}


def test_a_run_of_nothing_took_no_time() -> None:
    booking = booked([], Graph())
    assert (booking.makespan, booking.nanoseconds, booking.steps, booking_text(booking)) == (0.0, {}, (), "")
    graph = Graph.of({"a": []})
    assert booked([ev.RunStarted(0.0), ev.RunFinished(0.0, "stopped")], graph).nanoseconds == {}


def test_with_two_calls_for_one_task_the_time_until_the_first_answer_counts() -> None:
    graph = Graph.of({"a": [], "b": ["a"]})
    story: list[ev.Event] = [
        ev.RunStarted(0.0),
        ev.AttemptStarted(0.0, 0, 1, 1, 0, 0, 0),
        ev.AttemptDoubled(4.0, 0, 1, 2),
        ev.AttemptStarted(4.0, 0, 2, 1, 0, 0, 1),
        ev.AttemptSucceeded(6.0, 0, 2),
        ev.CancelRequested(6.0, 0, 1, "outrun"),
        ev.TaskSucceeded(6.0, 0),
        ev.AttemptStarted(6.0, 1, 3, 1, 0, 0, 1),
        ev.AttemptCancelled(6.5, 0, 1, "outrun"),
        ev.AttemptSucceeded(8.0, 1, 3),
        ev.TaskSucceeded(8.0, 1),
        ev.RunFinished(8.0, "succeeded"),
    ]
    assert steps(booked(story, graph), graph) == [("a", {"model": 6.0}), ("b", {"model": 2.0})]
    assert task_times(chronicle_of(story), graph.dependencies) == [{"model": 6.0}, {"dependency": 6.0, "model": 2.0}]
    failure = ev.AttemptFailed(5.0, 0, 1, FailureKind.SERVER)
    first_fails = [*story[:4], failure, story[4], *story[6:8], *story[9:]]
    assert steps(booked(first_fails, graph), graph) == [("a", {"model": 6.0}), ("b", {"model": 2.0})]


def test_what_a_foreach_takes_to_find_its_items_is_its_own_time() -> None:
    graph = Graph.of({"first": [], "each": ["first"]})
    graph.add("each[0]", ())
    story: list[ev.Event] = [
        ev.RunStarted(0.0),
        ev.AttemptStarted(0.0, 0, 1, 1, 0, 0, 0),
        ev.AttemptSucceeded(2.0, 0, 1),
        ev.TaskSucceeded(2.0, 0),
        ev.AttemptStarted(2.0, 1, 2, 1, CONTROL, 0, 0),
        ev.AttemptSucceeded(2.5, 1, 2, "expand"),
        ev.TasksAdded(2.5, 1, 2, 1),
        ev.AttemptStarted(2.5, 2, 3, 1, 0, 0, 0),
        ev.AttemptSucceeded(4.5, 2, 3),
        ev.TaskSucceeded(4.5, 2),
        ev.ItemsClosed(5.0, 1),
        ev.TaskSucceeded(5.0, 1),
        ev.RunFinished(5.0, "succeeded"),
    ]
    assert steps(booked(story, graph), graph) == [
        ("first", {"model": 2.0}),
        ("each", {"llmflow": 0.5}),
        ("each[0]", {"model": 2.0}),
        ("each", {"dependency": 0.5}),
    ]


# ---- on stories of every kind ---------------------------------------------------------------------


def adds_up(booking: TimeBooking) -> None:
    """The invariant: whole nanoseconds, each booked once, in known columns, none negative."""
    assert sum(booking.nanoseconds.values()) == round(booking.makespan * 1e9)
    assert list(booking.nanoseconds) == [column for column in COLUMNS if column in booking.nanoseconds]
    assert all(ns > 0 for ns in booking.nanoseconds.values())
    by_step: dict[str, int] = {}
    for step in booking.steps:
        for column, ns in step.nanoseconds.items():
            assert ns > 0
            by_step[column] = by_step.get(column, 0) + ns
    assert {c: ns for c, ns in booking.nanoseconds.items() if c != "llmflow"} == {
        c: ns for c, ns in by_step.items() if c != "llmflow"
    }
    told = booking_json(booking, names_for(booking))
    for seconds in (told["columns"].values(), [s for step in told["path"] for s in step["seconds"].values()]):
        assert sum(round(part * 1e9) for part in seconds) == round(told["makespan"] * 1e9)


def names_for(booking: TimeBooking) -> list[str]:
    return [str(task) for task in range(1 + max((step.task for step in booking.steps), default=-1))]


def test_on_undisturbed_runs_all_time_is_model_time_or_waiting_for_a_worker() -> None:
    for scenario in random_scenarios(150, control=False):
        run = simulate(
            scenario.graph,
            scenario.specs,
            scenario.pools,
            scenario.durations,
            scenario.priorities,
            workers=scenario.workers,
        )
        booking = booked(run.story, scenario.graph)
        adds_up(booking)
        assert set(booking.nanoseconds) <= {"model", "worker"}, scenario.name
        path = [step.task for step in booking.steps]
        assert booking.seconds("model") == pytest.approx(sum(scenario.durations[t] for t in path), abs=1e-6)
        for before, task in pairwise(path):
            assert before in scenario.graph.dependencies[task], scenario.name
        waits = task_times(chronicle_of(run.story), scenario.graph.dependencies)
        for task, times in enumerate(waits):
            assert sum(times.values()) == run.finishes[task], scenario.name
            assert times.get("worker", 0.0) == run.starts[task] - times.get("dependency", 0.0), scenario.name


def test_whatever_goes_wrong_the_columns_add_up_to_the_makespan() -> None:
    seen: set[str] = set()
    for seed in range(250):
        run = chaotic_run(seed)
        names = [pool.name for pool in run.scenario.pools]
        chronicle = chronicle_of(run.story)
        booking = book_time(chronicle, run.scenario.graph.dependencies, Setting(names))
        adds_up(booking)
        seen |= set(booking.nanoseconds)
        started = {e.attempt: e.at for e in run.story if isinstance(e, ev.AttemptStarted) and e.pool == CONTROL}
        steps_of_ours = sum(
            event.at - started.pop(event.attempt)
            for event in run.story
            if isinstance(event, ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled)
            and event.attempt in started
        )
        assert booking.seconds("llmflow") <= steps_of_ours, seed
        for cut in (len(run.story) // 3, 2 * len(run.story) // 3):
            adds_up(booked(run.story[:cut], run.scenario.graph, names))
    assert seen >= {"model", "failed", "cancelled", "worker", "rate_limit", "backoff", "llmflow"}


def test_time_that_belongs_to_no_task_stands_at_the_end_of_the_path() -> None:
    graph = Graph.of({"a": []})
    story: list[ev.Event] = [
        ev.RunStarted(0.0),
        ev.RunResumed(0.5),
        ev.AttemptStarted(0.5, 0, 2, 1, 0, 0, 0),
        ev.AttemptSucceeded(2.5, 0, 2),
        ev.TaskSucceeded(2.5, 0),
        ev.RunFinished(2.5, "succeeded"),
    ]
    booking = booked(story, graph)
    adds_up(booking)
    assert booking_json(booking, graph.names)["path"] == [
        {"task": "a", "seconds": {"model": 2.0}},
        {"task": None, "seconds": {"llmflow": 0.5}},
    ]


def test_tasks_of_finally_wait_for_all_others_and_not_for_a_worker() -> None:
    graph = Graph.of({"a": [], "b": ["a"], "last": [], "mail": []})
    story: list[ev.Event] = [ev.RunStarted(0.0)]
    for task, start, end in ((0, 0.0, 2.0), (1, 2.0, 5.0), (2, 5.0, 6.0), (3, 6.0, 8.0)):
        story += [ev.AttemptStarted(start, task, task + 1, 1, 0, 0, 0), ev.AttemptSucceeded(end, task, task + 1)]
        story += [ev.TaskSucceeded(end, task)]
    chronicle = chronicle_of([*story, ev.RunFinished(8.0, "succeeded")])
    setting = Setting(["sim"], finals={2, 3})
    assert task_times(chronicle, graph.dependencies, setting)[2:] == [
        {"dependency": 5.0, "model": 1.0},
        {"dependency": 5.0, "worker": 1.0, "model": 2.0},
    ]
    whole = book_time(chronicle, graph.dependencies, setting)
    adds_up(whole)
    assert [step.task for step in whole.steps] == [0, 1, 3]
    adds_up(book_time(chronicle, graph.dependencies, setting, makespan=5.0))


def test_where_workers_are_without_limit_nothing_waits_for_one() -> None:
    graph = Graph.of({"a": [], "b": []})
    story: list[ev.Event] = [ev.RunStarted(0.0), ev.AttemptStarted(0.0, 0, 1, 1, 0, 0, 0)]
    story += [ev.AttemptSucceeded(1.0, 0, 1), ev.TaskSucceeded(1.0, 0), ev.AttemptStarted(1.0, 1, 2, 1, 0, 0, 0)]
    story += [ev.AttemptSucceeded(3.0, 1, 2), ev.TaskSucceeded(3.0, 1), ev.RunFinished(3.0, "succeeded")]
    chronicle = chronicle_of(story)
    assert columns(book_time(chronicle, graph.dependencies)) == {"model": 2.0, "worker": 1.0}
    setting = Setting(unlimited=lambda task, pool: (task, pool) == (1, 0))
    booking = book_time(chronicle, graph.dependencies, setting)
    adds_up(booking)
    assert columns(booking) == {"model": 2.0, "llmflow": 1.0}


@pytest.mark.parametrize("failing", [0.0, 0.3])
@pytest.mark.parametrize("window", [1, 3, 100])
def test_items_lead_back_through_those_that_made_room_for_them(window: int, failing: float) -> None:
    for seed in range(40):
        run = growing_run(seed, window=window, failing=failing)
        booking = booked(run.story, run.graph)
        adds_up(booking)
        assert set(booking.nanoseconds) <= {"model", "worker", "failed", "backoff"}, seed
        assert [run.graph.names[step.task] for step in booking.steps][:: len(booking.steps) - 1] == ["first", "last"]
        if window == 1:
            assert [step.task for step in booking.steps] == [0, *range(3, len(run.graph)), 2]
            assert "worker" not in booking.nanoseconds


def test_a_foreach_without_items_takes_no_time() -> None:
    run = growing_run(1, items=0)
    booking = booked(run.story, run.graph)
    assert [step.task for step in booking.steps] == [0, 2]
    assert task_times(chronicle_of(run.story), run.graph.dependencies)[EACH].keys() == {"dependency"}


# ---- from the store -------------------------------------------------------------------------------


def test_the_stored_story_gives_the_same_as_the_live_one(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        for seed in range(30):
            run = chaotic_run(seed) if seed % 2 else None
            grown = growing_run(seed, failing=0.2)
            story, graph = (run.story, run.scenario.graph) if run else (grown.story, grown.graph)
            record = RunRecord(id=new_run_id(), pipeline="p", started_at=0.0)
            with Journal(store, record) as journal:
                journal.tasks(
                    [
                        TaskRecord(task, name, dependencies=tuple(graph.dependencies[task]))
                        for task, name in enumerate(graph.names)
                    ]
                )
                journal.write(story)
            dependencies = [task.dependencies for task in stories.tasks(store, record.id)]
            chronicle = Chronicle()
            chronicle.on_events(stories.story(store, record.id))
            assert book_time(chronicle, dependencies) == booked(story, graph, ())
            assert task_times(chronicle, dependencies) == task_times(chronicle_of(story), graph.dependencies)


def test_a_booking_as_data_survives_json() -> None:
    graph, _, story = story_of_the_worked_example("fifo", 4)
    record = booking_json(booked(story, graph), graph.names)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
