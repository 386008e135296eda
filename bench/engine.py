"""What the engine costs per task, beside hand-written asyncio and, with --peers, beside other engines.

    python -m bench.engine [--quick] [--peers] [--sizes 100 1000 …]

Tasks do nothing, so all that is measured is overhead: µs of CPU of the whole process per task, the
journal's thread included. "by hand" is one asyncio.Task per node and a counter of dependencies: the
least that can be done. "llmflow" is the engine as a run has it: priorities by critical path, 50
workers, state, spans, the plain view. "journal" is the same with a durable journal (FULL) in a fresh
folder, every task sent only when its start is committed. The graph is built before the clock starts
everywhere; what that takes llmflow is a column of its own.

Every round runs all of them one after the other; ratios are taken round by round, then the median.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import subprocess
import tempfile
import time
import tracemalloc
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TextIO

from bench.graphs import SHAPES
from bench.measuring import ROOT, print_table, ratio, say_machine
from llmflow.history.identity import new_run_id
from llmflow.history.journal import Journal
from llmflow.history.records import RunRecord
from llmflow.history.store import Store
from llmflow.reports.spans import Spans
from llmflow.runtime.clock import Clock
from llmflow.runtime.engine import Engine
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.tasks import TaskSpec
from llmflow.views.plain import PlainLines
from llmflow.views.view import PoolInfo, RunContext

WORKERS = 50
ROUNDS = {100: 31, 1_000: 11, 10_000: 5, 100_000: 3}
CHAIN_WITH_JOURNAL = 1_000
"""Links of the longest chain that is run with the journal: each waits for the disk."""

PEERS = ("doit", "hamilton")
PEERS_UP_TO = 1_000
ENVIRONMENT = ROOT / "bench" / ".env"
PYTHON = ENVIRONMENT / "bin" / "python"

Edges = list[list[int]]


# ---- by hand --------------------------------------------------------------------------------------


async def by_hand(edges: Edges) -> float:
    """CPU seconds of a Task per node, started when its last dependency has ended."""
    loop = asyncio.get_running_loop()
    pending = [len(deps) for deps in edges]
    dependents: list[list[int]] = [[] for _ in edges]
    for task, deps in enumerate(edges):
        for d in deps:
            dependents[d].append(task)
    left = len(edges)
    done: asyncio.Future[None] = loop.create_future()
    alive: set[asyncio.Task[None]] = set()

    async def nothing(task: int) -> str:
        return "done"

    async def node(task: int) -> None:
        nonlocal left
        await nothing(task)
        for d in dependents[task]:
            pending[d] -= 1
            if not pending[d]:
                start(d)
        left -= 1
        if not left:
            done.set_result(None)

    def start(task: int) -> None:
        born = loop.create_task(node(task))
        alive.add(born)
        born.add_done_callback(alive.discard)

    began = time.process_time()
    for task in [task for task, count in enumerate(pending) if not count]:
        start(task)
    await done
    return time.process_time() - began


# ---- llmflow --------------------------------------------------------------------------------------


def scheduler_of(edges: Edges) -> Scheduler:
    """What a run builds before its first event: graph, priorities, state."""
    graph = Graph()
    for task, deps in enumerate(edges):
        graph.add(f"task-{task}", deps)
    spec = TaskSpec(pools=(0,))
    priorities = POLICIES["critical-path"].priorities(graph, [1.0] * len(graph), 0)
    return Scheduler(graph, [spec] * len(graph), [PoolSpec("pool", WORKERS)], priorities, workers=WORKERS)


@dataclass
class Cost:
    """CPU seconds; `commits` of the journal, 0 without one."""

    build: float = 0.0
    run: float = 0.0
    commits: int = 0


async def llmflow(edges: Edges, nowhere: TextIO, journal: Journal | None = None) -> Cost:
    """One run of the engine with all that watches it; the plain view writes to `nowhere`."""

    async def nothing(started: ev.AttemptStarted) -> str:
        return "done"

    def evaluate(started: ev.AttemptStarted) -> str:
        raise AssertionError("no task of a benchmark is evaluated")

    def publish(events: Sequence[ev.Event]) -> int:
        spans.on_events(events)
        position = journal.write(events) if journal is not None else 0
        view.on_events(events)
        return position

    cost = Cost()
    began = time.process_time()
    scheduler = scheduler_of(edges)
    cost.build = time.process_time() - began
    clock = Clock(asyncio.get_running_loop().time)
    spans, view = Spans(), PlainLines(nowhere)
    view.start(RunContext("bench", "bench", scheduler.state, clock.now, [PoolInfo("pool", WORKERS)]))
    engine = Engine(
        scheduler,
        call=nothing,
        evaluate=evaluate,
        publish=publish,
        clock=clock,
        acknowledged=journal.acknowledged if journal is not None else None,
    )
    began = time.process_time()
    status = await engine.run()
    if journal is not None:
        journal.flush()
    cost.run = time.process_time() - began
    if status != "succeeded" or len(spans.spans) != len(edges):
        raise SystemExit(f"the run {status} after {len(spans.spans)} of {len(edges)} tasks")
    return cost


def without_journal(edges: Edges) -> Cost:
    with open(os.devnull, "w") as nowhere:
        return asyncio.run(llmflow(edges, nowhere))


def with_journal(edges: Edges, parent: Path | None) -> Cost:
    """The same with a durable journal, its commits counted as SQLite executes them."""
    commits = 0

    def count(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    with tempfile.TemporaryDirectory(dir=parent) as folder, Store.open(Path(folder)) as store:
        record = RunRecord(id=new_run_id(), pipeline="bench", started_at=time.time())
        with Journal(store, record) as journal:
            journal.flush()
            if len(edges) <= CHAIN_WITH_JOURNAL:  # telling us of every statement would slow the large runs down
                journal._writer._connection.set_trace_callback(count)
            with open(os.devnull, "w") as nowhere:
                cost = asyncio.run(llmflow(edges, nowhere, journal))
    cost.commits = commits
    return cost


def bytes_per_task(count: int) -> float:
    """What graph, state, queue and engine hold per task, all of them pending but 50, tracemalloc's count."""
    edges = SHAPES["fan"](count)[:-1]
    edges[0] = []
    for deps in edges[1:]:
        deps.clear()  # all ready at once: every one sits in the queue as well
    gc.collect()
    tracemalloc.start()
    scheduler = scheduler_of(edges)
    scheduler.handle(ev.RunStarted(0.0))
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held / len(scheduler.graph)


