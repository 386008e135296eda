"""Orders for a cap over several pools: there a place is lent to one pool at the expense of another.

The longest path to an end does not see that a pool of one worker with much to do must never stand idle,
however short each of its paths is: its own work is a chain, too. The load of a pool is its work divided by
its workers.

* `pool-load`: the longest path where each task counts in proportion to the load of its pool: what leads to
  work of the pool that is the bottleneck goes first.
* `fullest-pool`: all tasks of the pool with the highest load, then the next pool's; the longest path inside.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmflow.scheduling.graph import Graph, upward_ranks

SET_APART = 1e6
"""By how many times the longest path the fullest pool goes ahead of an empty one: any difference of loads decides."""


def pool_ranks(
    graph: Graph, durations: Sequence[float], pool_of: Sequence[int], workers: Sequence[int], cap: int
) -> dict[str, list[float]]:
    """Priorities by name, higher first. `workers[p]` 0 = unlimited, so as many as `cap` lets work at once."""
    loads = [0.0] * len(workers)
    for pool, duration in zip(pool_of, durations, strict=True):
        if pool >= 0:
            loads[pool] += duration / min(workers[pool] or cap, cap)
    most = max(loads, default=0.0) or 1.0
    shares = [loads[pool] / most if pool >= 0 else 0.0 for pool in pool_of]
    ranks = upward_ranks(graph, durations)
    longest = max(ranks, default=0.0)
    return {
        "pool-load": upward_ranks(graph, [d * share for d, share in zip(durations, shares, strict=True)]),
        "fullest-pool": [share * SET_APART * longest + rank for share, rank in zip(shares, ranks, strict=True)],
    }
