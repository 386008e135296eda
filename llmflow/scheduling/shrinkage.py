"""What few logarithms of durations say about their level and spread, helped by what their relatives say.

Empirical Bayes on two levels (Morris 1983). The numbers of one key are normal around the key's
level; the levels of keys that belong together are normal around their population's:

    y ~ N(level, variance),    level ~ N(centre, between)

A key's level is drawn to the centre by variance/n : between, so the first sample moves it most of
the way where keys differ much, and little where they hardly differ. Normal logarithms with too wide
a population foretell too much of all keys together; a common *tilt* sets that right, so that what is
expected of them adds up to what was seen of them. A key's variance is drawn to the
pooled one as if that rested on SPREAD_WEIGHT samples. Levels are found by a Huber M-estimate, so a
straggler does not move them; that there are stragglers is kept in the *shape*: standardised
residuals, the normal's while there are few, then the population's, then the key's own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

UNKNOWN_VARIANCE = 0.2231
"""Of a logarithm: a coefficient of variation of 0.5, what calls to models mostly show."""

UNKNOWN_WEIGHT = 2.0
"""As many degrees of freedom as the belief in UNKNOWN_VARIANCE is worth."""

SPREAD_WEIGHT = 6.0
"""As many samples as the pooled variance is worth to a single key."""

POOLED_AT_MOST = 60
"""No key counts for more degrees of freedom in the pooled variance: the busy ones do not speak for all."""

UNKNOWN_BETWEEN = 4.0
"""How far a level may be from 1 unit if there is nothing to compare it with: a factor of 7 is one sd."""

NEAREST = 0.01
"""No population is taken to be narrower: a key may always be another."""

RUNS = 3
"""From so many runs on it is looked at how far they differ as a whole."""

HUBER = 2.0
"""Standard deviations beyond which a sample is pulled in."""

SURPRISE = 4.0
"""A prior that the samples contradict by more than two standard deviations gives way (its square)."""

TILTED_BY = 2.0
"""As many keys as the belief is worth that nothing need be set right; a key alone is best left at what was seen."""

FEW = 10
"""Samples from which on a key's level is known well enough to need no tilt."""

SHAPE = 40
"""Points of a shape; also the number of samples that the less special shape is worth to the more special."""


@dataclass(frozen=True, slots=True)
class Belief:
    """A level of logarithms: normal, with this mean and variance."""

    mean: float
    variance: float

    def and_seen(self, mean: float, variance: float) -> Belief:
        """What is believed after an independent look that said `mean`, with the look's own variance."""
        if self.variance + variance <= 0:
            return self
        weight = self.variance / (self.variance + variance)
        return Belief(self.mean + weight * (mean - self.mean), weight * variance)

    def tilted(self, tilt: float) -> Belief:
        """Moved down by so many times its own variance: 1 makes the mean of the exponential that at the median."""
        return Belief(self.mean - tilt * self.variance, self.variance)


def corrected(prior: Belief, level: float, doubt: float) -> Belief:
    """The prior after a look at `level`; one that is contradicted too loudly counts for less."""
    needed = (level - prior.mean) ** 2 / SURPRISE - doubt
    return Belief(prior.mean, max(prior.variance, needed)).and_seen(level, doubt)


class Looks:
    """Independent looks at one number, of which some may be left out; each has a key."""

    def __init__(self) -> None:
        self._each: dict[Hashable, tuple[float, float]] = {}
        self._weight = self._sum = 0.0

    def add(self, key: Hashable, mean: float, variance: float) -> None:
        """`variance`: the look's own, more than 0. No key comes twice."""
        self._each[key] = weight, product = 1 / variance, mean / variance
        self._weight += weight
        self._sum += product

    def without(self, keys: Iterable[Hashable]) -> Belief | None:
        """What the others say together; None if there are none. O(keys)."""
        left_out = [self._each[key] for key in keys if key in self._each]
        if len(left_out) == len(self._each):
            return None
        weight = self._weight - sum(w for w, _ in left_out)
        return Belief((self._sum - sum(p for _, p in left_out)) / weight, 1 / weight)


@dataclass(frozen=True, slots=True)
class Seen:
    """The numbers of one key in brief: how many, their robust level, their squared deviations (pulled in).

    `size`: the mean of what they are the logarithms of.
    """

    count: int
    level: float
    squares: float
    size: float

    @property
    def freedom(self) -> float:
        """Degrees of freedom that `variance` rests on."""
        return SPREAD_WEIGHT + max(0, self.count - 1)

    def variance(self, pooled: float) -> float:
        """Of one number, drawn to the pooled one while there are few."""
        return (SPREAD_WEIGHT * pooled + self.squares) / self.freedom