# ---- peers ----------------------------------------------------------------------------------------


def peers_available(install: bool) -> bool:
    """Make their environment on demand."""
    if install and not PYTHON.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        wanted = ROOT / "bench" / "requirements-peers.txt"
        made = subprocess.run([PYTHON, "-m", "pip", "install", "-q", "-r", wanted], capture_output=True, text=True)
        if made.returncode:
            print(f"the peers cannot be installed here: {made.stderr.strip().splitlines()[-1]}")
            return False
    return install


def peer_cost(peer: str, shape: str, count: int) -> float:
    """µs per task; NaN where the peer cannot carry the graph out."""
    ran = subprocess.run(
        [PYTHON, "-m", "bench.peers", peer, shape, str(count)], cwd=ROOT, capture_output=True, text=True
    )
    return float(ran.stdout) if ran.returncode == 0 else float("nan")


# ---- the table ------------------------------------------------------------------------------------


@dataclass
class Figures:
    """Per round, µs of CPU per task."""

    hand: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    build: list[float] = field(default_factory=list)
    journal: list[float] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    peers: dict[str, list[float]] = field(default_factory=lambda: {peer: [] for peer in PEERS})


def measure(shape: str, count: int, rounds: int, parent: Path | None, peers: bool) -> Figures:
    """All engines on one graph, `rounds` times in turn."""
    figures = Figures()
    edges = SHAPES[shape](count)
    each = 1e6 / count
    for number in range(rounds + (count <= 1_000)):
        gc.collect()
        hand = asyncio.run(by_hand(edges))
        gc.collect()
        ours = without_journal(edges)
        journal = None
        if shape != "chain" or count <= CHAIN_WITH_JOURNAL:
            gc.collect()
            journal = with_journal(edges, parent)
        if count <= 1_000 and not number:
            continue  # the first round of a short run warms up
        figures.hand.append(hand * each)
        figures.ours.append(ours.run * each)
        figures.build.append(ours.build * each)
        if journal is not None:
            figures.journal.append(journal.run * each)
            figures.commits.append(journal.commits / count)
        if peers and count <= PEERS_UP_TO and number <= 5:
            for peer in PEERS:
                figures.peers[peer].append(peer_cost(peer, shape, count))
    return figures


def rows_of(results: dict[tuple[str, int], Figures]) -> list[list[str]]:
    rows = []
    for (shape, count), f in results.items():
        at_1000 = results.get((shape, 1_000))
        growth = f"{median(f.ours) / median(at_1000.ours):.2f}" if at_1000 else ""
        journal = [f"{median(f.journal):.1f}", f"{ratio(f.journal, f.ours):.2f}"] if f.journal else ["", ""]
        commits = f"{median(f.commits):.2f}" if f.commits and count <= CHAIN_WITH_JOURNAL else ""
        peers = [f"{median(f.peers[peer]):.0f}" if f.peers[peer] else "" for peer in PEERS]
        rows.append(
            [
                f"{shape} {count:,}",
                f"{median(f.hand):.1f}",
                f"{median(f.ours):.1f}",
                f"{ratio(f.ours, f.hand):.2f}",
                growth,
                f"{median(f.build):.1f}",
                *journal,
                commits,
                *peers,
            ]
        )
    return rows


HEAD = ["graph", "by hand", "llmflow", "× by hand", "× at 1,000", "build", "journal", "× llmflow", "commits/task"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--peers", action="store_true", help="also doit and Hamilton, installed into bench/.env")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(ROUNDS))
    parser.add_argument("--store", type=Path, default=None, help="where the journals are written; default: temporary")
    options = parser.parse_args()
    sizes = [20, 60] if options.quick else options.sizes
    say_machine()
    peers = peers_available(options.peers)
    results = {}
    for shape in SHAPES:
        for count in sizes:
            rounds = 2 if options.quick else ROUNDS.get(count, 5)
            results[shape, count] = measure(shape, count, rounds, options.store, peers)
    head = [*HEAD, *PEERS] if peers else HEAD
    rows = rows_of(results)
    print_table("µs of CPU per no-op task", head, [row[: len(head)] for row in rows])
    held = bytes_per_task(sizes[-1])
    print(f"\nEngine state per pending task at {sizes[-1]:,}: {held:.0f} bytes")
    if not peers:
        print("Peers: not asked for (--peers)" if not options.peers else "Peers: not available here")


if __name__ == "__main__":
    main()
