"""The run's clock: seconds since the run began, at real speed or faster, and a loop on virtual time.

`speed` scales the whole run (events, timeouts, backoff, makespan): it is 1 unless every model call
of the run is simulated.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple, Unpack

Arguments = TypeVarTuple("Arguments")


class Clock:
    """Maps the monotonic time of an event loop to run seconds. `offset`: where a resumed run goes on."""

    __slots__ = ("_offset", "_origin", "_time", "speed")

    def __init__(self, time: Callable[[], float], *, speed: float = 1.0, offset: float = 0.0) -> None:
        self._time = time
        self._origin = time()
        self._offset = offset
        self.speed = speed

    def begin(self) -> None:
        """The run begins now: what went before (opening files, making clients) is not its time."""
        self._origin = self._time()

    def now(self) -> float:
        """Run seconds."""
        return (self._time() - self._origin) * self.speed + self._offset

    def real(self, seconds: float) -> float:
        """How long `seconds` of the run last on the loop's own clock."""
        return seconds / self.speed


class _NoWaitSelector(selectors.DefaultSelector):
    """A selector that never sleeps for a timer: the loop's time jumps by what it would have slept."""

    def __init__(self, skip: Callable[[float], None]) -> None:
        super().__init__()
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout:
            self._skip(timeout)
        return ready


class _Instant(float):
    """A time that knows its place among equal ones, so that a heap of timers keeps their order."""

    place: int

    def __lt__(self, other: float) -> bool:
        return float.__lt__(self, other) or (self == other and self.place < getattr(other, "place", self.place))


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps from timer to timer: a run of hours ends in milliseconds.

    Timers of the same instant fire in the order in which they were set, as nothing else would tell
    them apart. Only for runs that wait for timers alone; real sockets and threads do not move this
    clock.
    """

    def __init__(self) -> None:
        self._virtual = 0.0
        self._timers = 0
        super().__init__(_NoWaitSelector(self._skip))

    def _skip(self, seconds: float) -> None:
        self._virtual += seconds

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        instant = _Instant(when)
        instant.place = self._timers = self._timers + 1
        return super().call_at(instant, callback, *args, context=context)

    def time(self) -> float:
        return self._virtual
