"""How long one attempt may take in all: what its author wrote, else a multiple of what it took before, else a default.

The multiple is wide on purpose: it is there to end a call that hangs, and an attempt that is cut off
leaves no duration to learn from, so a tight limit would confirm itself.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from llmflow.scheduling.statistics import quantile

TIMES = 5.0
"""So many times its own p99 may an attempt take."""

FLOOR = 60.0
"""Seconds that every attempt may take at least, unless its author says less."""

ENOUGH = 20
"""Samples from which on their p99 is trusted."""

FEWEST = 5
"""Samples from which on an elapsed time can be placed among them."""

LATEST = 200
"""Samples that both rest on at most, the youngest."""


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """`total` seconds. Of `history` it is TIMES × `p99` over so many `samples`, or FLOOR where that is more."""

    total: float
    source: Literal["author", "history", "default"]
    p99: float | None = None
    samples: int = 0


DEFAULT = TimeLimit(600.0, "default")
"""Where neither the author nor history says anything."""


class Durations:
    """The youngest durations of one task on one model, in order; `add` is O(log n) beside a short move."""

    def __init__(self, durations: Iterable[float] = ()) -> None:
        self._latest = deque(durations, LATEST)
        self._ordered = sorted(self._latest)

    def add(self, duration: float) -> None:
        if len(self._latest) == LATEST:
            del self._ordered[bisect_right(self._ordered, self._latest[0]) - 1]
        self._latest.append(duration)
        insort(self._ordered, duration)

    def percentile(self, elapsed: float) -> tuple[int, int] | None:
        """(how many percent of the samples took no longer, how many samples there are); None of too few."""
        count = len(self._ordered)
        return (100 * bisect_right(self._ordered, elapsed) // count, count) if count >= FEWEST else None

    def limit(self) -> TimeLimit | None:
        """What follows from them; None of too few."""
        count = len(self._ordered)
        if count < ENOUGH:
            return None
        p99 = quantile(self._ordered, 0.99)
        return TimeLimit(max(FLOOR, TIMES * p99), "history", p99, count)
