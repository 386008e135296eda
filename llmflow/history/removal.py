"""Taking runs out of the history again: their story, their answers, and where it is asked for what they taught."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from llmflow.history import location
from llmflow.history.connection import LogKeeper, open_for_writing, told
from llmflow.history.locks import Gate
from llmflow.history.store import Store

FORGOTTEN = 0
"""The run that samples belong to whose own has been removed; no run has this number."""


def remove_runs(store: Store, ids: Sequence[str], *, keep_samples: bool, compact: bool = False) -> int:
    """Remove these runs, each in a transaction of its own; gives how many there were.

    Series stay, though nothing may be left in them: a journal that is at work may have one in mind.

    `keep_samples`: the durations that they taught stay, without a hint of whose they were.
    `compact`: the file gives what has become free back to the disk, unless others are reading it.
    What is deleted is overwritten. Raises StoreLocked at a run that is under way, StoreError.
    """
    removed = 0
    gate = Gate(store.directory / location.GATE)
    try:
        with told(store.database):
            connection = open_for_writing(store.database, store.durability)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            for run_id in ids:
                lock = store.lock_run(run_id)
                try:
                    with gate, told(store.database):
                        removed += _remove(connection, run_id, keep_samples)
                finally:
                    lock.release()
            with gate, told(store.database):
                if compact:
                    _compact(connection)
                LogKeeper(store.database).empty(connection)
        finally:
            connection.close()
    finally:
        gate.close()
    return removed


def _remove(connection: sqlite3.Connection, run_id: str, keep_samples: bool) -> int:
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = connection.execute("SELECT run, source FROM runs WHERE id = ?", [run_id]).fetchone()
        if found is not None:
            run, source = found
            for table in ("stretches", "answers", "tasks", "runs"):
                connection.execute(f"DELETE FROM {table} WHERE run = ?", [run])
            if keep_samples:
                connection.execute("UPDATE samples SET run = ?, item = NULL WHERE run = ?", [FORGOTTEN, run])
            else:
                connection.execute("DELETE FROM samples WHERE run = ?", [run])
            connection.execute(
                "DELETE FROM sources WHERE sha256 = ? AND sha256 NOT IN (SELECT source FROM runs)", [source]
            )
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return int(found is not None)


def _compact(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if not error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise
