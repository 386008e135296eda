"""Tells when a stream of numbers has moved to another level: a model got slower, a prompt's inputs grew.

With every number each of the last REACH places is asked whether the level moved there: how much better
do two levels explain the numbers than one? That is a generalised likelihood ratio (Willsky & Jones
1976) under a spread that is not known, so one of Student's t. The spread is that of the numbers around
their own level on either side of the place: a move does not hide in the spread it makes itself. While
they are few it is held to a prior. Numbers are clipped as they come, so that one outlier is never a
change: it takes at least AFTER that agree.

Logarithms of durations that do not move raise a false alarm about once in 10,000 numbers at most where
they are normal of any spread, once in 2,000 where tails are heavy, and once in 600 where a fifth of
them take ten times as long. A duration that tripled is noticed after four numbers where the CV is .1,
and after six where it is .5 and there were ten before.
"""

from __future__ import annotations

from collections import deque
from math import log, log1p, sqrt

LIMIT = 4.5
"""Nats of evidence that it takes …"""

LIMIT_GROWTH = 1.5
"""… and by how many it grows with the logarithm of how long the level held: there is less hurry, and more to lose."""

PRIOR_WEIGHT = 3.0
"""As many numbers as the prior spread is worth."""

CLIP = 2.5
"""No single number counts for more than this many standard deviations from what came before it."""

REACH = 20
"""How many numbers ago the level may have moved at most."""

BEFORE = 3
"""Numbers that make a level which can be left."""

AFTER = 3
"""Numbers that make a new one."""

NOTABLE = 0.5
"""Standard deviations: a number nearer to the level so far is no reason to look for another."""


class ChangeDetector:
    """`prior_variance`: what one number's variance is believed to be before there are any."""

    __slots__ = ("_count", "_level", "_past", "_prior", "_squares")

    def __init__(self, prior_variance: float) -> None:
        self._restart(prior_variance)

    def _restart(self, variance: float) -> None:
        self._prior = PRIOR_WEIGHT * variance
        self._count, self._level, self._squares = 0, 0.0, 0.0
        self._past: deque[tuple[float, int, float, float]] = deque(maxlen=REACH)
        """The youngest numbers as they were clipped, each with count, level and squared deviations before it."""

    def update(self, value: float) -> int:
        """How many of the youngest numbers, this one included, are on a new level; 0 as long as there is none.

        After a change the detector begins anew: feed it the numbers of the new level again. What moved
        once may move back, so it then believes in a spread as wide as the move, until numbers say otherwise.
        """
        n, level, squares = self._count, self._level, self._squares
        scale = sqrt((self._prior + squares) / (PRIOR_WEIGHT + n - 1) * (1 + 1 / n)) if n else 0.0
        if n:
            value = max(level - CLIP * scale, min(level + CLIP * scale, value))
        self._past.append((value, n, level, squares))
        delta = value - level
        self._count = n + 1
        self._level = level + delta / (n + 1)
        self._squares = squares + delta * (value - self._level)
        if n + 1 < BEFORE + AFTER or abs(delta) <= NOTABLE * scale:
            return 0
        since, move = self._moved(delta > 0)
        if since:
            self._restart(max(self._prior / PRIOR_WEIGHT, move * move))
        return since

    def _moved(self, upwards: bool) -> tuple[int, float]:
        """How many numbers ago the level moved that way, if it did, and by how much."""
        mean = within = best = moved = 0.0
        since = 0
        for k, (value, n, level, squares) in enumerate(reversed(self._past), 1):
            if n < BEFORE:
                break
            delta = value - mean
            mean += delta / k
            within += delta * (value - mean)
            move = mean - level
            if k < AFTER or (move > 0) is not upwards:
                continue
            share = move * move * n * k / (n + k) / (self._prior + squares + within)
            evidence = (PRIOR_WEIGHT + n + k - 1) / 2 * log1p(share) - LIMIT - LIMIT_GROWTH * log(n)
            if evidence > best:
                best, since, moved = evidence, k, move
        return since, moved
