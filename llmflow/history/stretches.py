"""A stretch of a story as one row: what was committed together is written, read and kept together.

A run has three events per task, and a row of its own costs an event 2 µs of SQLite beside what it takes
to make it. So `times` holds the events' seconds as little-endian doubles, and `events` is a JSON list
of `[kind, field, …]` without them; what the fields of a kind are stands in `kinds`. Beside them stand,
for those who would have to read all of it otherwise, the last event's second and how many tasks failed.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from llmflow.history.texts import PACKED_FROM, json_text, packed, unpacked_json

COLUMNS = "run, seq, at, failed, times, events"
"""`seq` is the position of its last event, counted from 1."""

TABLE = """CREATE TABLE stretches (
    run INTEGER NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, failed INTEGER NOT NULL,
    times BLOB NOT NULL, events NOT NULL, PRIMARY KEY (run, seq)) WITHOUT ROWID"""

OF_OLD_ROWS = 1_000
"""So many events that were rows of their own become one stretch."""


def row_of(run: int, seq: int, times: Sequence[float], events: Sequence[Sequence[Any]], failed: int) -> list[Any]:
    """The values of `COLUMNS`; `events` are `(kind, field, …)`, at least one. A short text is not cleaned."""
    text = json_text(events)
    seconds = _swapped(array("d", times)).tobytes()
    return [run, seq, times[-1], failed, seconds, packed(text) if len(text) > PACKED_FROM else text]


def events_of(times: bytes, events: str | bytes) -> Iterator[tuple[int, list[Any]]]:
    """(kind, fields with the second first) of each event. Raises ValueError for what `row_of` did not write."""
    seconds = array("d")
    seconds.frombytes(times)
    for at, (kind, *fields) in zip(_swapped(seconds), unpacked_json(events), strict=True):
        yield kind, [at, *fields]


def _swapped(seconds: array[float]) -> array[float]:
    if sys.byteorder == "big":
        seconds.byteswap()
    return seconds


def gather(connection: sqlite3.Connection) -> None:
    """Turn the rows of the older table `events` into stretches."""
    kinds = {kind: (name, len(json.loads(fields))) for kind, name, fields in connection.execute("SELECT * FROM kinds")}
    runs = connection.execute("SELECT DISTINCT run FROM events").fetchall()
    for (run,) in runs:
        rows = connection.execute(
            "SELECT seq, at, kind, f1, f2, f3, f4, f5, f6, f7 FROM events WHERE run = ? ORDER BY seq", [run]
        )
        while part := rows.fetchmany(OF_OLD_ROWS):
            events = [row[2 : 2 + kinds[row[2]][1]] for row in part]
            failed = sum(kinds[kind][0] == "TaskFailed" for kind, *_ in events)
            values = row_of(run, part[-1][0], [row[1] for row in part], events, failed)
            connection.execute(f"INSERT INTO stretches ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", values)
