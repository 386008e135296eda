"""How long the answers of one task are, in tokens: its own quantiles, as far as known from the prompt's size.

The logarithm of the output rises with that of the input as far as the samples say so: a translation
is as long as its text, a label is not. What is left is spread around that line, log-normally while
samples are few, in their own shape when they are many (a cap on tokens shows as a heap).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from statistics import fmean

from llmflow.scheduling.regression import Work
from llmflow.scheduling.shrinkage import NORMAL_SHAPE, seen, shape, standardised

UNKNOWN_VARIANCE = 0.2
"""Of the logarithm of output tokens within one task, before there are any."""

SLOPE_RIDGE = 2.0
"""Holds the dependence on the input at none while inputs hardly differ; in squared logarithms."""


class Lengths:
    """Made from at least one attempt. `typical` is its kind of attempt: geometric means of tokens, the mean load."""

    __slots__ = ("_centre", "_input", "_shape", "_slope", "_variance", "typical")

    def __init__(self, works: Sequence[Work]) -> None:
        x = [log(max(w.input_tokens, 1)) for w in works]
        y = [log(max(w.output_tokens, 1)) for w in works]
        self._input, output = fmean(x), fmean(y)
        around = [v - self._input for v in x]
        self._slope = sum(a * (b - output) for a, b in zip(around, y, strict=True))
        self._slope /= sum(a * a for a in around) + SLOPE_RIDGE
        level = [b - self._slope * a for a, b in zip(around, y, strict=True)]
        summary = seen(level, UNKNOWN_VARIANCE)
        self._centre, self._variance = summary.level, summary.variance(UNKNOWN_VARIANCE)
        self._shape = shape(NORMAL_SHAPE, standardised(level, summary.level, self._variance))
        self.typical = Work(exp(self._input), exp(output), fmean(w.load for w in works), 0.0)

    def expected(self, input_tokens: float, count: int, answered: tuple[float, int] | None = None) -> list[float]:
        """`count` equally likely lengths for a prompt of this size, shortest first.

        `answered`: the mean logarithm of what this very item answered, and how often it did; the
        next answer is expected the nearer to it the more often it was asked.
        """
        centre = self._centre + self._slope * (log(max(input_tokens, 1)) - self._input)
        variance, form = self._variance, self._shape
        if answered is not None:
            before, times = answered
            weight = times / (times + 1)
            centre += weight * (before - centre)
            variance, form = variance * (1 - weight), NORMAL_SHAPE
        spread, step = variance**0.5, len(form) / count
        return [exp(centre + spread * form[int((i + 0.5) * step)]) for i in range(count)]
