"""Policies: which of the ready tasks goes first. A policy gives a vector of priorities, higher first.

The registry is what `--policy`, the plan's comparison, the benchmarks and the invariant tests read:
a new policy is one function and one line. Ties go to the task that became ready first.

Most policies look at the graph and the expected durations alone. `stochastic` looks at the whole
setting (how uncertain each duration is, how many workers each pool has, how long it may think) and
says why it chose what it chose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from llmflow.scheduling.graph import Graph, upward_ranks

if TYPE_CHECKING:
    from llmflow.scheduling.estimates import Estimate
    from llmflow.scheduling.portfolio import Evidence


def still() -> float:
    """A clock that stands: budgets never end, so searches go on until their iterations are used up."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What a policy may look at. Sequences are indexed by task or pool; seconds.

    `workers[p]` is 0 for an unlimited pool, `pool_of[t]` -1 for a step that holds no worker; `cap`
    is for the whole run, 0 = none. `urgencies` are the authors' priorities, which outrank any policy.
    `grows`: items come while the run goes on, all of a stage with one priority.
    """

    graph: Graph
    estimates: Sequence[Estimate]
    workers: Sequence[int] = (0,)
    pool_of: Sequence[int] = ()
    cap: int = 0
    urgencies: Sequence[int] = ()
    grows: bool = False
    seed: int = 0
    budget_s: float | None = None
    """How long deciding may take; None: a small share of what the run is predicted to take. 0: not at all."""
    speed: float = 1.0
    """How many seconds of the run pass in one real second (simulated runs go faster)."""
    clock: Callable[[], float] = still
    iterations: int = 500
    """Bounds each search, whatever the clock says."""

    @property
    def means(self) -> list[float]:
        return [e.mean for e in self.estimates]

    @property
    def pools(self) -> Sequence[int]:
        """Pool of each task; all in pool 0 where nothing else is said."""
        return self.pool_of or [0] * len(self.graph)


@dataclass(frozen=True, slots=True)
class Decision:
    """Priorities (higher first) and where they come from.

    `order` names the rule or the search that they are of: the policy's own name, or the candidate
    that `stochastic` settled on. `reason` is a sentence, empty where there was nothing to decide.
    `evidence` is what each candidate gave over `samples` sampled runs (1 = on the expected durations).
    """

    policy: str
    order: str
    priorities: list[float]
    reason: str = ""
    evidence: tuple[Evidence, ...] = field(default=())
    samples: int = 0


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


def _first_in_first_out(setting: Setting) -> list[float]:
    return [0.0] * len(setting.graph)


def _critical_path(setting: Setting) -> list[float]:
    return upward_ranks(setting.graph, setting.means)


def _level(setting: Setting) -> list[float]:
    """Level by level: the fewer dependencies lie above a task, the earlier it goes."""
    graph = setting.graph
    level = [0.0] * len(graph)
    for task in graph.order():
        for d in graph.dependents[task]:
            level[d] = min(level[d], level[task] - 1.0)
    return level


def _longest_task(setting: Setting) -> list[float]:
    return setting.means


def _random(setting: Setting) -> list[float]:
    dice = Random(setting.seed)
    return [dice.random() for _ in range(len(setting.graph))]


def _stochastic(setting: Setting) -> Decision:
    from llmflow.scheduling.stochastic import decide

    return decide(setting)


POLICIES: dict[str, Policy] = {
    p.name: p
    for p in (
        Policy("critical-path", "longest expected path to an end first", _critical_path),
        Policy("fifo", "in the order of becoming ready", _first_in_first_out),
        Policy("level", "level by level, fewest dependencies above first", _level),
        Policy("longest-task", "longest expected task first", _longest_task),
        Policy("random", "a seeded shuffle; a floor to compare with", _random),
        Policy("stochastic", "the best of several orders, tried on sampled durations", _stochastic),
    )
}

CRITICAL_PATH, STOCHASTIC = "critical-path", "stochastic"


def default_policy(workers: Sequence[int], cap: int = 0) -> str:
    """`stochastic` where any pool (or the run) has a limited number of workers; else nothing is to be chosen."""
    return STOCHASTIC if cap or any(workers) else CRITICAL_PATH


def inherited_priorities(graph: Graph, priorities: Sequence[int]) -> list[int]:
    """The author's `priority`, passed up: a task is at least as urgent as anything that depends on it."""
    if not any(priorities):
        return list(priorities)
    inherited = list(priorities)
    for task in reversed(graph.order()):
        for d in graph.dependents[task]:
            inherited[task] = max(inherited[task], inherited[d])
    return inherited
