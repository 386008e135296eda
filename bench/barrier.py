"""Map → map → reduce on recorded durations: with flow, with a barrier, and in superstep order (LangGraph).

    python -m bench.barrier [FOLDER] [--peers] [--quick]

Durations: the calls of FOLDER's `llmperf_leaderboard_2023-12_hosted.csv`, or without a folder a
log-normal with a heavy tail (sigma 1, seeded). They are scaled to a mean of 150 ms and really slept.
*First out*: when the first item has left the second stage. *Held*: the most results of the first
stage that waited for the second at one moment. The bound is work ÷ workers + the longest reduce.
`--peers` makes an environment in `bench/.env/langgraph` and runs the same sleeps as a LangGraph of
two mapped nodes (`Send`) and a join, with the same number of workers (`max_concurrency`).
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import fmean, median

from bench.measuring import ROOT, print_table, say_machine
from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, execute
from llmflow.binding.loading import bind, load_file, model_choice
from llmflow.scheduling import events as ev
from llmflow.views.view import RunContext

MEAN = 0.15
"""Seconds that a call lasts on average."""

ENVIRONMENT = ROOT / "bench" / ".env" / "langgraph"

PIPELINE = """
providers: {{mock: {{kind: mock, workers: {workers}, answers: {answers}}}}}
defaults: {{model: mock/any}}
tasks:
  one: {{foreach: {{items: "{{{{ range({count}) | list }}}}"}}, prompt: "{{{{ item }}}}"}}
  two: {{foreach: "{{{{ tasks.one.outputs{barrier} }}}}", prompt: "{{{{ item }}}}"}}
  all: {{reduce: {{items: "{{{{ tasks.two.outputs }}}}", batch: {count}}}, prompt: "{{{{ items }}}}"}}
"""

Sleeps = tuple[list[float], list[float], float]
"""Seconds of the first stage's items, of the second stage's, of the reduce."""

Measured = tuple[float, float, int]
"""Makespan and first out in seconds, results held."""


class Watch:
    """What came out when, from the events of a run."""

    def __init__(self) -> None:
        self.first_out = 0.0
        self.held = self.most = 0

    def start(self, context: RunContext) -> None:
        self._names = context.state.graph.names

    def on_events(self, events: Sequence[ev.Event]) -> None:
        for event in events:
            if isinstance(event, ev.TaskSucceeded):
                name = self._names[event.task]
                if name.startswith("one["):
                    self.held += 1
                    self.most = max(self.most, self.held)
                elif name.startswith("two["):
                    self.held -= 1
                    self.first_out = self.first_out or event.at

    def tick(self) -> None:
        """Only events matter."""

    def note(self, text: str) -> None:
        """Nothing is said."""

    def close(self) -> None:
        """Nothing is held."""


def sleeps(folder: Path | None, count: int, seed: int) -> Sleeps:
    dice = Random(seed)
    if folder is None:
        drawn = [dice.lognormvariate(0.0, 1.0) for _ in range(2 * count + 1)]
    else:
        with (folder / "llmperf_leaderboard_2023-12_hosted.csv").open(newline="") as table:
            recorded = [float(row["e2e_s"]) for row in csv.DictReader(table) if not row["error_code"]]
        drawn = [dice.choice(recorded) for _ in range(2 * count + 1)]
    scale = MEAN / fmean(drawn)
    scaled = [seconds * scale for seconds in drawn]
    return scaled[:count], scaled[count:-1], scaled[-1]


def ours(sleep: Sleeps, workers: int, *, barrier: bool) -> Measured:
    """Run it on the real clock, without a history."""
    one, two, last = sleep
    answers = {f"one[{i}]": {"text": "a", "delay": d} for i, d in enumerate(one)}
    answers |= {f"two[{i}]": {"text": "b", "delay": d} for i, d in enumerate(two)}
    answers["all"] = {"text": "c", "delay": last}
    text = PIPELINE.format(
        workers=workers, answers=json.dumps(answers), count=len(one), barrier=" | list" if barrier else ""
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "barrier.yaml"
        path.write_text(text, encoding="utf-8")
        choice = model_choice(())
        compiled = bind(load_file(str(path), choice), choice, None)
    watch = Watch()

    async def run() -> float:
        options = RunOptions(
            inputs={}, policy="critical-path", beliefs=believed(compiled, None), environment={}, views=[watch]
        )
        result = await execute(compiled, options)
        if result.status != "succeeded":
            raise SystemExit(f"the run {result.status}")
        return result.summary.makespan

    return asyncio.run(run()), watch.first_out, watch.most


def langgraph(sleep: Sleeps, workers: int) -> Measured:
    """The same sleeps in the peer's own environment."""
    child = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-m", "bench.barrier_langgraph"],
        input=json.dumps({"one": sleep[0], "two": sleep[1], "last": sleep[2], "workers": workers}),
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if child.returncode:
        raise SystemExit(f"langgraph: exit {child.returncode}\n{child.stderr}")
    makespan, first_out, held = json.loads(child.stdout.splitlines()[-1])
    return makespan, first_out, held


def install() -> None:
    if not (ENVIRONMENT / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "-r", str(ROOT / "bench" / "requirements-langgraph.txt")], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="of recorded calls; without one, drawn durations")
    parser.add_argument("--peers", action="store_true", help="also LangGraph, installed into bench/.env/langgraph")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    say_machine()
    if given.peers:
        install()
    count, workers, rounds = (8, 4, 1) if given.quick else (400, 16, 3)
    ways: dict[str, Callable[[Sleeps], Measured]] = {
        "llmflow, items flow": lambda sleep: ours(sleep, workers, barrier=False),
        "llmflow, a filter makes a barrier": lambda sleep: ours(sleep, workers, barrier=True),
    }
    if given.peers:
        ways["LangGraph, supersteps"] = lambda sleep: langgraph(sleep, workers)
    found: dict[str, list[Measured]] = {way: [] for way in ways}
    bounds = []
    for seed in range(rounds):
        sleep = sleeps(given.folder, count, seed)
        bounds.append((sum(sleep[0]) + sum(sleep[1])) / workers + sleep[2])
        for way, measure in ways.items():
            found[way].append(measure(sleep))
    rows = []
    for way, measured in found.items():
        ratio = median(makespan / bound for (makespan, _, _), bound in zip(measured, bounds, strict=True))
        makespan, first, held = (median(column) for column in zip(*measured, strict=True))
        rows.append([way, f"{makespan:.2f}", f"{ratio:.3f}", f"{first:.3f}", f"{held:.0f}"])
    source = "recorded" if given.folder is not None else "drawn"
    title = f"{count} items through two stages and a reduce, {workers} workers, {source} durations, median of {rounds}"
    print_table(title, ["", "makespan, s", "× bound", "first out, s", "held"], rows)


if __name__ == "__main__":
    main()
