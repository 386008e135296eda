"""Kills runs at every event of their journal, at random moments and while they are being resumed, and counts.

    python bench/kill.py            a minute's sample
    python bench/kill.py --full     ≥ 2,000 events, 1,000 moments, 300 runs killed three times, 100 with each SDK
    python bench/kill.py --share 3/10   every tenth point of the full run, beginning with the third

Five graphs; `mock` and a server of our own count what was paid for outside of the process that dies.
Every run is resumed until it ends. Exit code 1 if an answer was lost, a call paid for that no one was
told of, or an output differs by a byte. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fake_server import FakeServer
from kill_child import MODES, Killers
from kill_trials import Counted, Trials, any_graph, asked_of, at_every_event, sdk_head, shapes, text_of

EVENTS, MOMENTS, DEEP, SDK = 2000, 1000, 300, 100
"""Points of a full run."""

COLUMNS = ("kills", "runs", "calls", "tasks", "in_flight", "again", "lost", "untold", "different")

Point = tuple[tuple[str, float], ...]


def event_points(trials: Trials, count: int) -> Iterator[Point]:
    """Every event in every mode, over and over until there are `count` points: no two runs are quite the same."""
    every = list(at_every_event(trials.events, MODES))
    for n in range(max(count, len(every))):
        yield (every[n % len(every)],)


def moment_points(dice: random.Random, trials: Trials, count: int) -> Iterator[Point]:
    for _ in range(count):
        yield (("after", dice.uniform(0.0, trials.seconds)),)


def deep_points(dice: random.Random, trials: Trials, count: int) -> Iterator[Point]:
    """A run killed, its resume killed, the resume of that killed too."""
    for _ in range(count):
        yield tuple((dice.choice(MODES), dice.randint(1, trials.events // 2)) for _ in range(3))


def with_mock(folder: Path, size: int, first: int, step: int, scale: float) -> dict[str, Counted]:
    """Events, moments and resumes over the five graphs."""
    counted = {name: Counted() for name in ("every event", "random moments", "three deep")}
    with Killers() as killers:
        for shape, tasks in shapes(size).items():
            dice = random.Random(shape)
            for name, counts in counted.items():
                trials = Trials(killers, folder / name.replace(" ", "-"), shape, text_of(tasks), counts)
                if name == "every event":
                    points = event_points(trials, int(EVENTS * scale) // 5)
                elif name == "random moments":
                    points = moment_points(dice, trials, int(MOMENTS * scale) // 5)
                else:
                    points = deep_points(dice, trials, int(DEEP * scale) // 5)
                for point in list(points)[first::step]:
                    trials.trial(*point)
    return counted


def with_sdk(folder: Path, kind: str, size: int, first: int, step: int, scale: float) -> Counted:
    counted = Counted()
    with FakeServer(latency=0.005) as server, Killers("openai", "anthropic") as killers:
        text = text_of(any_graph(size, seed=3), sdk_head(kind, server))
        trials = Trials(killers, folder, kind, text, counted, paid=lambda: asked_of(server))
        every = list(at_every_event(trials.events, MODES))
        chosen = random.Random(kind).choices(every, k=int(SDK * scale))
        for point in chosen[first::step]:
            trials.trial(point)
    return counted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every point of the full count")
    parser.add_argument("--share", default="", metavar="K/N", help="the K-th of N shares of the full count")
    parser.add_argument("--size", type=int, default=12, help="calls per graph, about")
    options = parser.parse_args()
    first, step, scale = 0, 1, 1.0 if options.full else 0.02
    if options.share:
        number, _, of = options.share.partition("/")
        first, step, scale = int(number) - 1, int(of), 1.0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="llmflow-kill-") as name:
        folder = Path(name)
        if not (options.full or options.share):
            step = 10  # of every event, which has no fewer points than events
        counted = with_mock(folder, options.size, first, step, scale)
        for kind in ("openai", "anthropic"):
            counted[f"{kind} SDK"] = with_sdk(folder, kind, options.size, first, step, scale)
    print(f"{'':<16}" + "".join(f"{column:>11}" for column in COLUMNS))
    for title, counts in counted.items():
        print(f"{title:<16}" + "".join(f"{getattr(counts, column):>11,}" for column in COLUMNS))
    assert {f.name for f in fields(Counted)} == {*COLUMNS, "unclear", "problems"}
    print(f"{time.monotonic() - began:,.0f} s")
    problems = [problem for counts in counted.values() for problem in counts.problems]
    for problem in problems[:20]:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
