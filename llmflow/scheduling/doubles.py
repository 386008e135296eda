"""What second calls have shown: what a call takes although the slower of two was cut off, and how alike two are.

Whoever is outrun is cancelled, so of the slowest calls only a lower limit is known. Leaving them out
would make a task look faster with every hedge; they count as censored (Kaplan & Meier 1958). How far
two calls of one attempt go together is the correlation of a Gaussian copula over that distribution,
weighed by what the censored ends allow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

TOO_ALIKE = 0.9
"""From this correlation of two calls on a second one gains next to nothing."""

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


def correlation(doubles: Sequence[Double], durations: Durations) -> float:
    """How far two calls of one attempt go together, 0 to 1: the median of what is believed, 0.5 where nothing is known.

    Any correlation from 0 up is held to be as likely as another before anything was seen.
    """
    if not durations.seconds:
        return 0.5
    weights = []
    scored = [_scores(double, durations) for double in doubles]
    for step in range(_STEPS):
        rho = (step + 0.5) / _STEPS
        weights.append(sum(_likelihood(scores, rho) for scores in scored))
    most = max(weights)
    believed = [exp(weight - most) for weight in weights]
    half, below = sum(believed) / 2, 0.0
    for step, weight in enumerate(believed):
        if below + weight >= half:
            return (step + (half - below) / weight) / _STEPS
        below += weight
    raise AssertionError("half of a sum of positive numbers is below it")


def _scores(double: Double, durations: Durations) -> tuple[float, bool, float, bool]:
    first, second = double.first, double.second
    return durations.score(first.seconds), first.cut_off, durations.score(second.seconds), second.cut_off


def _likelihood(scores: tuple[float, bool, float, bool], rho: float) -> float:
    """The logarithm, less what does not depend on `rho`."""
    x, x_cut, y, y_cut = scores
    spread = sqrt(1 - rho * rho)
    if x_cut and y_cut:
        return 0.0
    if x_cut:
        return log(max(1e-300, _NORMAL.cdf((rho * y - x) / spread)))
    if y_cut:
        return log(max(1e-300, _NORMAL.cdf((rho * x - y) / spread)))
    return -log(spread) - ((x * x + y * y) * rho * rho - 2 * rho * x * y) / (2 * spread * spread)
