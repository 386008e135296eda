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
        "cap",
        "closed",
        "failed",
        "first_failure",
        "holding",
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
        self.first_failure: tuple[FailureKind, str] | None = None
        self.closed = False
        self.problem = ""
        """Why no more items could be had."""
        self.aborted = False
        """The run is stopping: items that were to come will not."""
        self.holding = 0
        """Items that are in their pool's queue or hold a worker; only counted where there is a cap."""
        self.waiting: deque[tuple[Any, int, int]] = deque()
        """Queue entries beyond the cap, in order."""

    def settled(self, event: Settling) -> None:
        """An item has settled, by this event."""
        self.open -= 1
        if isinstance(event, ev.TaskFailed) and not event.accepted:
            self.failed += 1
            if self.first_failure is None:
                self.first_failure = (event.kind, event.detail)
        elif isinstance(event, ev.TaskBlocked | ev.TaskCancelled):
            self.failed += 1

    @property
    def is_done(self) -> bool:
        return not self.open and (self.closed or self.aborted)

    def end(self, at: float, tolerate: tuple[int, float], accepted: bool, stopping: str) -> Settling:
        """How the `foreach` as a whole settles, once it is done."""
        if self.aborted and not self.closed:
            return ev.TaskCancelled(at, self.parent, stopping)
        if self.problem:
            return ev.TaskFailed(at, self.parent, FailureKind.TEMPLATE, self.problem, accepted)
        count, share = tolerate
        if self.failed <= max(count, int(share * self.size + 1e-9)):
            return ev.TaskSucceeded(at, self.parent)
        if stopping and self.first_failure is None:
            return ev.TaskCancelled(at, self.parent, stopping)
        kind, detail = self.first_failure or (FailureKind.CODE, "they were blocked or cancelled")
        told = f"{self.failed} of {self.size} items failed; the first: {detail}"
        return ev.TaskFailed(at, self.parent, kind, told, accepted)
