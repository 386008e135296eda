"""`llmflow runs`: the list, its filters, and taking runs out of the history again."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from stored_runs import NOON, identity, in_utc, troubled, undisturbed

from llmflow.commands.past_runs import find, seconds_of
from llmflow.commands.runs import prune, remove, runs
from llmflow.errors import StoreLocked, UsageError
from llmflow.history import learned
from llmflow.history.store import Store


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with in_utc(monkeypatch):
        yield


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Two good runs of `letter`, a failed and an interrupted one of a file without a name."""
    with Store.open(tmp_path) as store:
        undisturbed(store, 0)
        undisturbed(store, 20, workers=1, policy="fifo")
        troubled(store, 40)
        troubled(store, 60, status="")
    return tmp_path


def rows(directory: Path, table: str, run: int | None = None) -> int:
    with sqlite3.connect(directory / "history.db") as connection:
        where = "" if run is None else f" WHERE run = {run}"
        found: int = connection.execute(f"SELECT COUNT(*) FROM {table}{where}").fetchone()[0]
    connection.close()
    return found


def test_runs_are_listed_youngest_first(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs(store=str(history)) == 0
    assert capsys.readouterr().out == (
        "         RUN  PIPELINE                 STARTED  STATUS       MAKESPAN  RATIO         TASKS  TOKENS\n"
        "01HK50RT3000  triage.yaml  2024-01-02 12:01:00  interrupted    6.50 s      -             5      75\n"
        "01HK50R6J000  triage.yaml  2024-01-02 12:00:40  failed         8.00 s  1.333  5 (2 failed)      75\n"
        "01HK50QK1000  letter       2024-01-02 12:00:20  succeeded      8.00 s  1.333             4      44\n"
        "01HK50PZG000  letter       2024-01-02 12:00:00  succeeded      6.00 s  1.000             4      44\n"
    )


def test_runs_as_data(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs(limit=1, pipeline="letter", store=str(history), as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "schema": "llmflow.runs/1",
        "runs": [
            {
                "run": identity(20),
                "pipeline": "letter",
                "path": "/home/ada/letter.yaml",
                "started_at": "2024-01-02T12:00:20.000Z",
                "status": "succeeded",
                "makespan": 8.0,
                "ratio": 8 / 6,
                "policy": "fifo",
                "workers": 1,
                "tasks": 4,
                "failed": 0,
                "input_tokens": 32,
                "output_tokens": 12,
            }
        ],
    }


def listed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [run["run"] for run in json.loads(capsys.readouterr().out)["runs"]]


def test_failed_are_those_that_did_not_get_to_a_good_end(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs(failed=True, store=str(history), as_json=True)
    assert listed(capsys) == [identity(60), identity(40)]


def test_runs_can_be_asked_for_by_time(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store.open(history) as store:
        young = undisturbed(store, 1, started_at=time.time() - 3600)
    runs(last="2h", store=str(history), as_json=True)
    assert listed(capsys) == [young]
    assert [seconds_of(text) for text in ("90s", "30m", "12h", "7d", "2w")] == [90, 1800, 43200, 604800, 1209600]
    with pytest.raises(UsageError, match="'7 days' is no time to look back"):
        runs(last="7 days", store=str(history))


def test_a_list_of_nothing_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs(store=str(tmp_path)) == 0
    assert capsys.readouterr() == ("", f"no such runs in {tmp_path}; `llmflow run` makes some\n")
    with pytest.raises(UsageError, match="there is no history in"):
        remove(["last"], store=str(tmp_path))


def test_a_run_is_found_by_the_beginning_of_its_id_in_any_case(history: Path) -> None:
    with Store.open(history) as store:
        assert find(store, "last").record.id == identity(60)
        assert find(store, identity(20)[:9].lower()).record.id == identity(20)
        with pytest.raises(
            UsageError, match=f"01H is the beginning of several runs\n  hint: go on typing: {identity(60)}"
        ):
            find(store, "01H")
        for word in ("%", "", "0_", "nothing"):
            with pytest.raises(UsageError, match="there is no run"):
                find(store, word)


# ---- removing -------------------------------------------------------------------------------------


def test_without_a_terminal_nothing_is_removed_unless_the_user_says_yes(history: Path) -> None:
    command = [sys.executable, "-m", "llmflow", "runs", "rm", identity(0)[:9], "--store", str(history)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"{identity(0)}  succeeded  letter\n"
        "this would remove this run with every answer and all that was learned from it\n"
        "  hint: say --yes\n"
    )
    assert rows(history, "runs") == 4


@pytest.mark.parametrize(("answer", "left"), [("y", 3), ("n", 4), ("", 4)])
def test_at_a_terminal_the_user_is_asked(history: Path, answer: str, left: int) -> None:
    command = ["-m", "llmflow", "runs", "rm", "last", "--store", str(history)]
    child = pexpect.spawn(sys.executable, command, env={**os.environ, "TERM": "dumb"}, encoding="utf-8", timeout=60)
    child.expect_exact("? [y/N] ")
    child.sendline(answer)
    child.expect_exact("removed 1 run" if answer == "y" else "nothing was removed")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, rows(history, "runs")) == (0 if answer == "y" else 2, left)


def test_a_removed_run_leaves_nothing_behind(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert remove([identity(40), identity(0)[:9], identity(0)], yes=True, store=str(history)) == 0
    assert capsys.readouterr().err.endswith("removed 2 runs\n")
    for table in ("runs", "tasks", "stretches", "answers", "samples"):
        assert [rows(history, table, run) for run in (1, 3)] == [0, 0], table
        assert rows(history, table, 2) > 0, table
    with Store.open(history) as store:
        again = undisturbed(store, 80)
        assert find(store, "last").record.id == again


def test_what_was_said_is_gone_from_the_file(history: Path) -> None:
    remove([identity(40), identity(60)], yes=True, store=str(history))
    left = b"".join(path.read_bytes() for path in history.iterdir() if path.is_file())
    assert b"second line" not in left
    assert b"Be brief." not in left
    assert b"ask is done" in left


def test_a_run_under_way_is_not_removed(history: Path) -> None:
    with Store.open(history) as store:
        lock = store.lock_run(identity(60))
        with pytest.raises(StoreLocked, match="is being worked on by process"):
            remove([identity(60)], yes=True, store=str(history))
        assert prune(keep=0, yes=True, store=str(history)) == 0
        lock.release()
    assert rows(history, "runs") == 1


def test_pruning_keeps_what_the_runs_taught(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def known() -> list[tuple[str, float]]:
        with Store.open(history) as store:
            return [(d.key.task, d.seconds) for d in learned.durations(store, learned.Wanted())]

    before = known()
    assert prune(keep=1, yes=True, store=str(history)) == 0
    assert capsys.readouterr().err == "removed 3 runs\n"
    assert (rows(history, "runs"), rows(history, "answers", 1), known()) == (1, 0, before)


def test_pruning_goes_by_age_and_by_number_together(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    age = int(time.time() - NOON - 30)
    prune(older_than=f"{age}s", yes=True, store=str(history))
    assert rows(history, "runs") == 2
    prune(older_than="5200w", yes=True, store=str(history))
    assert capsys.readouterr().err.endswith("nothing to prune\n")
    with pytest.raises(UsageError, match=r"prune what\?"):
        prune(store=str(history))
    with pytest.raises(UsageError, match="this would remove"):
        prune(keep=0, store=str(history))
