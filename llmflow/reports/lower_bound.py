"""The lower bound that plans and summaries show: over each pool's workers, and over the cap of the whole run."""

from __future__ import annotations

from collections.abc import Sequence

from llmflow.scheduling.bounds import Bound, capped_lower_bound
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import PoolSpec

INTERVALS_UP_TO = 20_000
"""Tasks beyond which the interval bound is left out: it would look at one window, and keep 300 bytes a task."""


def lower_bound_of(
    graph: Graph, durations: Sequence[float], pool_of: Sequence[int], pools: Sequence[PoolSpec], workers: int
) -> Bound:
    """The best bound over each pool's workers and, where the whole run is capped, over the cap."""
    small = len(graph) <= INTERVALS_UP_TO
    return capped_lower_bound(graph, durations, pool_of, [pool.size for pool in pools], workers, interval=small)
