"""What the journal costs per event: to the one who hands over, and to the writer's thread, beside a commit per row.

    python bench/journal.py [--events 300000] [--store DIR]

Every case writes the same story, three events per task, on the disk of --store (a fresh folder in
the current one otherwise). Enqueue: time of the handing thread until it is free again. CPU: of the
whole process, enqueue included. "Busy" has that thread compute between its hand-overs, as an engine
does, so that both threads want the interpreter; its own CPU is measured alone first and subtracted.
"Per call": the three events of a task, its answer and its duration sample together.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from llmflow.history.identity import new_run_id
from llmflow.history.journal import Journal
from llmflow.history.records import AnswerRecord, RunRecord, SampleRecord
from llmflow.history.store import Store
from llmflow.scheduling.events import AttemptStarted, AttemptSucceeded, Event, TaskSucceeded


def story(events: int) -> list[list[Event]]:
    """Hand-overs as a scheduler makes them: what started, then what ended."""
    batches: list[list[Event]] = []
    for task in range(events // 3):
        at = task * 0.001
        batches.append([AttemptStarted(at, task, task, 1, 0, 0, task % 8)])
        batches.append([AttemptSucceeded(at + 0.5, task, task), TaskSucceeded(at + 0.5, task)])
    return batches


def work(turns: int) -> int:
    """Something for the handing thread to do meanwhile: about 1 µs per ten turns."""
    total = 0
    for i in range(turns):
        total += i
    return total


def hand_over(directory: Path, durability: str, batches: list[list[Event]], turns: int) -> tuple[float, float, float]:
    """Seconds in `write`, seconds until all is committed, CPU seconds of the process without `work`."""
    alone = 0.0
    if turns:
        began = time.process_time()
        for _ in batches:
            work(turns)
        alone = time.process_time() - began
    with Store.open(directory, durability=durability) as store:
        run = RunRecord(id=new_run_id(), pipeline="bench", started_at=time.time())
        with Journal(store, run) as journal:
            journal.flush()
            enqueue = 0.0
            began, cpu = time.perf_counter(), time.process_time()
            if turns:
                for batch in batches:
                    work(turns)
                    start = time.perf_counter()
                    journal.write(batch)
                    enqueue += time.perf_counter() - start
            else:
                for batch in batches:
                    journal.write(batch)
                enqueue = time.perf_counter() - began
            journal.flush()
            return enqueue, time.perf_counter() - began, time.process_time() - cpu - alone


def whole_tasks(directory: Path, durability: str, tasks: int, turns: int) -> tuple[float, float, float]:
    """As `hand_over`, per task of a model call: three events, an answer of 300 characters and a duration sample."""
    began = time.process_time()
    for _ in range(tasks):
        work(turns)
    alone = time.process_time() - began
    with Store.open(directory, durability=durability) as store:
        run = RunRecord(id=new_run_id(), pipeline="bench", started_at=time.time())
        with Journal(store, run) as journal:
            journal.flush()
            enqueue = 0.0
            began, wall, cpu = 0.0, time.perf_counter(), time.process_time()
            for task in range(tasks):
                work(turns)
                began = time.perf_counter()
                journal.write([AttemptStarted(1.0, task, task, 1, 0, 0, 0)])
                journal.answer(AnswerRecord(task, task, "x" * 300, created_at=1.0, messages=[{"role": "user"}]))
                journal.sample(SampleRecord("t", 0.5, started_at=1.0, model="a/b", kind="openai"))
                journal.write([AttemptSucceeded(1.5, task, task), TaskSucceeded(1.5, task)])
                enqueue += time.perf_counter() - began
            journal.flush()
            return enqueue, time.perf_counter() - wall, time.process_time() - cpu - alone


def commit_each(directory: Path, durability: str, rows: int) -> tuple[float, float]:
    """Seconds and CPU seconds of the same rows with a commit each, on the calling thread."""
    database = directory / "each.db"
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {durability}")
    connection.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, kind, at, f1, f2, f3, f4, f5, f6, f7)")
    began, cpu = time.perf_counter(), time.process_time()
    for seq in range(rows):
        values = (seq, 1, 0.5, seq, seq, 1, 0, 0, 3, 0)
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    spent = time.perf_counter() - began, time.process_time() - cpu
    connection.close()
    return spent


def chain(directory: Path, durability: str, links: int) -> float:
    """Seconds per link of a chain in which every attempt waits for its acknowledgement."""

    async def run(journal: Journal) -> float:
        began = time.perf_counter()
        for task in range(links):
            position = journal.write([AttemptStarted(0.0, task, task, 1, 0, 0, 0)])
            await journal.acknowledged(position)
        return (time.perf_counter() - began) / links

    with Store.open(directory, durability=durability) as store:
        record = RunRecord(id=new_run_id(), pipeline="bench", started_at=time.time())
        with Journal(store, record) as journal:
            return asyncio.run(run(journal))


def fresh(parent: Path) -> Iterator[Path]:
    """New empty folders, each removed before the next."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix="journal-", dir=parent))
        try:
            yield directory
        finally:
            shutil.rmtree(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--store", type=Path, default=Path.cwd())
    options = parser.parse_args()
    batches = story(options.events)
    events = sum(map(len, batches))

    def each(seconds: float) -> str:
        return f"{seconds / events * 1e6:8.2f}"

    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {events:,} events, µs per event")
    print(f"{'':34}{'enqueue':>8} {'wall':>8} {'CPU':>8} {'events/s':>10}")
    folders = fresh(options.store)
    for durability in ("full", "normal"):
        for name, turns in (("alone", 0), ("busy", 100)):
            enqueue, wall, cpu = hand_over(next(folders), durability, batches, turns)
            print(f"journal, {durability}, {name:18}".ljust(34) + f"{each(enqueue)} {each(wall)} {each(cpu)}"
                  f" {events / wall:10,.0f}")  # fmt: skip
    calls = options.events // 10
    enqueue, wall, cpu = (seconds / calls * 1e6 for seconds in whole_tasks(next(folders), "full", calls, 500))
    print("journal, full, per call, busy".ljust(34) + f"{enqueue:8.2f} {wall:8.2f} {cpu:8.2f} {1e6 / wall:10,.0f}")
    for durability, rows in (("NORMAL", 20_000), ("FULL", 2_000)):
        wall, cpu = commit_each(next(folders), durability, rows)
        print(f"a commit per row, {durability}".ljust(34) + f"{'':8} {wall / rows * 1e6:8.2f} {cpu / rows * 1e6:8.2f}"
              f" {rows / wall:10,.0f}")  # fmt: skip
    for durability in ("full", "normal"):
        print(f"a chain, {durability}".ljust(34) + f"{chain(next(folders), durability, 1_000) * 1e6:8.0f} µs per link")
    folders.close()


if __name__ == "__main__":
    main()
