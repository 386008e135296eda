"""The simulator: the scheduler driven by a heap of ends in place of real calls.

Virtual time jumps from end to end; every attempt succeeds. So a plan is what the run would do if
each task took exactly its given duration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf, isfinite, isnan

from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.hedging import Hedging
from llmflow.scheduling.idling import Hold
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.tasks import TaskSpec


@dataclass(frozen=True, slots=True)
class Simulation:
    """Seconds from the start of the run. `workers[t]` and `pools[t]` are -1 for steps without a worker."""

    makespan: float
    starts: list[float]
    finishes: list[float]
    workers: list[int]
    pools: list[int]
    story: list[ev.Event]


def simulate(
    graph: Graph,
    specs: Sequence[TaskSpec],
    pools: Sequence[PoolSpec],
    durations: Sequence[float],
    priorities: Sequence[float],
    *,
    workers: int = 0,
    keep_story: bool = True,
    hedging: Hedging | None = None,
    second: Sequence[float] = (),
    holds: Sequence[Hold] = (),
) -> Simulation:
    """Run the graph on virtual time: task t holds its worker for `durations[t]` seconds.

    Steps that hold no worker take no time. `workers` caps the run, 0 = no cap. With `hedging` a
    second call of task t takes `second[t]` seconds from its own start. `holds` as in `Scheduler`.
    `keep_story`: without it `Simulation.story` is empty, which spares 500 bytes a task. Raises ValueError
    for a duration that is negative or not finite: it would never end, or end before it began.
    """
    for seconds in (durations, second):
        if not isfinite(sum(seconds)) or min(seconds, default=0.0) < 0.0:
            raise ValueError("durations must be finite and not negative")
    scheduler = Scheduler(graph, specs, pools, priorities, workers=workers, hedging=hedging, holds=holds)
    state, count = scheduler.state, len(graph)
    starts, finishes = [0.0] * count, [0.0] * count
    on, where = [-1] * count, [-1] * count
    ends: list[tuple[float, int, int]] = []
    timers: list[tuple[float, int]] = []
    story: list[ev.Event] = []
    cancelled: list[ev.Reported] = []
    reports: list[ev.Reported] = [ev.RunStarted(0.0)]
    while reports:
        news = scheduler.handle(*reports)
        if keep_story:
            story += news
        reports = []
        for event in news:
            if type(event) is ev.CancelRequested:
                cancelled.append(ev.AttemptCancelled(event.at, event.task, event.attempt, event.reason))
            if type(event) is not ev.AttemptStarted:
                if type(event) is ev.TimerSet:
                    heappush(timers, (event.due, event.timer))
                continue
            at, task, attempt = event.at, event.task, event.attempt
            if event.pool == CONTROL:
                if specs[task].pools[0] == CONTROL:
                    starts[task] = finishes[task] = at
                    reports.append(ev.AttemptSucceeded(at, task, attempt))
                else:
                    reports.append(ev.AttemptSucceeded(at, task, attempt, "proceed"))
            elif attempt in state.copies:
                heappush(ends, (at + second[task], attempt, task))
            else:
                starts[task], on[task], where[task] = at, event.worker, event.pool
                heappush(ends, (at + durations[task], attempt, task))
        if not reports and cancelled:
            reports, cancelled = cancelled, []
        elif not reports and not state.finished:
            while ends and ends[0][1] not in state.running:
                heappop(ends)  # it was outrun
            while timers and timers[0][1] not in state.timers:
                heappop(timers)  # it may start already
            now = min(ends[0][0] if ends else inf, inf if isnan(state.alarm) else state.alarm)
            now = min(now, timers[0][0]) if timers else now
            while ends and ends[0][0] == now:
                _, attempt, task = heappop(ends)
                if attempt in state.running:
                    finishes[task] = now
                    reports.append(ev.AttemptSucceeded(now, task, attempt))
            if state.alarm == now:
                reports.append(ev.AlarmRang(now))
            while timers and timers[0][0] == now:
                reports.append(ev.TimerFired(now, heappop(timers)[1]))
    return Simulation(max(finishes, default=0.0), starts, finishes, on, where, story)
