"""Groups: the items of one `foreach`, as the scheduler counts them.

Items come and go while the run goes on; the group settles when no more will come and none is open.
What an item is, and when the next one may come, is known to whoever adds them.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from llmflow.errors import FailureKind
from llmflow.scheduling import events as ev

Settling = ev.TaskSucceeded | ev.TaskFailed | ev.TaskSkipped | ev.TaskBlocked | ev.TaskCancelled
"""The events that end a task."""


class Group:
    """`cap`: how many of its items may hold a worker at once, 0 = as many as there are workers."""

    __slots__ = (
        "aborted",
        "cancelled",
        "cap",
        "closed",
        "failed",
        "first_failure",
        "holding",
        "lost",
        "open",
        "parent",
        "problem",
        "size",
        "waiting",
    )

    def __init__(self, parent: int, cap: int) -> None:
        self.parent = parent
        self.cap = cap
        self.size = 0
        self.open = 0
        self.failed = 0
        """Items that failed, or were blocked by something that did."""
        self.cancelled = 0
        self.first_failure: tuple[FailureKind, str] | None = None
        self.closed = False
        self.problem = ""
        """Why no more items could be had."""
        self.aborted = False
        """The run is stopping: items that were to come will not."""
        self.lost = False
        """More items have failed than may: the whole fails, whatever the others do."""
        self.holding = 0
        """Items that are in their pool's queue or hold a worker; only counted where there is a cap."""
        self.waiting: deque[tuple[Any, int, int]] = deque()
        """Queue entries beyond the cap, in order."""

    def settled(self, event: Settling, tolerate: tuple[int, float]) -> None:
        """An item has settled, by this event; so many items, or such a share of them, may fail."""
        self.open -= 1
        if isinstance(event, ev.TaskFailed) and not event.accepted:
            self.failed += 1
            if self.first_failure is None:
                self.first_failure = (event.kind, event.detail)
        elif isinstance(event, ev.TaskBlocked):
            self.failed += 1
        elif isinstance(event, ev.TaskCancelled):
            self.cancelled += 1
        if self.failed and (self.closed or not tolerate[1]):  # a share of nobody knows how many is not known either
            self.lost = self.lost or self.failed > self._allowed(tolerate)

    def _allowed(self, tolerate: tuple[int, float]) -> int:
        count, share = tolerate
        return max(count, int(share * self.size + 1e-9))

    @property
    def is_done(self) -> bool:
        return not self.open and (self.closed or self.aborted)

    def end(self, at: float, tolerate: tuple[int, float], accepted: bool, stopping: str) -> Settling:
        """How the `foreach` as a whole settles, once it is done."""
        if self.problem:
            return ev.TaskFailed(at, self.parent, FailureKind.TEMPLATE, self.problem, accepted)
        if self.aborted and not self.closed and not self.lost:
            return ev.TaskCancelled(at, self.parent, stopping)
        allowed = self._allowed(tolerate)
        if self.failed <= allowed:
            if self.failed + self.cancelled <= allowed:
                return ev.TaskSucceeded(at, self.parent)
            if stopping:
                return ev.TaskCancelled(at, self.parent, stopping)
        kind, detail = self.first_failure or (FailureKind.CODE, "they were blocked or cancelled")
        failed = self.failed if self.failed > allowed else self.failed + self.cancelled
        told = f"{failed} of {self.size} items failed; the first: {detail}"
        return ev.TaskFailed(at, self.parent, kind, told, accepted)
