"""Barriers of a graph: places where everything before must end before anything behind can begin.

A schedule is then one schedule behind the other, and so are its lower bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmflow.scheduling.graph import Graph

LARGEST = 4096
"""Up to how many tasks barriers are looked for: the ancestors of each are kept as a set of bits."""


def parts(graph: Graph) -> list[list[int]]:
    """All tasks in groups, each task of one behind every task of the group before; one group where no barrier is."""
    n = len(graph)
    if n > LARGEST:
        return [list(range(n))]
    ancestors = [0] * n
    for task in graph.order():
        for d in graph.dependencies[task]:
            ancestors[task] |= ancestors[d] | 1 << d
    # Whoever is behind a barrier has all before it among its ancestors, so it has more of them than any of those.
    order = sorted(range(n), key=lambda task: ancestors[task].bit_count())
    common = [0] * (n + 1)
    common[n] = -1
    for place in reversed(range(n)):
        common[place] = common[place + 1] & ancestors[order[place]]
    found: list[list[int]] = []
    before = 0
    for place, task in enumerate(order):
        if not place or not before & ~common[place]:
            found.append([])
        found[-1].append(task)
        before |= 1 << task
    return found


def cut_out(graph: Graph, groups: Sequence[Sequence[int]]) -> Iterator[tuple[Graph, Sequence[int]]]:
    """Each group as a graph of its own, with the edges inside it; its task i is the i-th of the group."""
    place = [0] * len(graph)
    for group in groups:
        inside = set(group)
        for i, task in enumerate(group):
            place[task] = i
        part = Graph()
        for task in group:
            part.add(graph.names[task], [place[d] for d in graph.dependencies[task] if d in inside])
        yield part, group
