"""One SQLite connection to a store: how it is opened, and how what SQLite complains of is told to a person.

Write-ahead log, no automatic checkpoints: checkpoints run behind the gate (`locks.Gate`) like
every commit. Closing the last connection checkpoints too, but only where SQLite finds no other
connection open, so that one cannot meet a commit either.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from llmflow.errors import StoreError, StoreLocked
from llmflow.history.location import WAY_OUT, network_kind

BUSY_SECONDS = 10.0

LOG_BYTES = 4 * 1024 * 1024
"""Beyond this size the write-ahead log is copied back into the database."""

SMALLEST = 256 * 1024
"""An empty store takes no more, with its log; so much is asked for beside what could not be written."""

_LIMITED = "{room}, raise the limit, or " + WAY_OUT

_TOLD: tuple[tuple[str, str, str], ...] = (
    ("SQLITE_FULL", "the disk is full: nothing more can be written", "{room}, or " + WAY_OUT),
    ("SQLITE_NOTADB", "is not a llmflow history", "move it aside, or " + WAY_OUT),
    ("SQLITE_CORRUPT", "is damaged", "move it aside; `sqlite3 history.db .recover` rescues readable rows"),
    ("SQLITE_READONLY", "cannot be written", WAY_OUT),
    ("SQLITE_CANTOPEN", "cannot be opened", WAY_OUT),
    ("SQLITE_PERM", "cannot be opened", WAY_OUT),
    ("SQLITE_IOERR_WRITE", "cannot be written: a quota or a limit on files, or the disk fails", _LIMITED),
    ("SQLITE_IOERR_SHM", "cannot be written: a quota or a limit on files, or the disk fails", _LIMITED),
    ("SQLITE_IOERR", "cannot be read or written: the disk reports an error", "check the disk, or " + WAY_OUT),
)
"""What SQLite's error names (3.11: `sqlite_errorname`) begin with, the sentence, and the way out."""


def store_error(path: Path, error: sqlite3.Error, *, pending: int = 0) -> StoreError:
    """`error` as a StoreError that names the file and the way out; `pending`: bytes that could not be written."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreLocked(f"{path}: another program has kept it locked for {BUSY_SECONDS:g} s")
    for prefix, sentence, hint in _TOLD:
        if name.startswith(prefix):
            hint = hint.replace("{room}", _room(path, pending))
            return StoreError(f"{path}: {sentence} ({error})\n  hint: {hint}")
    return StoreError(f"{path}: {error}")


def _room(path: Path, pending: int) -> str:
    """What a person would have to do for the store to be written on, as far as it can be known."""
    needed = f"make room for {(SMALLEST + pending) / 1e6:.1f} MB"
    try:
        return f"{needed} ({shutil.disk_usage(path.parent).free / 1e6:,.1f} MB are free)"
    except OSError:
        return needed


def damaged(path: Path, error: Exception) -> StoreError:
    """What was read cannot have been written by us."""
    sentence, hint = next((sentence, hint) for prefix, sentence, hint in _TOLD if prefix == "SQLITE_CORRUPT")
    return StoreError(f"{path}: {sentence} ({error})\n  hint: {hint}")


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """SQLite's errors inside the block come out as StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(path, error) from error


def open_for_writing(path: Path, durability: str, *, network: bool | None = None) -> sqlite3.Connection:
    """A connection that may write; `durability` is `full` (survives power loss) or `normal` (survives a crash).

    On a network file system (`network`; None: it is looked up) there is no write-ahead log, but a rollback journal.

    Transactions are begun and ended by hand. The connection may be closed by another thread than
    the one that uses it. Raises sqlite3.Error.
    """
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        on_network = bool(network_kind(path.parent)) if network is None else network
        connection.execute(f"PRAGMA journal_mode = {'DELETE' if on_network else 'WAL'}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if durability == 'normal' else 'FULL'}")
        if durability != "normal":
            connection.execute("PRAGMA fullfsync = ON")  # macOS: an ordinary fsync there does not reach the disk
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, also to a store in a folder that cannot be written. Raises sqlite3.Error."""
    uri = f"file:{quote(os.path.abspath(path))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        # A log that cannot be created beside it: harmless where there is nothing in it to read.
        if not error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")) or _log_bytes(path):
            raise
        connection = sqlite3.connect(uri + "&immutable=1", uri=True, isolation_level=None)
    except BaseException:
        connection.close()
        raise
    return connection


class LogKeeper:
    """Decides when the write-ahead log is copied back. Used by one writer, behind the gate."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limit = LOG_BYTES

    def after_commit(self, connection: sqlite3.Connection) -> None:
        """Checkpoint where the log has outgrown its limit; readers at work make it try again 4 MiB later."""
        size = _log_bytes(self._path)
        if size > self._limit:
            _, in_log, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._limit = LOG_BYTES if in_log == copied else size + LOG_BYTES

    def empty(self, connection: sqlite3.Connection) -> None:
        """Copy everything back and cut the log to nothing, as far as readers at work allow."""
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _log_bytes(path: Path) -> int:
    try:
        return os.stat(f"{path}-wal").st_size
    except OSError:
        return 0
