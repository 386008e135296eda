"""Which calls of a run may be doubled, and when: what authors wrote, history learned and earlier runs left over.

A task whose duration is not known as a distribution is not hedged, nor one whose second calls have
turned out as slow as the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmflow.binding.asking import written_hash
from llmflow.binding.compile import Compiled
from llmflow.binding.stages import Stage
from llmflow.scheduling.graph import upward_ranks

if TYPE_CHECKING:
    from llmflow.history.store import Store
    from llmflow.scheduling.estimates import Estimate
    from llmflow.scheduling.hedging import HedgeRule, Hedging


def hedging(compiled: Compiled, estimates: Sequence[Estimate], store: Store | None) -> Hedging | None:
    """None where nothing may be doubled: no task asks for it, or none is known well enough."""
    extra = compiled.pipeline.scheduling.hedge_extra
    asking = [s for s in compiled.stages if s.task.hedge is not None and compiled.models[s.index]] if extra else []
    if not asking:
        return None
    from llmflow.scheduling.hedging import CARRIED_AT_MOST, Hedging

    rules = {}
    for stage in asking:
        rule = _rule(compiled, stage, estimates[stage.index], store)
        if rule is not None:
            rules[stage.index] = rule
    if not rules:
        return None
    carried = 0.0
    if store is not None:
        from llmflow.history.doubles import calls_and_copies

        calls, copies = calls_and_copies(store, compiled.pipeline.key)
        # Of all calls, so that second calls are not counted among those that they are a share of.
        carried = max(-CARRIED_AT_MOST, min(CARRIED_AT_MOST, extra * (calls - copies) - copies))
    ranks = upward_ranks(compiled.shadow, [estimate.mean for estimate in estimates])
    return Hedging(rules, ranks, [bool(models) for models in compiled.models], extra, carried)


def _rule(compiled: Compiled, stage: Stage, estimate: Estimate, store: Store | None) -> HedgeRule | None:
    """After how long a call of the stage may be doubled; None where nobody knows, or where it has not helped."""
    from llmflow.scheduling.doubles import TOO_ALIKE, Durations, correlation
    from llmflow.scheduling.hedging import HedgeRule

    hedge = stage.task.hedge
    assert hedge is not None
    provider = compiled.providers[compiled.specs[stage.index].pools[0]]
    is_truth = provider is not None and provider.kind == "simulated" and estimate.source == "author"
    if not estimate.sd or not (estimate.source == "task" or is_truth):
        return None
    after = estimate.quantile(hedge.after)
    if store is not None:
        from llmflow.history.doubles import past_calls

        past = past_calls(
            store,
            pipeline=compiled.pipeline.key,
            task=stage.name,
            model=compiled.models[stage.index][0],
            template=written_hash(stage.task),
        )
        if past.doubles:
            durations = Durations.of(past.calls)
            if correlation(past.doubles, durations) > TOO_ALIKE:
                return None
            after = durations.quantile(hedge.after) or after
    return HedgeRule(after, hedge.max) if after > 0 else None
