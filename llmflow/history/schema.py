"""The tables of the history. Migrations are only ever appended: `PRAGMA user_version` counts those that ran.

A story's events are positional fields, many to a row (`stretches`). What a position means stands in
`kinds`, written by the version that wrote the events: an event that gains a field gets a second kind,
and old events are still read by their own definition. Integers inside a story get their names from `tasks` and
from `runs.pools`. JSON and texts above 64 KiB are zlib-compressed: a BLOB where a TEXT is expected.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_type_hints

from llmflow.errors import FailureKind, StoreError
from llmflow.history import stretches
from llmflow.scheduling.events import EVENTS, Event

APPLICATION_ID = 0x6C6C6D66
"""`llmf`: a SQLite file of ours, not somebody else's that happens to lie there."""

Step = str | Callable[[sqlite3.Connection], None]
"""A statement, or what does more than one can."""

_FIRST = (
    "CREATE TABLE sources (sha256 TEXT PRIMARY KEY, text NOT NULL) WITHOUT ROWID",
    """CREATE TABLE runs (
        run INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pipeline TEXT NOT NULL, path TEXT NOT NULL,
        source TEXT NOT NULL REFERENCES sources (sha256), started_at REAL NOT NULL, policy TEXT NOT NULL,
        workers INTEGER, seed INTEGER NOT NULL, inputs NOT NULL, options NOT NULL, pools NOT NULL, forecast,
        version TEXT NOT NULL, status TEXT NOT NULL, finished_at REAL, makespan REAL, summary)""",
    "CREATE INDEX runs_of_pipeline ON runs (pipeline, started_at)",
    """CREATE TABLE tasks (
        run INTEGER NOT NULL, task INTEGER NOT NULL, name TEXT NOT NULL, item TEXT, kind TEXT NOT NULL,
        model TEXT NOT NULL, dependencies TEXT NOT NULL, PRIMARY KEY (run, task)) WITHOUT ROWID""",
    "CREATE TABLE kinds (kind INTEGER PRIMARY KEY, name TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE (name, fields))",
    """CREATE TABLE events (
        run INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, at REAL NOT NULL,
        f1, f2, f3, f4, f5, f6, f7, PRIMARY KEY (run, seq)) WITHOUT ROWID""",
    """CREATE TABLE answers (
        answer INTEGER PRIMARY KEY, run INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL,
        number INTEGER NOT NULL, output NOT NULL, text, messages NOT NULL, finish_reason TEXT NOT NULL,
        model TEXT NOT NULL, answered_by TEXT NOT NULL, endpoint TEXT NOT NULL, input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL, cached_input_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL, usage_estimated INTEGER NOT NULL, duration REAL NOT NULL,
        first_token REAL, request_id TEXT NOT NULL, key TEXT NOT NULL, created_at REAL NOT NULL,
        UNIQUE (run, task, attempt))""",
    "CREATE INDEX answers_by_key ON answers (key) WHERE key <> ''",
    """CREATE TABLE series (
        series INTEGER PRIMARY KEY, pipeline TEXT NOT NULL, task TEXT NOT NULL, model TEXT NOT NULL,
        kind TEXT NOT NULL, endpoint TEXT NOT NULL, template TEXT NOT NULL,
        UNIQUE (pipeline, task, model, kind, endpoint, template))""",
    "CREATE INDEX series_of_model ON series (model)",
    """CREATE TABLE samples (
        sample INTEGER PRIMARY KEY, series INTEGER NOT NULL, run INTEGER NOT NULL, item TEXT, number INTEGER NOT NULL,
        outcome TEXT NOT NULL, duration REAL NOT NULL, started_at REAL NOT NULL, concurrency INTEGER NOT NULL,
        prompt_chars INTEGER, input_tokens INTEGER, output_tokens INTEGER, first_token REAL)""",
    "CREATE INDEX samples_of_series ON samples (series, outcome, started_at)",
)

