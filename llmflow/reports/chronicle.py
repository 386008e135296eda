"""What happened to which task when: a run's story boiled down to a few numbers per event.

A story's events are dropped as they are published; this keeps 17 bytes of each that says something
about where a task's time went, in the order of the story. A place in that order is called a
position; of two things at the same second the one with the smaller position came first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import nan
from typing import Any

from llmflow.scheduling import events as ev
from llmflow.scheduling.packed import SIZE, Packed
from llmflow.scheduling.pools import CONTROL

(
    STARTED,
    EVALUATED,
    DONE,
    PROCEEDED,
    AGAIN,
    EXPANDED,
    HELD,
    FAILED,
    CANCELLED,
    TIMER_SET,
    TIMER_FIRED,
    APPROVED,
    SETTLED,
    RESUMED,
    DOUBLED,
    OUTRUN,
) = range(16)
"""Codes of entries. `STARTED`: an attempt that holds a worker, `EVALUATED`: a step of ours that holds none.

`DOUBLED`: a second call of the attempt that is running; `OUTRUN`: the end of one that another call was faster than.
"""

OUTCOMES = {"done": DONE, "skip": DONE, "proceed": PROCEEDED, "again": AGAIN, "expand": EXPANDED, "hold": HELD}

CAUSES = ("retry", "rate_limit", "fallback", "budget", "worker_kept")
"""What a timer may be set for: `number` of a `TIMER_SET` is the place in here, -1 for any other."""


class Chronicle:
    """Feed it the story in order, in any batches; `answered` ahead of the end of the attempt it tells of.

    The four columns `code`, `at`, `task`, `number` have one entry per position. `number` is the
    pool of a `STARTED`, the attempt of whatever ends one, the cause of a `TIMER_SET`, and 1 for a
    `SETTLED` that cancels.
    """

    def __init__(self) -> None:
        self.code: Packed[int] = Packed("B")
        self.at: Packed[float] = Packed("d")
        self.task: Packed[int] = Packed("i")
        self.number: Packed[int] = Packed("i")
        self.first_added = -1
        """The first task that was added while the run went on, -1 where none was. What follows counts from it."""
        self.added: Packed[int] = Packed("i")
        """For each task the position behind which it was there; -1 of one with which a later part of the run began."""
        self.added_at: Packed[float] = Packed("d")
        self.parents: Packed[int] = Packed("i")
        """For each of them the task whose item it belongs to, -1 where it is nobody's."""
        self.finished_at = nan
        """When the run ended, NaN as long as it has not."""
        self._seconds: Packed[float] = Packed("d")
        self._invalid: set[int] = set()
        self._doubled: dict[int, set[int]] = {}
        """Task with several calls of one attempt under way → those that have not been outrun."""
        self._outrun: set[int] = set()
        self._timers: dict[int, int] = {}
        self._on: dict[type[Any], Callable[[Any], None]] = {
            ev.AttemptStarted: self._started,
            ev.AttemptDoubled: self._attempt_doubled,
            ev.AttemptSucceeded: self._succeeded,
            ev.AttemptFailed: self._failed,
            ev.AttemptCancelled: self._cancelled,
            ev.CancelRequested: self._cancel_requested,
            ev.TimerSet: self._timer_set,
            ev.TimerFired: self._timer_fired,
            ev.ApprovalGiven: self._approved,
            ev.TaskSucceeded: self._settled,
            ev.TaskFailed: self._settled,
            ev.TaskSkipped: self._settled,
            ev.TaskBlocked: self._settled,
            ev.TaskCancelled: self._task_cancelled,
            ev.TasksAdded: self._tasks_added,
            ev.RunResumed: self._resumed,
            ev.RunFinished: self._run_finished,
        }

    def __len__(self) -> int:
        return len(self.code)

    def on_events(self, events: Iterable[ev.Event]) -> None:
        """Note what the events say of tasks' times."""
        on = self._on
        for event in events:
            note = on.get(type(event))
            if note is not None:
                note(event)
        if len(self.code.end) >= SIZE:
            for column in (self.code, self.task, self.number):
                column.pack()
            self.at.pack()
        if len(self.parents.end) >= SIZE:
            for column in (self.added, self.parents):
                column.pack()
            self.added_at.pack()

    def answered(self, attempt: int, seconds: float, *, invalid: bool = False) -> None:
        """The call of this attempt took `seconds`; `invalid`: its answer could not be used."""
        missing = attempt + 1 - len(self._seconds)
        if missing > 0:
            self._seconds.extend([nan] * missing)
        self._seconds[attempt] = seconds
        if invalid:
            self._invalid.add(attempt)

    def parent_of(self, task: int) -> int:
        """The task whose item this one belongs to, -1 where it is nobody's."""
        return self.parents[task - self.first_added] if self.was_added(task) else -1

    def was_added(self, task: int) -> bool:
        """True where the task came while the run went on."""
        return (
            0 <= self.first_added <= task < self.first_added + len(self.added)
            and self.added[task - self.first_added] >= 0
        )

    def seconds_of(self, attempt: int) -> float:
        """What the call itself took, NaN where nobody said."""
        return self._seconds[attempt] if attempt < len(self._seconds) else nan

    def is_invalid(self, attempt: int) -> bool:
        """The answer of this attempt could not be used."""
        return attempt in self._invalid

    def _note(self, code: int, at: float, task: int, number: int) -> None:
        self.code.end.append(code)
        self.at.end.append(at)
        self.task.end.append(task)
        self.number.end.append(number)

    def _started(self, event: ev.AttemptStarted) -> None:
        code = EVALUATED if event.pool == CONTROL else STARTED
        if self._doubled and event.attempt in self._doubled.get(event.task, ()):
            code = DOUBLED
        self._note(code, event.at, event.task, event.pool)

    def _attempt_doubled(self, event: ev.AttemptDoubled) -> None:
        self._doubled.setdefault(event.task, {event.attempt}).add(event.copy)

    def _cancel_requested(self, event: ev.CancelRequested) -> None:
        if event.reason == "outrun":
            self._outrun.add(event.attempt)

    def _succeeded(self, event: ev.AttemptSucceeded) -> None:
        code = OUTCOMES.get(event.outcome, PROCEEDED)
        if self._doubled or self._outrun:
            code = self._beside(event.task, event.attempt, code)
        self._note(code, event.at, event.task, event.attempt)

    def _failed(self, event: ev.AttemptFailed) -> None:
        self._gave_nothing(FAILED, event)

    def _cancelled(self, event: ev.AttemptCancelled) -> None:
        self._gave_nothing(CANCELLED, event)

    def _gave_nothing(self, code: int, event: ev.AttemptFailed | ev.AttemptCancelled) -> None:
        if self._doubled or self._outrun:
            code = self._beside(event.task, event.attempt, code)
        self._note(code, event.at, event.task, event.attempt)

    def _beside(self, task: int, attempt: int, code: int) -> int:
        """An attempt beside which another one goes on, or has answered, ends nothing of its task's."""
        if attempt in self._outrun:
            self._outrun.discard(attempt)
            return OUTRUN
        calls = self._doubled.get(task, set())
        calls.discard(attempt)
        if calls and code in (FAILED, CANCELLED):
            return OUTRUN
        self._doubled.pop(task, None)
        return code

    def _timer_set(self, event: ev.TimerSet) -> None:
        self._timers[event.timer] = event.task
        self._note(TIMER_SET, event.at, event.task, CAUSES.index(event.cause) if event.cause in CAUSES else -1)

    def _timer_fired(self, event: ev.TimerFired) -> None:
        task = self._timers.pop(event.timer, None)
        if task is not None:
            self._note(TIMER_FIRED, event.at, task, 0)

    def _approved(self, event: ev.ApprovalGiven) -> None:
        self._note(APPROVED, event.at, event.task, 0)

    def _settled(self, event: ev.TaskSucceeded | ev.TaskFailed | ev.TaskSkipped | ev.TaskBlocked) -> None:
        self._note(SETTLED, event.at, event.task, 0)

    def _task_cancelled(self, event: ev.TaskCancelled) -> None:
        self._note(SETTLED, event.at, event.task, 1)

    def _tasks_added(self, event: ev.TasksAdded) -> None:
        if self.first_added < 0:
            self.first_added = event.first
        while self.first_added + len(self.added) < event.first:
            self.added.end.append(-1)
            self.added_at.end.append(nan)
            self.parents.end.append(-1)
        for _ in range(event.size):
            self.parents.end.append(event.parent)
            self.added.end.append(len(self.code))
            self.added_at.end.append(event.at)

    def _resumed(self, event: ev.RunResumed) -> None:
        self.finished_at = nan
        self._note(RESUMED, event.at, -1, 0)

    def _run_finished(self, event: ev.RunFinished) -> None:
        self.finished_at = event.at
