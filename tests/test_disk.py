"""Disks that are full, gone, read-only or damaged: a clear word, exit 74, nothing half-written, and a way on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from command_line import PROGRAM, llmflow, pipeline

from llmflow.errors import StoreError
from llmflow.history import stories
from llmflow.history.store import Store

CHAIN = (
    "providers: {mock: {answers: LONG}}\ndefaults: {model: mock/m}\ntasks:\n  t0: {prompt: begin}\n"
    + "".join(f"  t{n}: {{prompt: '{n} {{{{ tasks.t{n - 1}.output }}}}'}}\n" for n in range(1, 12))
).replace("LONG", "'" + "a long answer " * 400 + "'")


@pytest.mark.parametrize("kilobytes", [150, 180, 220, 260])
def test_a_disk_that_fills_up_ends_the_run_with_a_word_and_with_room_it_goes_on(tmp_path: Path, kilobytes: int) -> None:
    store, calls = tmp_path / "store", tmp_path / "calls"
    path = pipeline(tmp_path, CHAIN)
    assert llmflow("run", str(pipeline(tmp_path, "tasks: {t: {value: 1}}", "q.yaml")), "--store", str(store)).code == 0
    limit = kilobytes * 1024
    full = subprocess.run(
        [*PROGRAM, "run", str(path), "--store", str(store), "--plain"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "LLMFLOW_MOCK_CALLS": str(calls)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert (full.returncode, full.stdout, "Traceback" in full.stderr) == (74, "", False), full.stderr
    told = full.stderr.splitlines()
    assert any(line.startswith(f"{store / 'history.db'}: ") for line in told), told
    with Store.open(store) as history:
        run = stories.runs(history)[0]
        answered = {a.name for a in stories.answers(history, run.record.id)}
    with contextlib.closing(sqlite3.connect(store / "history.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    before = (
        Counter(json.loads(line)["task"] for line in calls.read_text().splitlines()) if calls.exists() else Counter()
    )
    resumed = llmflow("run", str(path), "--resume", "--store", str(store), LLMFLOW_MOCK_CALLS=str(calls))
    assert resumed.code == 0
    after = Counter(json.loads(line)["task"] for line in calls.read_text().splitlines())
    assert not answered.intersection(after - before)
    assert sum(after.values()) <= 12 + 1


def test_a_store_that_is_taken_away_is_named(tmp_path: Path) -> None:
    store = tmp_path / "store"
    path = pipeline(tmp_path, CHAIN)
    assert llmflow("run", str(path), "--store", str(store)).code == 0
    shutil.rmtree(store)
    for words in (["runs"], ["show", "last"]):
        ended = llmflow(*words, "--store", str(store))
        assert "Traceback" not in ended.err
    assert llmflow("run", str(path), "--store", str(store)).code == 0, "a store that is gone is begun anew"


def test_a_byte_that_flips_anywhere_is_an_error_of_the_store_or_no_matter(tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert llmflow("run", str(pipeline(tmp_path, CHAIN)), "--store", str(store)).code == 0
    whole = (store / "history.db").read_bytes()
    dice, told = random.Random(5), list[str]()
    for _ in range(200):
        damaged = bytearray(whole)
        # The beginning of each page holds what SQLite itself needs; the rest is mostly text.
        page = dice.randrange(len(whole) // 4096) * 4096
        offset = page + (dice.randrange(200) if dice.random() < 0.7 else dice.randrange(4096))
        damaged[offset] ^= 1 << dice.randrange(8)
        (store / "history.db").write_bytes(damaged)
        for leftover in ("history.db-wal", "history.db-shm"):
            (store / leftover).unlink(missing_ok=True)
        try:
            with Store.open(store, read_only=True) as history:
                for run in stories.runs(history):
                    list(stories.story(history, run.record.id))
                    list(stories.answers(history, run.record.id))
                    stories.tasks(history, run.record.id)
        except StoreError as error:
            told.append(str(error))
    assert all(line.startswith(f"{store / 'history.db'}") for line in told)
    assert len(told) > 20
