"""How long a model takes for so many tokens under so much load: a regression with non-negative coefficients.

    seconds = a + b·input + c·output + load·(a' + b'·input + c'·output)

where load = attempts under way at the start, besides this one. A hosted model hardly feels the
load; a small machine shares itself among all attempts: both are found in the samples. Tokens and
load only ever add time, so no coefficient may be negative, which keeps extrapolation sane.

Errors are proportional to durations, so residuals are taken relative to the prediction (iteratively
reweighted least squares) and far outliers are pulled in (Huber 1964). A ridge pulls the shares of the
terms towards those of a typical model: that is all there is to say after one sample, or when every
prompt has the same size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, log
from statistics import fmean, median
from typing import NamedTuple

TYPICAL = (0.5, 0.0005, 0.02)
"""Seconds to begin with, per input and per output token: only their proportions matter."""

RIDGE = 1.0
"""How many samples the typical shares are worth."""

OUTLIER = 3.0
"""Durations further from the prediction than so many typical deviations count as if they were just so far."""

NARROWEST = 0.1
"""No typical deviation is taken to be less, in logarithms."""

PASSES = 3
SWEEPS = 60
TERMS = 6


class Work(NamedTuple):
    """What one attempt was asked for and what it took."""

    input_tokens: float
    output_tokens: float
    load: float
    duration: float


class TokenRegression:
    """Fitted once to attempts of one model, then only asked; raises ValueError if none of them took any time."""

    __slots__ = ("_coefficients", "typical_seconds")

    def __init__(self, works: Iterable[Work]) -> None:
        rows = [w for w in works if w.duration > 0]
        if not rows:
            raise ValueError("a regression needs at least one attempt that took time")
        self._coefficients = _fitted(rows)
        expected = (self.seconds(w.input_tokens, w.output_tokens, w.load) for w in rows)
        self.typical_seconds = exp(fmean(map(log, expected)))
        """What is expected of an attempt whose tokens nobody knows."""

    def seconds(self, input_tokens: float, output_tokens: float, load: float) -> float:
        """The typical duration; positive."""
        a, b, c, a_load, b_load, c_load = self._coefficients
        here = a + b * input_tokens + c * output_tokens
        return max(here + load * (a_load + b_load * input_tokens + c_load * output_tokens), 1e-9)


def _terms(work: Work) -> tuple[float, ...]:
    tokens_in, tokens_out, load, _ = work
    return (1.0, tokens_in, tokens_out, load, load * tokens_in, load * tokens_out)


def _fitted(rows: Sequence[Work]) -> list[float]:
    """Coefficients in seconds per unit of each term."""
    a, b, c = TYPICAL
    scale = median(w.duration / (a + b * w.input_tokens + c * w.output_tokens) for w in rows)
    coefficients = [a * scale, b * scale, c * scale, 0.0, 0.0, 0.0]
    terms = [_terms(w) for w in rows]
    # Each term is measured by its mean over the samples, so that the ridge weighs shares, not units.
    sizes = [sum(column) / len(rows) or 1.0 for column in zip(*terms, strict=True)]
    prior = [x * size for x, size in zip(coefficients, sizes, strict=True)]
    level = sum(prior) or 1.0
    for _ in range(PASSES):
        gram = [[0.0] * TERMS for _ in range(TERMS)]
        target = [0.0] * TERMS
        predicted = [max(sum(map(float.__mul__, coefficients, row)), 1e-9) for row in terms]
        deviation = median(abs(log(w.duration / p)) for w, p in zip(rows, predicted, strict=True))
        reach = exp(OUTLIER * max(1.4826 * deviation, NARROWEST))
        for work, row, expected in zip(rows, terms, predicted, strict=True):
            hit = min(max(work.duration / expected, 1 / reach), reach)
            relative = [x / (size * expected) for x, size in zip(row, sizes, strict=True)]
            for i in range(TERMS):
                x = relative[i]
                if x:
                    target[i] += hit * x
                    line = gram[i]
                    for j in range(i, TERMS):
                        line[j] += x * relative[j]
        ridge = RIDGE / level**2
        for i in range(TERMS):
            gram[i][i] += ridge
            target[i] += ridge * prior[i]
            for j in range(i):
                gram[i][j] = gram[j][i]
        shares = _non_negative(gram, target, [x * size for x, size in zip(coefficients, sizes, strict=True)])
        coefficients = [share / size for share, size in zip(shares, sizes, strict=True)]
    return coefficients


def _non_negative(gram: Sequence[Sequence[float]], target: Sequence[float], start: list[float]) -> list[float]:
    """Least squares with x ≥ 0 from the normal equations, by coordinate descent (Franc et al. 2005)."""
    x = start
    for _ in range(SWEEPS):
        moved = 0.0
        for i, line in enumerate(gram):
            pull = target[i] - sum(map(float.__mul__, line, x))
            new = max(0.0, x[i] + pull / line[i])
            moved = max(moved, abs(new - x[i]))
            x[i] = new
        if moved < 1e-6 * (sum(x) or 1.0):
            break
    return x
