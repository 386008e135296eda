"""The lower bound that plans and summaries show: over each pool's workers, and over the cap of the whole run."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain

from llmflow.scheduling.bounds import Bound, capped_lower_bound, pooled_lower_bound
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.realised import FanOut

INTERVALS_UP_TO = 20_000
"""Tasks beyond which the interval bound is left out: it would look at one window, and keep 300 bytes a task."""


def lower_bound_of(
    graph: Graph,
    durations: Sequence[float],
    pool_of: Sequence[int],
    pools: Sequence[PoolSpec],
    workers: int,
    fan_outs: Sequence[FanOut] = (),
) -> Bound:
    """The best bound over each pool's workers and, where there are caps, over that of the run and of each fan-out."""
    small = len(graph) <= INTERVALS_UP_TO
    bound = capped_lower_bound(graph, durations, pool_of, [pool.size for pool in pools], workers, interval=small)
    for cap, items in fan_outs:
        own = array("b", [1]) * len(graph)
        for task in chain.from_iterable(items):
            own[task] = 0
        seats = [CONTROL if pool < 0 else seat for pool, seat in zip(pool_of, own, strict=True)]
        capped = pooled_lower_bound(graph, durations, seats, [cap, 0], interval=small)
        bound = max(bound, capped, key=lambda b: b.value)
    return bound
