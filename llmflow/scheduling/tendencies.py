"""What durations tend to: to grow, to go up and down together, to be longer at certain hours.

Everything is done on logarithms, for durations are skewed and change by factors. Each answer comes
with how many numbers it rests on and a t statistic (Student 1908), so that chance can be told from
a pattern; the bars are set high because many pairs and hours are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from llmflow.scheduling.statistics import mean

TREND_FROM, HOURS_FROM, HOUR_FROM, PAIRS_FROM = 8, 60, 10, 12
"""So many numbers at least: for a trend, for hours in all, in one of them, for a correlation."""

TREND_T, HOUR_T, PAIR_T = 3.0, 3.5, 4.0
"""How far from chance a pattern must be, in standard errors."""

CERTAIN = 1e6
"""The t statistic of a pattern without any scatter."""


class Trend(NamedTuple):
    """Over `n` durations in order of time the fitted line rises by `change` (0.5 = half as long again)."""

    change: float
    t: float
    n: int

    @property
    def is_clear(self) -> bool:
        return abs(self.t) >= TREND_T and abs(self.change) >= 0.1


class HourEffect(NamedTuple):
    """From `hour` (0–23) to the next durations are `ratio` times all others; `n` of `total` fell into it."""

    hour: int
    ratio: float
    t: float
    n: int
    total: int


class Pair(NamedTuple):
    """Two tasks whose durations go together over `n` runs: Pearson's `r` of their logarithms."""

    first: str
    second: str
    r: float
    t: float
    n: int


def trend(durations: Sequence[float]) -> Trend | None:
    """The least-squares line through the logarithms of durations in order of time; None of too few."""
    logs = [math.log(d) for d in durations if d > 0]
    n = len(logs)
    if n < TREND_FROM:
        return None
    centre, level = (n - 1) / 2, mean(logs)
    spread = n * (n * n - 1) / 12
    slope = math.fsum((i - centre) * (y - level) for i, y in enumerate(logs)) / spread
    left = math.fsum((y - level - slope * (i - centre)) ** 2 for i, y in enumerate(logs))
    error = math.sqrt(left / (n - 2) / spread)
    return Trend(math.exp(slope * (n - 1)) - 1, _t(slope, error), n)


def correlation(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """(r, t) of the logarithms of positive numbers, pair by pair; (0, 0) where either does not vary."""
    a, b = [math.log(x) for x in xs], [math.log(y) for y in ys]
    ma, mb = mean(a), mean(b)
    va, vb = math.fsum((x - ma) ** 2 for x in a), math.fsum((y - mb) ** 2 for y in b)
    if va <= 1e-18 or vb <= 1e-18:
        return 0.0, 0.0
    r = math.fsum((x - ma) * (y - mb) for x, y in zip(a, b, strict=True)) / math.sqrt(va * vb)
    r = max(-1.0, min(1.0, r))
    return r, _t(r, math.sqrt((1 - r * r) / (len(a) - 2)))


def correlated(series: Mapping[str, Mapping[int, float]], *, most: int = 30) -> list[Pair]:
    """Pairs of tasks that are slow in the same runs, the surest first. `series`: task → run → seconds.

    Only the `most` longest tasks are looked at: pairs grow with their square.
    """
    longest = sorted(series, key=lambda task: -mean(list(series[task].values())))[:most]
    pairs = []
    for i, first in enumerate(longest):
        for second in longest[i + 1 :]:
            runs = [run for run, seconds in series[first].items() if seconds > 0 and series[second].get(run, 0.0) > 0]
            if len(runs) < PAIRS_FROM:
                continue
            r, t = correlation([series[first][run] for run in runs], [series[second][run] for run in runs])
            if r >= 0.7 and t >= PAIR_T:
                pairs.append(Pair(first, second, r, t, len(runs)))
    return sorted(pairs, key=lambda pair: -pair.t)


def slow_hours(samples: Iterable[tuple[int, float]]) -> list[HourEffect]:
    """Hours in which durations are clearly longer than in all others, the worst first. `samples`: (hour, seconds)."""
    hours: dict[int, list[float]] = {}
    for hour, seconds in samples:
        if seconds > 0:
            hours.setdefault(hour, []).append(math.log(seconds))
    total = sum(map(len, hours.values()))
    moments = {hour: _Moments.of(logs) for hour, logs in hours.items()}
    found = []
    for hour, inside in sorted(moments.items()):
        outside = _Moments(0, 0.0, 0.0)
        for other, more in moments.items():
            if other != hour:
                outside = outside.with_(more)
        if total < HOURS_FROM or inside.n < HOUR_FROM or outside.n < HOUR_FROM:
            continue
        difference = inside.mean - outside.mean
        error = math.sqrt(inside.squared_error + outside.squared_error)
        effect = HourEffect(hour, math.exp(difference), _t(difference, error), inside.n, total)
        if effect.ratio >= 1.2 and effect.t >= HOUR_T:
            found.append(effect)
    return sorted(found, key=lambda effect: -effect.ratio)


class _Moments(NamedTuple):
    """How many numbers, their mean, and the sum of squared distances from it."""

    n: int
    mean: float
    squares: float

    @classmethod
    def of(cls, values: Sequence[float]) -> _Moments:
        centre = mean(values)
        return cls(len(values), centre, math.fsum((v - centre) ** 2 for v in values))

    def with_(self, more: _Moments) -> _Moments:
        """Of both together (Chan, Golub & LeVeque 1979)."""
        n = self.n + more.n
        apart = more.mean - self.mean
        return _Moments(
            n, self.mean + apart * more.n / n, self.squares + more.squares + apart * apart * self.n * more.n / n
        )

    @property
    def squared_error(self) -> float:
        """The squared standard error of the mean."""
        return self.squares / (self.n - 1) / self.n


def _t(value: float, error: float) -> float:
    if not value:
        return 0.0
    return max(-CERTAIN, min(CERTAIN, value / error)) if error > 0 else math.copysign(CERTAIN, value)
