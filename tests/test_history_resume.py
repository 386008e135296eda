"""Going on with a run in the history: positions, integers, what was cut off, and which answers serve again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sqlite3
from pathlib import Path

import history_child
import pytest
from acknowledged import child, said
from store_damage import integrity

from llmflow.errors import FailureKind, StoreError, StoreLocked
from llmflow.history import schema, stories
from llmflow.history.identity import new_run_id
from llmflow.history.journal import Journal
from llmflow.history.records import AnswerRecord, RunOutcome, RunRecord, StoredAnswer, TaskRecord
from llmflow.history.store import Store
from llmflow.scheduling.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    ItemsClosed,
    RunFinished,
    RunResumed,
    RunStarted,
    StopRequested,
    TaskBlocked,
    TasksAdded,
    TaskSucceeded,
    TimerFired,
    TimerSet,
)

OUTCOME = RunOutcome("stopped", 1_700_000_060.5, 7.25, {"tokens": 12})


def record(run_id: str = "R") -> RunRecord:
    return RunRecord(id=run_id, pipeline="p", started_at=1_700_000_000.0)


def started(task: int, attempt: int, at: float = 1.0) -> AttemptStarted:
    return AttemptStarted(at, task, attempt, 1, 0, 0, 0)


def status_of(store: Store, run_id: str) -> str:
    found = stories.run(store, run_id)
    assert found is not None
    return found.status


# ---- the journal ----------------------------------------------------------------------------------


def test_positions_go_on_behind_the_last_stored_event_and_the_run_is_running_again(tmp_path: Path) -> None:
    async def go_on(store: Store) -> None:
        with Journal.resume(store, "R") as journal:
            assert journal.committed == 2
            assert journal.write([RunResumed(7.25)]) == 3
            assert journal.write([TaskSucceeded(8.0, 0), RunFinished(8.0, "succeeded")]) == 5
            await journal.acknowledged(5)
            assert journal.committed == 5
            with pytest.raises(ValueError, match="position 6 was never written; the last is 5"):
                await journal.acknowledged(6)
            found = stories.run(store, "R")
            assert found is not None
            assert (found.status, found.outcome) == ("running", None)

    with Store.open(tmp_path) as store:
        with Journal(store, record()) as journal:
            journal.write([RunStarted(0.0), RunFinished(7.25, "stopped")])
            journal.finish(OUTCOME)
        assert status_of(store, "R") == "stopped"
        assert (stories.last_position(store, "R"), stories.last_at(store, "R")) == (2, 7.25)
        asyncio.run(go_on(store))
        assert status_of(store, "R") == "interrupted"
        assert (stories.last_position(store, "R"), stories.last_at(store, "R")) == (5, 8.0)
        with Journal.resume(store, "R") as journal:
            journal.finish(OUTCOME)
        found = stories.run(store, "R")
        assert found is not None
        assert (found.record, found.status, found.outcome) == (record(), "stopped", OUTCOME)
        assert list(stories.story(store, "R")) == [
            RunStarted(0.0),
            RunFinished(7.25, "stopped"),
            RunResumed(7.25),
            TaskSucceeded(8.0, 0),
            RunFinished(8.0, "succeeded"),
        ]


def test_what_is_queued_before_anything_else_is_read_already_as_running(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with Journal(store, record()) as journal:
            journal.finish(OUTCOME)
        with Journal.resume(store, "R") as journal:
            journal.flush()
            assert status_of(store, "R") == "running"
            assert journal.committed == 0


def test_a_run_that_somebody_works_on_is_refused_by_the_name_of_its_holder_and_left_alone(tmp_path: Path) -> None:
    process = child("write", tmp_path, 1, 100_000)
    lines = said(process)
    run_id = next(lines)["run"]
    next(lines)
    try:
        with Store.open(tmp_path) as store:
            with pytest.raises(StoreLocked) as refused:
                Journal.resume(store, run_id)
            assert str(refused.value) == f"run {run_id} is being worked on by process {process.pid}"
            assert status_of(store, run_id) == "running"
    finally:
        process.kill()
        process.wait()
        list(lines)
    with Store.open(tmp_path) as store, Journal.resume(store, run_id):
        other = child("resume", tmp_path, run_id, 1)
        assert list(said(other)) == []
        assert other.wait() != 0


def test_a_run_that_is_not_there_is_refused_and_its_lock_given_back(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with pytest.raises(StoreError, match=r"history.db: there is no run NONE$"):
            Journal.resume(store, "NONE")
        assert store.holder("NONE") is None
        assert list((tmp_path / "locks").iterdir()) == []


def test_the_integers_of_the_later_part_are_stored_behind_those_of_the_earlier(tmp_path: Path) -> None:
    first = [started(0, 0), AttemptSucceeded(2.0, 0, 0), started(1, 4), AttemptSucceeded(2.0, 1, 4)]
    second: list[Event] = [
        RunResumed(3.0),
        started(0, 0, 3.0),
        AttemptSucceeded(4.0, 0, 0),
        TimerSet(4.0, 0, 1, 5.0, "retry"),
        TimerFired(5.0, 0),
        TasksAdded(5.0, 1, 2, 3),
        TasksAdded(5.0, -1, 5, 1),
        ItemsClosed(5.0, 1),
        TaskBlocked(5.0, 2, 1),
        AttemptFailed(5.0, 1, 1, FailureKind.SERVER, "no", None, False),
        StopRequested(5.0, "signal"),
    ]
    with Store.open(tmp_path) as store:
        with Journal(store, record()) as journal:
            journal.tasks([TaskRecord(0, "a"), TaskRecord(1, "b", dependencies=(0,))])
            journal.answer(AnswerRecord(0, 0, "a first", created_at=1.0))
            journal.answer(AnswerRecord(1, 6, "b first", created_at=1.0))
            journal.write(first)
        with Journal.resume(store, "R") as journal:
            journal.tasks([TaskRecord(0, "b"), TaskRecord(1, "a", "k", dependencies=(0,))])
            journal.write(second[:2])
            journal.answer(AnswerRecord(0, 0, "b again", created_at=2.0))
            journal.write(second[2:])
        assert stories.tasks(store, "R") == [
            TaskRecord(0, "a"),
            TaskRecord(1, "b", dependencies=(0,)),
            TaskRecord(2, "b"),
            TaskRecord(3, "a", "k", dependencies=(2,)),
        ]
        assert [(a.name, a.item, a.answer.task, a.answer.attempt) for a in stories.answers(store, "R")] == [
            ("a", None, 0, 0),
            ("b", None, 1, 6),
            ("b", None, 2, 7),
        ]
        assert list(stories.story(store, "R")) == [
            *first,
            RunResumed(3.0),
            started(2, 7, 3.0),
            AttemptSucceeded(4.0, 2, 7),
            TimerSet(4.0, 0, 3, 5.0, "retry"),
            TimerFired(5.0, 0),
            TasksAdded(5.0, 3, 4, 3),
            TasksAdded(5.0, -1, 7, 1),
            ItemsClosed(5.0, 3),
            TaskBlocked(5.0, 4, 3),
            AttemptFailed(5.0, 3, 8, FailureKind.SERVER, "no", None, False),
            StopRequested(5.0, "signal"),
        ]


def test_attempts_that_were_under_way_at_a_crash_are_told_and_ended_with_an_unknown_outcome(tmp_path: Path) -> None:
    story: list[Event] = [
        RunStarted(0.0),
        *(started(task, 10 + task, float(task)) for task in range(5)),
        AttemptSucceeded(6.0, 0, 10),
        AttemptFailed(6.5, 1, 11, FailureKind.SERVER),
        AttemptCancelled(7.0, 2, 12),
        started(1, 15, 7.5),
    ]
    cut_off = [started(3, 13, 3.0), started(4, 14, 4.0), started(1, 15, 7.5)]
    with Store.open(tmp_path) as store:
        with Journal(store, record()) as journal:
            journal.write(story)
        assert stories.in_flight(store, "R") == cut_off
        with Journal.resume(store, "R") as journal:
            assert journal.committed == 10
            assert journal.write([RunResumed(7.5)]) == 14
        assert stories.in_flight(store, "R") == []
        ends = [AttemptCancelled(7.5, s.task, s.attempt, "unknown_outcome") for s in cut_off]
        assert list(stories.story(store, "R")) == [*story, *ends, RunResumed(7.5)]


def test_of_an_unknown_run_nothing_has_happened(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        assert stories.last_position(store, "NONE") == 0
        assert stories.last_at(store, "NONE") == 0.0
        assert stories.in_flight(store, "NONE") == []
        assert list(stories.good_answers(store, "NONE")) == []


def parts_of(story: list[Event]) -> list[list[Event]]:
    """A story of children, cut where each took it up: a part begins with its attempt whose worker was told task 0."""
    parts: list[list[Event]] = []
    for event in story:
        if isinstance(event, AttemptStarted) and event.at == 0.0:
            parts.append([])
        parts[-1].append(event)
    return parts


def test_a_run_that_is_killed_again_and_again_and_taken_up_each_time_tells_one_story(tmp_path: Path) -> None:
    dice = random.Random(11)
    process = child("write", tmp_path, 1, 100_000)
    lines = said(process)
    run_id = next(lines)["run"]
    acknowledged = 0
    for turn in range(8):
        target = acknowledged + dice.randint(1, 60)
        for line in lines:
            acknowledged = line.get("acknowledged", acknowledged)
            if acknowledged >= target:
                process.kill()
        assert process.wait() == -signal.SIGKILL
        with Store.open(tmp_path) as store:
            assert status_of(store, run_id) == "interrupted"
            assert stories.last_position(store, run_id) >= acknowledged
            assert len(stories.in_flight(store, run_id)) <= 1
        if turn < 7:
            process = child("resume", tmp_path, run_id, 100_000)
            lines = said(process)
    process = child("resume", tmp_path, run_id, 3)
    assert [set(line) for line in said(process)] == [{"run"}, *[{"acknowledged"}] * 3]
    assert process.wait() == 0

    with Store.open(tmp_path) as store:
        assert stories.in_flight(store, run_id) == []
        parts = parts_of(list(stories.story(store, run_id)))
        assert len(parts) == 9
        names = {task.task: task.name for task in stories.tasks(store, run_id)}
        outputs = {a.answer.attempt: a.answer.output for a in stories.answers(store, run_id)}
        attempts = [event.attempt for part in parts for event in part if isinstance(event, AttemptStarted)]
        assert len(set(attempts)) == len(attempts)
        for part in parts:
            tasks = [e.task for e in part if isinstance(e, AttemptStarted)]
            assert [names[task] for task in tasks] == [f"t{n}" for n in range(len(tasks))]
            ended = [e.attempt for e in part if isinstance(e, AttemptSucceeded)]
            assert [outputs[attempt] for attempt in ended] == [history_child.output_of(n) for n in range(len(ended))]
            unknown = [e for e in part if isinstance(e, AttemptCancelled)]
            assert [e.reason for e in unknown] == ["unknown_outcome"] * (len(tasks) - len(ended))
        assert integrity(store.database) == ["ok"]
        assert [r.record.id for r in stories.runs(store)] == [run_id]


# ---- answers --------------------------------------------------------------------------------------


def answers_of(store: Store, run_id: str, *answers: AnswerRecord) -> None:
    with Journal(store, record(run_id)) as journal:
        journal.tasks([TaskRecord(0, "a"), TaskRecord(1, "b", "k=1"), TaskRecord(2, "b", "k=2"), TaskRecord(3, "a")])
        for answer in answers:
            journal.answer(answer)


def test_of_each_task_and_item_the_latest_accepted_answer_is_the_good_one(tmp_path: Path) -> None:
    taken = [
        AnswerRecord(0, 0, "a, early", created_at=1.0),
        AnswerRecord(1, 1, "b1, no good", created_at=2.0, accepted=False),
        AnswerRecord(2, 2, "b2, good", created_at=3.0),
        AnswerRecord(0, 3, "a, late", created_at=4.0),
        AnswerRecord(2, 4, "b2, no good", created_at=5.0, accepted=False),
        AnswerRecord(3, 5, "a, under another integer", created_at=6.0),
        AnswerRecord(1, 6, "b1, no good again", created_at=7.0, accepted=False),
    ]
    with Store.open(tmp_path) as store:
        answers_of(store, "R", *taken)
        answers_of(store, "S", AnswerRecord(0, 0, "of another run", created_at=9.0))
        assert [stored.answer for stored in stories.answers(store, "R")] == taken
        assert list(stories.good_answers(store, "R")) == [
            StoredAnswer("b", "k=2", taken[2]),
            StoredAnswer("a", None, taken[5]),
        ]


def test_an_answer_is_found_again_by_its_key_in_whatever_run_it_was_given(tmp_path: Path) -> None:
    old = AnswerRecord(0, 0, "old", created_at=10.0, key="k")
    young = AnswerRecord(1, 1, "young", created_at=20.0, key="k")
    useless = [
        AnswerRecord(0, 2, "no good", created_at=30.0, key="k", accepted=False),
        AnswerRecord(0, 3, "cut off", created_at=30.0, key="k", finish_reason="length"),
        AnswerRecord(0, 4, "another", created_at=30.0, key="other"),
        AnswerRecord(0, 5, "without a key", created_at=30.0),
    ]
    with Store.open(tmp_path) as store:
        answers_of(store, "R", young)
        answers_of(store, "S", old, *useless)
        assert stories.answer_by_key(store, "k") == StoredAnswer("b", "k=1", young)
        assert stories.answer_by_key(store, "k", newer_than=19.5) == StoredAnswer("b", "k=1", young)
        assert stories.answer_by_key(store, "k", newer_than=20.0) is None
        assert stories.answer_by_key(store, "unknown") is None
        assert stories.answer_by_key(store, "") is None
        plan = list(store.rows("EXPLAIN QUERY PLAN SELECT * FROM answers WHERE key = 'k' AND key <> ''"))
        assert "answers_by_key" in str(plan)


def test_a_store_from_before_answers_were_judged_takes_its_word_from_the_story(tmp_path: Path) -> None:
    """The store as the first schema had it, with a task that was asked twice: `again`, then `done`."""
    with Store.open(tmp_path) as store:
        answers_of(
            store,
            "R",
            AnswerRecord(0, 0, "no good", created_at=1.0),
            AnswerRecord(0, 1, "good", created_at=2.0),
            AnswerRecord(1, 2, "cut off by a crash", created_at=3.0),
        )
        with Journal.resume(store, "R") as journal:
            journal.flush()
        database = store.database
    with contextlib.closing(sqlite3.connect(database)) as old:
        kind = dict(old.execute("SELECT name, kind FROM kinds"))["AttemptSucceeded"]
        old.execute("DROP TABLE stretches")
        old.execute(next(statement for statement in schema._FIRST if "TABLE events" in statement))
        story = [(1, 1, kind, 1.0, 0, 0, "again"), (1, 2, kind, 2.0, 0, 1, "done")]
        old.executemany("INSERT INTO events (run, seq, kind, at, f1, f2, f3) VALUES (?, ?, ?, ?, ?, ?, ?)", story)
        old.execute("ALTER TABLE answers DROP COLUMN parts")
        old.execute("ALTER TABLE answers DROP COLUMN accepted")
        old.execute("PRAGMA user_version = 1")
        old.commit()
    with Store.open(tmp_path) as store:
        assert [(a.answer.output, a.answer.accepted) for a in stories.answers(store, "R")] == [
            ("no good", False),
            ("good", True),
            ("cut off by a crash", False),
        ]
        assert list(store.rows("PRAGMA user_version")) == [(len(schema.MIGRATIONS),)]


# ---- interrupted ----------------------------------------------------------------------------------


def test_a_run_that_ends_just_while_it_is_looked_at_is_not_called_interrupted(tmp_path: Path) -> None:
    class Late(Store):
        """Sees the row of a run and only then, before it looks for a holder, the run's end."""

        def holder(self, run_id: str) -> str | None:
            if journals:
                journal = journals.pop()
                journal.finish(OUTCOME)
                journal.close()
            return super().holder(run_id)

    with Late.open(tmp_path) as store:
        for ask in (lambda run_id: stories.run(store, run_id), lambda run_id: stories.runs(store)[0]):
            run_id = new_run_id()
            journals = [Journal(store, record(run_id))]
            journals[0].flush()
            found = ask(run_id)
            assert found is not None
            assert (found.status, found.outcome) == ("stopped", OUTCOME)
