"""Which attempt held which worker from when to when: what a run's reports are computed from.

A story is long and its events are dropped as they are published; this keeps one small record per
attempt that held a worker, and why tasks failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

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


class Spans:
    """Feed it the story in order, in any batches."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
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
                    self.spans.append(Span(start.task, start.pool, start.worker, start.at, event.at, ok))
            elif type(event) is TaskFailed:
                self.failures[event.task] = (str(event.kind), event.detail)
