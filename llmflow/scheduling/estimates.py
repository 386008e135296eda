"""What is believed about a duration: a distribution, where it comes from, and on how many samples it rests.

Few numbers make a log-normal by mean and standard deviation: durations of calls are positive and
skewed to the right. Many samples speak for themselves. Seconds throughout; dice arrive seeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, isfinite, log, sqrt
from random import Random
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from llmflow.scheduling.worlds import Doubt

Source = Literal["task", "other prompt", "other model", "model", "author", "default"]
"""The task as it is, with another prompt or on another model; its model's other tasks; the author; nobody: 1 unit."""

MANY = 30
"""From how many samples on they are drawn from instead of a log-normal fitted to them."""

_STANDARD = NormalDist()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A belief about one duration. `samples` counts what it rests on; `values` holds them, sorted, if they are many.

    `sd` 0 is certainty: then every draw is the mean. `doubt`: how it came about, where it was learned; then
    durations of several tasks can be drawn together (`worlds`).
    """

    mean: float
    sd: float = 0.0
    source: Source = "default"
    samples: int = 0
    values: tuple[float, ...] = ()
    doubt: Doubt | None = None

    def __post_init__(self) -> None:
        if not (isfinite(self.mean) and isfinite(self.sd) and self.mean >= 0 and self.sd >= 0):
            raise ValueError(f"no duration has mean {self.mean} and standard deviation {self.sd}")

    @classmethod
    def of(cls, samples: Sequence[float], source: Source = "task") -> Estimate:
        """From durations that were seen; raises ValueError if there are none.

        The standard deviation is the unbiased one, 0 for a single sample: whoever has one sample and
        a belief about spread must say so himself.
        """
        if not samples:
            raise ValueError("an estimate needs at least one sample")
        n = len(samples)
        mean = fsum(samples) / n
        sd = sqrt(fsum((x - mean) ** 2 for x in samples) / (n - 1)) if n > 1 else 0.0
        return cls(mean, sd, source, n, tuple(sorted(samples)) if n >= MANY else ())

    @property
    def cv(self) -> float:
        """Standard deviation by mean."""
        return self.sd / self.mean if self.mean else 0.0

    def _log_normal(self) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm that give this mean and sd."""
        variance = log(1 + self.cv**2)
        return log(self.mean) - variance / 2, sqrt(variance)

    def sample(self, dice: Random) -> float:
        """One duration; empirical where samples are many, else log-normal."""
        if self.values:
            return self.values[int(dice.random() * len(self.values))]
        if not self.sd or not self.mean:
            return self.mean
        mu, sigma = self._log_normal()
        return exp(mu + sigma * dice.gauss(0.0, 1.0))

    def draws(self, dice: Random, count: int) -> list[float]:
        """`count` durations, as many calls of `sample` would give them."""
        if self.values:
            values, n, random = self.values, len(self.values), dice.random
            return [values[int(random() * n)] for _ in range(count)]
        if not self.sd or not self.mean:
            return [self.mean] * count
        mu, sigma = self._log_normal()
        gauss = dice.gauss
        return [exp(mu + sigma * gauss(0.0, 1.0)) for _ in range(count)]

    def quantile(self, p: float) -> float:
        """The duration that is not exceeded with probability `p`, 0 < p < 1; samples are interpolated linearly."""
        if not 0 < p < 1:
            raise ValueError(f"a quantile lies between 0 and 1, not at {p}")
        if self.values:
            place = p * (len(self.values) - 1)
            below = int(place)
            above = min(below + 1, len(self.values) - 1)
            return self.values[below] + (place - below) * (self.values[above] - self.values[below])
        if not self.sd or not self.mean:
            return self.mean
        mu, sigma = self._log_normal()
        return exp(mu + sigma * _STANDARD.inv_cdf(p))


UNKNOWN = Estimate(1.0)
"""Nothing is known: one unit."""
