"""Small random graphs for tests, a makespan found by trying every order, and what makes a schedule valid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, permutations
from random import Random

from llmflow.scheduling.graph import Graph
from llmflow.scheduling.list_schedule import Schedule


def random_graph(seed: int, size: int, *, density: float = 0.3, whole: bool = True) -> tuple[Graph, list[float]]:
    """A graph of `size` tasks and its durations, some of them zero; whole numbers up to 9 unless told otherwise."""
    dice = Random(seed)
    graph = Graph()
    for task in range(size):
        graph.add(f"t{task}", [d for d in range(task) if dice.random() < density])
    return graph, [float(dice.randint(0, 9)) if whole else dice.choice((0.0, dice.random())) for _ in range(size)]


def random_graphs(count: int, sizes: Sequence[int], *, whole: bool = True) -> Iterator[tuple[Graph, list[float], int]]:
    """(graph, durations, seed) over sparse, middling and dense graphs."""
    for seed in range(count):
        density = (0.02, 0.1, 0.3, 0.6)[seed % 4]
        yield (*random_graph(seed, sizes[seed % len(sizes)], density=density, whole=whole), seed)


def best_makespan(graph: Graph, durations: Sequence[float], workers: int) -> float:
    """The optimum, by trying every order of the tasks: each takes the worker that is free first."""
    best = sum(durations)
    for order in permutations(range(len(graph))):
        finish: dict[int, float] = {}
        free = [0.0] * workers
        for task in order:
            if any(d not in finish for d in graph.dependencies[task]):
                break
            free.sort()
            begin = max([free[0], *(finish[d] for d in graph.dependencies[task])])
            free[0] = finish[task] = begin + durations[task]
        else:
            best = min(best, max(finish.values(), default=0.0))
    return best


def violations(
    graph: Graph,
    durations: Sequence[float],
    schedule: Schedule,
    workers: Sequence[int],
    pool_of: Sequence[int] | None = None,
) -> list[str]:
    """What is wrong with a schedule; nothing if it is valid."""
    pools = [0] * len(graph) if pool_of is None else pool_of
    wrong: list[str] = []
    taken: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for task, deps in enumerate(graph.dependencies):
        start, end = schedule.starts[task], schedule.finishes[task]
        if abs(end - start - durations[task]) > 1e-9 or start < 0:
            wrong.append(f"{task} runs {start} to {end}, not {durations[task]} long")
        wrong += [f"{task} starts before {d} ends" for d in deps if schedule.finishes[d] > start]
        worker, pool = schedule.workers[task], pools[task]
        if pool < 0:
            wrong += [f"{task} holds a worker"] * (worker != -1)
        else:
            wrong += [f"{task} has no worker of its pool"] * (worker < 0 or 0 < workers[pool] <= worker)
            taken.setdefault((pool, worker), []).append((start, end))
    for place, spans in taken.items():
        spans.sort()
        wrong += [f"worker {place} runs two tasks" for (_, e), (s, _) in pairwise(spans) if s < e]
    if schedule.makespan != max(schedule.finishes, default=0.0):
        wrong.append("the makespan is not the last finish")
    return wrong
