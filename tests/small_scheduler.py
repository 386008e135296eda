"""A scheduler over a handful of tasks, and the events that it takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmflow.errors import FailureKind
from llmflow.scheduling.events import (
    AttemptFailed,
    AttemptStarted,
    Event,
)
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.tasks import TaskSpec

CALL = TaskSpec(pools=(0,))
SERVER, RATE_LIMIT, AUTH, REFUSAL = (
    FailureKind.SERVER,
    FailureKind.RATE_LIMIT,
    FailureKind.AUTH,
    FailureKind.REFUSAL,
)


def scheduler(
    edges: Mapping[str, Sequence[str]] | str,
    specs: Mapping[str, TaskSpec] | TaskSpec = CALL,
    *,
    pools: Sequence[PoolSpec] = (PoolSpec("p"),),
    priorities: Sequence[float] | None = None,
    workers: int = 0,
    fail_fast: bool = False,
) -> Scheduler:
    """`edges` as text: tasks that depend on nothing, one letter each."""
    graph = Graph.of({name: [] for name in edges} if isinstance(edges, str) else edges)
    chosen = [specs if isinstance(specs, TaskSpec) else specs.get(name, CALL) for name in graph.names]
    ranks = [0.0] * len(graph) if priorities is None else priorities
    return Scheduler(graph, chosen, pools, ranks, workers=workers, fail_fast=fail_fast)


def started(
    at: float,
    task: int,
    attempt: int,
    worker: int = 0,
    *,
    number: int = 1,
    pool: int = 0,
    endpoint: int = 0,
    candidate: int = 0,
) -> AttemptStarted:
    return AttemptStarted(at, task, attempt, number, pool, endpoint, worker, candidate)


def starts(events: Sequence[Event]) -> list[int]:
    return [event.task for event in events if isinstance(event, AttemptStarted)]


def failed(
    at: float,
    task: int,
    attempt: int,
    kind: FailureKind = SERVER,
    *,
    retry_after: float | None = None,
    retryable: bool = True,
) -> AttemptFailed:
    return AttemptFailed(at, task, attempt, kind, "no", retry_after, retryable)
