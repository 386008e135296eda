"""Plans of other shapes than the public sets have: trees, pipelines, fans, fork and join, map and reduce, mixed pools.

    python -m bench.shapes [--sizes 20,100,500] [--rounds R] [--budget MS] [--seed S]

Each shape and size on 2, 3, 8, 24 and 64 workers with one of five kinds of durations; about a third of the cases
have several pools and steps that hold no worker. Budgets are CPU milliseconds per case, bound included. What must
hold is checked: no plan is longer than the critical path's or shorter than its bound, and its order gives it in
a greedy dispatcher unless it idles. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from time import process_time

from bench.measuring import print_table, say_machine
from bench.planning import layered
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.improve import plan
from llmflow.scheduling.list_schedule import list_schedule

WORKERS = (2, 3, 8, 24, 64)
ROUNDING = 1e-9


def out_tree(size: int, dice: Random) -> Graph:
    graph = Graph()
    for task in range(size):
        graph.add(f"t{task}", (dice.randrange(max(0, task - 8), task),) if task else ())
    return graph


def in_tree(size: int, dice: Random) -> Graph:
    out = out_tree(size, dice)
    return Graph.of({f"t{task}": [f"t{d}" for d in out.dependents[task]] for task in reversed(range(size))})


def pipelines(size: int, dice: Random) -> Graph:
    """Chains side by side."""
    graph, last = Graph(), [-1] * max(1, size // 12)
    for task in range(size):
        chain = dice.randrange(len(last))
        last[chain] = graph.add(f"t{task}", () if last[chain] < 0 else (last[chain],))
    return graph


def fan(size: int, dice: Random) -> Graph:
    graph = Graph()
    first = graph.add("first")
    graph.add("last", [graph.add(f"t{task}", (first,)) for task in range(size - 2)])
    return graph


def fork_join(size: int, dice: Random) -> Graph:
    graph = Graph()
    join = graph.add("first")
    while len(graph) < size:
        fork = [graph.add(f"t{len(graph)}", (join,)) for _ in range(dice.randint(2, 20))]
        join = graph.add(f"t{len(graph)}", fork)
    return graph


def map_reduce(size: int, dice: Random) -> Graph:
    """Two stages item by item, joined by eights and then in one."""
    graph, count = Graph(), max(1, (size - 3) // 3)
    second = [graph.add(f"b{i}", (graph.add(f"a{i}"),)) for i in range(count)]
    graph.add("last", [graph.add(f"c{i}", second[i : i + 8]) for i in range(0, count, 8)])
    return graph


def scattered(size: int, dice: Random) -> Graph:
    graph, density = Graph(), max(3 / size, 3 / 200)
    for task in range(size):
        graph.add(f"t{task}", [d for d in range(max(0, task - 200), task) if dice.random() < density])
    return graph


def apart(size: int, dice: Random) -> Graph:
    return Graph.of({f"t{task}": [] for task in range(size)})


def in_layers(size: int, dice: Random) -> Graph:
    return layered(size, dice.randrange(1000))[0]


SHAPES: dict[str, Callable[[int, Random], Graph]] = {
    "out-tree": out_tree,
    "in-tree": in_tree,
    "pipelines": pipelines,
    "fan": fan,
    "fork and join": fork_join,
    "map and reduce": map_reduce,
    "layers": in_layers,
    "scattered": scattered,
    "no edges": apart,
}
DURATIONS: tuple[Callable[[Random], float], ...] = (
    lambda dice: float(dice.randint(1, 10)),
    lambda dice: dice.expovariate(0.2) + 0.01,
    lambda dice: 1.0 if dice.random() < 0.8 else 20 * dice.random(),
    lambda dice: 1.0,
    lambda dice: 0.0 if dice.random() < 0.2 else dice.lognormvariate(1, 1),
)


@dataclass(slots=True)
class Found:
    """One entry per case; ratios are to the bound."""

    path: list[float] = field(default_factory=list)
    planned: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    idle: int = 0


def try_one(graph: Graph, workers: int, dice: Random, budget_s: float, found: Found) -> None:
    """Raises AssertionError where something does not hold that must."""
    sizes, pool_of = [workers], [0] * len(graph)
    if dice.random() < 0.35:
        sizes = [dice.choice((workers, max(1, workers // 2), 0)) for _ in range(dice.randint(2, 4))]
        pool_of = [dice.choice([-1, *list(range(len(sizes))) * 3]) for _ in pool_of]
    draw = dice.choice(DURATIONS)
    durations = [draw(dice) if pool >= 0 else 0.0 for pool in pool_of]
    path = list_schedule(graph, durations, upward_ranks(graph, durations), sizes, pool_of).makespan
    began = process_time()
    made = plan(graph, durations, sizes, budget_s=budget_s, seed=1, clock=process_time, pool_of=pool_of)
    found.seconds.append(process_time() - began)
    greedy = list_schedule(graph, durations, made.greedy, sizes, pool_of).makespan
    assert made.bound.value <= made.makespan * (1 + ROUNDING)
    assert made.makespan <= path * (1 + ROUNDING)
    assert greedy <= path * (1 + ROUNDING)
    assert made.idles or greedy <= made.makespan * (1 + ROUNDING)
    bound = made.bound.value or 1.0
    found.path.append(path / bound)
    found.planned.append(made.makespan / bound)
    found.idle += made.idles


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", default="20,100,500,2000")
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--budget", type=float, default=100.0, help="CPU milliseconds per case")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    say_machine()
    dice = Random(given.seed)
    sizes = list(map(int, given.sizes.split(",")))
    rows, cases, slowest = [], 0, 0.0
    for name, shape in SHAPES.items():
        for size in sizes:
            found = Found()
            for _ in range(given.rounds):
                graph = shape(size, dice)
                for workers in WORKERS:
                    try_one(graph, workers, dice, given.budget / 1000, found)
            n = len(found.planned)
            cases, slowest = cases + n, max(slowest, *found.seconds)
            ratios = (sum(found.path) / n, sum(found.planned) / n, max(found.planned))
            times = (1000 * sum(found.seconds) / n, 1000 * max(found.seconds))
            cells = [*(f"{r:.4f}" for r in ratios), f"{found.idle}/{n}", *(f"{ms:.0f}" for ms in times)]
            rows.append([f"{name}, {size:,}", *cells])
    head = ["", "critical path × bound", "plan × bound", "worst", "idle", "CPU ms", "most"]
    print_table("Plans of other shapes", head, rows)
    print(json.dumps({"bench": "shapes", "cases": cases, "seed": given.seed, "cpu_ms_max": 1000 * slowest}))


if __name__ == "__main__":
    main()
