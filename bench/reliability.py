"""Killed and started again: what is paid for twice, by llmflow and by three other ways to write the same graph.

    python -m bench.reliability [--trials 40] [--only dbos …] [--quick]

The graph: 12 drafts, each checked by a second call, and one call over all: 25 calls, four at a time, 50 ms each.
The model is tests/fake_server.py in this process; what it was asked is the truth of what was paid. Each trial
kills the process by SIGKILL twice, so many milliseconds after the server has got so many calls of that
process, then lets it end; the moments are drawn once and are the same for everybody. *Paid twice*
are all calls beyond the first for the same task. Of these, *in flight* were without a whole answer at the kill,
*just answered* had got theirs within the last tenth of a second (it may not have been read yet, let alone be on
disk), and *lost* had been answered before. The others live in an environment of their own
(bench/.env/reliability, made at the first run), llmflow in this one.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.measuring import ROOT, print_table, say_machine

sys.path.insert(0, str(ROOT / "tests"))

from fake_server import FakeServer, Seen, prompt_of

ENVIRONMENT = ROOT / "bench" / ".env" / "reliability"
LATENCY = 0.05
KILLS = 2
JUST = 0.1
"""Seconds before a kill in which an answer may not have come home yet."""
_LABEL = re.compile(r"\[(draft\d+|sum)\]|\[(check)\].*?(\d+)")

PIPELINE = """
providers: {{fake: {{kind: openai, base_url: "{url}", workers: 4}}}}
defaults: {{model: fake/any}}
tasks:
  draft: {{foreach: {{items: "{{{{ range({items}) | list }}}}"}}, prompt: "[draft{{{{ item }}}}] write"}}
  check:
    foreach: "{{{{ tasks.draft.outputs }}}}"
    prompt: "[check] {{{{ item }}}}"
  sum: {{prompt: "[sum] {{{{ tasks.check.outputs | join(' ') }}}}"}}