def seen(values: Sequence[float], pooled: float) -> Seen:
    """Huber's level of `values` (at least one), starting from their median. O(n log n)."""
    n = len(values)
    size = sum(map(exp, values)) / n
    if n < 3:
        level = sum(values) / n
        return Seen(n, level, sum((v - level) ** 2 for v in values), size)
    ordered = sorted(values)
    level = (ordered[n // 2] + ordered[(n - 1) // 2]) / 2
    variance = pooled
    for _ in range(3):
        reach = HUBER * sqrt(variance)
        low, high = level - reach, level + reach
        pulled = [low if v < low else high if v > high else v for v in ordered]
        level = sum(pulled) / n
        squares = sum((v - level) ** 2 for v in pulled)
        variance = (SPREAD_WEIGHT * pooled + squares) / (SPREAD_WEIGHT + n - 1)
    return Seen(n, level, squares, size)


class Tides(NamedTuple):
    """The variance of what numbers of one run have in common, and how many runs were looked at."""

    variance: float
    runs: int


NO_TIDES = Tides(0.0, 0)


@dataclass(frozen=True, slots=True)
class Population:
    """What keys that belong together have in common: where their levels lie, and the spread inside a key.

    `variance` rests on `freedom` degrees of freedom. `chance`: the share of it by which levels that
    were seen lie apart for that reason alone; were it larger they would lie nearer, down to `nearest`.
    `tilt`: see above. `tides`: how far all keys rise and fall
    together from run to run, as a part of `variance`.
    """

    centre: float = 0.0
    centre_variance: float = UNKNOWN_BETWEEN
    between: float = UNKNOWN_BETWEEN
    variance: float = UNKNOWN_VARIANCE
    keys: int = 0
    samples: int = 0
    freedom: float = UNKNOWN_WEIGHT
    chance: float = 0.0
    nearest: float = NEAREST
    tilt: float = 0.0
    tides: Tides = NO_TIDES

    @property
    def newcomer(self) -> Belief:
        """The level of a key that was never seen."""
        return Belief(self.centre, self.between + self.centre_variance)


def population(members: Sequence[Seen], *, unknown_between: float = UNKNOWN_BETWEEN, centre: float = 0.0) -> Population:
    """Moments of the levels: between = their variance less what chance alone explains (DerSimonian & Laird 1986).

    `centre` and `unknown_between` are believed as one more key would be.
    """
    if not members:
        return Population(centre, unknown_between, unknown_between)
    freedom, squares = UNKNOWN_WEIGHT, UNKNOWN_WEIGHT * UNKNOWN_VARIANCE
    for m in members:
        if m.count > 1:
            share = min(m.count - 1, POOLED_AT_MOST)
            freedom += share
            squares += share * m.squares / (m.count - 1)
    variance = squares / freedom
    n = len(members)
    middle = sum(m.level for m in members) / n
    chance = sum(variance / m.count for m in members)
    apart = sum((m.level - middle) ** 2 for m in members)
    # unknown_between is worth one degree of freedom; a tenth is kept so that no key is deaf to its own samples.
    nearest = max(apart / (10 * n), NEAREST)
    between = max((unknown_between + apart - chance * (n - 1) / n) / n, nearest)
    weights = [1 / (between + variance / m.count) for m in members]
    total = sum(weights)
    mean = sum(w * m.level for w, m in zip(weights, members, strict=True)) / total
    known = Belief(centre, unknown_between).and_seen(mean, 1 / total)
    found = Population(
        known.mean,
        known.variance,
        between,
        variance,
        n,
        sum(m.count for m in members),
        freedom=freedom,
        chance=chance / variance * (n - 1) / n**2,
        nearest=nearest,
    )
    return replace(found, tilt=_tilt(found, members))


def _tilt(common: Population, members: Sequence[Seen]) -> float:
    """The tilt with which what is expected of members with few samples adds up to what was seen; to first order."""
    few = [m for m in members if m.count < FEW]
    seen = expected = doubt = 0.0
    for m in few:
        variance = m.variance(common.variance)
        level = corrected(common.newcomer, m.level, variance / m.count)
        size = exp(level.mean + (level.variance + variance) / 2)
        seen, expected, doubt = seen + m.size, expected + size, doubt + size * level.variance
    if not doubt or not seen:
        return 0.0
    wanted = log(expected / seen) * expected / doubt
    return max(-1.0, min(1.0, wanted)) * len(few) / (len(few) + TILTED_BY)


def tides(keys: Iterable[Iterable[tuple[int, float]]]) -> Tides:
    """From (run, residual) of each key; none where fewer than RUNS runs are known.

    One-way analysis of variance (Fisher 1925): what the means of runs scatter beyond chance.
    """
    runs: dict[int, list[float]] = {}
    count = 0
    for key in keys:
        rows = list(key)
        count += bool(rows)
        for run, residual in rows:
            runs.setdefault(run, []).append(residual)
    n, freedom = sum(map(len, runs.values())), len(runs) - 1
    left = n - len(runs) - count + 1
    if len(runs) < RUNS or left < 1:
        return NO_TIDES
    between = sum(sum(row) ** 2 / len(row) for row in runs.values())
    chance = max(0.0, sum(r * r for row in runs.values() for r in row) - between) / left
    typical = (n - sum(len(row) ** 2 for row in runs.values()) / n) / freedom
    return Tides(max(0.0, between / freedom - chance) / typical, len(runs))


NORMAL_SHAPE = tuple(NormalDist().inv_cdf((i + 0.5) / SHAPE) for i in range(SHAPE))
"""Equally likely standardised residuals of a normal."""


def shape(general: Sequence[float], residuals: Sequence[float]) -> tuple[float, ...]:
    """SHAPE equally likely standardised residuals: `residuals`, and the `general` shape worth SHAPE of them."""
    if not residuals:
        return tuple(general)
    ordered = sorted((*general, *residuals))
    last = len(ordered) - 1
    points = []
    for i in range(SHAPE):
        place = min(max((i + 0.5) / SHAPE * len(ordered) - 0.5, 0.0), float(last))
        below = int(place)
        above = min(below + 1, last)
        points.append(ordered[below] + (ordered[above] - ordered[below]) * (place - below))
    return tuple(points)


def standardised(values: Sequence[float], level: float, variance: float) -> list[float]:
    """Residuals in standard deviations, stretched for the level having been taken from the same few values."""
    n = len(values)
    if n < 3 or variance <= 0:
        return []
    stretch = sqrt(n / (n - 1) / variance)
    return [(v - level) * stretch for v in values]
