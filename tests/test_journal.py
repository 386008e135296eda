"""The journal: order, acknowledgement, group commit, failure."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import get_type_hints

import history_child
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow.errors import FailureKind, StoreError, StoreLocked
from llmflow.history import stories
from llmflow.history.identity import new_run_id
from llmflow.history.journal import Journal
from llmflow.history.records import AnswerRecord, PoolRecord, RunOutcome, RunRecord, StoredAnswer, StoredRun, TaskRecord
from llmflow.history.store import Store
from llmflow.protocol import Usage, clean_text
from llmflow.scheduling.events import (
    EVENTS,
    AttemptFailed,
    AttemptStarted,
    Event,
    RunFinished,
    RunStarted,
    TaskSucceeded,
)


def record(run_id: str | None = None) -> RunRecord:
    return RunRecord(id=run_id or new_run_id(), pipeline="p", started_at=1_700_000_000.25)


def chain(tasks: int) -> list[Event]:
    return [event for task in range(tasks) for event in history_child.events_of(task)]


VALUES: dict[object, tuple[st.SearchStrategy[object], object]] = {
    float: (st.floats(allow_nan=False), 0.1),
    float | None: (st.none() | st.floats(allow_nan=False), 2.5),
    int: (st.integers(-(2**63), 2**63 - 1), 7),
    bool: (st.booleans(), True),
    str: (st.text(), "é\0\U0001f600"),
    FailureKind: (st.sampled_from(FailureKind), FailureKind.OVERLOADED),
}
"""What a field of an event may hold, by its type, and one example."""

FIELDS = {cls: {f: VALUES[t] for f, t in get_type_hints(cls).items()} for cls in EVENTS.values()}

any_event = st.one_of([st.builds(cls, **{f: v[0] for f, v in fields.items()}) for cls, fields in FIELDS.items()])


def written(directory: Path, events: list[Event]) -> list[Event]:
    """The story after a round trip through a store."""
    with Store.open(directory) as store:
        with Journal(store, record()) as journal:
            assert journal.write(events) == len(events)
        return list(stories.story(store, journal.run_id))


@settings(max_examples=40, deadline=None)
@given(events=st.lists(any_event, max_size=130))
def test_every_event_comes_back_exactly_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    found = written(tmp_path_factory.mktemp("store"), events)
    assert found == events
    assert [type(e) for e in found] == [type(e) for e in events]
    assert [[type(v) for v in e] for e in found] == [[type(v) for v in e] for e in events]


def test_one_of_each_event_comes_back(tmp_path: Path) -> None:
    events = [cls(**{f: v[1] for f, v in fields.items()}) for cls, fields in FIELDS.items()]
    assert written(tmp_path, events) == events


def test_lone_surrogates_in_a_story_become_replacement_characters(tmp_path: Path) -> None:
    found = written(tmp_path, [AttemptFailed(1.0, 0, 0, FailureKind.SERVER, "a\ud800b\0c", None, False)])
    assert found == [AttemptFailed(1.0, 0, 0, FailureKind.SERVER, "a\ufffdb\0c", None, False)]


def test_a_long_story_written_in_many_pieces_keeps_its_order(tmp_path: Path) -> None:
    events = chain(2_000)
    with Store.open(tmp_path) as store:
        with Journal(store, record()) as journal:
            positions = [journal.write(events[i : i + 7]) for i in range(0, len(events), 7)]
        assert positions == [*range(7, len(events), 7), len(events)]
        assert list(stories.story(store, journal.run_id)) == events


def test_an_acknowledged_event_can_be_read_by_others_and_so_can_the_answer_before_it(tmp_path: Path) -> None:
    async def run() -> None:
        with Store.open(tmp_path) as store, Journal(store, record()) as journal:
            for task in range(20):
                await journal.acknowledged(history_child.hand_over(journal, task))
                assert list(stories.story(store, journal.run_id)) == chain(task + 1)
                answers = [answer.output for _, _, answer in stories.answers(store, journal.run_id)]
                assert answers == [history_child.output_of(t) for t in range(task + 1)]

    asyncio.run(run())


def test_what_is_committed_already_is_acknowledged_without_giving_way(tmp_path: Path) -> None:
    async def run() -> None:
        with Store.open(tmp_path) as store, Journal(store, record()) as journal:
            position = journal.write([RunStarted(0.0)])
            journal.flush()
            assert journal.committed == position
            with pytest.raises(StopIteration):
                journal.acknowledged(position).send(None)

    asyncio.run(run())


def test_many_waiters_are_all_released_and_a_cancelled_one_disturbs_nobody(tmp_path: Path) -> None:
    async def run() -> list[object]:
        with Store.open(tmp_path) as store, Journal(store, record()) as journal:
            waiting = [
                asyncio.create_task(journal.acknowledged(journal.write([TaskSucceeded(1.0, t)]))) for t in range(1_000)
            ]
            await asyncio.sleep(0)
            waiting[500].cancel()
            return await asyncio.gather(*waiting, return_exceptions=True)

    ends = asyncio.run(run())
    assert [e for i, e in enumerate(ends) if i != 500] == [None] * 999
    assert isinstance(ends[500], asyncio.CancelledError)


def test_waiting_for_a_position_that_was_never_written_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        with Store.open(tmp_path) as store, Journal(store, record()) as journal:
            last = journal.write([RunStarted(0.0)])
            with pytest.raises(ValueError, match="position 2 was never written; the last is 1"):
                await journal.acknowledged(last + 1)

    asyncio.run(run())


def test_closing_commits_what_is_queued_and_stops_the_thread(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        journal = Journal(store, record())
        journal.write(chain(100))
        journal.close()
        journal.close()
        assert not [t for t in threading.enumerate() if t.name == f"llmflow journal {journal.run_id}"]
        assert list(stories.story(store, journal.run_id)) == chain(100)
        with pytest.raises(StoreError, match=f"the journal of run {journal.run_id} is closed"):
            journal.write([RunStarted(0.0)])


def test_a_whole_run_comes_back_as_it_was_handed_over(tmp_path: Path) -> None:
    run = RunRecord(
        id=new_run_id(),
        pipeline="/home/ada/letters.yaml",
        started_at=1_700_000_000.25,
        path="/home/ada/letters.yaml",
        source="tasks:\n  a: {prompt: é}\n" * 9_000,
        policy="critical-path",
        workers=4,
        seed=2**63 - 1,
        inputs={"text": "Ada met Grace.", "rows": [1, 2.5, None, {"x": "\U0001f600"}]},
        options={"models": {"fast": "local/small"}},
        pools=(PoolRecord("local", 2, ("http://127.0.0.1:1/v1",)), PoolRecord("sim")),
        forecast={"makespan": 52.0},
        version="0.1.0",
    )
    outcome = RunOutcome("failed", 1_700_000_060.5, 60.25, {"tokens": 12})
    tasks = [
        TaskRecord(0, "a", None, "model", "local/small"),
        TaskRecord(1, "b", "k=1", "value", "", (0,)),
        TaskRecord(2, "b", "", "value", "", (0, 1)),
    ]
    usage = Usage(10, 20, 3, 4, 5, estimated=True)
    answers = [
        AnswerRecord(
            task=0,
            attempt=3,
            output={"label": "bug", "n": [1, None]},
            created_at=1_700_000_001.5,
            number=2,
            text='{"label": "bug"}',
            messages=[{"role": "user", "content": "x" * 200_000}],
            finish_reason="length",
            model="local/small",
            answered_by="small-q4",
            endpoint="http://127.0.0.1:1/v1",
            usage=usage,
            duration=1.25,
            first_token=0.5,
            request_id="r-1",
            key="ab12",
        ),
        AnswerRecord(task=1, attempt=4, output=None, created_at=1_700_000_002.0),
    ]
    with Store.open(tmp_path) as store:
        with Journal(store, run) as journal:
            journal.tasks(tasks)
            for answer in answers:
                journal.answer(answer)
            journal.flush()
            assert stories.run(store, run.id) == StoredRun(run, "running")
            journal.finish(outcome)
        assert stories.run(store, run.id) == StoredRun(run, "failed", outcome)
        assert stories.tasks(store, run.id) == tasks
        stored = [StoredAnswer("a", None, answers[0]), StoredAnswer("b", "k=1", answers[1])]
        assert list(stories.answers(store, run.id)) == stored
        assert list(stories.answers(store, run.id, name="b")) == stored[1:]
        assert list(stories.answers(store, run.id, name="b", item="k=1")) == stored[1:]
        assert list(stories.answers(store, run.id, name="b", item="k=2")) == []


def test_a_large_answer_is_stored_compressed(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with Journal(store, record()) as journal:
            journal.tasks([TaskRecord(0, "a")])
            journal.answer(AnswerRecord(0, 0, "word " * 2_000_000, created_at=0.0))
        assert store.database.stat().st_size < 1_000_000
        assert next(stories.answers(store, journal.run_id)).answer.output == "word " * 2_000_000


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None)
@given(outputs=st.lists(anything, min_size=1, max_size=20))
def test_any_data_comes_back_from_an_answer(tmp_path_factory: pytest.TempPathFactory, outputs: list[object]) -> None:
    with Store.open(tmp_path_factory.mktemp("store")) as store:
        with Journal(store, record()) as journal:
            journal.tasks([TaskRecord(0, "a")])
            for attempt, output in enumerate(outputs):
                journal.answer(AnswerRecord(0, attempt, output, created_at=0.0, messages=[output]))
        found = [answer for _, _, answer in stories.answers(store, journal.run_id)]
    assert [answer.output for answer in found] == outputs
    assert [answer.messages for answer in found] == [[output] for output in outputs]


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec=None, categories=["Cs", "Cc", "L", "So"])), min_size=1, max_size=20))
def test_any_text_is_kept_but_for_lone_surrogates(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    with Store.open(tmp_path_factory.mktemp("store")) as store:
        with Journal(store, record()) as journal:
            for task, text in enumerate(texts):
                journal.tasks([TaskRecord(task, "a", text)])
                journal.answer(AnswerRecord(task, task, text, created_at=0.0, text=text, request_id=text))
        found = list(stories.answers(store, journal.run_id))
    cleaned = [clean_text(text) for text in texts]
    assert [(a.item, a.answer.output, a.answer.text, a.answer.request_id) for a in found] == [
        (c, c, c, c) for c in cleaned
    ]


def test_an_answer_that_is_no_json_is_refused_before_it_is_queued(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with Journal(store, record()) as journal:
            with pytest.raises(TypeError):
                journal.answer(AnswerRecord(0, 0, object(), created_at=0.0))
            journal.write([RunStarted(0.0)])
        assert list(stories.story(store, journal.run_id)) == [RunStarted(0.0)]


def test_changing_an_output_after_handing_it_over_changes_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with Journal(store, record()) as journal:
            journal.tasks([TaskRecord(0, "a")])
            output, events = [1, 2], [RunStarted(0.0)]
            journal.answer(AnswerRecord(0, 0, output, created_at=0.0))
            journal.write(events)
            output.append(3)
            events.append(RunStarted(9.0))
        assert next(stories.answers(store, journal.run_id)).answer.output == [1, 2]
        assert list(stories.story(store, journal.run_id)) == [RunStarted(0.0)]


def test_the_second_journal_of_a_run_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with Journal(store, record("R")) as journal:
            with pytest.raises(StoreLocked, match=r"^run R is being worked on by process \d+$"):
                Journal(store, record("R"))
            journal.write([RunFinished(1.0, "succeeded")])
        assert list(stories.story(store, "R")) == [RunFinished(1.0, "succeeded")]


def test_a_run_id_that_exists_already_is_refused_and_nobody_waits(tmp_path: Path) -> None:
    async def run(store: Store) -> None:
        journal = Journal(store, record("R"))
        with pytest.raises(StoreError, match="UNIQUE constraint failed"):
            await journal.acknowledged(journal.write([RunStarted(5.0)]))
        with pytest.raises(StoreError, match="UNIQUE constraint failed"):
            journal.close()

    with Store.open(tmp_path) as store:
        with Journal(store, record("R")) as journal:
            journal.write([RunStarted(0.0)])
        asyncio.run(run(store))
        assert list(stories.story(store, "R")) == [RunStarted(0.0)]


def test_who_asks_only_after_the_writer_has_failed_is_told_as_well(tmp_path: Path) -> None:
    async def run(store: Store) -> None:
        journal = Journal(store, record("R"))
        position = journal.write([RunStarted(5.0)])
        with pytest.raises(StoreError, match="UNIQUE constraint failed"):
            journal.flush()
        with pytest.raises(StoreError, match="UNIQUE constraint failed"):
            await journal.acknowledged(position)
        with pytest.raises(StoreError, match="UNIQUE constraint failed"):
            journal.close()

    with Store.open(tmp_path) as store:
        Journal(store, record("R")).close()
        asyncio.run(run(store))


def test_a_full_disk_reaches_every_waiter_and_every_later_call_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, history_child.__file__, "full", str(tmp_path), "400000"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (child.returncode, child.stderr) == (0, "")
    said = json.loads(child.stdout)
    assert len(said["told"]) == 4
    assert len(set(said["told"])) == 1
    assert str(tmp_path / "history.db") in said["told"][0]
    assert "hint: " in said["told"][0]
    assert said["acknowledged"] > 30
    with Store.open(tmp_path) as store:
        story = list(stories.story(store, said["run"]))
        assert len(story) >= said["acknowledged"]
        assert story == chain(len(story) // 3)
        assert [s.status for s in stories.runs(store)] == ["interrupted"]


def test_two_runs_of_one_process_share_a_store(tmp_path: Path) -> None:
    async def run(store: Store) -> list[str]:
        with Journal(store, record()) as one, Journal(store, record()) as two:
            for task in range(50):
                positions = [history_child.hand_over(journal, task) for journal in (one, two)]
                await asyncio.gather(*(j.acknowledged(p) for j, p in zip((one, two), positions, strict=True)))
            return [one.run_id, two.run_id]

    with Store.open(tmp_path) as store:
        ids = asyncio.run(run(store))
        assert [list(stories.story(store, run_id)) for run_id in ids] == [chain(50), chain(50)]


def test_attempts_started_in_one_tick_cost_one_commit_not_one_each(tmp_path: Path) -> None:
    """The log grows by a few pages per commit: a thousand hand-overs in one tick stay far below a page each."""
    with Store.open(tmp_path) as store, Journal(store, record()) as journal:
        journal.flush()
        log = Path(f"{store.database}-wal")
        before = log.stat().st_size
        for task in range(1_000):
            journal.write([AttemptStarted(0.0, task, task, 1, 0, 0, 0)])
        journal.flush()
        assert log.stat().st_size - before < 1_000 * 4096
