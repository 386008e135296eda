"""Which attempt held which worker from when to when: what a run's reports are computed from.

A story is long and its events are dropped as they are published; this keeps one small record per
attempt that held a worker, and why tasks failed.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from llmflow.scheduling.events import (
    AttemptCancelled,
    AttemptDoubled,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CancelRequested,
    Event,
    TaskFailed,
)
from llmflow.scheduling.packed import SIZE, Packed
from llmflow.scheduling.pools import CONTROL
from llmflow.scheduling.statistics import OUTRUN


class Span(NamedTuple):
    """One call of an attempt on one worker. Run seconds; `ok`: it gave an answer.

    `outrun`: another call of the same attempt answered first.
    """

    task: int
    pool: int
    worker: int
    start: float
    end: float
    ok: bool
    outrun: bool = False

    @property
    def seconds(self) -> float:
        return self.end - self.start


_ENDS = frozenset({AttemptSucceeded, AttemptFailed, AttemptCancelled})


class Columns(Sequence[Span]):
    """Spans in columns: 100,000 of them take 1 MB, not 25."""

    def __init__(self) -> None:
        self._tasks: Packed[int] = Packed("i")
        self._workers: Packed[int] = Packed("i")
        self._places: Packed[int] = Packed("h")
        """Four times the pool, 2 more where it was outrun, and 1 more where it gave an answer."""
        self._starts: Packed[float] = Packed("d")
        self._ends: Packed[float] = Packed("d")

    def add(self, task: int, pool: int, worker: int, start: float, end: float, ok: bool, outrun: bool = False) -> None:
        """One more, behind the others."""
        self._tasks.end.append(task)
        self._workers.end.append(worker)
        self._places.end.append(4 * pool + 2 * outrun + ok)
        self._starts.end.append(start)
        self._ends.end.append(end)
        if len(self._ends.end) == SIZE:
            for whole in (self._tasks, self._workers, self._places):
                whole.pack()
            for times in (self._starts, self._ends):
                times.pack()

    def without(self, left_out: Container[int]) -> Columns:
        """The spans of all tasks but these."""
        if all(task not in left_out for task in self._tasks):
            return self
        rest = Columns()
        for span in self:
            if span.task not in left_out:
                rest.add(*span)
        return rest

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        times = self._starts[index], self._ends[index]
        return _span(self._tasks[index], self._places[index], self._workers[index], *times)

    def __iter__(self) -> Iterator[Span]:
        return map(_span, self._tasks, self._places, self._workers, self._starts, self._ends)


def _span(task: int, place: int, worker: int, start: float, end: float) -> Span:
    pool, how = divmod(place, 4)
    return Span(task, pool, worker, start, end, bool(how & 1), how > 1)


class Spans:
    """Feed it the story in order, in any batches."""

    def __init__(self) -> None:
        self.spans = Columns()
        """In order of their ends."""
        self.failures: dict[int, tuple[str, str]] = {}
        """Task → (kind, detail) of every task that failed, accepted ones included."""
        self.copies = 0
        """Second calls of running attempts."""
        self.overtaken = 0
        """Second calls that answered first."""
        self._open: dict[int, AttemptStarted] = {}
        self._doubles: set[int] = set()
        """Second calls under way."""
        self._outrun: set[int] = set()
        """Attempts under way that another call was faster than."""

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
                    ok, outrun = type(event) is AttemptSucceeded, False
                    if self._doubles or self._outrun:
                        outrun = self._ended(start.attempt, ok=ok)
                    self.spans.add(start.task, start.pool, start.worker, start.at, event.at, ok, outrun)
            elif type(event) is TaskFailed:
                self.failures[event.task] = (str(event.kind), event.detail)
            elif type(event) is AttemptDoubled:
                self.copies += 1
                self._doubles.add(event.copy)
            elif type(event) is CancelRequested and event.reason == OUTRUN:
                self._outrun.add(event.attempt)

    def _ended(self, attempt: int, *, ok: bool) -> bool:
        """True where another call of the same attempt was faster."""
        outrun = attempt in self._outrun
        self._outrun.discard(attempt)
        self.overtaken += ok and not outrun and attempt in self._doubles
        self._doubles.discard(attempt)
        return outrun


def seconds_held(spans: Sequence[Span], tasks: int) -> array[float]:
    """Task → the seconds in which its attempts held a worker; where two calls of one ran side by side, once.

    `spans` in order of their ends. What an outrun call took until it let go is not its task's any more.
    """
    held, seen = array("d", bytes(8 * tasks)), bytearray(tasks)
    since: dict[int, float] = {}
    for span in spans:
        if seen[span.task]:
            since[span.task] = 0.0
        seen[span.task] = 1
    until = dict(since)  # both only of tasks with several calls: most have one
    for task, _, _, start, end, _, outrun in spans:
        if task not in since:
            held[task] = end - start
            continue
        if outrun:
            end = min(end, until[task])
        if start >= until[task]:
            held[task] += end - start
            since[task] = start
        else:
            held[task] += end - until[task] + max(0.0, since[task] - start)
            since[task] = min(start, since[task])
        until[task] = end
    return held
