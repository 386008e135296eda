"""A simulated run before the real one: who runs when, what is critical, what each policy would take.

Pure arithmetic over a graph and expected durations; nothing is asked, imported or started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, nan
from typing import Protocol

from llmflow.reports.summary import lower_bound_of
from llmflow.scheduling.graph import Graph, Timing, timing
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.tasks import TaskSpec


class Estimated(Protocol):
    """What a plan must know of a duration: seconds, where the belief comes from, on how many samples."""

    @property
    def mean(self) -> float: ...
    @property
    def sd(self) -> float: ...
    @property
    def source(self) -> str: ...
    @property
    def samples(self) -> int: ...


UNKNOWN_SOURCE = "default"
"""The source of an estimate that nobody made: 1 unit."""

COMPARED = 5_000
"""Graphs with more tasks are simulated under the chosen policy only: a comparison would cost more than it tells."""


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """`worker` counts from 0 inside `pool`; -1 and an empty pool for a step that holds none. Seconds."""

    name: str
    pool: str
    worker: int
    start: float
    finish: float
    rank: float
    slack: float
    mean: float
    sd: float
    source: str
    samples: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan under one policy. Seconds; `ratio` is makespan ÷ lower bound, NaN where the bound is 0."""

    name: str
    policy: str
    graph: Graph
    tasks: tuple[PlannedTask, ...]
    """By task id."""
    pools: tuple[PoolSpec, ...]
    workers: int
    """Cap of the whole run, 0 = none."""
    makespan: float
    policies: Mapping[str, float]
    """Makespan under each policy that was compared, the chosen one included."""
    one_worker: float
    unlimited: float
    lower_bound: float
    bound_kind: str
    ratio: float
    critical_path: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """One sentence per assumption behind the graph."""

    @property
    def knows_nothing(self) -> bool:
        """No task that holds a worker has history or an author's estimate."""
        return all(task.source == UNKNOWN_SOURCE for task in self.tasks if task.pool)


def make_plan(
    graph: Graph,
    specs: Sequence[TaskSpec],
    pools: Sequence[PoolSpec],
    estimates: Sequence[Estimated],
    *,
    policy: str,
    name: str = "",
    compare: Sequence[str] | None = None,
    workers: int = 0,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Plan:
    """Simulate `graph` under `policy`; `compare` names further policies (None: all, on graphs of a sane size).

    Sequences are indexed by task and pool; `workers` caps the whole run, 0 = no cap. Raises KeyError
    for a policy that does not exist.
    """
    pool_of = [spec.pools[0] for spec in specs]
    durations = [e.mean if pool != CONTROL else 0.0 for e, pool in zip(estimates, pool_of, strict=True)]
    times = timing(graph, durations)
    if compare is None:
        compare = list(POLICIES) if len(graph) <= COMPARED else []
    priorities = {p: POLICIES[p].priorities(graph, durations, seed) for p in dict.fromkeys([policy, *compare])}
    chosen = simulate(graph, specs, pools, durations, priorities[policy], workers=workers)
    policies = {
        p: chosen.makespan
        if p == policy
        else simulate(graph, specs, pools, durations, priorities[p], workers=workers).makespan
        for p in priorities
    }
    bound = lower_bound_of(graph, durations, pool_of, pools, workers)
    return Plan(
        name=name,
        policy=policy,
        graph=graph,
        tasks=tuple(
            _planned(graph, task, times, estimates[task], pools, chosen.pools[task], chosen.workers[task], start, end)
            for task, (start, end) in enumerate(zip(chosen.starts, chosen.finishes, strict=True))
        ),
        pools=tuple(pools),
        workers=workers,
        makespan=chosen.makespan,
        policies=policies,
        one_worker=fsum(durations),
        unlimited=times.length,
        lower_bound=bound.value,
        bound_kind=bound.kind,
        ratio=chosen.makespan / bound.value if bound.value else nan,
        critical_path=tuple(graph.names[task] for task in times.path),
        notes=tuple(notes),
    )


def _planned(
    graph: Graph,
    task: int,
    times: Timing,
    estimate: Estimated,
    pools: Sequence[PoolSpec],
    pool: int,
    worker: int,
    start: float,
    finish: float,
) -> PlannedTask:
    return PlannedTask(
        name=graph.names[task],
        pool=pools[pool].name if pool != CONTROL else "",
        worker=worker,
        start=start,
        finish=finish,
        rank=times.upward[task],
        slack=times.slack(task),
        mean=estimate.mean if pool != CONTROL else 0.0,
        sd=estimate.sd if pool != CONTROL else 0.0,
        source=estimate.source if pool != CONTROL else "",
        samples=estimate.samples if pool != CONTROL else 0,
    )
