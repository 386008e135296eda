"""The one vocabulary of a run: what happened, reported from outside or decided by the scheduler.

`at` is seconds since the run began (downtime between a stop and a resume excluded). Tasks,
attempts, pools, endpoints and workers are integers; names live in `Graph.names`. An event is a
NamedTuple because three of them are made per task and a frozen dataclass costs three times as much.
"""

from __future__ import annotations

from typing import NamedTuple

from llmflow.errors import FailureKind

# ---- reported from outside ------------------------------------------------------------------------


class RunStarted(NamedTuple):
    at: float


class RunResumed(NamedTuple):
    """The run goes on: failed, blocked and cancelled tasks are open again with fresh attempts."""

    at: float


class AttemptSucceeded(NamedTuple):
    """`outcome`: `done` (the task is finished), `again` (ask once more: repeat, invalid answer),
    `proceed` (a condition held: the task may queue for its worker), `skip`, or `unused`: it answered
    although another call of the same attempt had answered before, and is paid for all the same."""

    at: float
    task: int
    attempt: int
    outcome: str = "done"


class AttemptFailed(NamedTuple):
    at: float
    task: int
    attempt: int
    kind: FailureKind
    detail: str = ""
    retry_after: float | None = None
    retryable: bool = True


class AttemptCancelled(NamedTuple):
    """The attempt ended without an answer. `reason`: `requested`, `unknown_outcome` (a crash), or
    `outrun`: another call of the same attempt answered first (this one may be billed)."""

    at: float
    task: int
    attempt: int
    reason: str = "requested"


class TasksAdded(NamedTuple):
    """The graph grew: ids `first … first+size-1` are new; what they are is known to whoever added them."""

    at: float
    parent: int
    first: int
    size: int


class ItemsClosed(NamedTuple):
    """No further item will be added below `parent`; `problem` says why, where that was not the plan."""

    at: float
    parent: int
    problem: str = ""


class TimerFired(NamedTuple):
    at: float
    timer: int


class AlarmRang(NamedTuple):
    """The time of the last `AlarmSet` has come."""

    at: float


class ApprovalGiven(NamedTuple):
    at: float
    task: int
    approved: bool
    comment: str = ""


class StopRequested(NamedTuple):
    """`mode`: `drain` (running attempts may end) or `cancel` (they are asked to end now)."""

    at: float
    reason: str
    mode: str = "drain"


# ---- decided by the scheduler ---------------------------------------------------------------------


class AttemptStarted(NamedTuple):
    """`pool` is -1 for a control step (a value, a condition): it holds no worker.

    `number` counts the attempts of the task from 1, and is 0 where only its condition is evaluated;
    `worker` counts from 0 inside its pool. A second call has the number of the attempt that it doubles.
    """

    at: float
    task: int
    attempt: int
    number: int
    pool: int
    endpoint: int
    worker: int
    candidate: int = 0


class TimerSet(NamedTuple):
    """Report `TimerFired(timer)` at `due`. `cause`: `retry`, `rate_limit`, `fallback`, or `worker_kept`: the task
    is held back on purpose. It may go sooner than that; then the scheduler itself says `TimerFired`."""

    at: float
    timer: int
    task: int
    due: float
    cause: str


class AttemptDoubled(NamedTuple):
    """`copy` is a second call of the running `attempt` (a hedge): its own `AttemptStarted` is the next event."""

    at: float
    task: int
    attempt: int
    copy: int


class AlarmSet(NamedTuple):
    """Report `AlarmRang` at `due`: a running attempt will then have taken long enough for a second call.

    There is one alarm; setting it anew replaces it.
    """

    at: float
    due: float


class CancelRequested(NamedTuple):
    """`reason`: `requested`, or `outrun` where another call of the same attempt has answered."""

    at: float
    task: int
    attempt: int
    reason: str = "requested"


class TaskSucceeded(NamedTuple):
    at: float
    task: int


class TaskFailed(NamedTuple):
    """`accepted`: the author wrote `on_error`: it counts as a success for rules and exit code."""

    at: float
    task: int
    kind: FailureKind
    detail: str = ""
    accepted: bool = False


class TaskSkipped(NamedTuple):
    at: float
    task: int


class TaskBlocked(NamedTuple):
    """`cause` is the dependency that failed first in the graph's order."""

    at: float
    task: int
    cause: int


class TaskCancelled(NamedTuple):
    at: float
    task: int
    reason: str


class RunPaused(NamedTuple):
    at: float
    reason: str


class RunFinished(NamedTuple):
    """`status`: `succeeded`, `failed`, `stopped` or `paused`."""

    at: float
    status: str


Reported = (
    RunStarted
    | RunResumed
    | AttemptSucceeded
    | AttemptFailed
    | AttemptCancelled
    | TasksAdded
    | ItemsClosed
    | TimerFired
    | AlarmRang
    | ApprovalGiven
    | StopRequested
)
Decided = (
    AttemptStarted
    | AttemptDoubled
    | TimerSet
    | AlarmSet
    | CancelRequested
    | TaskSucceeded
    | TaskFailed
    | TaskSkipped
    | TaskBlocked
    | TaskCancelled
    | RunPaused
    | RunFinished
)
Event = Reported | Decided

EVENTS: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        RunStarted,
        RunResumed,
        AttemptSucceeded,
        AttemptFailed,
        AttemptCancelled,
        TasksAdded,
        ItemsClosed,
        TimerFired,
        AlarmRang,
        ApprovalGiven,
        StopRequested,
        AttemptStarted,
        AttemptDoubled,
        TimerSet,
        AlarmSet,
        CancelRequested,
        TaskSucceeded,
        TaskFailed,
        TaskSkipped,
        TaskBlocked,
        TaskCancelled,
        RunPaused,
        RunFinished,
    )
}
"""Every event by name: what a stored story is rebuilt from."""
