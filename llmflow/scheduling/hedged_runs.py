"""Sampled runs in which stragglers are called a second time: what a forecast of a hedged run rests on.

Both calls of an attempt are drawn, and the run is simulated with the rules that the real one goes by.
The two belong to the same world (`worlds`). Beyond that a share of the second calls, as large as two
calls were seen to go together, takes just as long as the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.hedging import Hedging
from llmflow.scheduling.idling import Hold
from llmflow.scheduling.outlook import SampledRun
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.tasks import TaskSpec
from llmflow.scheduling.worlds import drawn_together


class HedgedRuns:
    """Runs of one graph with second calls, as `look_out` takes them; rules and columns of `hedging` are by task."""

    dearer = 10
    """How many times as much computing a task costs here as where each is one call."""

    def __init__(
        self, graph: Graph, specs: Sequence[TaskSpec], pools: Sequence[PoolSpec], hedging: Hedging, *, workers: int = 0
    ) -> None:
        self._graph, self._specs, self._pools, self._workers = graph, specs, pools, workers
        self._hedging = hedging

    def drawn(self, estimates: Sequence[Estimate], dice: Random, count: int) -> list[list[tuple[float, float]]]:
        """For each task `count` pairs of seconds: how long its first call takes, and a second one."""
        columns = drawn_together([*estimates, *estimates], dice, count)
        pairs = []
        for task, (first, second) in enumerate(zip(columns, columns[len(estimates) :], strict=False)):
            rule = self._hedging.rules.get(task)
            if rule is None:
                pairs.append([(a, a) for a in first])
                continue
            if rule.calls:
                first, second = (dice.choices(rule.calls, k=count) for _ in range(2))
            pairs.append([(a, a if dice.random() < rule.alike else b) for a, b in zip(first, second, strict=True)])
        return pairs

    def keys(self, priorities: Sequence[float]) -> Sequence[float]:
        return priorities

    def run(self, row: Sequence[tuple[float, float]], keys: Sequence[float], holds: Sequence[Hold]) -> SampledRun:
        """Each task took what it took until one of its calls answered. `holds` must be empty, as in such a run."""
        found = simulate(
            self._graph,
            self._specs,
            self._pools,
            [first for first, _ in row],
            keys,
            workers=self._workers,
            keep_story=False,
            hedging=self._hedging,
            second=[second for _, second in row],
            holds=holds,
        )
        took = [end - start for start, end in zip(found.starts, found.finishes, strict=True)]
        return SampledRun(found.makespan, found.starts, took)
