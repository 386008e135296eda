"""How long the rest of a run will probably take: a simple estimate from expected durations.

The rest cannot be shorter than the longest chain that is still open, nor than the open work of a
pool divided by its workers; the larger of the two is what we say. Both are kept up to date in O(1)
amortised per settled task: the chain by a pointer into the tasks sorted by upward rank (a rank is
never larger than that of what it depends on, so the first task not begun heads the longest such chain).
"""

from __future__ import annotations

from itertools import islice
from math import nan

from llmflow.scheduling.graph import upward_ranks
from llmflow.scheduling.state import FIRST_SETTLED, RUNNING
from llmflow.views.view import RunContext


class Remaining:
    """Follows one run; tell it of every settled task."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._upward: list[float] = []
        self._by_rank: list[int] = []
        self._next = 0
        self._work = [0.0] * len(context.pools)
        self._size = -1

    def settled(self, task: int) -> None:
        """The task's expected work is no longer ahead of us."""
        context = self._context
        if task < self._size and task < len(context.pool_of) and context.pool_of[task] >= 0:
            self._work[context.pool_of[task]] -= self._own(task)

    def seconds(self) -> float:
        """Expected seconds to the end; NaN where nothing is known about the durations."""
        context = self._context
        state = context.state
        if len(context.expected) < len(state.graph):
            return nan
        if self._size != len(state.graph):
            self._measure()
        now = context.clock()
        running = {r.task: r for attempt, r in reversed(state.running.items()) if attempt not in state.lost}
        done = {task: min(now - r.started_at, self._own(task)) for task, r in running.items()}
        longest = max((self._upward[task] - spent for task, spent in done.items()), default=0.0)
        longest = max(longest, self._longest_not_running())
        for pool, work in enumerate(self._work):
            workers = context.pools[pool].workers
            if workers:
                spent = sum(done[task] for task, r in running.items() if r.pool == pool)
                longest = max(longest, (work - spent) / workers)
        return longest

    def _longest_not_running(self) -> float:
        """The chain from the first task that has not begun, or from one that waits to begin again."""
        state, by_rank = self._context.state, self._by_rank
        while self._next < len(by_rank) and state.status[by_rank[self._next]] >= RUNNING:
            self._next += 1
        ahead = [self._upward[task] for task in state.timers.values()]
        if self._next < len(by_rank):
            ahead.append(self._upward[by_rank[self._next]])
        return max(ahead, default=0.0)

    def _measure(self) -> None:
        """Take the graph as it is now: at the start, and when it has grown."""
        context = self._context
        state = context.state
        self._size = len(state.graph)
        own = [self._own(task) for task in range(self._size)]
        self._upward = upward_ranks(state.graph, own)
        self._by_rank = sorted(range(self._size), key=lambda task: -self._upward[task])
        self._next = 0
        self._work = [0.0] * len(context.pools)
        for task, pool in enumerate(islice(context.pool_of, self._size)):
            if pool >= 0 and state.status[task] < FIRST_SETTLED:
                self._work[pool] += own[task]

    def _own(self, task: int) -> float:
        """The task's own expected seconds; a step that holds no worker takes none."""
        pools = self._context.pool_of
        holds = task >= len(pools) or pools[task] >= 0
        return self._context.expected[task] if holds else 0.0
