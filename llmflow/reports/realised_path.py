"""The critical path that a run really took: what each task had to wait for, from the end backwards.

A task started when the last of two things happened: its last dependency settled, or the worker it
ran on was let go by another attempt. The later one is its cause; following causes from the task
that settled last gives the chain that made the run as long as it was.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from llmflow.reports.spans import Span
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.state import RunState

DEPENDENCY, WORKER = "dependency", "worker"


class Step(NamedTuple):
    """`cause`: what its start waited for: `dependency`, `worker`, or empty for the first step."""

    task: int
    cause: str


def realised_path(graph: Graph, state: RunState, spans: Sequence[Span]) -> list[Step]:
    """`graph` is the realised one. First step first; empty for a run in which no attempt held a worker."""
    if not spans:
        return []
    first = array("i", [-1]) * len(graph)
    """Task → the place of its first span in `spans`, -1 where it has none."""
    held: dict[tuple[int, int], array[int]] = defaultdict(lambda: array("i"))
    """Worker → the places of its spans, in order of their ends."""
    for place, span in enumerate(spans):
        held[span.pool, span.worker].append(place)
        if first[span.task] < 0 or span.start < spans[first[span.task]].start:
            first[span.task] = place
    steps: list[Step] = []
    seen: set[int] = set()
    task: int | None = max((t for t, place in enumerate(first) if place >= 0), key=lambda t: (state.ended_at[t], -t))
    while task is not None and task not in seen:
        seen.add(task)
        cause, before = "", _last_dependency(graph, state, task)
        released = state.ended_at[before] if before is not None else 0.0
        if before is not None:
            cause = DEPENDENCY
        if first[task] >= 0:
            span = spans[first[task]]
            row = held[span.pool, span.worker]
            index = bisect_right(row, span.start, key=lambda place: spans[place].end) - 1
            if index >= 0 and spans[row[index]].end > released and spans[row[index]].task not in seen:
                cause, before = WORKER, spans[row[index]].task
        steps.append(Step(task, cause))
        task = before
    steps.reverse()
    return steps


def _last_dependency(graph: Graph, state: RunState, task: int) -> int | None:
    dependencies = graph.dependencies[task]
    return max(dependencies, key=lambda d: (state.ended_at[d], -d), default=None)
