"""A run on virtual time for the tests of views and reports: the state, its context, and a way to tell events."""

from __future__ import annotations

from collections.abc import Sequence

from worked_example import worked_example

from llmflow.reports.spans import Spans
from llmflow.scheduling.events import Event, RunStarted
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.state import RunState
from llmflow.scheduling.tasks import TaskSpec
from llmflow.views.view import PoolInfo, RunContext, View


class WatchedRun:
    """`tell` folds events into the state first and shows them to the views after, as the runtime does."""

    def __init__(self, graph: Graph, *views: View, workers: int = 4, expected: Sequence[float] = ()) -> None:
        self.state = RunState(graph)
        self.now = 0.0
        tasks = len(graph)
        self.context = RunContext(
            name="worked_example",
            run_id="01J0",
            state=self.state,
            clock=lambda: self.now,
            pools=[PoolInfo("sim", workers)],
            pool_of=[0] * tasks,
            expected=expected,
            models=["sim/any"] * tasks,
        )
        self.views = views
        self.spans = Spans()
        for view in views:
            view.start(self.context)

    def tell(self, *events: Event) -> None:
        for event in events:
            self.state.apply(event)
        self.now = self.state.now
        self.spans.on_events(events)
        for view in self.views:
            view.on_events(events)

    def close(self) -> None:
        for view in self.views:
            view.close()


def story_of_the_worked_example(
    policy: str = "critical-path", workers: int = 4
) -> tuple[Graph, list[float], list[Event]]:
    graph, durations = worked_example()
    priorities = POLICIES[policy].priorities(graph, durations, 0)
    specs = [TaskSpec(pools=(0,))] * len(graph)
    return graph, durations, simulate(graph, specs, [PoolSpec("sim", workers)], durations, priorities).story


def started(graph: Graph, *views: View, workers: int = 4, expected: Sequence[float] = ()) -> WatchedRun:
    """A run that has been told `RunStarted`."""
    run = WatchedRun(graph, *views, workers=workers, expected=expected)
    run.tell(RunStarted(0.0))
    return run
