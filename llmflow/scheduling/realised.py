"""The graph that a run has become: with every item it had, each behind its group, each group behind its items.

While the run goes on, a `foreach` settles by counting and its items carry no edges to it; looking
back, what waited for what is wanted as plain edges.
"""

from __future__ import annotations

from llmflow.scheduling.graph import Graph
from llmflow.scheduling.state import RunState


def realised_graph(state: RunState) -> Graph:
    """A static graph with the same ids. The node of a `foreach` stands for its end: it waits for its items.

    What its items waited for is what it waited for itself before it began; into where items flow
    one by one, they do not wait for their source as a whole.
    """
    graph = state.graph
    if not state.grown:
        return graph
    waits: list[list[int]] = [list(deps) for deps in graph.dependencies]
    first_inner = -1
    for first, size, parent in state.grown:
        if parent < 0:
            first_inner = first
            continue
        before = [d for d in graph.dependencies[parent] if d != graph.flows.get(parent)]
        for item in range(first, first + size):
            waits[item if first_inner < 0 else first_inner] += before
            first_inner = -1
            waits[parent].append(item)
    realised = Graph()
    realised.names = graph.names
    realised.dependencies = [tuple(dict.fromkeys(deps)) for deps in waits]
    realised.dependents = [[] for _ in waits]
    realised.stages.extend(range(len(waits)))
    for task, deps in enumerate(realised.dependencies):
        for d in deps:
            realised.dependents[d].append(task)
    return realised
