"""A store between processes, kills, other users and damage."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import history_child
import pytest
from acknowledged import child, crowd, missing, said
from store_damage import integrity

from llmflow.errors import StoreError, StoreLocked
from llmflow.history import schema, stories
from llmflow.history.identity import new_run_id
from llmflow.history.journal import Journal
from llmflow.history.locks import RunLock
from llmflow.history.records import RunRecord
from llmflow.history.store import Store
from llmflow.scheduling.events import RunStarted

NOBODY = 65534


@contextlib.contextmanager
def somebody_else() -> Iterator[Path]:
    """A folder of an ordinary user, in whose shoes the block runs: root would be stopped by no mode."""
    directory = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    try:
        directory.chmod(0o755)
        if root:
            os.chown(directory, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        yield directory
    finally:
        if root:
            os.seteuid(0)
        directory.chmod(0o755)
        for path in directory.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(directory)


def modes(directory: Path) -> dict[str, int]:
    return {str(p.relative_to(directory)): stat.S_IMODE(p.stat().st_mode) for p in directory.rglob("*")}


# ---- kills and neighbours -------------------------------------------------------------------------


def test_a_killed_run_loses_nothing_that_was_acknowledged_and_the_store_opens_as_if_nothing_had_been(
    tmp_path: Path,
) -> None:
    dice = random.Random(7)
    for _ in range(10):
        process = child("write", tmp_path, 1, 100_000)
        lines = said(process)
        run_id, acknowledged, target = next(lines)["run"], 0, dice.randint(0, 400)
        for line in lines:
            acknowledged = line["acknowledged"]
            if acknowledged >= target:
                process.kill()
        assert process.wait() == -signal.SIGKILL
        with Store.open(tmp_path) as store:
            assert missing(store, {run_id: acknowledged}) == []
            found = stories.run(store, run_id)
            assert found is not None
            assert found.status == "interrupted"
    with Store.open(tmp_path) as store:
        assert integrity(store.database) == ["ok"]


def test_eight_processes_write_into_one_store_while_writers_are_killed_and_no_acknowledged_row_is_lost(
    tmp_path: Path,
) -> None:
    """A sample of `bench/crowd.py`."""
    seen = crowd(tmp_path, 8, 60, seed=5, between_kills=50)
    assert set(seen.codes) == {0, -signal.SIGKILL}
    assert seen.killed >= 8
    assert seen.commits >= 8 * 60
    with Store.open(tmp_path) as store:
        assert integrity(store.database) == ["ok"]
        assert missing(store, seen.acknowledged) == []


def test_a_run_is_locked_while_its_process_lives_and_free_when_it_was_killed(tmp_path: Path) -> None:
    process = child("hold", tmp_path, "R")
    assert next(said(process)) == {"held": "R"}
    with Store.open(tmp_path) as store:
        assert store.holder("R") == f"process {process.pid}"
        with pytest.raises(StoreLocked) as refused:
            store.lock_run("R")
        assert str(refused.value) == f"run R is being worked on by process {process.pid}"
        process.kill()
        process.wait()
        assert store.holder("R") is None
        lock = store.lock_run("R")
        assert store.holder("R") == f"process {os.getpid()}"
        lock.release()
        lock.release()
        assert store.holder("R") is None
        assert list((tmp_path / "locks").iterdir()) == []


def test_a_lock_that_comes_and_goes_is_never_held_twice(tmp_path: Path) -> None:
    """The holder removes the file as it lets go: whoever opened it just before must not lock the removed one."""
    held: list[int] = []
    most: list[int] = []

    def take_and_release(name: int) -> None:
        for _ in range(300):
            try:
                lock = RunLock(tmp_path / "R", "R")
            except StoreLocked:
                continue
            held.append(name)
            most.append(len(held))
            time.sleep(0.0001)
            held.remove(name)
            lock.release()

    threads = [threading.Thread(target=take_and_release, args=(n,)) for n in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(most) > 100
    assert set(most) == {1}


# ---- who may look ---------------------------------------------------------------------------------


def test_folders_are_closed_to_others_and_so_is_every_file_while_it_is_used(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run = RunRecord(id="R", pipeline="p", started_at=0.0)
        with Store.open(tmp_path / "a" / "store") as store, Journal(store, run) as journal:
            journal.write([RunStarted(0.0)])
            journal.flush()
            found = modes(tmp_path / "a")
    finally:
        os.umask(before)
    assert found == {
        "store": 0o700,
        "store/history.db": 0o600,
        "store/history.db-wal": 0o600,
        "store/history.db-shm": 0o600,
        "store/store.lock": 0o600,
        "store/locks": 0o700,
        "store/locks/R": 0o600,
    }
    assert store.warnings == []


def test_a_store_that_others_can_read_is_used_with_a_warning(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    (tmp_path / "history.db").chmod(0o644)
    with Store.open(tmp_path) as store:
        assert store.warnings == [
            f"{tmp_path}/history.db can be read by other users (mode 0644); `chmod 600` closes it"
        ]


def test_a_link_planted_by_another_user_is_not_followed(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a link that belongs to somebody else")
    (tmp_path / "mine").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "mine")
    with Store.open(tmp_path / "store"):
        pass
    os.lchown(tmp_path / "store", NOBODY, NOBODY)
    for read_only in (False, True):
        with pytest.raises(StoreError, match="store is a symbolic link that belongs to another user: not followed"):
            Store.open(tmp_path / "store", read_only=read_only)


# ---- what cannot be written or read ---------------------------------------------------------------


def test_a_folder_that_cannot_be_created_is_named_with_the_way_out() -> None:
    with somebody_else() as home:
        home.chmod(0o555)
        with pytest.raises(StoreError) as refused:
            Store.open(home / "deep" / "store")
        assert str(refused.value) == (
            f"{home}/deep: cannot be written: Permission denied\n"
            "  hint: name another folder with --store DIR or LLMFLOW_STORE"
        )
        assert refused.value.exit_code == 74


@pytest.mark.parametrize("log", ["left", "gone"])
def test_a_store_that_can_only_be_read_is_refused_for_a_run_and_still_read_for_statistics(log: str) -> None:
    with somebody_else() as home:
        with Store.open(home / "store") as store, Journal(store, RunRecord(id="R", pipeline="p", started_at=0.0)) as j:
            j.write([RunStarted(0.0)])
        if log == "gone":
            for ending in ("-wal", "-shm"):
                (home / "store" / f"history.db{ending}").unlink(missing_ok=True)
        for path in (home / "store").iterdir():
            path.chmod(0o500 if path.is_dir() else 0o400)
        (home / "store").chmod(0o500)
        with pytest.raises(StoreError, match=r"history.db: cannot be written: Permission denied\n  hint: name another"):
            Store.open(home / "store")
        with Store.open(home / "store", read_only=True) as store:
            assert list(stories.story(store, "R")) == [RunStarted(0.0)]
            assert [r.status for r in stories.runs(store)] == ["interrupted"]


def test_a_lock_into_which_not_a_byte_can_be_written_is_an_error_of_the_store(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
    Store.open(tmp_path / "old").close()
    code = (
        "import resource, sys, pathlib; from llmflow.history.store import Store\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); Store.open(pathlib.Path(sys.argv[1]))"
    )
    for name in ("new", "old"):
        refused = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / name)], capture_output=True, text=True, check=False
        )
        assert refused.stderr.endswith(
            f"llmflow.errors.StoreError: {tmp_path}/{name}/store.lock: cannot be written: File too large\n"
            "  hint: make room, or name another folder with --store DIR or LLMFLOW_STORE\n"
        )


def test_reading_a_store_changes_nothing_in_it(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store, Journal(store, RunRecord(id="R", pipeline="p", started_at=0.0)) as journal:
        journal.write([RunStarted(0.0)])
    before = (tmp_path / "history.db").read_bytes()
    with Store.open(tmp_path, read_only=True) as store:
        assert list(stories.story(store, "R")) == [RunStarted(0.0)]
        with pytest.raises(StoreError, match=r"history.db: cannot be written"):
            list(store.rows("DELETE FROM runs"))
    assert (tmp_path / "history.db").read_bytes() == before


def test_where_nothing_was_recorded_there_is_no_store_to_read(tmp_path: Path) -> None:
    assert Store.open_if_there(tmp_path / "none") is None
    with pytest.raises(StoreError, match=r"history.db: there is no history here\n  hint: "):
        Store.open(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path, read_only: bool) -> None:
    (tmp_path / "history.db").write_bytes(b"dear diary, " * 1_000)
    with pytest.raises(StoreError) as refused:
        Store.open(tmp_path, read_only=read_only)
    assert str(refused.value) == (
        f"{tmp_path}/history.db: is not a llmflow history (file is not a database)\n"
        "  hint: move it aside, or name another folder with --store DIR or LLMFLOW_STORE"
    )
    assert (tmp_path / "history.db").read_bytes() == b"dear diary, " * 1_000


@pytest.mark.parametrize("read_only", [False, True])
def test_the_database_of_another_program_is_left_alone(tmp_path: Path, read_only: bool) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "history.db")) as other:
        other.execute("CREATE TABLE bookmarks (url)")
    with pytest.raises(StoreError, match=r"history.db is a SQLite database of another program\n  hint: move it aside"):
        Store.open(tmp_path, read_only=read_only)
    with contextlib.closing(sqlite3.connect(tmp_path / "history.db")) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmarks",)]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_schema_is_refused_and_never_taken_back(tmp_path: Path, read_only: bool) -> None:
    Store.open(tmp_path).close()
    newer = len(schema.MIGRATIONS) + 1
    with contextlib.closing(sqlite3.connect(tmp_path / "history.db")) as other:
        other.execute(f"PRAGMA user_version = {newer}")
    with pytest.raises(StoreError) as refused:
        Store.open(tmp_path, read_only=read_only)
    assert str(refused.value) == (
        f"{tmp_path}/history.db was written by a newer llmflow (its schema is {newer}, this one knows {newer - 1})\n"
        "  hint: upgrade llmflow, or choose another --store DIR"
    )
    with contextlib.closing(sqlite3.connect(tmp_path / "history.db")) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (newer,)


@pytest.mark.parametrize("read_only", [False, True])
def test_an_empty_file_becomes_a_store(tmp_path: Path, read_only: bool) -> None:
    (tmp_path / "history.db").touch(mode=0o600)
    with Store.open(tmp_path, read_only=read_only) as store:
        assert stories.runs(store) == []


def test_a_damaged_store_says_so_instead_of_telling_a_wrong_story(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store, Journal(store, RunRecord(id="R", pipeline="p", started_at=0.0)) as journal:
        for task in range(500):
            history_child.hand_over(journal, task)
    database = tmp_path / "history.db"
    whole = database.read_bytes()
    dice = random.Random(3)
    refused = []
    for _ in range(40):
        page = dice.randrange(1, len(whole) // 4096)
        database.write_bytes(whole[: page * 4096] + bytes(4096) + whole[(page + 1) * 4096 :])
        try:
            with Store.open(tmp_path) as store:
                assert missing(store, {"R": 1_500}) == []
        except StoreError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert [r for r in refused if not r.startswith(f"{database}: is damaged") or "\n  hint: move it" not in r] == []


def test_a_torn_log_is_read_up_to_its_last_whole_commit_and_written_on(tmp_path: Path) -> None:
    """What a power cut leaves: a log whose tail never reached the disk whole."""
    with Store.open(tmp_path) as store:
        journal = Journal(store, RunRecord(id="R", pipeline="p", started_at=0.0))
        for task in range(20):
            history_child.hand_over(journal, task)
            journal.flush()
        torn = tmp_path / "torn"
        torn.mkdir()
        log = Path(f"{store.database}-wal").read_bytes()
        shutil.copy(store.database, torn / "history.db")
        (torn / "history.db-wal").write_bytes(log[: len(log) * 2 // 3] + b"torn" * 100)
        journal.close()
    with Store.open(torn) as store:
        story = list(stories.story(store, "R"))
        assert 0 < len(story) < 60
        assert missing(store, {"R": len(story)}) == []
        with Journal(store, RunRecord(id=new_run_id(), pipeline="p", started_at=0.0)) as journal:
            assert journal.write([RunStarted(0.0)]) == 1
        assert integrity(store.database) == ["ok"]
