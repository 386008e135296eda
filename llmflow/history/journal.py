"""The one who writes: everything that a run leaves behind goes, in order, through its journal's writer thread.

Group commit without a timer: the writer commits whatever queued while it was busy with the
commit before. Handing something over costs the caller a queue operation; nobody waits for a disk
except through `acknowledged`. One transaction holds whole hand-overs, so what was handed over
before an event is committed no later than the event.

The events of a commit are one row (`stretches`). Other rows go to SQLite a hundred to a statement: the
sqlite3 module gives up the interpreter lock at every step, and a writer that asks for it back at every
row starves beside a busy event loop (measured: 705 µs a row; by the hundred 7–30).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, NamedTuple

from llmflow.errors import StoreError
from llmflow.history import location
from llmflow.history.connection import LogKeeper, open_for_writing, store_error
from llmflow.history.earlier import Earlier, Numbering, earlier_part
from llmflow.history.locks import Gate
from llmflow.history.records import AnswerRecord, RunOutcome, RunRecord, SampleRecord, TaskRecord
from llmflow.history.schema import kinds_for_writing
from llmflow.history.store import Store
from llmflow.history.stretches import COLUMNS, row_of
from llmflow.history.texts import PACKED_FROM, json_text, packed
from llmflow.protocol import clean_text
from llmflow.scheduling.events import Event, TaskFailed

_HAND_OVERS_PER_COMMIT = 20_000
"""Bounds one transaction, so that a writer far behind still publishes now and then."""

_VALUES_PER_STATEMENT = 999
"""SQLite's limit before 3.32; later ones allow 32,766, which measures no better."""


class _Table:
    """A table and the statements that put rows into it, many at a time."""

    def __init__(self, name: str, columns: str) -> None:
        self.width = columns.count(",") + 1
        row = "(" + ", ".join("?" * self.width) + ")"
        head = f"INSERT INTO {name} ({columns}) VALUES "
        most = _VALUES_PER_STATEMENT // self.width
        self._statements = [(n * self.width, head + ", ".join([row] * n)) for n in (most, 10, 1)]

    def insert(self, connection: sqlite3.Connection, values: list[Any]) -> None:
        """Insert rows whose values stand one behind the other in `values`."""
        begin, end = 0, len(values)
        for width, sql in self._statements:
            while end - begin >= width:
                _execute(connection, sql, values[begin : begin + width])
                begin += width


_STRETCHES = _Table("stretches", COLUMNS)
_TASKS = _Table("tasks", "run, task, name, item, kind, model, dependencies")
_ANSWERS = _Table(
    "answers",
    "run, task, attempt, number, output, text, messages, finish_reason, model, answered_by, endpoint, input_tokens, "
    "output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, usage_estimated, duration, first_token, "
    "request_id, key, created_at, accepted, parts",
)
_SAMPLES = _Table(
    "samples",
    "series, run, item, number, outcome, duration, started_at, concurrency, prompt_chars, input_tokens, output_tokens, "
    "first_token",
)
_SERIES = ("pipeline", "task", "model", "kind", "endpoint", "template")
_BEGIN = """INSERT INTO runs (id, pipeline, path, source, started_at, policy, workers, seed, inputs, options, pools,
    forecast, version, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'running')"""
_FINISH = "UPDATE runs SET status = ?, finished_at = ?, makespan = ?, summary = ? WHERE run = ?"

_REOPEN = "UPDATE runs SET status = 'running', finished_at = NULL, makespan = NULL, summary = NULL WHERE run = ?"


class _Flush:
    """A mark in the queue: `reached` is set when everything before it is committed, or the writer has failed."""

    def __init__(self, *, last: bool = False) -> None:
        self.reached = threading.Event()
        self.last = last


class _Row(NamedTuple):
    """Values for one row of a table, behind the number of the run."""

    table: _Table
    values: list[Any]


class _Finish(NamedTuple):
    """Values for the end of the run's own row."""

    values: list[Any]


_HandOver = list[Event] | _Row | SampleRecord | _Finish | _Flush


