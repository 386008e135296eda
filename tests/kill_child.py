"""Runs pipelines in processes of their own that die, or whose disk fills up, at a chosen moment of their journal.

`python kill_child.py [MODULE…]`: reads one `Job` a line from standard input and answers with one `Ended` a line, both
JSON. Each job is a forked process (so a thousand of them cost no thousand imports) that carries out the
very command that `llmflow run` is, and kills itself where the job says:

    write   when the K-th event has been queued for the writer, before anything of it need be on disk
    commit  in the middle of the transaction that holds the K-th event: rows written, not committed
    safe    when the transaction that holds the K-th event has been committed
    after   at a moment: so many seconds after the run began (the parent sends the signal)

or, where nobody dies, takes from itself the room that the store needs:

    full    from the transaction that holds the K-th event on, no file may grow
    torn    the same, but for one page and a half: a write stops in its middle
    size    from the start, no file may grow beyond K bytes
    pages   from the start, the database may have at most K pages
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

MODES = ("write", "commit", "safe")
"""Deaths at the K-th event."""

FILLINGS = ("full", "torn")
"""Disks that are full from the K-th event on."""

LIMITS = ("size", "pages")
"""Disks that are small from the beginning."""


@dataclass(frozen=True)
class Job:
    """`file` is a pipeline or, with `resume`, a run's id; `kill` counts events from 1 (0: nobody is killed)."""

    file: str
    store: str
    output: str
    log: str
    resume: bool = False
    mode: str = "safe"
    kill: int = 0
    after: float = 0.0
    words: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """`code` is the exit code, or minus the signal that ended the process."""

    code: int


class Killers:
    """The harness's end: starts the server of forks and hands it jobs, one at a time."""

    def __init__(self, *imports: str) -> None:
        """`imports`: modules that its jobs would import one after the other."""
        command = [sys.executable, __file__, *imports]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, job: Job) -> int:
        """The exit code of the job, -9 where it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline())).code

    def __enter__(self) -> Killers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(60)


# ---- inside the forked process ----------------------------------------------------------------------


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arrange(mode: str, kill: int) -> None:
    """What the job asks for, death or dearth."""
    if mode == "size":
        no_file_beyond(kill)
    elif mode == "pages":
        no_database_beyond(kill)
    elif mode in FILLINGS:
        fill_at(kill, 0 if mode == "full" else 6_000)
    else:
        die_at(mode, kill)


def no_file_beyond(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def no_database_beyond(pages: int) -> None:
    """Every connection is told so as it is opened: SQLite keeps the number nowhere."""
    connect = sqlite3.connect

    def connect_bounded(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    sqlite3.connect = connect_bounded  # type: ignore[assignment]


def fill_at(kill: int, room: int) -> None:
    """Let the write-ahead log grow by `room` bytes and no more, once the K-th event is to be written."""
    from llmflow.history import journal

    commits, seen = journal._Writer.commit, 0

    def commit(self: Any, taken: Sequence[Any]) -> int:
        nonlocal seen
        if seen < kill:
            seen += sum(len(item) for item in taken if isinstance(item, list))
            if seen >= kill:
                log = Path(f"{self.database}-wal")
                no_file_beyond((log.stat().st_size if log.exists() else 0) + room)
        return commits(self, taken)

    journal._Writer.commit = commit  # type: ignore[method-assign]


def die_at(mode: str, kill: int) -> None:
    """Arrange the death. The journal itself does all that it always does, up to that moment."""
    from llmflow.history import journal

    seen = 0
    writes, commits = journal.Journal.write, journal._Writer.commit

    def write(self: Any, events: Sequence[Any]) -> int:
        nonlocal seen
        position = writes(self, events)
        seen += len(events)
        if seen >= kill:
            die()
        return position

    def safe(self: Any, taken: Sequence[Any]) -> int:
        nonlocal seen
        written = commits(self, taken)
        seen += written
        if seen >= kill:
            die()
        return written

    def commit(self: Any, taken: Sequence[Any]) -> int:
        nonlocal seen
        seen += sum(len(item) for item in taken if isinstance(item, list))
        if seen >= kill:
            self._connection = DiesAtCommit(self._connection)
        return commits(self, taken)

    if mode == "write":
        journal.Journal.write = write  # type: ignore[method-assign]
    else:
        journal._Writer.commit = commit if mode == "commit" else safe  # type: ignore[method-assign]


class DiesAtCommit:
    """A connection that does everything but the COMMIT."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        if sql == "COMMIT":
            die()
        return self._connection.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def carry_out(job: Job) -> int:
    """The job as the command line would do it; its words for people go to the log."""
    from llmflow.binding.words import Words
    from llmflow.commands.run import RunCommand
    from llmflow.errors import LlmflowError

    log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)
    os.environ.update(job.environment)
    if job.kill:
        arrange(job.mode, job.kill)
    command = RunCommand(
        file=job.file,
        words=Words(inputs=tuple(job.words)),
        resume=job.resume,
        store=job.store,
        output=job.output,
        plain=True,
    )
    try:
        return command.run()
    except LlmflowError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def fork(job: Job) -> int:
    """Carry the job out in a child; gives its exit code, or minus the signal."""
    pid = os.fork()
    if not pid:
        code = 70
        try:
            code = carry_out(job)
        except BaseException:  # noqa: BLE001 - the exit code tells the harness, the trace is in its log
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    timer = threading.Timer(job.after, os.kill, (pid, signal.SIGKILL)) if job.after else None
    if timer is not None:
        timer.start()
    # Not reaped before the timer is over: the number must not be somebody else's when the signal is sent.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if timer is not None:
        timer.cancel()
        timer.join()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(imports: Sequence[str]) -> None:
    """Import once what every job needs, then serve until standard input ends."""
    for name in ("asyncio", "llmflow.binding.execution", "llmflow.commands.run", "llmflow.providers.mock", *imports):
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        code = fork(Job(**json.loads(line)))
        sys.stdout.write(json.dumps(asdict(Ended(code))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main(sys.argv[1:])
