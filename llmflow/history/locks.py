"""Locks between processes, held on files by flock: the kernel frees them when their holder dies, however it dies.

Never the database file itself: SQLite keeps POSIX locks there, and closing any other descriptor
of that file in the process would drop them.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from pathlib import Path
from types import TracebackType

from llmflow.errors import StoreError, StoreLocked
from llmflow.history.location import WAY_OUT

PATIENCE = 10.0
"""Seconds that a writer waits for the others before it gives up."""


class Gate:
    """One door for everything that changes a store: held around each commit and each checkpoint, by all processes.

    SQLite before 3.51.3 can lose committed pages when a checkpoint runs beside a commit that
    resets the write-ahead log (sqlite.org/wal.html, "the WAL-reset bug"). Behind one exclusive
    lock the two never meet. It costs nothing, as SQLite admits one writer at a time anyway, and
    queues fairly where SQLite's own busy handler only sleeps. `with gate:` may not be nested.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open(path)

    def __enter__(self) -> None:
        pause, deadline = 0.0002, 0.0
        while not _try_lock(self._file, self._path):
            now = time.monotonic()
            deadline = deadline or now + PATIENCE
            if now > deadline:
                raise StoreLocked(
                    f"{self._path.parent}: {_holder(self._file)} has kept the store busy for {PATIENCE:g} s"
                )
            time.sleep(pause * random.random())
            pause = min(2 * pause, 0.005)
        try:
            _sign(self._file, self._path)
        except StoreError:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file; the gate cannot be used again."""
        os.close(self._file)


class RunLock:
    """This process alone works on one run, until `release`, `leave` or its death.

    Its file outlives a holder that died or left: something of the run is still to be done (`Store.was_cut_off`).
    As a context it is left where the block fails. Raises StoreLocked naming the holder.
    """

    def __init__(self, path: Path, run_id: str) -> None:
        self._path = path
        refusals = 0
        while True:
            self._file = _open(path)
            locked = _try_lock(self._file, path)
            if locked and _same_file(self._file, path):
                break
            holder = _holder(self._file)
            os.close(self._file)
            if locked:  # its last holder removed the file between our opening and our locking it
                continue
            refusals += 1
            if refusals == 5:
                raise taken(run_id, holder)
            time.sleep(0.01)  # perhaps it was only somebody looking whether there is a holder
        try:
            _sign(self._file, path)
        except StoreError:
            self.release()
            raise

    def __enter__(self) -> RunLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.release()
        else:
            self.leave()

    def release(self) -> None:
        """Let others at the run: nothing is left to be done. May be called twice, or after `leave`."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            self.leave()

    def leave(self) -> None:
        """Let others at the run as death would: they see that it was not brought to its end. May be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def taken(run_id: str, holder: str) -> StoreLocked:
    """The error that names who works on the run."""
    return StoreLocked(f"run {run_id} is being worked on by {holder}")


def holder_of(path: Path) -> str | None:
    """Who holds the lock on `path` (`process 4711`), None where nobody does."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(file)
    else:
        return None
    finally:
        os.close(file)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: cannot be locked: {error.strerror}\n  hint: {WAY_OUT}") from error


def _try_lock(file: int, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreError(f"{path}: this file system cannot lock files: {error.strerror}\n  hint: {WAY_OUT}") from error
    return True


def _sign(file: int, path: Path) -> None:
    """Leave our number for those who are kept waiting."""
    try:
        os.pwrite(file, b"%-10d" % os.getpid(), 0)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}\n  hint: make room, or {WAY_OUT}") from error


def _same_file(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _holder(file: int) -> str:
    pid = os.pread(file, 16, 0).strip(b" \0").decode("ascii", "replace")
    return f"process {pid}" if pid else "another process"
