"""Orders for durations that are uncertain: ranks that let a task go early because it, or what follows it, is risky.

All are variations of the upward rank (`graph`), and which of them is best differs from graph to graph:

* `mean-plus-…sd`: the longest path where each task counts with its mean plus k standard deviations.
* `path-…sd`: mean plus k standard deviations of a whole path. Independent deviations add up as squares, so
  one risky task counts for more here than many that are a little risky.
* `own-sd`: the longest expected path plus the deviation of the task itself: what it takes is known early,
  and what lies beside it can still be placed around it.
* `work-below…`: the path as above, plus a share of all the work that waits for the task, spread over the
  workers: among equal paths the one that feeds more of them goes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph, upward_ranks

SEARCHED = 2000
"""Up to how many tasks the work below each is summed up: the sets of what lies below grow with their square."""


def risk_ranks(graph: Graph, estimates: Sequence[Estimate], workers: int) -> dict[str, list[float]]:
    """Priorities by name, higher first; what is most often worth a trial comes first. `workers` of all pools."""
    means = [e.mean for e in estimates]

    def plus(k: float) -> list[float]:
        return upward_ranks(graph, [e.mean + k * e.sd for e in estimates])

    ranks = {
        "mean-plus-sd": plus(1.0),
        "mean-plus-2-sd": plus(2.0),
        "own-sd": [r + e.sd for r, e in zip(upward_ranks(graph, means), estimates, strict=True)],
        "path-plus-4-sd": path_ranks(graph, estimates, 4.0),
    }
    if len(graph) <= SEARCHED:
        below = work_below(graph, means)
        path = plus(1.5)
        for name, share in (("work-below", 0.3), ("work-below-in-full", 1.0)):
            ranks[name] = [r + share * b / workers for r, b in zip(path, below, strict=True)]
    ranks["path-plus-2-sd"] = path_ranks(graph, estimates, 2.0)
    ranks["mean-plus-half-sd"] = plus(0.5)
    return ranks


def path_ranks(graph: Graph, estimates: Sequence[Estimate], k: float) -> list[float]:
    """The largest mean + k · sd of a path that begins with the task, its durations independent.

    Found greedily from the end: of two paths below a task the one that is ahead there is kept.
    """
    means, variances = [0.0] * len(graph), [0.0] * len(graph)
    ranks = [0.0] * len(graph)
    for task in reversed(graph.order()):
        longest = max(graph.dependents[task], key=ranks.__getitem__, default=-1)
        mean, variance = (means[longest], variances[longest]) if longest >= 0 else (0.0, 0.0)
        means[task] = mean = mean + estimates[task].mean
        variances[task] = variance = variance + estimates[task].sd ** 2
        ranks[task] = mean + k * sqrt(variance)
    return ranks


def work_below(graph: Graph, durations: Sequence[float]) -> list[float]:
    """The work of each task and of everything that depends on it, directly or not; in the unit of `durations`."""
    below: list[set[int]] = [set() for _ in durations]
    for task in reversed(graph.order()):
        found = below[task]
        found.add(task)
        for d in graph.dependents[task]:
            found |= below[d]
    return [sum(durations[t] for t in found) for found in below]
