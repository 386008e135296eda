"""Tells when a stream of numbers has moved to another level: a model got slower, a prompt's inputs grew.

A two-sided CUSUM (Page 1954) on standardised innovations, self-starting (Hawkins 1987): level and
spread come from the numbers themselves, the spread held to a prior while they are few. Innovations
are clipped, so that one outlier is never a change: it takes several that agree.

With DRIFT and LIMIT as they are, a steady normal stream raises a false alarm about once in 70,000
numbers (Siegmund 1985); a level that moves by 1.5 standard deviations is noticed after some 11.
"""

from __future__ import annotations

from math import sqrt

DRIFT = 0.5
"""Standard deviations per number that are not counted: half of the smallest move worth noticing."""

LIMIT = 10.0
"""How many standard deviations beyond DRIFT must add up."""

CLIP = 3.0
"""No single number counts for more than this many standard deviations."""

PRIOR_WEIGHT = 10.0
"""As many numbers as the prior spread is worth."""


class ChangeDetector:
    """`prior_variance`: what one number's variance is believed to be before there are any."""

    __slots__ = ("_count", "_fall", "_fallen", "_level", "_prior", "_rise", "_risen", "_squares")

    def __init__(self, prior_variance: float) -> None:
        self._prior = prior_variance
        self._restart()

    def _restart(self) -> None:
        self._count, self._level, self._squares = 0, 0.0, 0.0
        self._rise = self._fall = 0.0
        self._risen = self._fallen = 0

    def update(self, value: float) -> int:
        """How many of the youngest numbers, this one included, are on a new level; 0 as long as there is none.

        After a change the detector begins anew: feed it the numbers of the new level again.
        """
        n = self._count
        if n:
            variance = (PRIOR_WEIGHT * self._prior + self._squares) / (PRIOR_WEIGHT + n - 1)
            scale = sqrt(variance * (1 + 1 / n))
            step = (value - self._level) / scale if scale else 0.0
            step = max(-CLIP, min(CLIP, step))
            self._rise, self._risen = _cumulated(self._rise, self._risen, step)
            self._fall, self._fallen = _cumulated(self._fall, self._fallen, -step)
            if self._rise > LIMIT or self._fall > LIMIT:
                since = self._risen if self._rise > LIMIT else self._fallen
                self._restart()
                return since
            value = self._level + step * scale
        self._count = n + 1
        delta = value - self._level
        self._level += delta / self._count
        self._squares += delta * (value - self._level)
        return 0


def _cumulated(total: float, since: int, step: float) -> tuple[float, int]:
    """The sum and how many numbers it runs over; both start again at 0."""
    total += step - DRIFT
    return (total, since + 1) if total > 0 else (0.0, 0)
