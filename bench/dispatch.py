"""How long one dispatch decision takes: a task ends, the scheduler takes the report and says what starts next.

    python -m bench.dispatch [--sizes 1000,10000,100000] [--decisions 20000] [--quick]

`--sizes` are numbers of ready tasks. Each has one dependent with the same odds of being urgent, so
the queue keeps its length while it is drawn from; priorities are random, 16 workers all busy. One decision is one
call of `Scheduler.handle` with one `AttemptSucceeded`: it settles the task, releases its dependent,
queues it and starts the most urgent one. Measured call by call on the thread's CPU clock (what reading
it costs is printed and included), with the cyclic collector on as in a run.

The same decisions are measured three times over. What happens to one of them in one round only is the
machine's affair (another process took the processor and left cold caches), what happens in two is ours: the
table is of each decision's median, and beside it the p99 of all rounds as they were. Prints one JSON line, too.
"""

from __future__ import annotations

import argparse
import gc
import json
from random import Random
from statistics import median
from time import thread_time_ns

from bench.measuring import print_table, say_machine
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.tasks import TaskSpec

WORKERS, ROUNDS = 16, 3


def decisions(ready: int, count: int, seed: int) -> list[float]:
    """µs of CPU of each of up to `count` decisions with `ready` tasks in the queue."""
    dice = Random(seed)
    graph = Graph()
    for task in range(ready + WORKERS):
        graph.add(f"first{task}", ())
    for task in range(ready + WORKERS):
        graph.add(f"second{task}", (task,))
    specs = [TaskSpec(pools=(0,))] * len(graph)
    scheduler = Scheduler(graph, specs, [PoolSpec("pool", WORKERS)], [dice.random() for _ in range(len(graph))])
    running = [e for e in scheduler.handle(ev.RunStarted(0.0)) if type(e) is ev.AttemptStarted]
    gc.collect()
    gc.freeze()
    spent = []
    try:
        for step in range(min(count, ready)):
            ending = running.pop(dice.randrange(len(running)))
            report = ev.AttemptSucceeded(float(step), ending.task, ending.attempt)
            began = thread_time_ns()
            news = scheduler.handle(report)
            spent.append((thread_time_ns() - began) / 1000)
            running += [e for e in news if type(e) is ev.AttemptStarted]
            if len(running) != WORKERS:
                raise AssertionError(f"{len(running)} attempts run on {WORKERS} workers")
    finally:
        gc.unfreeze()
    return spent


def clock_cost(count: int = 10_000) -> float:
    """µs of CPU that reading the clock twice costs, median."""
    costs = []
    for _ in range(count):
        began = thread_time_ns()
        costs.append((thread_time_ns() - began) / 1000)
    return sorted(costs)[count // 2]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", default="1000,10000,100000")
    arguments.add_argument("--decisions", type=int, default=20_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--quick", action="store_true")
    given = arguments.parse_args()
    say_machine()
    sizes = [50, 100] if given.quick else [int(size) for size in given.sizes.split(",")]
    head = ["ready tasks", "decisions", "mean µs", "p50 µs", "p99 µs", "p99.9 µs", "worst µs", "p99 of all rounds"]
    rows, figures = [], []
    for size in sizes:
        rounds = [decisions(size, given.decisions, given.seed) for _ in range(ROUNDS)]
        spent = sorted(median(times) for times in zip(*rounds, strict=True))
        single = sorted(time for times in rounds for time in times)
        n = len(spent)
        found = [sum(spent) / n, *(spent[n * p // 1000] for p in (500, 990, 999)), spent[-1]]
        found.append(single[len(single) * 99 // 100])
        rows.append([f"{size:,}", f"{n:,}", *(f"{x:.1f}" for x in found)])
        figures.append(
            {
                "ready": size,
                "decisions": n,
                "p50_us": found[1],
                "p99_us": found[2],
                "worst_us": found[4],
                "p99_single_us": found[5],
            }
        )
    print_table("One dispatch decision", head, rows)
    clock_us = clock_cost()
    print(f"\nReading the clock takes {clock_us:.1f} µs of each.")
    print(json.dumps({"bench": "dispatch", "workers": WORKERS, "clock_us": clock_us, "by_ready": figures}))


if __name__ == "__main__":
    main()
