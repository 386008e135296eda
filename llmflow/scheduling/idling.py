"""Deliberate idling: a ready task is held back, though a worker is free, until another one has started.

Some schedules no greedy dispatcher can give: a short task would take the worker that a long chain needs
a moment later. Such a plan is an order and a few holds: task A does not start before task B has. Each
hold has a patience, so that a plan cannot cost more than it promised: whoever waits longer than that,
or any attempt that fails, ends all holds for good, and the run goes on greedily.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

KEPT = "worker_kept"
"""The cause of the timer on which a task waits that is held back."""


class Hold(NamedTuple):
    """`task` waits until `until` has started, at most `patience` seconds from when it could have started itself."""

    task: int
    until: int
    patience: float


class Idling:
    """The holds of one run, as they come true: whoever dispatches asks it, and tells it what starts."""

    __slots__ = ("_kept", "_of", "_waiting")

    def __init__(self, holds: Iterable[Hold]) -> None:
        self._of = {hold.task: hold for hold in holds}
        self._waiting: dict[int, list[int]] = {}
        for hold in self._of.values():
            self._waiting.setdefault(hold.until, []).append(hold.task)
        self._kept: dict[int, int] = {}

    def patience(self, task: int) -> float:
        """For how many seconds a task that could start now is held back at most; 0 where it is not."""
        hold = self._of.get(task)
        return hold.patience if hold is not None else 0.0

    def keep(self, task: int, timer: int) -> None:
        """The task waits on this timer now."""
        self._kept[task] = timer

    def keeps(self, task: int) -> bool:
        """The task waits, and its hold has not come true yet."""
        return task in self._kept

    def started(self, task: int) -> list[tuple[int, int]]:
        """(task, timer) of what has waited for `task`, which has started."""
        found = []
        for waiting in self._waiting.pop(task, ()):
            del self._of[waiting]
            if waiting in self._kept:
                found.append((waiting, self._kept.pop(waiting)))
        return found

    def give_up(self) -> list[tuple[int, int]]:
        """(task, timer) of all that wait, in order; from now on nothing is held back."""
        found = list(self._kept.items())
        for mine in (self._kept, self._of, self._waiting):
            mine.clear()
        return found