_ACCEPTED = (
    "ALTER TABLE answers ADD COLUMN accepted INTEGER NOT NULL DEFAULT 1",
    # Until then only the story told which answers had been good enough to end their task.
    """UPDATE answers SET accepted = 0 WHERE (run, task, attempt) NOT IN (
        SELECT run, f1, f2 FROM events JOIN kinds USING (kind) WHERE name = 'AttemptSucceeded' AND f3 = 'done')""",
)

_PARTS = ("ALTER TABLE answers ADD COLUMN parts TEXT NOT NULL DEFAULT '{}'",)

_STRETCHES: tuple[Step, ...] = (stretches.TABLE, stretches.gather, "DROP TABLE events")

MIGRATIONS: tuple[tuple[Step, ...], ...] = (_FIRST, _ACCEPTED, _PARTS, _STRETCHES)

Rebuild = Callable[[Sequence[Any]], Event]


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """How many migrations the store has seen. Raises StoreError for a file that is not ours, or newer than we are."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID and (
        version or application or connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    ):
        raise StoreError(
            f"{path} is a SQLite database of another program\n  hint: move it aside or choose another --store DIR"
        )
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} was written by a newer llmflow (its schema is {version}, this one knows {len(MIGRATIONS)})\n"
            "  hint: upgrade llmflow, or choose another --store DIR"
        )
    return version


def is_current(connection: sqlite3.Connection, path: Path) -> bool:
    """True where nothing is left to migrate and every event of this version has its kind."""
    if version_of(connection, path) < len(MIGRATIONS):
        return False
    known = set(connection.execute("SELECT name, fields FROM kinds"))
    return known.issuperset((name, json.dumps(event._fields)) for name, event in EVENTS.items())


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the store to the newest schema. The caller holds the gate; a crash leaves the old schema or the new one."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for steps in MIGRATIONS[version_of(connection, path) :]:
            for step in steps:
                if isinstance(step, str):
                    connection.execute(step)
                else:
                    step(connection)
        connection.executemany(
            "INSERT OR IGNORE INTO kinds (name, fields) VALUES (?, ?)",
            [(name, json.dumps(event._fields)) for name, event in EVENTS.items()],
        )
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def kinds_for_writing(connection: sqlite3.Connection) -> dict[type[Event], int]:
    """For each event type its kind."""
    codes = {(name, fields): kind for kind, name, fields in connection.execute("SELECT kind, name, fields FROM kinds")}
    return {event: codes[name, json.dumps(event._fields)] for name, event in EVENTS.items()}


def kinds_for_reading(
    rows: Sequence[tuple[int, str, str]], events: Mapping[str, type[Event]] = EVENTS
) -> dict[int, Rebuild]:
    """For each kind in `rows` (kind, name, fields) what turns the fields' values back into the event.

    A field that the event no longer has is dropped; one it has gained gets its default. Kinds of
    events that this version does not know are left out.
    """
    return {kind: _rebuild(events[name], json.loads(fields)) for kind, name, fields in rows if name in events}


def _rebuild(event: type[Event], fields: Sequence[str]) -> Rebuild:
    """JSON has not our enumeration, and older rows have no booleans: fields are turned back by their annotations."""
    hints = get_type_hints(event)
    turned = [(i, hints[f]) for i, f in enumerate(fields) if hints.get(f) in (bool, FailureKind)]
    width = len(fields)
    make = cast(Callable[[Sequence[Any]], Event], event._make)
    if not turned and tuple(fields) == event._fields:
        return lambda values: make(values[:width])

    def rebuild(values: Sequence[Any]) -> Event:
        turning = list(values[:width])
        for i, convert in turned:
            turning[i] = convert(turning[i])
        if tuple(fields) == event._fields:
            return make(turning)
        known: dict[str, Any] = {f: v for f, v in zip(fields, turning, strict=True) if f in event._fields}
        return event(**known)

    return rebuild
