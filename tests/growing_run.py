"""A run whose graph grows, on virtual time, for tests: one `foreach` behind a task and in front of another."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from llmflow.errors import FailureKind
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.tasks import RetryPolicy, TaskSpec

FIRST, EACH, LAST, ITEM = range(4)


@dataclass(slots=True)
class GrowingRun:
    """`story` as the scheduler told it; `graph` as it was at the end."""

    graph: Graph
    story: list[ev.Event] = field(default_factory=list)


def growing_run(seed: int, *, items: int = 12, window: int = 3, workers: int = 2, failing: float = 0.0) -> GrowingRun:
    """`first` → `each` with so many items, at most `window` of them at once → `last`; durations are eighths."""
    dice = Random(seed)
    graph = Graph.of({"first": [], "each": ["first"], "last": ["each"]})
    patience = RetryPolicy(50, initial=1.0, jitter=False)
    model = TaskSpec(pools=(0,), retry=patience)
    item = TaskSpec(pools=(0,), retry=patience, inner=True)
    scheduler = Scheduler(graph, [model, TaskSpec(), model, item], [PoolSpec("sim", workers)], [0.0] * 4)
    run = GrowingRun(graph)
    ends: list[tuple[float, int, ev.Reported]] = []
    order = left = 0
    left = items

    def later(event: ev.Reported) -> None:
        nonlocal order
        order += 1
        heappush(ends, (event.at, order, event))

    def admit(at: float, count: int) -> list[ev.Reported]:
        nonlocal left
        count = min(count, left)
        reports: list[ev.Reported] = []
        if count:
            first = len(graph)
            for _ in range(count):
                graph.add(f"each[{items - left}]", (), ITEM)
                left -= 1
            reports.append(ev.TasksAdded(at, EACH, first, count))
        if not left:
            reports.append(ev.ItemsClosed(at, EACH))
            left = -1
        return reports

    reports: list[ev.Reported] = [ev.RunStarted(0.0)]
    while reports:
        news = scheduler.handle(*reports)
        run.story += news
        reports = []
        for event in news:
            if isinstance(event, ev.AttemptStarted) and event.pool == CONTROL:
                reports.append(ev.AttemptSucceeded(event.at, event.task, event.attempt, "expand"))
                reports += admit(event.at, window)
            elif isinstance(event, ev.AttemptStarted):
                at = event.at + dice.randint(1, 40) / 8
                if dice.random() < failing:
                    later(ev.AttemptFailed(at, event.task, event.attempt, FailureKind.SERVER))
                else:
                    later(ev.AttemptSucceeded(at, event.task, event.attempt))
            elif isinstance(event, ev.TimerSet):
                later(ev.TimerFired(event.due, event.timer))
            elif isinstance(event, ev.TaskSucceeded) and event.task > LAST and left >= 0:
                reports += admit(event.at, 1)
        if not reports and ends:
            reports = [heappop(ends)[2]]
    return run
