"""What planning by critical path costs per task, in CPU microseconds, on layered random graphs.

    python -m bench.planning [--sizes 1000,10000,100000] [--workers 16]

Three steps: order and ranks; the greedy schedule that forecasts the run; the bound without windows.
The best of three rounds each, the cyclic collector off as a planner would. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Callable
from random import Random
from time import process_time

from llmflow.scheduling.bounds import lower_bound
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.list_schedule import list_schedule


def layered(size: int, seed: int) -> tuple[Graph, list[float]]:
    """Layers of about the square root of `size`, one to three dependencies from the layer above."""
    dice = Random(seed)
    width = max(1, int(size**0.5))
    graph = Graph()
    for task in range(size):
        above = (task // width - 1) * width
        graph.add(f"t{task}", {above + dice.randrange(width) for _ in range(dice.randint(1, 3))} if above >= 0 else ())
    return graph, [dice.lognormvariate(0.0, 0.7) for _ in range(size)]


def best_of(rounds: int, step: Callable[[], object]) -> float:
    times = []
    for _ in range(rounds):
        began = process_time()
        step()
        times.append(process_time() - began)
    return min(times)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", default="1000,10000,100000")
    arguments.add_argument("--workers", type=int, default=16)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    print(f"{'tasks':>8s} {'edges':>8s} {'ranks µs':>9s} {'schedule µs':>12s} {'both µs':>9s} {'bound µs':>9s}")
    rows = []
    for size in map(int, given.sizes.split(",")):
        graph, durations = layered(size, given.seed)
        ranks = upward_ranks(graph, durations)
        gc.collect()
        gc.disable()
        times = [
            best_of(3, step) / size * 1e6
            for step in (
                lambda graph=graph, durations=durations: upward_ranks(graph, durations),
                lambda graph=graph, durations=durations, ranks=ranks: list_schedule(
                    graph, durations, ranks, given.workers
                ),
                lambda graph=graph, durations=durations: lower_bound(graph, durations, given.workers, interval=False),
            )
        ]
        gc.enable()
        edges = sum(map(len, graph.dependencies))
        ranking, scheduling, bounding = times
        print(f"{size:8d} {edges:8d} {ranking:9.2f} {scheduling:12.2f} {ranking + scheduling:9.2f} {bounding:9.2f}")
        rows.append(
            {"tasks": size, "edges": edges, "ranks_us": ranking, "schedule_us": scheduling, "bound_us": bounding}
        )
    print(json.dumps({"bench": "planning", "workers": given.workers, "per_task": rows}))


if __name__ == "__main__":
    main()
