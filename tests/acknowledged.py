"""Processes that write into a store and say what was acknowledged to them, and what the store must still hold of it.

The writing process is `history_child.py`.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import history_child

from llmflow.history import stories
from llmflow.history.store import Store
from llmflow.scheduling.events import Event


def child(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, history_child.__file__, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What a child says, line by line; a line that its death cut off is left out."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if line.endswith("\n"):
                yield json.loads(line)


def acknowledgements(process: subprocess.Popen[str]) -> dict[str, int]:
    """For each run of a child the last position that it saw acknowledged, in the order of its runs."""
    last: dict[str, int] = {}
    for line in said(process):
        if "run" in line:
            run_id = line["run"]
        last[run_id] = line.get("acknowledged", 0)
    return last


def chain(events: int) -> list[Event]:
    """The first `events` events of what a child tells."""
    return [event for task in range(events // 3 + 1) for event in history_child.events_of(task)][:events]


def missing(store: Store, acknowledged: Mapping[str, int]) -> list[str]:
    """What is not there, or not as it was written: at least what was acknowledged, in order, with every answer."""
    wrong = []
    for run_id, position in acknowledged.items():
        story = list(stories.story(store, run_id))
        if len(story) < position or story != chain(len(story)):
            wrong.append(f"{run_id}: {len(story)} events, {position} acknowledged")
        ended = (len(story) + 1) // 3
        answers = [answer.output for _, _, answer in stories.answers(store, run_id)]
        if answers[:ended] != [history_child.output_of(task) for task in range(ended)]:
            wrong.append(f"{run_id}: {len(answers)} answers, {ended} tasks have ended")
    return wrong


@dataclass
class Crowd:
    """What came of many processes on one store."""

    killed: int = 0
    commits: int = 0
    acknowledged: dict[str, int] = field(default_factory=dict)
    """The last acknowledged position of each run."""
    codes: Counter[int] = field(default_factory=Counter)


def crowd(folder: Path, processes: int, commits: int, seed: int, *, between_kills: int) -> Crowd:
    """`processes` writers at a time on one store, until in the place of each so many commits were acknowledged.

    A writer is killed at a moment chosen by dice, after up to `between_kills` commits, and another takes its place.
    """
    seen, lock = Crowd(), threading.Lock()

    def place(dice: random.Random) -> None:
        done = 0
        while done < commits:
            target = dice.randint(1, between_kills)
            is_doomed = done + target < commits
            process = child("write", folder, 1, commits - done)
            run_id, position = "", 0
            for line in said(process):
                run_id, position = line.get("run", run_id), line.get("acknowledged", 0)
                if is_doomed and position >= 3 * target:
                    time.sleep(dice.random() * 0.003)
                    process.kill()
            code = process.wait()
            with lock:
                seen.codes[code] += 1
                seen.killed += code == -signal.SIGKILL
                seen.commits += position // 3
                seen.acknowledged[run_id] = position
            done += max(1, position // 3)

    threads = [threading.Thread(target=place, args=(random.Random(seed + n),)) for n in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen
