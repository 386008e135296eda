"""Reading runs back: which there were, what happened in each, and what was answered."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator
from math import inf
from typing import Any

from llmflow.errors import StoreError
from llmflow.history import schema
from llmflow.history.connection import damaged
from llmflow.history.records import AnswerRecord, PoolRecord, RunOutcome, RunRecord, StoredAnswer, StoredRun, TaskRecord
from llmflow.history.store import Store
from llmflow.history.stretches import events_of
from llmflow.history.texts import unpacked, unpacked_json
from llmflow.protocol import Usage
from llmflow.scheduling.events import AttemptCancelled, AttemptFailed, AttemptStarted, AttemptSucceeded, Event

_RUN = """SELECT id, runs.pipeline, started_at, path, sources.text, policy, workers, seed, inputs, options, pools,
    forecast, version, status, finished_at, makespan, summary FROM runs JOIN sources ON sha256 = source"""

_ANSWER = """SELECT tasks.name, tasks.item, answers.task, attempt, output, created_at, number, text, messages,
    finish_reason, answers.model, answered_by, endpoint, input_tokens, output_tokens, cached_input_tokens,
    cache_write_tokens, reasoning_tokens, usage_estimated, duration, first_token, request_id, key, accepted, parts
    FROM runs JOIN answers USING (run) JOIN tasks USING (run, task)"""

_STRETCHES_OF = "FROM stretches WHERE run = (SELECT run FROM runs WHERE id = ?)"


def runs(store: Store, *, pipeline: str | None = None, limit: int | None = None) -> list[StoredRun]:
    """The runs, youngest first; of one pipeline, or of all."""
    where, parameters = ("WHERE runs.pipeline = ?", [pipeline]) if pipeline is not None else ("", [])
    sql = f"{_RUN} {where} ORDER BY started_at DESC, run DESC LIMIT ?"
    rows = list(store.rows(sql, [*parameters, -1 if limit is None else limit]))
    with _readable(store):
        return [_run(store, row) for row in rows]


def run(store: Store, run_id: str) -> StoredRun | None:
    """One run by its id, None where there is no such run."""
    rows = list(store.rows(f"{_RUN} WHERE id = ?", [run_id]))
    with _readable(store):
        return _run(store, rows[0]) if rows else None


def story(store: Store, run_id: str) -> Iterator[Event]:
    """The events of a run, in order, exactly as they were written. Nothing for an unknown run."""
    rebuild = schema.kinds_for_reading([(k, n, f) for k, n, f in store.rows("SELECT kind, name, fields FROM kinds")])
    for times, events in store.rows(f"SELECT times, events {_STRETCHES_OF} ORDER BY seq", [run_id]):
        with _readable(store):
            stretch = list(events_of(times, events))
        for kind, values in stretch:
            with _readable(store):
                event = rebuild[kind](values) if kind in rebuild else None
            if event is None:
                raise StoreError(
                    f"{store.database}: run {run_id} holds events that this llmflow does not know\n"
                    "  hint: upgrade llmflow"
                )
            yield event


def tasks(store: Store, run_id: str) -> list[TaskRecord]:
    """What the task integers of a run's story mean, in their order."""
    sql = """SELECT task, name, item, tasks.kind, model, dependencies FROM runs JOIN tasks USING (run)
        WHERE id = ? ORDER BY task"""
    with _readable(store):
        return [
            TaskRecord(task, name, item, kind, model, tuple(json.loads(dependencies)))
            for task, name, item, kind, model, dependencies in store.rows(sql, [run_id])
        ]


def answers(store: Store, run_id: str, *, name: str | None = None, item: str | None = None) -> Iterator[StoredAnswer]:
    """The answers of a run, in the order in which they came; of one task, of one item, or of all."""
    where, parameters = "id = ?", [run_id]
    for column, value in (("tasks.name", name), ("tasks.item", item)):
        if value is not None:
            where += f" AND {column} = ?"
            parameters.append(value)
    for row in store.rows(f"{_ANSWER} WHERE {where} ORDER BY answer", parameters):
        yield _answer(store, row)


def good_answers(store: Store, run_id: str) -> Iterator[StoredAnswer]:
    """The latest accepted answer of each task and item of a run, in the order in which they came."""
    latest = """SELECT MAX(answer) FROM runs JOIN answers USING (run) JOIN tasks USING (run, task)
        WHERE id = ? AND accepted GROUP BY tasks.name, tasks.item"""
    for row in store.rows(f"{_ANSWER} WHERE answer IN ({latest}) ORDER BY answer", [run_id]):
        yield _answer(store, row)


