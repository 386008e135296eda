"""The critical path that a run really took: what each task had to wait for, from the end backwards.

A task started when the last of two things happened: its last dependency settled, or the worker it
ran on was let go by another attempt. The later one is its cause; following causes from the task
that settled last gives the chain that made the run as long as it was.
"""

from __future__ import annotations

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
    first: dict[int, Span] = {}
    held: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for span in spans:
        held[span.pool, span.worker].append(span)
        if span.task not in first or span.start < first[span.task].start:
            first[span.task] = span
    ends = {place: [span.end for span in row] for place, row in held.items()}
    steps: list[Step] = []
    seen: set[int] = set()
    task: int | None = max(first, key=lambda t: (state.ended_at[t], -t))
    while task is not None and task not in seen:
        seen.add(task)
        cause, before = "", _last_dependency(graph, state, task)
        released = state.ended_at[before] if before is not None else 0.0
        if before is not None:
            cause = DEPENDENCY
        if task in first:
            span = first[task]
            place = (span.pool, span.worker)
            index = bisect_right(ends[place], span.start) - 1
            if index >= 0 and ends[place][index] > released and held[place][index].task not in seen:
                cause, before = WORKER, held[place][index].task
        steps.append(Step(task, cause))
        task = before
    steps.reverse()
    return steps


def _last_dependency(graph: Graph, state: RunState, task: int) -> int | None:
    dependencies = graph.dependencies[task]
    return max(dependencies, key=lambda d: (state.ended_at[d], -d), default=None)
