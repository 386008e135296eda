"""A process of its own that works on a store, so that tests can kill it, fill its disk or watch its locks.

`python history_child.py write DIR RUNS COUNT`   RUNS × COUNT attempts, each acknowledged, then its position printed
`python history_child.py full DIR BYTES`         writes until no file may grow beyond BYTES, prints what it was told
`python history_child.py resume DIR RUN COUNT`   goes on with a run: COUNT more attempts, like `write`
`python history_child.py hold DIR RUN`           takes the run's lock, says so, keeps it
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from llmflow.errors import StoreError
from llmflow.history.identity import new_run_id
from llmflow.history.journal import Journal
from llmflow.history.records import AnswerRecord, RunRecord, SampleRecord, TaskRecord
from llmflow.history.store import Store
from llmflow.scheduling.events import AttemptStarted, AttemptSucceeded, Event, TaskSucceeded


def events_of(task: int) -> list[Event]:
    """What the story says of one task of this child, so that a test knows what must be there."""
    return [
        AttemptStarted(float(task), task, task, 1, 0, 0, 0),
        AttemptSucceeded(task + 0.5, task, task),
        TaskSucceeded(task + 0.5, task),
    ]


def output_of(task: int) -> str:
    return f"answer {task} " + "x" * 300


def begin(store: Store) -> Journal:
    return Journal(store, RunRecord(id=new_run_id(), pipeline="child", started_at=time.time()))


def hand_over(journal: Journal, task: int) -> int:
    """All that one task leaves behind, in the order in which a run hands it over; returns the last position."""
    started, *ended = events_of(task)
    journal.tasks([TaskRecord(task, f"t{task}")])
    journal.write([started])
    journal.answer(AnswerRecord(task, task, output_of(task), created_at=float(task)))
    journal.sample(SampleRecord("t", 0.5, started_at=float(task), model="a/b"))
    return journal.write(ended)


async def write(directory: Path, runs: int, count: int) -> None:
    for _ in range(runs):
        with Store.open(directory) as store, begin(store) as journal:
            await work(journal, count)


async def resume(directory: Path, run_id: str, count: int) -> None:
    with Store.open(directory) as store, Journal.resume(store, run_id) as journal:
        await work(journal, count)


async def work(journal: Journal, count: int) -> None:
    say({"run": journal.run_id})
    for task in range(count):
        position = hand_over(journal, task)
        await journal.acknowledged(position)
        say({"acknowledged": position})


async def full(directory: Path, limit: int) -> None:
    with Store.open(directory) as store:
        journal = begin(store)
        journal.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        acknowledged = 0
        told: list[str] = []
        try:
            for task in range(100_000):
                position = hand_over(journal, task)
                await journal.acknowledged(position)
                acknowledged = position
        except StoreError as error:
            told.append(str(error))
        for later in (lambda: journal.write(events_of(0)), journal.flush, journal.close):
            try:
                later()
            except StoreError as error:
                told.append(str(error))
        say({"run": journal.run_id, "acknowledged": acknowledged, "told": told})


def hold(directory: Path, run_id: str) -> None:
    with Store.open(directory) as store:
        store.lock_run(run_id)
        say({"held": run_id})
        time.sleep(600)


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    mode, place, *rest = sys.argv[1:]
    if mode == "write":
        asyncio.run(write(Path(place), int(rest[0]), int(rest[1])))
    elif mode == "resume":
        asyncio.run(resume(Path(place), rest[0], int(rest[1])))
    elif mode == "full":
        asyncio.run(full(Path(place), int(rest[0])))
    else:
        hold(Path(place), rest[0])
