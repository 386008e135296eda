"""How the tasks of one pipeline are ranked, and what its run is predicted to take: asked before it begins.

Both are asked with the clock running: a run must not wait longer for its plan than it can save.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmflow.binding.compile import Compiled
from llmflow.binding.forecast import Forecast, TooLargeToPlan, forecast
from llmflow.binding.hedging import hedged_runs
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import CONTROL
from llmflow.scheduling.setting import CRITICAL_PATH, STOCHASTIC, Decision, Expansion, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmflow.history.store import Store
    from llmflow.scheduling.estimates import Estimate
    from llmflow.scheduling.hedging import Hedging

PREDICTING = (0.02, 0.2, 0.01)
"""How long predicting may take: between so many CPU seconds, such a share of what the run is expected to take."""

TRIED = 2_000
"""Larger graphs with items are not laid out to try orders on them."""

PREDICTED = 5_000
"""Larger runs are not predicted: laying them out would take the memory that their window saves."""


def decide(
    compiled: Compiled,
    estimates: Sequence[Estimate],
    policy: str,
    *,
    seed: int = 0,
    budget_s: float | None = None,
    resumed: bool = False,
    expected: Callable[[], Forecast] | None = None,
) -> Decision:
    """Priorities per stage; `estimates` are of all calls of a task together.

    `budget_s`: CPU seconds that deciding may take, None = the policy's own measure. `expected` gives
    the graph with its items, or raises TooLargeToPlan; asked only where there are any.
    No worker is kept free on purpose where tasks may be skipped, doubled or repeated, and in the rest of a run.
    """
    from llmflow.scheduling.estimates import Estimate

    # Tasks of `finally` run when all is over: they are no part of the makespan.
    beliefs = [Estimate(0.0) if spec.final else e for spec, e in zip(compiled.specs, estimates, strict=True)]
    pool_of = [CONTROL if spec.final else pool for spec, pool in zip(compiled.specs, compiled.pool_of, strict=True)]
    grows = any(stage.is_item for stage in compiled.stages)
    expansion = None
    known = any(e.source != "default" for e in beliefs)
    if grows and known and budget_s != 0 and expected is not None and policy == STOCHASTIC:
        with suppress(TooLargeToPlan):
            planned = expected()
            expansion = Expansion(planned.graph, planned.stages)
    sure = not any(spec.conditional for spec in compiled.specs)
    sure = sure and not any(stage.task.hedge or stage.loops for stage in compiled.stages)
    return POLICIES[policy].decide(
        Setting(
            compiled.shadow,
            beliefs,
            workers=[pool.size for pool in compiled.pools],
            pool_of=pool_of,
            cap=compiled.workers,
            urgencies=[spec.priority for spec in compiled.specs],
            conditional=[spec.conditional for spec in compiled.specs],
            grows=grows,
            expansion=expansion,
            seed=seed,
            budget_s=budget_s,
            speed=compiled.speed,
            clock=time.thread_time,
            may_idle=sure and not grows and not resumed,
        )
    )


def ranking(compiled: Compiled, decision: Decision) -> Callable[[Sequence[Estimate]], list[float]] | None:
    """How priorities follow from new beliefs while a run goes on; None where they would change nothing.

    That is where no worker is short, where the order does not go by durations, and where it was found
    by a search: that took longer than a run can wait for in its midst.
    """
    from llmflow.scheduling.graph import upward_ranks
    from llmflow.scheduling.stochastic import MEAN_PLUS_SD

    if not compiled.workers and not any(compiled.pools[pool].size for pool in compiled.pool_of if pool >= 0):
        return None
    order = compiled.shadow.order()
    final = [spec.final for spec in compiled.specs]

    def critical_path(estimates: Sequence[Estimate]) -> list[float]:
        means = [0.0 if f else e.mean for f, e in zip(final, estimates, strict=True)]
        return upward_ranks(compiled.shadow, means, order)

    def mean_plus_sd(estimates: Sequence[Estimate]) -> list[float]:
        risky = [0.0 if f else e.mean + e.sd for f, e in zip(final, estimates, strict=True)]
        return upward_ranks(compiled.shadow, risky, order)

    if decision.policy == STOCHASTIC:
        return mean_plus_sd if decision.order in (CRITICAL_PATH, MEAN_PLUS_SD) else None
    rules = {CRITICAL_PATH: critical_path, "longest-task": lambda estimates: [e.mean for e in estimates]}
    return rules.get(decision.policy)


def predict(
    compiled: Compiled,
    estimates: Sequence[Estimate],
    decision: Decision,
    store: Store | None,
    *,
    inputs: Mapping[str, Any] | None = None,
    seed: int = 0,
    doubled: Hedging | None = None,
) -> dict[str, Any] | None:
    """What the history keeps of a forecast: `makespan` on expected durations, P10, P50, P90; run seconds.

    None where nobody knows any duration, and for very large runs; the quantiles are None where
    sampling would take too long. `doubled`: which calls may be made twice; `makespan` does not count on it.
    """
    from llmflow.scheduling.lean_schedule import LeanSchedules
    from llmflow.scheduling.outlook import affordable, look_out
    from llmflow.scheduling.spread import with_spread

    if all(e.source == "default" or not e.mean for e in estimates):
        return None
    try:
        planned = forecast(compiled, estimates, store, inputs=inputs, most=PREDICTED)
    except TooLargeToPlan:
        return None
    priorities = [decision.priorities[stage] for stage in planned.stages]
    lean = LeanSchedules(planned.graph, planned.specs, compiled.pools, workers=compiled.workers)
    beliefs = with_spread(planned.estimates)
    makespan = lean.schedule(lean.keys(priorities), [e.mean for e in beliefs], holds=planned.holds(decision))[0]
    found: dict[str, Any] = {"makespan": makespan, "samples": 0, "p10": None, "p50": None, "p90": None}
    if not any(e.sd for e in beliefs):
        return {**found, "p10": makespan, "p50": makespan, "p90": makespan}
    hedged = hedged_runs(compiled, planned, doubled) if doubled is not None else None
    least, most, share = PREDICTING
    outlook = look_out(
        planned.graph,
        beliefs,
        lean,
        {decision.policy: priorities},
        holds={decision.policy: planned.holds(decision)},
        hedged=hedged,
        samples=affordable(len(planned.graph), 1),
        seed=seed,
        budget_s=max(least, min(most, share * makespan / compiled.speed)),
        clock=time.thread_time,
    )
    if outlook is not None:
        q = outlook.makespans[decision.policy]
        found.update(samples=outlook.samples, p10=q.p10, p50=q.p50, p90=q.p90)
    return found
