"""Which calls of a run may be doubled, and when: what authors wrote, history learned and earlier runs left over.

A task whose duration is not known as a distribution is not hedged, nor one whose second calls have
turned out as slow as the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from llmflow.binding.asking import written_hash
from llmflow.binding.compile import Compiled
from llmflow.binding.stages import Stage
from llmflow.scheduling.graph import upward_ranks

if TYPE_CHECKING:
    from llmflow.binding.forecast import Forecast
    from llmflow.history.store import Store
    from llmflow.scheduling.doubles import Evidence
    from llmflow.scheduling.estimates import Estimate
    from llmflow.scheduling.hedged_runs import HedgedRuns
    from llmflow.scheduling.hedging import Hedging


LIKELY = 200
"""So many equally likely durations stand for those that calls were seen to take."""


def hedging(compiled: Compiled, estimates: Sequence[Estimate], store: Store | None) -> Hedging | None:
    """None where nothing may be doubled: no task asks for it, or none is known well enough."""
    extra = compiled.pipeline.scheduling.hedge_extra
    asking = [s for s in compiled.stages if s.task.hedge is not None and compiled.models[s.index]] if extra else []
    if not asking:
        return None
    from llmflow.scheduling.doubles import TOO_ALIKE, correlation, together
    from llmflow.scheduling.hedging import HedgeRule, Hedging

    known = [known for stage in asking if (known := _known(compiled, stage, estimates[stage.index], store))]
    models = {one.model for one in known}
    all_of = {model: together(one.evidence for one in known if one.model == model) for model in models}
    rules = {}
    for one in known:
        alike = correlation(one.evidence, all_of[one.model].without(one.evidence))
        if alike <= TOO_ALIKE and one.after > 0:
            assert one.stage.task.hedge is not None
            rules[one.stage.index] = HedgeRule(one.after, one.stage.task.hedge.max, alike, one.calls)
    if not rules:
        return None
    means = [estimate.mean for estimate in estimates]
    ranks = upward_ranks(compiled.shadow, means)
    counted = [bool(models) for models in compiled.models]
    return Hedging(rules, ranks, means, counted, extra, _left_over(compiled, extra, store))


def hedged_runs(compiled: Compiled, planned: Forecast, hedging: Hedging) -> HedgedRuns:
    """How the runs of a plan go with second calls: by the same rules, every item by itself."""
    from llmflow.scheduling.hedged_runs import HedgedRuns
    from llmflow.scheduling.hedging import Hedging

    means = [estimate.mean for estimate in planned.estimates]
    rules = {task: hedging.rules[stage] for task, stage in enumerate(planned.stages) if stage in hedging.rules}
    counted = [hedging.counted[stage] for stage in planned.stages]
    ranks = upward_ranks(planned.graph, means)
    by_task = Hedging(rules, ranks, means, counted, hedging.extra, hedging.carried)
    return HedgedRuns(planned.graph, planned.specs, compiled.pools, by_task, workers=compiled.workers)


def _left_over(compiled: Compiled, extra: float, store: Store | None) -> float:
    """How many second calls the earlier runs of the pipeline did not make, of those that were theirs to make."""
    from llmflow.scheduling.hedging import CARRIED_AT_MOST

    if store is None:
        return 0.0
    from llmflow.history.doubles import calls_and_copies

    calls, copies = calls_and_copies(store, compiled.pipeline.key)
    return max(-CARRIED_AT_MOST, min(CARRIED_AT_MOST, extra * (calls - copies) - copies))


class _Known(NamedTuple):
    """A stage whose calls are known to take this long, and how alike two of them have been.

    `calls`: equally likely durations, where some were cut off and the estimate does not know them.
    """

    stage: Stage
    model: str
    after: float
    evidence: Evidence
    calls: tuple[float, ...] = ()


def _known(compiled: Compiled, stage: Stage, estimate: Estimate, store: Store | None) -> _Known | None:
    """None where nobody knows the distribution of its duration."""
    from llmflow.scheduling.doubles import Durations, Evidence, evidence
    from llmflow.scheduling.estimates import MANY

    hedge = stage.task.hedge
    assert hedge is not None
    provider = compiled.providers[compiled.specs[stage.index].pools[0]]
    is_truth = provider is not None and provider.kind == "simulated" and estimate.source == "author"
    if not estimate.sd or not (estimate.source == "task" or is_truth):
        return None
    model, after = compiled.models[stage.index][0], estimate.quantile(hedge.after)
    if store is None:
        return _Known(stage, model, after, Evidence())
    from llmflow.history.doubles import past_calls

    past = past_calls(
        store,
        pipeline=compiled.pipeline.key,
        task=stage.name,
        model=model,
        template=written_hash(stage.task),
    )
    durations = Durations.of(past.calls)
    if not past.doubles:
        return _Known(stage, model, after, Evidence())
    after = durations.quantile(hedge.after) or after
    calls = durations.likely(LIKELY) if len(past.calls) >= MANY else ()
    return _Known(stage, model, after, evidence(past.doubles, durations), calls)
