"""A scheduler for the engine to drive, and its story in short."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.tasks import TaskSpec

CALL = TaskSpec(pools=(0,))


def scheduler(edges: dict[str, list[str]] | str, spec: TaskSpec = CALL, *, workers: int = 0) -> Scheduler:
    graph = Graph.of({name: [] for name in edges} if isinstance(edges, str) else edges)
    return Scheduler(graph, [spec] * len(graph), [PoolSpec("p", workers)], [0.0] * len(graph))


def others_running() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def briefly(story: Sequence[ev.Event]) -> list[tuple[float, str, int]]:
    """(at, event, task), -1 where the event has none."""
    return [(e.at, type(e).__name__, getattr(e, "task", -1)) for e in story]