class Journal:
    """The journal of one run, from its beginning or where it is taken up again, to `close`.

    Holds the run's lock meanwhile.

    All methods are for one thread, the event loop's; none of them blocks but `flush` and `close`.
    When the writer fails (disk full, I/O error), every waiter and every later call gets the same
    StoreError, and nothing more is written. A position counts the events of the story from 1.
    """

    def __init__(self, store: Store, run: RunRecord) -> None:
        """Begin a new run: its record is the first thing committed. Raises StoreError and StoreLocked."""
        self._open(store, run.id, lambda: run)

    @classmethod
    def resume(cls, store: Store, run_id: str) -> Journal:
        """Go on with a run whose process has ended, however it did. Raises StoreError and StoreLocked.

        The first thing committed is that it is running again, and of every attempt that was under way
        that its outcome is unknown; positions follow on behind that. Tasks and attempts are handed over
        with integers of their own, from 0: they are stored behind those of the earlier part.
        """
        journal = cls.__new__(cls)
        journal._open(store, run_id, lambda: earlier_part(store, run_id))
        return journal

    def _open(self, store: Store, run_id: str, opening: Callable[[], RunRecord | Earlier]) -> None:
        """`opening` is asked when nobody else can be at the run any more."""
        self.run_id = run_id
        self.lock = store.lock_run(run_id)
        self._queue: SimpleQueue[_HandOver] = SimpleQueue()
        self._position = 0
        self._committed = 0
        self._numbering: Numbering | None = None
        self._failure: StoreError | None = None
        self._closed = False
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            begin = opening()
            if isinstance(begin, Earlier):
                self._committed, self._numbering = begin.position, begin.numbering
                self._position = begin.position + len(begin.ends)
            self._writer = _Writer(store, begin)
            # A daemon: a program that dies without `close` must not hang on a queue nobody fills.
            self._thread = threading.Thread(target=self._work, name=f"llmflow journal {run_id}", daemon=True)
            self._thread.start()
        except BaseException:
            self.lock.release()
            raise

    # ---- handing over -----------------------------------------------------------------------------

    def write(self, events: Sequence[Event]) -> int:
        """Queue events behind everything handed over before; returns the position of the last."""
        if self._failure is not None:
            raise self._failure
        numbering = self._numbering
        self._queue.put(list(events) if numbering is None else [numbering.event(event) for event in events])
        self._position += len(events)
        return self._position

    def tasks(self, tasks: Sequence[TaskRecord]) -> None:
        """Queue what new task integers mean; before the events that use them."""
        numbering = self._numbering
        for task in tasks:
            self._put(_Row(_TASKS, _task_row(task if numbering is None else numbering.record(task))))

    def answer(self, answer: AnswerRecord) -> None:
        """Queue an answer; before the `AttemptSucceeded` that tells of it. Raises TypeError where it is no JSON."""
        stored = answer if self._numbering is None else self._numbering.answer(answer)
        self._put(_Row(_ANSWERS, _answer_row(stored)))

    def sample(self, sample: SampleRecord) -> None:
        """Queue a duration sample."""
        self._put(sample)

    def finish(self, outcome: RunOutcome) -> None:
        """Queue how the run ended; behind its last event."""
        values = [outcome.status, outcome.finished_at, outcome.makespan, json_text(outcome.summary)]
        self._put(_Finish(values))

    def _put(self, item: _HandOver) -> None:
        if self._failure is not None:
            raise self._failure
        self._queue.put(item)

    # ---- waiting ----------------------------------------------------------------------------------

    @property
    def committed(self) -> int:
        """The position up to which the story is safe."""
        return self._committed

    async def acknowledged(self, position: int) -> None:
        """Return once everything handed over up to `position` is committed: at once if it is already.

        Raises StoreError if the writer has failed before it got there.
        """
        if self._committed >= position:
            return
        if position > self._position:
            raise ValueError(f"position {position} was never written; the last is {self._position}")
        self._loop = asyncio.get_running_loop()
        future = self._loop.create_future()
        self._waiters.append((position, future))
        # The writer looks for waiters after it has published: either it sees this one or we see its commit.
        if self._committed >= position or self._failure is not None:
            self._wake()
        await future

    def flush(self) -> None:
        """Block until everything handed over is committed. Raises StoreError if the writer has failed."""
        mark = _Flush()
        self._put(mark)
        while not mark.reached.wait(1.0) and self._thread.is_alive():
            pass
        if self._failure is not None:
            raise self._failure

    def close(self, *, keep_lock: bool = False) -> None:
        """Commit what is queued, stop the writer, free the run's lock. May be called twice.

        `keep_lock`: the caller goes on holding `lock`. Raises StoreError if the writer has failed, now or
        earlier; the lock is free then.
        """
        if not self._closed:
            self._closed = True
            self._queue.put(_Flush(last=True))
            self._thread.join()
            if not keep_lock or self._failure is not None:
                self.lock.release()
            if self._failure is not None:
                raise self._failure
            self._failure = StoreError(f"the journal of run {self.run_id} is closed")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except StoreError:
            if error is None:  # else the block's own error says more than the journal's
                raise

    # ---- the writer thread ------------------------------------------------------------------------

    def _work(self) -> None:
        """Take everything queued, commit it, publish, until the last mark. After a failure only marks are answered."""
        ended = False
        try:
            while not ended:
                taken = self._take()
                if self._failure is None:
                    try:
                        self._committed += self._writer.commit(taken)
                    except sqlite3.Error as error:
                        self._failure = store_error(self._writer.database, error, pending=_bytes_of(taken))
                    except StoreError as error:
                        self._failure = error
                    if self._failure is not None and self._writer.begun:
                        self._failure.run = self.run_id
                    self._publish()
                for mark in taken:
                    if isinstance(mark, _Flush):
                        ended = ended or mark.last
                        mark.reached.set()
        finally:
            if not ended:  # a bug of ours ends the thread, and Python prints it: nobody may wait for more
                self._failure = StoreError(f"the journal of run {self.run_id} has stopped unexpectedly")
                self._publish()
            self._writer.close()

    def _take(self) -> list[_HandOver]:
        """Wait for one hand-over, then take all that are queued behind it."""
        return self._drain([self._queue.get()])

    def _drain(self, taken: list[_HandOver]) -> list[_HandOver]:
        next_one = self._queue.get_nowait
        try:
            while len(taken) < _HAND_OVERS_PER_COMMIT:
                taken.append(next_one())
        except Empty:
            pass
        return taken

    def _publish(self) -> None:
        if self._waiters and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:
                pass  # the loop is closed, and with it all who waited

    def _wake(self) -> None:
        """On the loop's thread: release all whose position is committed, or everybody where the writer failed."""
        waiting, committed, failure = [], self._committed, self._failure
        for position, future in self._waiters:
            if future.done():
                continue
            if position <= committed:
                future.set_result(None)
            elif failure is not None:
                future.set_exception(failure)
            else:
                waiting.append((position, future))
        self._waiters = waiting


