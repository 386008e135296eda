"""What the earlier part of a run has left behind, for whoever goes on with it.

The later part counts its tasks and attempts from 0 like any run: what is planned now need not be what
was planned then. Stored, they stand behind the earlier part's, so that no integer of a story ever means
two things. `Numbering` moves them there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llmflow.errors import StoreError
from llmflow.history import stories
from llmflow.history.records import AnswerRecord, TaskRecord
from llmflow.history.store import Store
from llmflow.scheduling.events import EVENTS, AttemptCancelled, AttemptStarted, Event, TaskBlocked

_OF_TASKS = ("task", "parent", "first")
_TASKS = {kind: [f for f in kind._fields if f in _OF_TASKS] for kind in EVENTS.values()}
_TASKS[TaskBlocked] = ["task", "cause"]
_ATTEMPTS = {kind: [f for f in kind._fields if f in ("attempt", "copy")] for kind in EVENTS.values()}


@dataclass(frozen=True, slots=True)
class Numbering:
    """The first integers that are free in a story: what the later part calls 0."""

    task: int
    attempt: int

    def event(self, event: Event) -> Event:
        """`event` as it is stored. Negative integers (no parent, no cause) mean the same everywhere."""
        kind = type(event)
        changes = {f: getattr(event, f) + self.task for f in _TASKS[kind] if getattr(event, f) >= 0}
        changes |= {f: getattr(event, f) + self.attempt for f in _ATTEMPTS[kind]}
        return event._replace(**changes) if changes else event

    def record(self, task: TaskRecord) -> TaskRecord:
        """`task` as it is stored."""
        dependencies = tuple(d + self.task for d in task.dependencies)
        return replace(task, task=task.task + self.task, dependencies=dependencies)

    def answer(self, answer: AnswerRecord) -> AnswerRecord:
        """`answer` as it is stored."""
        return replace(answer, task=answer.task + self.task, attempt=answer.attempt + self.attempt)


@dataclass(frozen=True, slots=True)
class Earlier:
    """The earlier part: the run's number and pipeline in the store, its last position, what is free, what was cut off.

    `ends`: for each attempt that was under way when the process died, the event that says so.
    """

    run: int
    pipeline: str
    position: int
    numbering: Numbering
    ends: Sequence[AttemptCancelled]


def earlier_part(store: Store, run_id: str) -> Earlier:
    """Read it; the caller holds the run's lock. Raises StoreError for a run that is not there."""
    for run, pipeline in store.rows("SELECT run, pipeline FROM runs WHERE id = ?", [run_id]):
        at = stories.last_at(store, run_id)
        cut_off = stories.in_flight(store, run_id)
        return Earlier(
            run=run,
            pipeline=pipeline,
            position=stories.last_position(store, run_id),
            numbering=Numbering(_free_task(store, run), _free_attempt(store, run, run_id)),
            ends=[AttemptCancelled(at, s.task, s.attempt, "unknown_outcome") for s in cut_off],
        )
    raise StoreError(f"{store.database}: there is no run {run_id}")


def _free_task(store: Store, run: int) -> int:
    return _one(store, "SELECT COALESCE(MAX(task) + 1, 0) FROM tasks WHERE run = ?", run)


def _free_attempt(store: Store, run: int, run_id: str) -> int:
    """Behind every attempt that was started, and every one that was answered."""
    answered = _one(store, "SELECT COALESCE(MAX(attempt) + 1, 0) FROM answers WHERE run = ?", run)
    started = (event.attempt + 1 for event in stories.story(store, run_id) if isinstance(event, AttemptStarted))
    return max(answered, max(started, default=0))


def _one(store: Store, sql: str, *parameters: int) -> int:
    return int(next(found for (found,) in store.rows(sql, parameters)))
