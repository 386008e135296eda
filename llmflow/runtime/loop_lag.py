"""How long the event loop stood still because llmflow itself was computing: no call is served meanwhile."""

from __future__ import annotations

from collections.abc import Callable

LONGEST = 0.25
"""Seconds that the loop may stand still before it is worth a word."""


class LoopLag:
    """Asked at every tick. `now` and `spent` give the loop's time and this thread's CPU time, both in seconds.

    A loop that stands still while its thread does not compute waits for the machine, which is nobody's
    fault here: only what was computed counts.
    """

    def __init__(self, now: Callable[[], float], spent: Callable[[], float]) -> None:
        self._now, self._spent = now, spent
        self._due, self._before = now(), spent()
        self.longest = 0.0
        """The longest time so far, 0 where it was never beyond `LONGEST`."""

    def tick(self, wait: float) -> float:
        """How long the loop stood still since the last tick, 0 up to `LONGEST`; the next tick is due in `wait`."""
        late, computed = self._now() - self._due, self._spent() - self._before
        still = min(late, computed)
        self._due, self._before = self._now() + wait, self._spent()
        if still <= LONGEST:
            return 0.0
        self.longest = max(self.longest, still)
        return still
