"""Which attempt held which worker from when to when: what a run's reports are computed from.

A story is long and its events are dropped as they are published; this keeps one small record per
attempt that held a worker, and why tasks failed.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Sequence
from typing import Any, NamedTuple

from llmflow.scheduling.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    TaskFailed,
)
from llmflow.scheduling.pools import CONTROL


class Span(NamedTuple):
    """One attempt on one worker. Run seconds; `ok`: it gave an answer."""

    task: int
    pool: int
    worker: int
    start: float
    end: float
    ok: bool

    @property
    def seconds(self) -> float:
        return self.end - self.start


_ENDS = frozenset({AttemptSucceeded, AttemptFailed, AttemptCancelled})


class Columns(Sequence[Span]):
    """Spans in columns: 100,000 of them take 3 MB, not 25."""

    def __init__(self) -> None:
        self._tasks = array("i")
        self._workers = array("i")
        self._places = array("h")
        """Twice the pool, and 1 more where the attempt gave an answer."""
        self._times = array("d")

    def add(self, task: int, pool: int, worker: int, start: float, end: float, ok: bool) -> None:
        """One more, behind the others."""
        self._tasks.append(task)
        self._workers.append(worker)
        self._places.append(2 * pool + ok)
        self._times.extend((start, end))

    def without(self, left_out: Container[int]) -> Columns:
        """The spans of all tasks but these."""
        rest = Columns()
        for span in self:
            if span.task not in left_out:
                rest.add(*span)
        return rest if len(rest) < len(self) else self

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        place = index % len(self)
        pool, ok = divmod(self._places[place], 2)
        start, end = self._times[2 * place : 2 * place + 2]
        return Span(self._tasks[place], pool, self._workers[place], start, end, bool(ok))


class Spans:
    """Feed it the story in order, in any batches."""

    def __init__(self) -> None:
        self.spans = Columns()
        """In order of their ends."""
        self.failures: dict[int, tuple[str, str]] = {}
        """Task → (kind, detail) of every task that failed, accepted ones included."""
        self._open: dict[int, AttemptStarted] = {}

    def on_events(self, events: Iterable[Event]) -> None:
        """Note what the events say; attempts that hold no worker are left out."""
        begun = self._open
        for event in events:
            if type(event) is AttemptStarted:
                if event.pool != CONTROL:
                    begun[event.attempt] = event
            elif type(event) in _ENDS:
                start = begun.pop(event.attempt, None)  # type: ignore[union-attr]
                if start is not None:
                    ok = type(event) is AttemptSucceeded
                    self.spans.add(start.task, start.pool, start.worker, start.at, event.at, ok)
            elif type(event) is TaskFailed:
                self.failures[event.task] = (str(event.kind), event.detail)
