"""A store: the folder that holds the history. It opens, migrates and reads; only a `Journal` writes runs into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from llmflow.errors import StoreError
from llmflow.history import location, schema
from llmflow.history.connection import damaged, open_for_reading, open_for_writing, told
from llmflow.history.locks import Gate, RunLock, holder_of, taken


class Store:
    """Reads the history in one folder. Not to be shared between threads; `with` closes it."""

    def __init__(self, directory: Path, connection: sqlite3.Connection, durability: str) -> None:
        self.directory = directory
        self.database = directory / location.DATABASE
        self.durability = durability
        self.warnings = location.warnings(directory)
        """Sentences for the user: who else can read this store."""
        self._connection = connection

    @classmethod
    def open(cls, directory: Path, *, read_only: bool = False, durability: str = "full") -> Store:
        """Open a store; unless `read_only`, create or migrate it first and make sure that it can be written.

        `durability`: `full` (an acknowledged event survives power loss) or `normal` (it survives
        any death of the process). Raises StoreError naming the file and the way out: not
        writable, not a database, another program's, damaged, or written by a newer llmflow.
        """
        database = directory / location.DATABASE
        location.refuse_foreign_links(directory)
        if not read_only:
            location.prepare(directory)
            _make_current(directory, database, durability)
        elif not database.exists():
            raise StoreError(f"{database}: there is no history here\n  hint: {location.WAY_OUT}")
        with told(database):
            connection = open_for_reading(database)
        try:
            with told(database):
                current = schema.is_current(connection, database)
            if not current and not read_only:  # it has just been made so, and what was written is not what is read
                raise damaged(database, ValueError("the events it knows cannot be read back"))
            if not current:  # an older schema is brought up to date before it is read
                connection.close()
                return cls.open(directory, durability=durability)
        except BaseException:
            connection.close()
            raise
        return cls(directory, connection, durability)

    @classmethod
    def open_if_there(cls, directory: Path) -> Store | None:
        """The store to read from, None where no run was ever recorded. Raises as `open` does."""
        return cls.open(directory, read_only=True) if (directory / location.DATABASE).exists() else None

    def lock_run(self, run_id: str) -> RunLock:
        """Have the run to oneself until `release()`. Raises StoreLocked naming the process that has it."""
        return RunLock(self._lock_file(run_id), run_id)

    def refuse_if_held(self, run_id: str) -> None:
        """Raise StoreLocked where a process works on the run."""
        if holder := self.holder(run_id):
            raise taken(run_id, holder)

    def holder(self, run_id: str) -> str | None:
        """Which process works on the run (`process 4711`), None where none does."""
        return holder_of(self._lock_file(run_id))

    def was_cut_off(self, run_id: str) -> bool:
        """True where the process that worked on the run died, or left, before all was done: outputs included."""
        return self._lock_file(run_id).exists() and self.holder(run_id) is None

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, fetched as they are used. Raises StoreError."""
        with told(self.database):
            yield from self._connection.execute(sql, parameters)

    def close(self) -> None:
        """Let go of the database. May be called twice."""
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock_file(self, run_id: str) -> Path:
        return self.directory / location.RUN_LOCKS / run_id


def _make_current(directory: Path, database: Path, durability: str) -> None:
    """Create or migrate the tables, and prove that a transaction can be begun."""
    gate = Gate(directory / location.GATE)
    try:
        with gate, told(database):
            connection = open_for_writing(database, durability)
            try:
                if schema.is_current(connection, database):
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute("ROLLBACK")
                else:
                    schema.migrate(connection, database)
            finally:
                connection.close()
    finally:
        gate.close()
