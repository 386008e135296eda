"""What a finished run amounted to: how long, how far from the bound, what kept it, what it cost.

The bound and the comparison are over what really happened: each task counts for the seconds in
which its attempts held a worker (all attempts, waiting between them left out; seconds in which two
calls of one ran side by side, once), skipped and blocked tasks count for nothing, each pool has its
own workers. First in, first out is on the very same graph and seconds.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isnan, nan

from llmflow.protocol import Usage
from llmflow.reports.lower_bound import lower_bound_of
from llmflow.reports.realised_path import realised_path
from llmflow.reports.spans import Span, Spans, seconds_held
from llmflow.scheduling.first_in import first_in_makespan
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.realised import capped_fan_outs, realised_graph
from llmflow.scheduling.state import RunState, Status


@dataclass(frozen=True, slots=True)
class WorkerUse:
    """One worker's share of the makespan; `worker` counts from 0 inside its pool."""

    worker: int
    busy: float
    utilisation: float


@dataclass(frozen=True, slots=True)
class PoolUse:
    """`workers`: of all endpoints, 0 = unlimited; utilisation is over these, or over those that were used."""

    name: str
    workers: int
    busy: float
    utilisation: float
    used: tuple[WorkerUse, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that failed; `accepted`: its author wrote `on_error`."""

    task: str
    kind: str
    detail: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Seconds throughout; `ratio` is makespan ÷ lower bound, NaN where the bound is 0."""

    status: str
    counts: Mapping[str, int]
    """Status word → tasks, only those there are, in the order of `Status`."""
    makespan: float
    lower_bound: float
    bound_kind: str
    ratio: float
    fifo_makespan: float
    critical_path: tuple[str, ...]
    causes: tuple[str, ...]
    """Per step of the critical path, what its start waited for: see `realised_path`."""
    pools: tuple[PoolUse, ...]
    work: float
    attempts: int
    """Attempts that held a worker, second calls among them."""
    copies: int
    """Second calls of running attempts."""
    overtaken: int
    """Of these, how many answered before the call that they doubled."""
    held: Sequence[float]
    """Task → the seconds in which its attempts held a worker."""
    usage: Usage
    failures: tuple[Failure, ...]


def summarise(
    state: RunState,
    pools: Sequence[PoolSpec],
    story: Spans,
    usage: Mapping[int, Usage],
    *,
    workers: int = 0,
    left_out: Container[int] = (),
    cap_of: Callable[[int], int] = lambda group: 0,
) -> RunSummary:
    """Sum up a run whose story `state` and `story` have seen to its end. `workers` caps the run, 0 = no cap.

    `left_out`: tasks that are not the run's time (those of `finally`). `cap_of(group)`: how many of the items of a
    `foreach` may hold a worker at once, 0 = no cap.
    """
    graph = realised_graph(state)
    spans = story.spans.without(left_out)
    held, pool_of = _realised(graph, spans)
    makespan = makespan_of(state, left_out)
    fan_outs = capped_fan_outs(state, cap_of)
    bound = lower_bound_of(graph, held, pool_of, pools, workers, fan_outs)
    path = realised_path(graph, state, spans)
    return RunSummary(
        status=state.finished,
        counts={s.name.lower(): state.counts[s] for s in Status if state.counts[s]},
        makespan=makespan,
        lower_bound=bound.value,
        bound_kind=bound.kind,
        ratio=makespan / bound.value if bound.value else nan,
        fifo_makespan=first_in_makespan(graph, held, pool_of, pools, workers, fan_outs),
        critical_path=tuple(graph.names[step.task] for step in path),
        causes=tuple(step.cause for step in path),
        pools=_use(spans, pools, makespan),
        work=fsum(held),
        attempts=len(spans),
        copies=story.copies,
        overtaken=story.overtaken,
        held=held,
        usage=sum(usage.values(), Usage()),
        failures=tuple(
            Failure(graph.names[task], kind, detail, state.status[task] == Status.ACCEPTED)
            for task, (kind, detail) in story.failures.items()
        ),
    )


def makespan_of(state: RunState, left_out: Container[int] = ()) -> float:
    """When the last task ended, `left_out` aside; 0 where none has."""
    return max((at for t, at in enumerate(state.ended_at) if not isnan(at) and t not in left_out), default=0.0)


def _realised(graph: Graph, spans: Sequence[Span]) -> tuple[array[float], array[int]]:
    """Per task the seconds its attempts held a worker, and the pool of the last of them (-1 = none)."""
    pool_of = array("i", [CONTROL]) * len(graph)
    for span in spans:
        pool_of[span.task] = span.pool
    return seconds_held(spans, len(graph)), pool_of


def _use(spans: Sequence[Span], pools: Sequence[PoolSpec], makespan: float) -> tuple[PoolUse, ...]:
    """Pools in which anything ran, with every worker that was used."""
    busy: dict[int, dict[int, array[float]]] = defaultdict(lambda: defaultdict(lambda: array("d")))
    for span in spans:
        end = min(span.end, makespan) if span.outrun else span.end  # it may let go when all is over
        busy[span.pool][span.worker].append(max(0.0, end - span.start))
    uses = []
    for pool, rows in sorted(busy.items()):
        seconds = {worker: fsum(row) for worker, row in sorted(rows.items())}
        total = fsum(seconds.values())
        capacity = (pools[pool].size or len(seconds)) * makespan
        used = tuple(WorkerUse(w, s, s / makespan if makespan else 0.0) for w, s in seconds.items())
        share = total / capacity if capacity else 0.0
        uses.append(PoolUse(pools[pool].name, pools[pool].size, total, share, used))
    return tuple(uses)
