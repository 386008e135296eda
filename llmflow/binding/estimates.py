"""What each stage is believed to take, learned from the history of its own task, its model, or the author's word."""

from __future__ import annotations

from llmflow.binding.asking import written_hash
from llmflow.binding.compile import Compiled
from llmflow.binding.stages import Stage
from llmflow.history.samples import latest_samples, latest_samples_of_others
from llmflow.history.store import Store
from llmflow.language.pipeline import EstimateSpec
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.pools import CONTROL

UNIT = 1.0
"""Seconds that a task counts for of which nothing is known: the shape of the graph decides."""


def estimates(compiled: Compiled, store: Store | None) -> list[Estimate]:
    """One belief per stage, in seconds; steps that hold no worker take none.

    An estimate that is written wins over the history of a simulated task: it *is* the truth there.
    """
    nothing = Estimate(0.0, 0.0, "default", 0)
    unit = Estimate(UNIT, 0.0, "default", 0)
    authors: dict[tuple[float, float], Estimate] = {}
    found = [nothing] * len(compiled.stages)
    asked: list[tuple[Stage, str, Estimate | None]] = []
    for stage, spec, models in zip(compiled.stages, compiled.specs, compiled.models, strict=True):
        if spec.pools[0] == CONTROL:
            continue
        written = _as_written(stage.task.estimate, authors)
        provider = compiled.providers[spec.pools[0]]
        if written is not None and provider is not None and provider.kind == "simulated":
            found[stage.index] = written
        else:
            found[stage.index] = written or unit
            asked.append((stage, models[0] if models else "", written))
    if asked and store is not None:
        for index, belief in _learned(compiled, store, asked).items():
            found[index] = belief
    return found


def _learned(compiled: Compiled, store: Store, asked: list[tuple[Stage, str, Estimate | None]]) -> dict[int, Estimate]:
    """What history says of these stages (stage, model, the author's word); empty where there is none."""
    own = latest_samples(store, compiled.pipeline.key)
    models = sorted({model for _, model, _ in asked if model})
    others = latest_samples_of_others(store, models, besides=compiled.pipeline.key)
    if not own and not others:
        return {}
    from llmflow.scheduling.learning import Learner, Subject

    learner = Learner(own, others)

    def learned(stage: Stage, model: str, written: Estimate | None) -> Estimate:
        return learner.estimate(Subject(stage.name, model=model, template=written_hash(stage.task), author=written))

    return {stage.index: learned(stage, model, written) for stage, model, written in asked}


def _as_written(estimate: EstimateSpec | None, authors: dict[tuple[float, float], Estimate]) -> Estimate | None:
    """The author's word; tasks alike share one object."""
    if estimate is None:
        return None
    key = (estimate.mean, estimate.sd)
    if key not in authors:
        authors[key] = Estimate(*key, "author", 0)
    return authors[key]
