"""Random graphs on which a plan is a puzzle: about as many workers as the graph can keep busy.

    python -m bench.puzzles [--count C] [--budget MS] [--seeds 1,2,3] [--dice SEED] [--known FILE]

Four ways to draw a graph of 30 to 100 tasks, eight of drawing whole durations (wide, narrow, few kinds), workers near
work ÷ critical path: there neither of the two simple bounds decides. Each is searched with every seed; where
one proves nothing, once more for ten times as long. The best of these stands for the optimum, and FILE keeps the best
that was ever found, so that two versions can be measured by the same. Prints one line and one JSON line.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from time import thread_time

from bench.measuring import say_machine
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.improve import plan

Drawn = list[list[int]]


def _anywhere(size: int, dice: Random) -> Drawn:
    """Every earlier task with the same probability."""
    share = dice.choice((0.03, 0.06, 0.1, 0.2))
    return [[d for d in range(t) if dice.random() < share] for t in range(size)]


def _by_number(size: int, dice: Random) -> Drawn:
    """So many dependencies each, anywhere before it."""
    most = 2 * dice.choice((1, 2, 3))
    return [dice.sample(range(t), min(t, dice.randint(0, most))) for t in range(size)]


def _layered(size: int, dice: Random) -> Drawn:
    layers, share = dice.randint(4, size // 4), dice.choice((0.1, 0.2, 0.4))
    layer = sorted(dice.randrange(layers) for _ in range(size))
    return [[d for d in range(t) if layer[d] == layer[t] - 1 and dice.random() < share] for t in range(size)]


def _nearby(size: int, dice: Random) -> Drawn:
    reach = dice.choice((6, 12, 20))
    return [
        sorted({dice.randrange(max(0, t - reach), t) for _ in range(dice.randint(0, 3))} if t else ())
        for t in range(size)
    ]


GRAPHS: tuple[Callable[[int, Random], Drawn], ...] = (_anywhere, _by_number, _layered, _nearby)
DURATIONS: tuple[Callable[[Random], int], ...] = (
    lambda dice: dice.randint(1, 10),
    lambda dice: dice.randint(1, 300),
    lambda dice: max(1, round(dice.expovariate(0.2))),
    lambda dice: max(1, round(100 * dice.lognormvariate(0, 0.8))),
    lambda dice: dice.randint(5, 7),
    lambda dice: max(1, round(dice.gauss(10, 1.2))),
    lambda dice: max(1, round(dice.gauss(100, 15))),
    lambda dice: dice.choice((4, 4, 4, 9)),
)


def puzzles(dice: Random) -> Iterator[tuple[Graph, list[float], int]]:
    """(graph, durations, workers), without end."""
    while True:
        size = dice.choice((30, 50, 75, 100))
        graph = Graph()
        for task, before in enumerate(dice.choice(GRAPHS)(size, dice)):
            graph.add(f"t{task}", before)
        draw = dice.choice(DURATIONS)
        durations = [float(draw(dice)) for _ in range(size)]
        busy = sum(durations) / max(upward_ranks(graph, durations))
        yield graph, durations, max(2, min(24, round(busy * dice.uniform(0.75, 1.35))))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--count", type=int, default=300)
    arguments.add_argument("--budget", type=float, default=100.0, help="CPU milliseconds per search")
    arguments.add_argument("--seeds", default="1,2,3")
    arguments.add_argument("--dice", type=int, default=1)
    arguments.add_argument("--known", type=Path)
    given = arguments.parse_args()
    say_machine()
    seeds, budget_s = list(map(int, given.seeds.split(","))), given.budget / 1000
    known: list[float] = json.loads(given.known.read_text()) if given.known and given.known.exists() else []
    ratios: list[float] = []
    unproved = 0
    for i, (graph, durations, workers) in enumerate(islice(puzzles(Random(given.dice)), given.count)):
        found = [plan(graph, durations, workers, budget_s=budget_s, seed=s, clock=thread_time) for s in seeds]
        makespans = [f.makespan for f in found]
        best = min(makespans)
        if not any(f.proved for f in found):
            unproved += 1
            longer = plan(graph, durations, workers, budget_s=10 * budget_s, seed=seeds[0] + 1000, clock=thread_time)
            best = min(best, longer.makespan)
        known[i:] = [min([best, *known[i : i + 1]]), *known[i + 1 :]]
        ratios += [m / known[i] for m in makespans]
    if given.known:
        given.known.write_text(json.dumps(known))
    met, mean, worst = sum(r <= 1 for r in ratios) / len(ratios), sum(ratios) / len(ratios), max(ratios)
    above = sum(r > 1.01 for r in ratios)
    print(f"{given.count} graphs ({unproved} unproved) with {len(seeds)} seeds: {met:.2%} at the best known, ", end="")
    print(f"mean {mean:.5f}, worst {worst:.4f}, {above} more than 1 % above")
    figures = {"graphs": given.count, "unproved": unproved, "met": met, "mean": mean, "max": worst, "above": above}
    print(json.dumps({"bench": "puzzles", "budget_ms": given.budget, "seeds": seeds, **figures}))


if __name__ == "__main__":
    main()