class _Writer:
    """The connection of a journal, and how each record becomes rows. Made by one thread, used by the writer's."""

    def __init__(self, store: Store, begin: RunRecord | Earlier) -> None:
        """Raises StoreError."""
        self.database = store.database
        self._pipeline = begin.pipeline
        self._sequence = 0
        self._series: dict[tuple[str, ...], int] = {}
        self._gate = Gate(store.directory / location.GATE)
        self._log = LogKeeper(store.database)
        self._begin: RunRecord | Earlier | None = begin
        self._run = 0
        try:
            self._connection = open_for_writing(store.database, store.durability)
            self._kinds = kinds_for_writing(self._connection)
            self._file = os.stat(store.database)
        except sqlite3.Error as error:
            self._gate.close()
            raise store_error(store.database, error) from error

    def commit(self, taken: Sequence[_HandOver]) -> int:
        """Write all of `taken` in one transaction; returns the number of events that it adds to the story.

        Raises sqlite3.Error or StoreError; nothing of `taken` is in the store then.
        """
        events: list[Event] = [event for item in taken if isinstance(item, list) for event in item]
        others = [item for item in taken if not isinstance(item, list | _Flush)]
        if not events and not others and self._begin is None:
            return 0
        with self._gate:
            self._check_place()
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                if isinstance(self._begin, RunRecord):
                    self._run = _insert_run(connection, self._begin)
                elif self._begin is not None:
                    self._run, self._sequence = self._begin.run, self._begin.position
                    connection.execute(_REOPEN, [self._run])
                    events = [*self._begin.ends, *events]
                self._write(connection, others)
                if events:
                    _STRETCHES.insert(connection, self._stretch(events))
                connection.execute("COMMIT")
            except BaseException:
                self._series.clear()  # some of these rows may be gone again
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._begin = None
            self._sequence += len(events)
            self._log.after_commit(connection)
        return len(events)

    def _check_place(self) -> None:
        """Raise StoreError where the database has been taken away: SQLite would go on writing into what nobody sees."""
        try:
            if os.path.samestat(os.stat(self.database), self._file):
                return
        except OSError:
            pass  # not there, or no longer within reach
        raise StoreError(
            f"{self.database}: has been removed or replaced while a run was writing into it\n"
            f"  hint: put it back and go on with `run --resume`, or {location.WAY_OUT}"
        )

    def close(self) -> None:
        """Copy the log back into the database where nobody is reading it, and let go of both."""
        try:
            with self._gate:
                self._log.empty(self._connection)
                self._connection.close()
        except (sqlite3.Error, StoreError):
            self._connection.close()  # the log stays and is read by whoever opens the store next
        self._gate.close()

    @property
    def begun(self) -> bool:
        """True once the store knows of the run."""
        return self._begin is None

    def _stretch(self, events: Sequence[Event]) -> list[Any]:
        """The values of the row that holds them."""
        kinds = self._kinds
        times = [event.at for event in events]
        rows = [(kinds[type(event)], *event[1:]) for event in events]
        failed = sum(type(event) is TaskFailed for event in events)
        return row_of(self._run, self._sequence + len(events), times, rows, failed)

    def _write(self, connection: sqlite3.Connection, items: Sequence[_Row | SampleRecord | _Finish]) -> None:
        tables: dict[_Table, list[Any]] = {}
        for item in items:
            if isinstance(item, _Row):
                values = tables.setdefault(item.table, [])
                values.append(self._run)
                values += [packed(v) if isinstance(v, str) and len(v) > PACKED_FROM else v for v in item.values]
            elif isinstance(item, SampleRecord):
                values = tables.setdefault(_SAMPLES, [])
                values += (self._series_of(connection, item), self._run, *_sample_row(item))
            else:
                _execute(connection, _FINISH, [*item.values, self._run])
        for table, values in tables.items():
            table.insert(connection, values)

    def _series_of(self, connection: sqlite3.Connection, sample: SampleRecord) -> int:
        """The number of the series that the sample belongs to; a new series is written down."""
        series = (self._pipeline, sample.task, sample.model, sample.kind, sample.endpoint, sample.template)
        if series not in self._series:
            _execute(
                connection, f"INSERT OR IGNORE INTO series ({', '.join(_SERIES)}) VALUES (?, ?, ?, ?, ?, ?)", series
            )
            where = " AND ".join(f"{column} = ?" for column in _SERIES)
            found = _execute(connection, f"SELECT series FROM series WHERE {where}", series).fetchone()
            self._series[series] = found[0]
        return self._series[series]


