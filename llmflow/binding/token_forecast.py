"""What a run is predicted to use in tokens: input and output of all its calls together.

Each call is drawn from what the same task used lately. What is not known of a task as a whole – its
prompts may all be longer this time – is drawn once for all of its calls; it shrinks with the number of
samples. Rests on history alone: where a task that calls a model was never seen, nobody knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, log, sqrt
from random import Random
from statistics import fmean

from llmflow.binding.compile import Compiled
from llmflow.binding.deciding import PREDICTED
from llmflow.binding.estimates import Beliefs
from llmflow.binding.forecast import TooLargeToPlan, forecast
from llmflow.history.store import Store
from llmflow.scheduling.outlook import affordable
from llmflow.scheduling.statistics import quantile

FEW = 5
"""Below so many samples of a task its calls are drawn from a distribution and not from the samples themselves."""

SCATTER, WORTH = 0.35, 2
"""How far apart calls of one task are believed to lie (standard deviation of the logarithm), worth so many samples."""


def predict_tokens(
    compiled: Compiled, beliefs: Beliefs, store: Store | None, *, seed: int = 0
) -> dict[str, float] | None:
    """P10, P50 and P90 of a run's tokens; None where they are not known, and for very large runs."""
    totals = _totals(beliefs)
    if not totals:
        return None
    try:
        planned = forecast(compiled, beliefs.estimates, store, most=PREDICTED)
    except TooLargeToPlan:
        return None
    calls: Counter[tuple[str, str]] = Counter()
    for index in planned.stages:
        if models := compiled.models[index]:
            calls[compiled.stages.rows[index].name, models[0]] += 1
    samples = affordable(len(planned.stages), 1)
    if not calls or not samples or any(key not in totals for key in calls):
        return None
    dice = Random(f"{seed} tokens")
    sums = [0.0] * samples
    for key, count in calls.items():
        for i, drawn in enumerate(_draws(totals[key], count, samples, dice)):
            sums[i] += drawn
    sums.sort()
    return {name: quantile(sums, p) for name, p in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9))}


def _totals(beliefs: Beliefs) -> dict[tuple[str, str], list[int]]:
    """(task, model) → tokens of each of its answers that told them."""
    found: dict[tuple[str, str], list[int]] = {}
    for sample in beliefs.own:
        if sample.input_tokens is not None and sample.output_tokens is not None:
            total = sample.input_tokens + sample.output_tokens
            if total:
                found.setdefault((sample.task, sample.model), []).append(total)
    return found


def _draws(known: Sequence[int], count: int, samples: int, dice: Random) -> list[float]:
    """`samples` sums of `count` calls each; the spread that so few samples cannot have measured is drawn too."""
    logs = [log(total) for total in known]
    n, middle = len(known), fmean(logs)
    squares = sum((value - middle) ** 2 for value in logs)
    freedom = n - 1 + WORTH
    spread = sqrt((squares + WORTH * SCATTER**2) / freedom) if squares or n < FEW else 0.0
    typical, found = fmean(known), []
    for _ in range(samples):
        drawn = spread * sqrt(freedom / dice.gammavariate(freedom / 2, 2.0))
        # Factors of mean 1: the total of many tasks, each too long or too short by chance, is right on average.
        level = exp(dice.gauss(-(drawn**2) / n / 2, drawn / sqrt(n)))
        if n < FEW:
            found.append(level * typical * sum(exp(dice.gauss(-(drawn**2) / 2, drawn)) for _ in range(count)))
        else:
            found.append(level * sum(dice.choices(known, k=count)))
    return found
