"""A run on virtual time for the tests of views and reports: the state, its context, and a way to tell events."""

from __future__ import annotations

from collections.abc import Sequence

from worked_example import worked_example

from llmflow.errors import FailureKind
from llmflow.protocol import Usage
from llmflow.reports.spans import Spans
from llmflow.scheduling import events as ev
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


def a_run_in_which_much_goes_wrong(run: WatchedRun) -> None:
    """a succeeds; b fails twice, waiting between; c is blocked by it; d is accepted; e is cancelled."""
    run.tell(ev.AttemptStarted(0.0, 0, 1, 1, 0, 0, 0), ev.AttemptStarted(0.0, 1, 2, 1, 0, 0, 1))
    run.context.usage[0] = Usage(1200, 34)
    run.tell(ev.AttemptSucceeded(1.0, 0, 1), ev.TaskSucceeded(1.0, 0))
    run.tell(
        ev.AttemptFailed(1.5, 1, 2, FailureKind.RATE_LIMIT, "slow\x1b[2J down", 2.0),
        ev.TimerSet(1.5, 1, 1, 3.5, "retry"),
    )
    run.tell(ev.TimerFired(3.5, 1), ev.AttemptStarted(3.5, 1, 3, 2, 0, 0, 0))
    run.tell(
        ev.AttemptFailed(4.0, 1, 3, FailureKind.SERVER, "[/nope] 500"),
        ev.TaskFailed(4.0, 1, FailureKind.SERVER, "[/nope] 500"),
        ev.TaskBlocked(4.0, 2, 1),
    )
    run.tell(ev.AttemptStarted(4.0, 3, 4, 1, 0, 0, 0))
    run.tell(ev.AttemptFailed(5.0, 3, 4, FailureKind.EMPTY), ev.TaskFailed(5.0, 3, FailureKind.EMPTY, accepted=True))
    run.tell(ev.AttemptStarted(5.0, 4, 5, 1, 0, 0, 2))
    run.tell(ev.StopRequested(6.0, "Ctrl-C", "cancel"), ev.CancelRequested(6.0, 4, 5))
    run.tell(ev.AttemptCancelled(6.25, 4, 5), ev.TaskCancelled(6.25, 4, "stopped"), ev.TaskSkipped(6.25, 5))
    run.tell(ev.RunFinished(6.25, "failed"))


def graph_of_troubles() -> Graph:
    return Graph.of({"a": [], "b": [], "c": ["b"], "d": [], "e": [], "f[x\n\x1b]0;t\x07]": []})