def _bytes_of(items: Sequence[_HandOver]) -> int:
    """About how much these would take, twice over: in the log and in the database."""
    values = [value for item in items if isinstance(item, _Row | _Finish) for value in item.values]
    events = sum(len(item) for item in items if isinstance(item, list))
    return 2 * (sum(len(v) if isinstance(v, str | bytes) else 8 for v in values) + 64 * events)


def _execute(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> sqlite3.Cursor:
    try:
        return connection.execute(sql, values)
    except UnicodeEncodeError:  # a lone surrogate; seldom enough that nobody should pay for looking first
        return connection.execute(sql, [clean_text(v) if isinstance(v, str) else v for v in values])


def _insert_run(connection: sqlite3.Connection, run: RunRecord) -> int:
    source = clean_text(run.source)
    sha256 = hashlib.sha256(source.encode()).hexdigest()
    connection.execute("INSERT OR IGNORE INTO sources VALUES (?, ?)", [sha256, packed(source)])
    pools = [(pool.name, pool.workers, pool.endpoints) for pool in run.pools]
    forecast = None if run.forecast is None else packed(json_text(run.forecast))
    row: list[Any] = [run.id, run.pipeline, run.path, sha256, run.started_at, run.policy, run.workers, run.seed]
    row += [packed(json_text(part)) for part in (run.inputs, run.options, pools)]
    key = _execute(connection, _BEGIN, [*row, forecast, run.version]).lastrowid
    assert key is not None
    return key


def _task_row(task: TaskRecord) -> list[Any]:
    return [task.task, task.name, task.item, task.kind, task.model, json.dumps(task.dependencies)]


def _answer_row(answer: AnswerRecord) -> list[Any]:
    usage = answer.usage
    row: list[Any] = [answer.task, answer.attempt, answer.number, json_text(answer.output), answer.text]
    row += [json_text(answer.messages), answer.finish_reason, answer.model, answer.answered_by, answer.endpoint]
    row += [usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.cache_write_tokens]
    row += [usage.reasoning_tokens, usage.estimated, answer.duration, answer.first_token, answer.request_id]
    return [*row, answer.key, answer.created_at, answer.accepted, json_text(dict(answer.parts))]


def _sample_row(sample: SampleRecord) -> list[Any]:
    row: list[Any] = [
        sample.item,
        sample.number,
        sample.outcome,
        sample.duration,
        sample.started_at,
        sample.concurrency,
    ]
    return [*row, sample.prompt_chars, sample.input_tokens, sample.output_tokens, sample.first_token]
