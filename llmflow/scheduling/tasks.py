"""What the scheduler must know of a task beside its edges: which pool, which rule, how often again.

Many tasks share one `TaskSpec` object, so 100,000 alike cost one.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from llmflow.errors import RETRYABLE, FailureKind
from llmflow.scheduling.pools import CONTROL

FALLBACK = frozenset(
    {FailureKind.AUTH, FailureKind.QUOTA, FailureKind.NOT_FOUND, FailureKind.CONTEXT_OVERFLOW, *RETRYABLE}
)
"""Failures that send a task to the next model of its list once this one will not be asked again.

Not among them: what another model is no cure for, such as a refusal or an invalid answer.
"""

SHORTEST_REJECTION = 0.05
"""Seconds waited at least after a rate limit, so that patience always runs out."""

STEPS_AHEAD = 8
"""How often in a row steps that hold no worker may go ahead of the choice of what starts: a long chain of them must
not idle the workers."""

RATE_LIMIT_PATIENCE = 300.0
"""Seconds that one task waits in all for rate limits, which use up no attempt."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff, full jitter: the delay is uniform between 0 and the exponential bound.

    `max_attempts` counts the first try. Seconds. Source of full jitter: AWS Architecture Blog,
    "Exponential Backoff And Jitter" (2015).
    """

    max_attempts: int = 4
    on: frozenset[FailureKind] = frozenset(RETRYABLE)
    initial: float = 1.0
    factor: float = 2.0
    max: float = 60.0
    jitter: bool = True

    def delay(self, failures: int, dice: Random) -> float:
        """Seconds to wait after the `failures`-th failure (from 1)."""
        try:
            bound = min(self.max, self.initial * self.factor ** (failures - 1)) if self.initial else 0.0
        except OverflowError:
            bound = self.max
        return dice.uniform(0.0, bound) if self.jitter else bound


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """`pools`: one per candidate model, tried left to right; `(CONTROL,)` holds no worker.

    `conditional`: something is evaluated before the task may queue (a condition, a stored answer).
    `accepts_failure`: `on_error` is written. `priority` is already inherited. `inner`: an item or a
    task of a sub-pipeline, whose failure is its parent's affair and not yet the run's. `gated`: the
    first dependency is the entry of a sub-pipeline; where that did not succeed, nothing below it
    runs, whatever the rule. `final`: runs when all others have settled. `item_workers` caps the
    attempts of a `foreach`, 0 = no cap; so many items, or such a share, may fail: `tolerate`.
    """

    pools: tuple[int, ...] = (CONTROL,)
    rule: str = "all_success"
    priority: int = 0
    retry: RetryPolicy = RetryPolicy()
    conditional: bool = False
    accepts_failure: bool = False
    inner: bool = False
    gated: bool = False
    final: bool = False
    item_workers: int = 0
    tolerate: tuple[int, float] = (0, 0.0)
