"""What a policy is told, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmflow.scheduling.graph import Graph

if TYPE_CHECKING:
    from llmflow.scheduling.estimates import Estimate
    from llmflow.scheduling.idling import Hold
    from llmflow.scheduling.portfolio import Evidence

CRITICAL_PATH, STOCHASTIC = "critical-path", "stochastic"
"""Two policies that others speak of by name."""


def still() -> float:
    """A clock that stands: budgets never end, so searches go on until their iterations are used up."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Expansion:
    """A graph that has grown as expected. `stages[t]`: which task of the setting's graph task t is one of."""

    graph: Graph
    stages: Sequence[int]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a policy may look at. Sequences are indexed by task or pool; seconds.

    `workers[p]` is 0 for an unlimited pool, `pool_of[t]` -1 for a step that holds no worker; `cap`
    is for the whole run, 0 = none. `urgencies` are the authors' priorities, which outrank any policy;
    `conditional` tasks hold no worker until they know that they are to run.
    `grows`: items come while the run goes on, all of a stage with one priority.
    """

    graph: Graph
    estimates: Sequence[Estimate]
    workers: Sequence[int] = (0,)
    pool_of: Sequence[int] = ()
    cap: int = 0
    urgencies: Sequence[int] = ()
    conditional: Sequence[bool] = ()
    grows: bool = False
    seed: int = 0
    budget_s: float | None = None
    """How long deciding may take; None: a small share of what the run is predicted to take. 0: not at all."""
    speed: float = 1.0
    """How many seconds of the run pass in one real second (simulated runs go faster)."""
    clock: Callable[[], float] = still
    iterations: int = 500
    """Bounds each search, whatever the clock says."""
    expansion: Expansion | None = None
    """The graph with the items that are expected, where it `grows` and they are not too many to try."""
    may_idle: bool = False
    """Whoever dispatches follows holds (see `idling`), so a worker may be kept free on purpose."""

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
    evidence: tuple[Evidence, ...] = ()
    samples: int = 0
    holds: tuple[Hold, ...] = ()
    """Tasks to be held back on purpose, for a worker that another one will need a moment later."""
