"""Numbers about durations: mean, spread, quantiles. Arithmetic only, no numpy.

Quantiles interpolate linearly between the order statistics: the p-quantile of n sorted values
lies at index p·(n-1) (type 7 of Hyndman & Fan 1996; numpy's and R's default). The standard
deviation is the sample's, with n-1 below the root.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SUCCEEDED = "succeeded"
"""The outcome of a sample that may teach a duration."""

OUTRUN, UNUSED = "outrun", "unused"
"""The outcomes of the slower of two calls of one attempt: it was cut off, or answered all the same."""


@dataclass(frozen=True, slots=True)
class Summary:
    """`n` numbers in brief. With n = 0 everything is 0; with n = 1 both spreads are 0.

    `log_mean` and `log_sd` are of the logarithms of the positive numbers among them: the
    parameters of the log-normal that fits.
    """

    n: int
    mean: float
    sd: float
    p50: float
    p90: float
    minimum: float
    maximum: float
    log_mean: float
    log_sd: float


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def standard_deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation (n-1); 0 of fewer than two values."""
    if len(values) < 2:
        return 0.0
    centre = mean(values)
    return math.sqrt(math.fsum((v - centre) ** 2 for v in values) / (len(values) - 1))


def quantile(ordered: Sequence[float], p: float) -> float:
    """The p-quantile (0 ≤ p ≤ 1) of values in ascending order, interpolated linearly; 0 of nothing."""
    if not ordered:
        return 0.0
    place = p * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def summary(values: Iterable[float]) -> Summary:
    """Everything `Summary` holds, of `values` in any order. O(n log n)."""
    ordered = sorted(values)
    if not ordered:
        return Summary(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    logarithms = [math.log(v) for v in ordered if v > 0]
    return Summary(
        n=len(ordered),
        mean=mean(ordered),
        sd=standard_deviation(ordered),
        p50=quantile(ordered, 0.5),
        p90=quantile(ordered, 0.9),
        minimum=ordered[0],
        maximum=ordered[-1],
        log_mean=mean(logarithms),
        log_sd=standard_deviation(logarithms),
    )
