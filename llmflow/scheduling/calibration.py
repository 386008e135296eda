"""Whether forecasts hold: how often reality fell inside, and by how much past forecasts were too sure of themselves.

A forecast is three numbers: P10, P50 and P90 of something positive (seconds, tokens). It is judged
by its *coverage* and by the *interval score* (Gneiting & Raftery 2007), which also asks for
narrowness. A `Correction` learns from past forecasts by split conformal prediction (Vovk et al.
2005; on quantiles: Romano, Patterson & Candès 2019): where truths lay relative to P50, measured in
the distances to P10 and to P90 on a logarithmic scale. Each side is stretched so that one truth in
ten would have fallen beyond it. While they are few, the truths of a perfect forecaster are counted in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist, fmean

MISSED = 0.2
"""The share of truths outside of P10–P90."""

TRUSTED = 20
"""As many past forecasts as the belief in the forecaster is worth at first."""

FADING = 50
"""After so many forecasts that belief is worth half."""

LATEST = 200
"""Past forecasts that a correction rests on at most."""

NARROWEST = 1e-3
"""No side is taken to be narrower than this, in logarithms: a certain forecast must be correctable too."""


@dataclass(frozen=True, slots=True)
class Interval:
    """P10, P50 and P90 of what was foretold, in its own unit; positive and in this order."""

    low: float
    middle: float
    high: float

    def holds(self, truth: float) -> bool:
        return self.low <= truth <= self.high

    def score(self, truth: float) -> float:
        """The interval score: width, and 2/MISSED times the distance of a truth outside. Less is better."""
        outside = max(0.0, self.low - truth, truth - self.high)
        return self.high - self.low + 2 / MISSED * outside

    def _sides(self) -> tuple[float, float]:
        return (
            max(log(self.middle / self.low), NARROWEST),
            max(log(self.high / self.middle), NARROWEST),
        )

    def place(self, truth: float) -> float:
        """Where the truth lay: -1 at P10, 0 at P50, 1 at P90."""
        below, above = self._sides()
        distance = log(truth / self.middle)
        return distance / (below if distance < 0 else above)

    def at(self, place: float) -> float:
        """The inverse of `place`."""
        below, above = self._sides()
        return self.middle * exp(place * (below if place < 0 else above))


@dataclass(frozen=True, slots=True)
class Calibration:
    """How `count` forecasts did. `below` and `above`: shares of truths under P10 and over P90, 0.1 each if all is well.

    `error`: the standard error that the coverage of a perfect forecaster has on so many. `score` is
    the mean interval score relative to the truth. `bias`: the mean of log(truth / P50).
    """

    count: int
    coverage: float
    below: float
    above: float
    error: float
    score: float
    bias: float


def calibration(forecasts: Sequence[tuple[Interval, float]]) -> Calibration:
    """Of (forecast, truth) pairs, truths positive; raises ValueError without any."""
    if not forecasts:
        raise ValueError("nothing was foretold")
    n = len(forecasts)
    return Calibration(
        count=n,
        coverage=fmean(interval.holds(truth) for interval, truth in forecasts),
        below=fmean(truth < interval.low for interval, truth in forecasts),
        above=fmean(truth > interval.high for interval, truth in forecasts),
        error=(MISSED * (1 - MISSED) / n) ** 0.5,
        score=fmean(interval.score(truth) / truth for interval, truth in forecasts),
        bias=fmean(log(truth / interval.middle) for interval, truth in forecasts),
    )


_NORMAL = NormalDist(0.0, 1 / NormalDist().inv_cdf(1 - MISSED / 2))
"""Places of the truths of a perfect forecaster, if they are log-normal."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Where P10, P50 and P90 should have been, as places of the forecasts that were made. (-1, 0, 1): all was well."""

    low: float = -1.0
    middle: float = 0.0
    high: float = 1.0
    count: int = 0
    """Past forecasts that it rests on."""

    @classmethod
    def of(cls, forecasts: Iterable[tuple[Interval, float]]) -> Correction:
        """Learn from (uncorrected forecast, truth) pairs in the order of time; the last LATEST count.

        For a set of independent past forecasts of one quality the corrected P10–P90 holds a share
        of 1 - MISSED of future truths, whatever their distribution.
        """
        places = [interval.place(truth) for interval, truth in forecasts][-LATEST:]
        if not places:
            return cls()
        trusted = [_NORMAL.inv_cdf((i + 0.5) / TRUSTED) for i in range(TRUSTED)]
        n = len(places)
        weight = FADING / (FADING + n)
        ordered = sorted([(p, 1.0) for p in places] + [(p, weight) for p in trusted])
        low, middle, high = (_weighted_quantile(ordered, p) for p in (MISSED / 2, 0.5, 1 - MISSED / 2))
        return cls(low, middle, high, n)

    def applied(self, interval: Interval) -> Interval:
        """The forecast as it should have been made."""
        return Interval(interval.at(self.low), interval.at(self.middle), interval.at(self.high))


def _weighted_quantile(ordered: Sequence[tuple[float, float]], p: float) -> float:
    """Of (value, weight) pairs in ascending order; each stands in the middle of its weight.

    With n weights of 1 the i-th value lies at i/(n+1), as conformal prediction asks.
    """
    wanted, passed = p * (sum(weight for _, weight in ordered) + 1) - 0.5, 0.0
    before: tuple[float, float] | None = None
    for value, weight in ordered:
        middle = passed + weight / 2
        if middle >= wanted:
            if before is None:
                return value
            share = (wanted - before[0]) / (middle - before[0])
            return before[1] + share * (value - before[1])
        passed += weight
        before = (middle, value)
    return ordered[-1][0]
