"""What a run looks like after some of its story: a fold over events, with a table of legal moves.

The fold decides nothing. It follows the decided events as they come, so replaying a stored story
rebuilds the state whatever today's policy would do. An event that is not legal is refused by name:
that is a bug of llmflow's, never of the user's.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from math import nan
from typing import Any, NamedTuple

from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.packed import Packed


class Status(IntEnum):
    """Where a task stands. `ACCEPTED`: failed, but its author wrote `on_error`."""

    PENDING = 0
    READY = 1
    RUNNING = 2
    WAITING = 3
    SUCCEEDED = 4
    SKIPPED = 5
    BLOCKED = 6
    FAILED = 7
    CANCELLED = 8
    ACCEPTED = 9


SETTLED = frozenset(
    {Status.SUCCEEDED, Status.SKIPPED, Status.BLOCKED, Status.FAILED, Status.CANCELLED, Status.ACCEPTED}
)
new_tuple = tuple.__new__
"""Makes a NamedTuple in half the time of its own constructor, for the few that are made per task."""

FIRST_SETTLED = int(Status.SUCCEEDED)
"""Statuses from here on are settled (the hot paths compare with this instead of asking the set)."""

PENDING, READY, RUNNING, WAITING = map(int, (Status.PENDING, Status.READY, Status.RUNNING, Status.WAITING))
SUCCEEDED, SKIPPED, BLOCKED, FAILED, CANCELLED, ACCEPTED = map(
    int, (Status.SUCCEEDED, Status.SKIPPED, Status.BLOCKED, Status.FAILED, Status.CANCELLED, Status.ACCEPTED)
)

MOVES: dict[type[Any], tuple[frozenset[int], int | None]] = {
    ev.AttemptStarted: (frozenset({READY}), RUNNING),
    ev.AttemptSucceeded: (frozenset({RUNNING}), None),
    ev.AttemptFailed: (frozenset({RUNNING}), None),
    ev.AttemptCancelled: (frozenset({RUNNING}), None),
    ev.TimerSet: (frozenset({READY, RUNNING}), WAITING),
    ev.TaskSucceeded: (frozenset({RUNNING}), SUCCEEDED),
    ev.TaskFailed: (frozenset({RUNNING}), None),
    ev.TaskSkipped: (frozenset({READY, RUNNING}), SKIPPED),
    ev.TaskBlocked: (frozenset({READY}), BLOCKED),
    ev.TaskCancelled: (frozenset({PENDING, READY, RUNNING, WAITING}), CANCELLED),
}
"""Event → (statuses its task may have before, status after or None where the event's own content says)."""


class IllegalEvent(RuntimeError):
    """The event cannot happen in this state."""


class Running(NamedTuple):
    """An attempt under way."""

    task: int
    pool: int
    endpoint: int
    worker: int
    started_at: float
    number: int
    candidate: int


class Growth(Sequence[tuple[int, int, int]]):
    """(first, size, parent) of everything that was added, in order; neighbours of one parent are put together."""

    def __init__(self) -> None:
        self._columns: tuple[Packed[int], Packed[int], Packed[int]] = Packed("i"), Packed("i"), Packed("i")

    def add(self, first: int, size: int, parent: int) -> None:
        """`size` tasks from `first` on are `parent`'s, or nobody's where that is -1."""
        firsts, sizes, parents = self._columns
        if parents and parent >= 0 and parents[-1] == parent and firsts[-1] + sizes[-1] == first:
            sizes[-1] += size
            return
        for column, value in zip(self._columns, (first, size, parent), strict=True):
            column.append(value)

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        firsts, sizes, parents = self._columns
        return firsts[index], sizes[index], parents[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Growth) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class RunState:
    """The fold. All times are seconds since the run began; NaN = has not happened."""

    __slots__ = (
        "_apply",
        "alarm",
        "attempts",
        "copies",
        "counts",
        "doubled",
        "ended_at",
        "expanded",
        "finals",
        "finished",
        "first_started_at",
        "graph",
        "grown",
        "held",
        "lost",
        "now",
        "pending",
        "ready_at",
        "released",
        "running",
        "status",
        "stop_reason",
        "timers",
        "unsettled",
        "waiting",
    )

    def __init__(self, graph: Graph, finals: Sequence[int] = ()) -> None:
        """`finals`: tasks that become ready only when all others have settled."""
        self.graph = graph
        self.finals = list(finals)
        self.status = bytearray()
        self.pending: array[int] | Packed[int] = array("i")
        self.attempts: array[int] | Packed[int] = array("I")
        self.ready_at: array[float] | Packed[float] = array("d")
        self.first_started_at: array[float] | Packed[float] = array("d")
        self.ended_at: array[float] | Packed[float] = array("d")
        self.counts = [0] * len(Status)
        self.running: dict[int, Running] = {}
        self.doubled: dict[int, set[int]] = {}
        """Task with several calls of one attempt under way → those of them that may still give its answer."""
        self.lost: set[int] = set()
        """Attempts under way that another call of the same attempt has outrun: how they end changes nothing."""
        self.copies: set[int] = set()
        """Attempts that were started as second calls, ended ones included."""
        self.alarm = nan
        """When the alarm is to ring, NaN where none is set."""
        self.timers: dict[int, int] = {}
        """Timer → the task that waits for it."""
        self.waiting: dict[int, int] = {}
        """The same the other way round, so that cancelling thousands of waiting tasks stays linear."""
        self.expanded: set[int] = set()
        """Tasks that have begun to have items."""
        self.grown = Growth()
        self.held: set[int] = set()
        """Tasks that wait for a person."""
        self.released: list[int] = []
        """Tasks whose last dependency has settled, for the scheduler to take away and judge."""
        self.now = 0.0
        self.finished = ""
        self.stop_reason = ""
        self.unsettled = 0
        self._apply: dict[type[Any], Callable[[Any], None]] = {
            ev.RunStarted: self._run_started,
            ev.RunResumed: self._run_started,
            ev.TasksAdded: self._tasks_added,
            ev.ItemsClosed: self._nothing,
            ev.ApprovalGiven: self._approval_given,
            ev.RunPaused: self._nothing,
            ev.AttemptStarted: self._attempt_started,
            ev.AttemptDoubled: self._attempt_doubled,
            ev.AttemptSucceeded: self._attempt_succeeded,
            ev.AttemptFailed: self._attempt_ended,
            ev.AttemptCancelled: self._attempt_ended,
            ev.TimerSet: self._timer_set,
            ev.TimerFired: self._timer_fired,
            ev.AlarmSet: self._alarm_set,
            ev.AlarmRang: self._alarm_rang,
            ev.CancelRequested: self._cancel_requested,
            ev.StopRequested: self._stop_requested,
            ev.TaskSucceeded: self._task_settled,
            ev.TaskFailed: self._task_failed,
            ev.TaskSkipped: self._task_settled,
            ev.TaskBlocked: self._task_settled,
            ev.TaskCancelled: self._task_settled,
            ev.RunFinished: self._run_finished,
        }
        self.grow(range(len(graph)))
        for task in self.finals:
            self.pending[task] += 1

    def apply(self, event: ev.Event) -> None:
        """Fold one event. Raises IllegalEvent."""
        if event.at > self.now:
            self.now = event.at
        apply = self._apply.get(type(event))
        if apply is None:
            raise IllegalEvent(f"{type(event).__name__} has no meaning for the state of a run")
        apply(event)

    def grow(self, tasks: Iterable[int]) -> None:
        """Make room for tasks that the graph has gained; ids must follow on."""
        status, graph = self.status, self.graph
        for task in tasks:
            waits = sum(1 for d in graph.dependencies[task] if d >= len(status) or status[d] < FIRST_SETTLED)
            status.append(PENDING)
            self.pending.append(waits)
            self.attempts.append(0)
            self.ready_at.append(nan)
            self.first_started_at.append(nan)
            self.ended_at.append(nan)
            self.counts[PENDING] += 1
            self.unsettled += 1

    def is_settled(self, task: int) -> bool:
        return self.status[task] >= FIRST_SETTLED

    # ---- moves ------------------------------------------------------------------------------------

    def _move(self, event: Any, to: int | None = None) -> None:
        task = event.task
        before, after = MOVES[type(event)]
        was = self.status[task]
        if was not in before:
            raise IllegalEvent(
                f"{type(event).__name__} of {self.graph.names[task]} while it is {Status(was).name.lower()}"
            )
        now = after if to is None else to
        if now is not None and now != was:
            self.status[task] = now
            self.counts[was] -= 1
            self.counts[now] += 1

    def _become(self, task: int, status: int) -> None:
        self.counts[self.status[task]] -= 1
        self.counts[status] += 1
        self.status[task] = status

    def _ready(self, task: int, at: float) -> None:
        self._become(task, READY)
        self.ready_at[task] = at

    def _nothing(self, event: ev.ItemsClosed | ev.RunPaused) -> None:
        """It says something to those who watch, and changes no task."""

    def _run_started(self, event: ev.RunStarted | ev.RunResumed) -> None:
        self._release_ready(range(len(self.pending)), event.at)

    def _tasks_added(self, event: ev.TasksAdded) -> None:
        first, end = event.first, event.first + event.size
        if first != len(self.status) or end > len(self.graph):
            raise IllegalEvent(f"TasksAdded of {first} to {end - 1}, but {len(self.status)} is the next task")
        if not self.grown:
            self._expect_thousands()
        self.grown.add(first, event.size, event.parent)
        self.grow(range(first, end))
        self._release_ready(range(first, end), event.at)

    def _expect_thousands(self) -> None:
        """Items are the many that a long run has: what is known of each is packed when it has settled long since."""
        self.pending, self.attempts = Packed("i", self.pending), Packed("I", self.attempts)
        self.ready_at = Packed("d", self.ready_at)
        self.first_started_at, self.ended_at = Packed("d", self.first_started_at), Packed("d", self.ended_at)

    def _release_ready(self, tasks: range, at: float) -> None:
        for task in tasks:
            if not self.pending[task] and self.status[task] == PENDING:
                self._ready(task, at)
                self.released.append(task)

    def _attempt_started(self, event: ev.AttemptStarted) -> None:
        if event.attempt in self.running:
            raise IllegalEvent(f"AttemptStarted of attempt {event.attempt}, which is running already")
        task = event.task
        if self.copies and event.attempt in self.copies:
            self._copy_started(event)
        else:
            self._move(event)
            if event.number:
                if not self.attempts[task]:
                    self.first_started_at[task] = event.at
                self.attempts[task] += 1
        at, _, attempt, number, pool, endpoint, worker, candidate = event
        self.running[attempt] = new_tuple(Running, (task, pool, endpoint, worker, at, number, candidate))

    def _attempt_doubled(self, event: ev.AttemptDoubled) -> None:
        task, running = event.task, self.running.get(event.attempt)
        if running is None or running.task != task or event.attempt in self.lost:
            raise IllegalEvent(f"AttemptDoubled of attempt {event.attempt}, which is not running for its task")
        self.doubled.setdefault(task, {event.attempt}).add(event.copy)
        self.copies.add(event.copy)

    def _copy_started(self, event: ev.AttemptStarted) -> None:
        """No attempt more, so no limit of attempts sees it."""
        calls = self.doubled.get(event.task, ())
        if event.attempt not in calls or any(
            self.running[a].number != event.number for a in calls if a in self.running
        ):
            raise IllegalEvent(f"AttemptStarted of attempt {event.attempt} is no second call of what is running")

    def decides(self, event: ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled) -> bool:
        """False where this end changes nothing for its task: it was outrun, or another call of the attempt goes on."""
        if event.attempt in self.lost:
            return False
        return isinstance(event, ev.AttemptSucceeded) or len(self.doubled.get(event.task, ())) < 2

    def _is_beside(self, event: ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled) -> bool:
        """Note the end of one of several calls; True where it does not decide."""
        if event.attempt not in self.running:
            return False
        decides = self.decides(event)
        self.lost.discard(event.attempt)
        rivals = self.doubled.get(event.task)
        if rivals is not None and event.attempt in rivals:
            rivals.discard(event.attempt)
            if decides:
                self.lost |= rivals
            if decides or len(rivals) == 1:
                del self.doubled[event.task]
        return not decides

    def _attempt_ended(self, event: ev.AttemptFailed | ev.AttemptCancelled) -> None:
        if not ((self.lost or self.doubled) and self._is_beside(event)):
            self._move(event)
        self._end(event)

    def _end(self, event: ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled) -> None:
        if self.running.pop(event.attempt, None) is None:
            raise IllegalEvent(f"{type(event).__name__} of attempt {event.attempt}, which is not running")

    def _attempt_succeeded(self, event: ev.AttemptSucceeded) -> None:
        if (self.lost or self.doubled) and self._is_beside(event):
            self._end(event)
            return
        self._move(event)
        self._end(event)
        if event.outcome == "done":
            return
        if event.outcome in ("again", "proceed"):
            self._ready(event.task, event.at)
        elif event.outcome == "expand":
            self._expand(event.task, event.at)
        elif event.outcome == "hold":
            self._become(event.task, WAITING)
            self.held.add(event.task)

    def _expand(self, task: int, at: float) -> None:
        """Those into whom its items flow wait for it no longer."""
        self.expanded.add(task)
        flows = self.graph.flows
        if flows:
            for d in self.graph.dependents[task]:
                if flows.get(d) == task:
                    self._dependency_met(d, at)

    def _approval_given(self, event: ev.ApprovalGiven) -> None:
        if event.task not in self.held:
            raise IllegalEvent(f"ApprovalGiven for {self.graph.names[event.task]}, which does not wait for it")
        self.held.discard(event.task)
        self._ready(event.task, event.at)

    def _timer_set(self, event: ev.TimerSet) -> None:
        self._move(event)
        self.timers[event.timer] = event.task
        self.waiting[event.task] = event.timer

    def _timer_fired(self, event: ev.TimerFired) -> None:
        task = self.timers.pop(event.timer, None)
        if task is None:
            raise IllegalEvent(f"TimerFired of timer {event.timer}, which is not set")
        del self.waiting[task]
        self._ready(task, event.at)

    def _alarm_set(self, event: ev.AlarmSet) -> None:
        self.alarm = event.due

    def _alarm_rang(self, event: ev.AlarmRang) -> None:
        self.alarm = nan

    def _cancel_requested(self, event: ev.CancelRequested) -> None:
        if event.attempt not in self.running:
            raise IllegalEvent(f"CancelRequested of attempt {event.attempt}, which is not running")

    def _stop_requested(self, event: ev.StopRequested) -> None:
        self.stop_reason = self.stop_reason or event.reason

    def _task_failed(self, event: ev.TaskFailed) -> None:
        self._move(event, ACCEPTED if event.accepted else FAILED)
        self._settle(event.task, event.at)

    def _task_settled(self, event: ev.TaskSucceeded | ev.TaskSkipped | ev.TaskBlocked | ev.TaskCancelled) -> None:
        if type(event) is ev.TaskCancelled and self.status[event.task] == WAITING:
            if event.task in self.held:
                self.held.discard(event.task)
            else:
                del self.timers[self.waiting.pop(event.task)]
        self._move(event)
        self._settle(event.task, event.at)

    def _settle(self, task: int, at: float) -> None:
        self.ended_at[task] = at
        self.unsettled -= 1
        if self.finals and self.unsettled == len(self.finals):
            waiting, self.finals = self.finals, []
            for final in waiting:
                self._dependency_met(final, at)
        pending, status = self.pending, self.status
        if task in self.expanded and self.graph.flows:
            for d in self.graph.dependents[task]:
                if self.graph.flows.get(d) != task:
                    self._dependency_met(d, at)
            return
        for d in self.graph.dependents[task]:
            pending[d] -= 1
            if not pending[d] and status[d] == PENDING:
                self._ready(d, at)
                self.released.append(d)

    def _dependency_met(self, task: int, at: float) -> None:
        self.pending[task] -= 1
        self._release_ready(range(task, task + 1), at)

    def _run_finished(self, event: ev.RunFinished) -> None:
        if self.running or (self.unsettled and event.status != "paused"):
            raise IllegalEvent(f"RunFinished with {self.unsettled} tasks open and {len(self.running)} attempts running")
        self.finished = event.status
