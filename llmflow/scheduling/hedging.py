"""When a second call of a running attempt may start, and of which: stragglers, on workers that nobody else wants.

A call that has taken as long as nine of ten calls of its task is asked a second time, and whoever
answers first has answered (Dean & Barroso, "The Tail at Scale", 2013). Pure: the scheduler tells it
what starts and ends, and asks it what to double.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

EXTRA = 0.08
"""The share of a run's calls that second calls may add where the author says nothing."""

LOOKED_AT = 16
"""Of more stragglers than this for which the run does not wait no further one of a pool is looked at just now."""

CARRIED_AT_MOST = 1.0
"""How many second calls earlier runs may leave to one that is too short for its share to allow any."""


@dataclass(frozen=True, slots=True)
class HedgeRule:
    """A call that has run `after` seconds may be doubled; no attempt has more than `copies` second calls.

    For forecasts alone: `alike`, how far two calls of one attempt go together; `calls`, equally likely
    durations of one call with those among them that were cut off, where second calls were made before.
    """

    after: float
    copies: int = 1
    alike: float = 0.0
    calls: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Hedging:
    """What one run may double. `rules`: stage → rule, only of those that may be.

    Per stage: `ranks`, the seconds from its start to the end of the run, on means (higher goes first);
    `means`, its own part of them; `counted`, whether its attempts are calls that the share `extra` is
    of. `carried`: how many second calls earlier runs have left over.
    """

    rules: Mapping[int, HedgeRule]
    ranks: Sequence[float]
    means: Sequence[float]
    counted: Sequence[bool]
    extra: float = EXTRA
    carried: float = 0.0


class _Watched(NamedTuple):
    """An attempt that may still be doubled."""

    task: int
    stage: int
    pool: int
    since: float
    left: int


class Hedger:
    """Follows the attempts of one run. O(log attempts) per start."""

    def __init__(self, hedging: Hedging, pools: int) -> None:
        self._hedging = hedging
        self._planned = 0
        """Tasks that make a call, as far as they are known."""
        self._made = 0
        self.copies = 0
        """Second calls so far."""
        self._open: dict[int, _Watched] = {}
        self._coming: list[list[tuple[float, int]]] = [[] for _ in range(pools)]
        """Per pool: (when its time has come, attempt)."""
        self._ends: list[tuple[float, int]] = []
        """(when the run is over as far as it goes by this call, negative; attempt)."""
        self._running: set[int] = set()
        """Attempts under way, second calls left out."""
        self._ripe: list[list[tuple[float, float, int]]] = [[] for _ in range(pools)]
        """Per pool: (negative rank, since when it runs, attempt) of those whose time has come."""

    def planned(self, stages: Sequence[int]) -> None:
        """Tasks of these stages belong to the run."""
        counted = self._hedging.counted
        self._planned += sum(counted[stage] for stage in stages)

    @property
    def allowed(self) -> int:
        """How many second calls the run may have in all, as far as its calls are known."""
        return int(self._hedging.extra * max(self._planned, self._made) + self._hedging.carried + 1e-9)

    def started(self, attempt: int, task: int, stage: int, pool: int, at: float) -> None:
        """A call has begun that is nobody's second."""
        self._made += self._hedging.counted[stage]
        self._running.add(attempt)
        heappush(self._ends, (-(at + self._hedging.ranks[stage]), attempt))
        rule = self._hedging.rules.get(stage)
        if rule is not None:
            self._watch(attempt, _Watched(task, stage, pool, at, rule.copies))

    def doubled(self, attempt: int, copy: int, at: float) -> None:
        """`copy` doubles `attempt`, which is not doubled again; the copy may be, as far as the rule goes."""
        self.copies += 1
        was = self._open.pop(attempt)
        if was.left > 1:
            self._watch(copy, was._replace(since=at, left=was.left - 1))

    def ended(self, attempt: int) -> None:
        """The attempt has ended, or is to end."""
        self._open.pop(attempt, None)
        self._running.discard(attempt)

    def _is_needed(self, attempt: int, at: float) -> bool:
        """The run would end later for this attempt if it took half as long again.

        Where second calls are used up faster than the run goes on: if it ended now. Else the other
        calls under way, and what is behind them, take longer anyhow, as far as means tell.
        """
        hedging, watched = self._hedging, self._open[attempt]
        lavish = (self.copies + 1) * self._planned <= self.allowed * self._made
        end = at + ((at - watched.since) / 2 if lavish else 0.0)
        return end + hedging.ranks[watched.stage] - hedging.means[watched.stage] >= self._latest_end(attempt)

    def _latest_end(self, but: int) -> float:
        """When the run is over as far as the calls under way tell, all but one: on means, from their starts on."""
        ends, mine = self._ends, None
        while ends and (ends[0][1] not in self._running or ends[0][1] == but):
            gone = heappop(ends)
            if gone[1] == but:
                mine = gone
        latest = -ends[0][0] if ends else 0.0
        if mine is not None:
            heappush(ends, mine)
        return latest

    def _watch(self, attempt: int, watched: _Watched) -> None:
        self._open[attempt] = watched
        due = watched.since + self._hedging.rules[watched.stage].after
        heappush(self._coming[watched.pool], (due, attempt))

    def choose(self, at: float, is_idle: Callable[[int], bool], may: Callable[[int], bool]) -> int | None:
        """The attempt to double now: its time has come, the run waits for it, its pool is idle and `may(task)`.

        Of several the one with the highest rank.
        """
        if self.copies >= self.allowed:
            return None
        best: tuple[float, float, int] | None = None
        for pool, ripe in enumerate(self._ripe):
            self._ripen(pool, at)
            if not ripe or not is_idle(pool):
                continue
            aside: list[tuple[float, float, int]] = []
            found = None
            while ripe and found is None and len(aside) < LOOKED_AT:
                attempt = ripe[0][2]
                if attempt not in self._open:
                    heappop(ripe)
                elif may(self._open[attempt].task) and self._is_needed(attempt, at):
                    found = ripe[0]
                else:
                    aside.append(heappop(ripe))
            for entry in aside:
                heappush(ripe, entry)
            if found is not None and (best is None or found < best):
                best = found
        return None if best is None else best[2]

    def next_due(self, is_idle: Callable[[int], bool]) -> float:
        """When the next attempt of an idle pool will have taken long enough; infinite where none will."""
        if self.copies >= self.allowed:
            return inf
        due = inf
        for pool, coming in enumerate(self._coming):
            while coming and coming[0][1] not in self._open:
                heappop(coming)
            if coming and coming[0][0] < due and is_idle(pool):
                due = coming[0][0]
        return due

    def _ripen(self, pool: int, at: float) -> None:
        coming, ranks = self._coming[pool], self._hedging.ranks
        while coming and coming[0][0] <= at:
            attempt = heappop(coming)[1]
            watched = self._open.get(attempt)
            if watched is not None:
                heappush(self._ripe[pool], (-ranks[watched.stage], watched.since, attempt))
