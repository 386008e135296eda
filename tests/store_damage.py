"""Stores of which a known part is lost or spoiled, and disks that take no more: tests and `bench/disk.py` share it.

A power cut leaves a write-ahead log that ends anywhere; what must be read then is known to the event.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import history_child

from llmflow.errors import StoreError
from llmflow.history import stories
from llmflow.history.journal import Journal
from llmflow.history.records import RunRecord
from llmflow.history.store import Store
from llmflow.scheduling.events import Event, RunStarted

FRAME = 24 + 4096
"""Bytes of one page in a write-ahead log; the log's own header has 32."""


def integrity(database: Path) -> list[str]:
    """What SQLite's own check says: `["ok"]`."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return [line for (line,) in connection.execute("PRAGMA integrity_check")]


@dataclass(frozen=True)
class Log:
    """A store's files while its run was at work: the database, its log, and (length, position) of each commit."""

    database: bytes
    log: bytes
    commits: tuple[tuple[int, int], ...]
    story: list[Event]

    def position_at(self, length: int) -> int:
        """The position up to which a log cut to `length` tells the story."""
        return max(position for size, position in self.commits if size <= length)


def written_log(folder: Path, tasks: int) -> Log:
    """A run of `tasks` tasks, each committed by itself, none of it copied back into the database yet."""
    with Store.open(folder) as store:
        journal = Journal(store, RunRecord(id="R", pipeline="p", started_at=0.0))
        journal.flush()
        path = Path(f"{store.database}-wal")
        commits = [(path.stat().st_size, 0)]
        for task in range(tasks):
            position = history_child.hand_over(journal, task)
            journal.flush()
            commits.append((path.stat().st_size, position))
        written = Log(store.database.read_bytes(), path.read_bytes(), tuple(commits), list(stories.story(store, "R")))
        journal.close()
    return written


def told_by(folder: Path, database: bytes, log: bytes) -> list[Event]:
    """The story that a store with exactly these files tells. Raises StoreError."""
    for name in ("history.db-shm", "history.db-wal", "history.db"):
        (folder / name).unlink(missing_ok=True)
    (folder / "history.db").write_bytes(database)
    (folder / "history.db-wal").write_bytes(log)
    with Store.open(folder, read_only=True) as store:
        return list(stories.story(store, "R"))


def cut_wrongly(folder: Path, written: Log, lengths: Iterator[int]) -> tuple[int, list[str]]:
    """(logs that were cut, where a cut log told another story than that of the commits that were whole in it)."""
    count, wrong = 0, []
    for length in lengths:
        count += 1
        expected = written.story[: written.position_at(length)]
        if told_by(folder, written.database, written.log[:length]) != expected:
            wrong.append(f"cut at {length}: not the first {len(expected)} events")
    return count, wrong


@dataclass
class Flips:
    """What came of bits that were turned: `told` are sentences, `silent` stores that read as if nothing were."""

    tried: int = 0
    told: int = 0
    silent: int = 0
    unclear: list[str] | None = None


def flip(database: Path, whole: bytes, dice: random.Random, flips: Flips) -> None:
    """Turn one bit of a store, read all of it and write one more run; whatever is wrong must be told of the file."""
    damaged = bytearray(whole)
    # The beginning of each page holds what SQLite itself needs; the rest is mostly text.
    page = dice.randrange(len(whole) // 4096) * 4096
    offset = page + (dice.randrange(200) if dice.random() < 0.7 else dice.randrange(4096))
    damaged[offset] ^= 1 << dice.randrange(8)
    for leftover in ("history.db-wal", "history.db-shm"):
        (database.parent / leftover).unlink(missing_ok=True)
    database.write_bytes(damaged)
    flips.tried += 1
    try:
        with Store.open(database.parent, durability="normal") as store:
            for run in stories.runs(store):
                list(stories.story(store, run.record.id))
                list(stories.answers(store, run.record.id))
                stories.tasks(store, run.record.id)
            with Journal(store, RunRecord(id=f"N{flips.tried}", pipeline="p", started_at=0.0)) as journal:
                journal.write([RunStarted(0.0)])
                history_child.hand_over(journal, 0)
    except StoreError as error:
        flips.told += 1
        if not str(error).startswith(str(database)):
            flips.unclear = [*(flips.unclear or []), f"bit at {offset}: {error}"]
    else:
        flips.silent += 1


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[bool]:
    """`folder` on a disk of so many kilobytes; False where only root could have mounted one, and nothing is done."""
    mounted = os.geteuid() == 0 and _mount(folder, kilobytes)
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def grow_disk(folder: Path, kilobytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(folder)], check=True)


def _mount(folder: Path, kilobytes: int) -> bool:
    if shutil.which("mount") is None:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
