"""A plan made robust: the order of a plan, improved for the mean makespan over sampled durations.

A plan for the means is brittle: a task that ends a moment late lets another take its worker. So the
order is blurred inside a window of time, as in iterated greedy, and a change is kept if the mean
over a fixed set of sampled durations does not get longer. Most changes are worse on the first few
samples already, and are dropped there (racing).

The mean that it reports is flattered, for it was selected on these very samples: compare its order
with others on fresh ones. What it finds is worth most where durations are near certain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random

from llmflow.scheduling.ticks import TickSchedules

BLUR = (0.01, 0.1)
"""Smallest and largest blur of a start time, as a share of the makespan."""

WINDOW = (0.05, 0.45)
"""Smallest and largest half width of the window of time that is blurred, as a share of the makespan."""

RACE = 0.01
"""How much longer than the best, as a share, a change may be after the first sample; after the n-th, 1/n of that."""


def rehearse(
    kernel: TickSchedules,
    means: Sequence[float],
    samples: Sequence[tuple[list[int], float]],
    order: Sequence[int],
    *,
    seed: int,
    in_time: Callable[[], bool],
    iterations: int,
) -> list[int]:
    """An order no worse than `order` on average over `samples`, each a `timed` vector of durations."""
    tasks = range(kernel.n)
    kernel.retime(means)
    length, finishes = kernel.schedule(0, order)
    keys = [float(f - t) for f, t in zip(finishes, kernel.ticks, strict=True)]
    best = list(order)
    sums = list(accumulate(kernel.makespans(order, samples)))
    dice = Random(seed)
    random = dice.random
    (low, high), (narrow, wide) = BLUR, WINDOW
    for _ in range(iterations):
        if not in_time():
            break
        blur = length * low * (high / low) ** random()
        middle, half = random() * length, length * (narrow + (wide - narrow) * random())
        early, late = middle - half, middle + half
        changed = [k + (random() - 0.5) * blur if early < k < late else k for k in keys]
        candidate = sorted(tasks, key=changed.__getitem__)
        tried: list[float] = []
        total = 0.0
        for makespan in kernel.makespans(candidate, samples):
            total += makespan
            tried.append(total)
            if total > sums[len(tried) - 1] * (1 + RACE / len(tried)):
                break
        else:
            if total <= sums[-1]:
                best, sums, keys = candidate, tried, changed
    return best