def answer_by_key(store: Store, key: str, *, newer_than: float | None = None) -> StoredAnswer | None:
    """The youngest accepted, whole answer of any run that has this key; None where there is none.

    `newer_than`: only what was answered after this time of day. An empty key is nobody's.
    """
    where = "key = ? AND key <> '' AND accepted AND finish_reason <> 'length' AND created_at > ?"
    sql = f"{_ANSWER} WHERE {where} ORDER BY created_at DESC, answer DESC LIMIT 1"
    rows = store.rows(sql, [key, -inf if newer_than is None else newer_than])
    return next((_answer(store, row) for row in rows), None)


def last_position(store: Store, run_id: str) -> int:
    """How many events a run's story has so far, 0 for an unknown run."""
    return next(int(found) for (found,) in store.rows(f"SELECT COALESCE(MAX(seq), 0) {_STRETCHES_OF}", [run_id]))


def last_at(store: Store, run_id: str) -> float:
    """The run's seconds at its last event, 0.0 where nothing has happened."""
    rows = store.rows(f"SELECT at {_STRETCHES_OF} ORDER BY seq DESC LIMIT 1", [run_id])
    return next((float(at) for (at,) in rows), 0.0)


def in_flight(store: Store, run_id: str) -> list[AttemptStarted]:
    """The attempts that were started and of which no end is told, in the order of their starts.

    Of a run whose process has died these are the calls that may have been made for nothing; steps
    that hold no worker (`pool` -1) are among them.
    """
    started: dict[int, AttemptStarted] = {}
    for event in story(store, run_id):
        if isinstance(event, AttemptStarted):
            started[event.attempt] = event
        elif isinstance(event, AttemptSucceeded | AttemptFailed | AttemptCancelled):
            started.pop(event.attempt, None)
    return list(started.values())


def answered_attempts(store: Store, run_id: str) -> set[int]:
    """The attempts of a run for which an answer is stored, good or not."""
    rows = store.rows("SELECT attempt FROM runs JOIN answers USING (run) WHERE id = ?", [run_id])
    return {int(attempt) for (attempt,) in rows}


@contextlib.contextmanager
def _readable(store: Store) -> Iterator[None]:
    """Rows that SQLite gives out and nobody of ours wrote like this: SQLite does not look into values."""
    try:
        yield
    except (ValueError, TypeError, KeyError, zlib.error) as error:
        raise damaged(store.database, error) from error


def _run(store: Store, row: tuple[Any, ...]) -> StoredRun:
    (run_id, pipeline, started_at, path, source, policy, workers, seed, inputs, options, pools, forecast, version) = (
        row[:13]
    )
    status, finished_at, makespan, summary = row[13:]
    record = RunRecord(
        id=run_id,
        pipeline=pipeline,
        started_at=started_at,
        path=path,
        source=unpacked(source),
        policy=policy,
        workers=workers,
        seed=seed,
        inputs=unpacked_json(inputs),
        options=unpacked_json(options),
        pools=tuple(PoolRecord(name, cap, tuple(endpoints)) for name, cap, endpoints in unpacked_json(pools)),
        forecast=None if forecast is None else unpacked_json(forecast),
        version=version,
    )
    if finished_at is None:
        if store.holder(run_id):
            return StoredRun(record, status)
        # Nobody is at it: it was interrupted, unless its end has come since we read the row.
        ended = list(store.rows("SELECT status, finished_at, makespan, summary FROM runs WHERE id = ?", [run_id]))
        status, finished_at, makespan, summary = ended[0] if ended else (status, None, None, None)
    if finished_at is None:
        return StoredRun(record, "interrupted")
    return StoredRun(record, status, RunOutcome(status, finished_at, makespan, unpacked_json(summary)))


def _answer(store: Store, row: tuple[Any, ...]) -> StoredAnswer:
    with _readable(store):
        return _decoded(row)


def _decoded(row: tuple[Any, ...]) -> StoredAnswer:
    name, item, task, attempt, output, created_at, number, text, messages, finish_reason, model, answered_by = row[:12]
    endpoint, entered, left, cached, written, reasoning, estimated, duration, first_token, request_id = row[12:22]
    key, good, parts = row[22:]
    answer = AnswerRecord(
        task=task,
        attempt=attempt,
        output=unpacked_json(output),
        created_at=created_at,
        number=number,
        text=None if text is None else unpacked(text),
        messages=unpacked_json(messages),
        finish_reason=finish_reason,
        model=model,
        answered_by=answered_by,
        endpoint=endpoint,
        usage=Usage(entered, left, cached, written, reasoning, bool(estimated)),
        duration=duration,
        first_token=first_token,
        request_id=request_id,
        key=key,
        accepted=bool(good),
        parts=json.loads(parts),
    )
    return StoredAnswer(name, item, answer)
