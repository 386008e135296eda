"""Policies: which of the ready tasks goes first. A policy gives a vector of priorities, higher first.

The registry is what `--policy`, the plan's comparison, the benchmarks and the invariant tests read:
a new policy is one function and one line (`plain_orders`). Ties go to the task that became ready first.

Most policies look at the graph and the expected durations alone. `stochastic` looks at the whole
setting (how uncertain each duration is, how many workers each pool has, how long it may think) and
says why it chose what it chose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmflow.scheduling.graph import Graph
from llmflow.scheduling.plain_orders import PLAIN
from llmflow.scheduling.setting import STOCHASTIC, Decision, Setting


@dataclass(frozen=True, slots=True)
class Policy:
    """One entry of the registry."""

    name: str
    summary: str
    rank: Callable[[Setting], list[float] | Decision]

    def decide(self, setting: Setting) -> Decision:
        """The same for the same setting, as long as the clock is not what ends a search."""
        found = self.rank(setting)
        return found if isinstance(found, Decision) else Decision(self.name, self.name, found)

    def priorities(self, graph: Graph, durations: Sequence[float], seed: int, workers: int = 0) -> list[float]:
        """Of durations that are certain, on `workers` identical workers (0 = unlimited)."""
        from llmflow.scheduling.estimates import Estimate

        estimates = [Estimate(float(d), 0.0, "author") for d in durations]
        return self.decide(Setting(graph, estimates, [workers], seed=seed)).priorities


def _stochastic(setting: Setting) -> Decision:
    from llmflow.scheduling.stochastic import decide

    return decide(setting)


POLICIES: dict[str, Policy] = {
    **{name: Policy(name, summary, rank) for name, (summary, rank) in PLAIN.items()},
    STOCHASTIC: Policy(STOCHASTIC, "the best of several orders, tried on sampled durations", _stochastic),
}


DEFAULT_POLICY = STOCHASTIC
"""Where no pool is short of workers it comes to the critical path at once: there is nothing to choose."""


def inherited_priorities(graph: Graph, priorities: Sequence[int]) -> list[int]:
    """The author's `priority`, passed up: a task is at least as urgent as anything that depends on it."""
    if not any(priorities):
        return list(priorities)
    inherited = list(priorities)
    for task in reversed(graph.order()):
        for d in graph.dependents[task]:
            inherited[task] = max(inherited[task], inherited[d])
    return inherited
