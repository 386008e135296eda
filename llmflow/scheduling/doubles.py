"""What second calls have shown: what a call takes although the slower of two was cut off, and how alike two are.

Whoever is outrun is cancelled, so of the slowest calls only a lower limit is known. Leaving them out
would make a task look faster with every hedge; they count as censored (Kaplan & Meier 1958). How far
two calls of one attempt go together is the correlation of a Gaussian copula over that distribution,
weighed by what the censored ends allow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

TOO_ALIKE = 0.9
"""From this correlation of two calls on a second one gains next to nothing."""

OTHERS_COUNT_AS = 30
"""As many doubles of its own at most, for a task, as the doubles of all others on its model."""

ODD = 0.05
"""The share of doubles that are believed to be chance whatever the correlation: no single one decides."""

_STEPS = 50
_NORMAL = NormalDist()


class Took(NamedTuple):
    """One call. `cut_off`: it was cancelled after so many seconds and would have taken longer."""

    seconds: float
    cut_off: bool = False


class Double(NamedTuple):
    """Two calls of one attempt, of which the second began `delay` seconds after the first."""

    delay: float
    first: Took
    second: Took


class Evidence(NamedTuple):
    """The likelihood of every correlation, as logarithms, from so many doubles."""

    doubles: int = 0
    weights: Sequence[float] = (0.0,) * _STEPS

    def without(self, part: Evidence) -> Evidence:
        """What the rest says."""
        rest = tuple(a - b for a, b in zip(self.weights, part.weights, strict=True))
        return Evidence(self.doubles - part.doubles, rest)


def together(parts: Iterable[Evidence]) -> Evidence:
    """What all of them say."""
    known = [part for part in parts if part.doubles]
    weights = tuple(map(sum, zip(*(part.weights for part in known), strict=True))) if known else Evidence().weights
    return Evidence(sum(part.doubles for part in known), weights)


@dataclass(frozen=True, slots=True)
class Durations:
    """A distribution: at `seconds[i]` (rising) a share `shares[i]` of the calls has ended, the last included."""

    seconds: Sequence[float]
    shares: Sequence[float]

    @classmethod
    def of(cls, calls: Sequence[Took]) -> Durations:
        """The product-limit estimate; empty where no call ended by itself. O(n log n)."""
        seconds: list[float] = []
        shares: list[float] = []
        survival, at_risk = 1.0, len(calls)
        for took in sorted(calls):  # of two at the same second the one that ended comes first
            if not took.cut_off:
                survival *= 1 - 1 / at_risk
                if seconds and seconds[-1] == took.seconds:
                    shares[-1] = 1 - survival
                else:
                    seconds.append(took.seconds)
                    shares.append(1 - survival)
            at_risk -= 1
        return cls(seconds, shares)

    def quantile(self, p: float) -> float | None:
        """The seconds in which a share `p` has ended, interpolated between the steps; None where none such is known."""
        place = bisect_left(self.shares, p)
        if place >= len(self.shares):
            return None
        above, share = self.seconds[place], self.shares[place]
        if not place:
            return above
        below, had = self.seconds[place - 1], self.shares[place - 1]
        return below + (above - below) * (p - had) / (share - had)

    def likely(self, count: int) -> tuple[float, ...]:
        """So many equally likely durations; what lasted longer than any that ended stands at the last of those."""
        if not self.seconds:
            return ()
        places = ((i + 0.5) / count for i in range(count))
        return tuple(self.quantile(p) or self.seconds[-1] for p in places)

    def score(self, seconds: float) -> float:
        """The normal quantile that stands for a duration, bounded by how many are known."""
        n = len(self.seconds)
        place = bisect_left(self.seconds, seconds)
        if place == n:
            share = 1.0
        else:
            below, had = (self.seconds[place - 1], self.shares[place - 1]) if place else (0.0, 0.0)
            part = (seconds - below) / (self.seconds[place] - below) if self.seconds[place] > below else 1.0
            share = had + part * (self.shares[place] - had)
        edge = 0.5 / (n + 1)
        return _NORMAL.inv_cdf(min(1 - edge, max(edge, share)))


def evidence(doubles: Sequence[Double], durations: Durations) -> Evidence:
    """What the doubles of one task say; `durations`: how long its calls take."""
    if not doubles or not durations.seconds:
        return Evidence()
    scored = [_scores(double, durations) for double in doubles]
    weights = [sum(_likelihood(scores, (step + 0.5) / _STEPS) for scores in scored) for step in range(_STEPS)]
    return Evidence(len(scored), tuple(weights))


def correlation(own: Evidence, others: Evidence) -> float:
    """How far two calls of one attempt go together, 0 to 1: the median of what is believed.

    Before anything was seen any correlation from 0 up is as likely as another. `others`: of other tasks
    on the same model, which count as so many doubles of its own and no more.
    """
    share = min(1.0, OTHERS_COUNT_AS / others.doubles) if others.doubles else 0.0
    weights = [a + share * b for a, b in zip(own.weights, others.weights, strict=True)]
    most = max(weights)
    believed = [exp(weight - most) for weight in weights]
    half, below = sum(believed) / 2, 0.0
    for step, weight in enumerate(believed):
        if below + weight >= half:
            return (step + (half - below) / weight) / _STEPS
        below += weight
    raise AssertionError("half of a sum of positive numbers lies below it")


def _scores(double: Double, durations: Durations) -> tuple[float, bool, float, bool]:
    first, second = double.first, double.second
    return durations.score(first.seconds), first.cut_off, durations.score(second.seconds), second.cut_off


def _likelihood(scores: tuple[float, bool, float, bool], rho: float) -> float:
    """The logarithm of how much likelier this is at `rho` than if the calls had nothing to do with each other."""
    x, x_cut, y, y_cut = scores
    spread = sqrt(1 - rho * rho)
    if x_cut and y_cut:
        return 0.0
    if x_cut:
        likelier = _NORMAL.cdf((rho * y - x) / spread) / _NORMAL.cdf(-x)
    elif y_cut:
        likelier = _NORMAL.cdf((rho * x - y) / spread) / _NORMAL.cdf(-y)
    else:
        likelier = exp((2 * rho * x * y - (x * x + y * y) * rho * rho) / (2 * spread * spread)) / spread
    return log((1 - ODD) * likelier + ODD)