"""

WAYS = {
    "llmflow": "",
    "asyncio.gather and the SDK": "gather",
    "LangGraph, SQLite checkpointer": "langgraph",
    "LangGraph, durability sync": "langgraph-sync",
    "DBOS, SQLite": "dbos",
}

Kill = tuple[int, float]
"""Calls that the server has got of the process, seconds after the last of them."""


@dataclass
class Counted:
    """What the trials of one way have seen."""

    runs: int = 0
    kills: int = 0
    calls: int = 0
    in_flight: int = 0
    just: int = 0
    lost: int = 0
    again: int = 0
    wrong: int = 0
    """Runs that did not end well, or with another answer than an undisturbed run."""
    notes: list[str] = field(default_factory=list)


class Trials:
    """Runs of one way."""

    def __init__(self, way: str, server: FakeServer, items: int) -> None:
        self._way, self._server, self._items = way, server, items
        self.counted = Counted()
        self._expected = ""
        self._died = 0.0

    def undisturbed(self) -> None:
        """What is printed where nobody kills."""
        with tempfile.TemporaryDirectory(prefix="llmflow-reliability-") as name:
            code, self._expected = self._process(Path(name), 0, None)
            said = (Path(name) / "log").read_text(encoding="utf-8")
        if code or len(self._server.requests) != 2 * self._items + 1:
            raise SystemExit(
                f"{self._way or 'llmflow'}: exit {code}, {len(self._server.requests)} calls\n{said[-2000:]}"
            )
        self._server.requests.clear()

    def trial(self, kills: Sequence[Kill]) -> None:
        counted = self.counted
        counted.runs += 1
        before: dict[str, str] = {}
        with tempfile.TemporaryDirectory(prefix="llmflow-reliability-") as name:
            for attempt, kill in enumerate((*kills, None)):
                begun = len(self._server.requests)
                code, printed = self._process(Path(name), attempt, kill)
                calls = self._calls(begun)
                counted.calls += len(calls)
                for label, seen in calls:
                    if label in before:
                        setattr(counted, before[label], getattr(counted, before[label]) + 1)
                        counted.again += 1
                    before[label] = self._fate(seen)
                if code != -signal.SIGKILL:
                    break
                counted.kills += 1
            said = (Path(name) / "log").read_text(encoding="utf-8")
        if code or printed != self._expected:
            counted.wrong += 1
            counted.notes.append(f"exit {code}: {printed[-200:]}{said[-500:]}")
        self._server.requests.clear()

    def _fate(self, seen: Seen) -> str:
        """What it means if the call is made again: where its answer was when its process died."""
        if seen.ended is None or seen.closed or seen.ended > self._died:
            return "in_flight"
        return "just" if seen.ended > self._died - JUST else "lost"

    def _calls(self, first: int) -> list[tuple[str, Seen]]:
        """(task, call) of every call from `first` on; who asked has ended."""
        self._server.wait_for(lambda server: server.open_connections == 0)
        found = []
        for seen in self._server.requests[first:]:
            label = _LABEL.match(prompt_of(seen.body)) if seen.method == "POST" else None
            if label is not None:
                found.append(("".join(filter(None, label.groups())), seen))
        return found

    def _process(self, folder: Path, attempt: int, kill: Kill | None) -> tuple[int, str]:
        """(exit code, what was printed)"""
        with (folder / "out").open("w+", encoding="utf-8") as out, (folder / "log").open("a") as log:
            child = subprocess.Popen(self._command(folder, attempt), cwd=folder, stdout=out, stderr=log, env=_clean())
            if kill is not None:
                count, seconds = len(self._server.requests) + kill[0], kill[1]
                while child.poll() is None and len(self._server.requests) < count:
                    time.sleep(0.001)
                time.sleep(seconds)
                self._died = time.monotonic()
                child.kill()
            code = child.wait(180)
            out.seek(0)
            printed = out.read()
        if not self._way and code == 2 and attempt:  # killed before anything was written down: nothing to go on with
            return self._process(folder, 0, kill)
        return code, printed

    def _command(self, folder: Path, attempt: int) -> list[str]:
        url = self._server.openai_url
        if self._way:
            python = [str(ENVIRONMENT / "bin" / "python"), "-m", "bench.reliability_peers"]
            return [*python, self._way, url, str(folder), str(self._items)]
        file = folder / "p.yaml"
        file.write_text(PIPELINE.format(url=url, items=self._items), encoding="utf-8")
        words = ["run", str(file), "--store", str(folder / "store"), *(["--resume"] if attempt else [])]
        return [sys.executable, "-m", "llmflow", *words]


def _clean() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def install() -> None:
    """The others' environment, once."""
    if not (ENVIRONMENT / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "-r", str(ROOT / "bench" / "requirements-reliability.txt")], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--only", nargs="+", choices=[way or "llmflow" for way in WAYS.values()])
    parser.add_argument("--quick", action="store_true", help="llmflow alone, twice, to see that it works")
    options = parser.parse_args()
    items, trials = (3, 2) if options.quick else (12, options.trials)
    only = ["llmflow"] if options.quick else options.only
    ways = {title: way for title, way in WAYS.items() if not only or (way or "llmflow") in only}
    say_machine()
    if any(ways.values()):
        install()
    dice = random.Random(1)
    kills = [
        [(dice.randint(1, 2 * items), dice.uniform(0.0, 2 * LATENCY)) for _ in range(KILLS)] for _ in range(trials)
    ]
    rows = []
    with FakeServer(latency=LATENCY) as server:
        for title, way in ways.items():
            runs = Trials(way, server, items)
            runs.undisturbed()
            for drawn in kills:
                runs.trial(drawn)
            c = runs.counted
            figures = (c.runs, c.kills, c.calls, c.again, c.in_flight, c.just, c.lost, c.wrong)
            rows.append([title, *(f"{figure:,}" for figure in figures)])
            for note in c.notes[:3]:
                sys.stderr.write(f"{title}: {note}\n")
    head = ["", "runs", "kills", "calls", "paid twice", "in flight", "just answered", "lost", "ended otherwise"]
    print_table(f"{trials} runs of {2 * items + 1} calls, each killed {KILLS} times and started again", head, rows)


if __name__ == "__main__":
    main()
