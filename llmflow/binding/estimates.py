"""What each stage is believed to take, learned from the history of its own task, its model, or the author's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmflow.binding.asking import written_hash
from llmflow.binding.compile import Compiled
from llmflow.binding.rounds import as_a_whole, rounds_of
from llmflow.binding.stages import Stage
from llmflow.history.samples import latest_samples, latest_samples_of_others
from llmflow.history.store import Store
from llmflow.language.pipeline import EstimateSpec
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.pools import CONTROL

if TYPE_CHECKING:
    from llmflow.history.records import SampleRecord
    from llmflow.scheduling.learning import Learner, Subject

UNIT = 1.0
"""Seconds that a task counts for of which nothing is known: the shape of the graph decides."""


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What is believed before anything begins, and what that rests on.

    `estimates`: per stage, of one call, in seconds; steps that hold no worker take none. `rounds`: calls
    in a row per stage, of loops that were seen before (`rounds_of`). `asked`: the stages about
    which history may know something, each with the author's word. `own`: the pipeline's youngest
    successful attempts. `learner`: what was made of them, None where there was nothing to learn from.
    """

    estimates: Sequence[Estimate]
    asked: Sequence[tuple[Stage, Estimate | None]] = ()
    own: Sequence[SampleRecord] = ()
    learner: Learner | None = None
    rounds: Mapping[int, int] = field(default_factory=dict)

    @property
    def whole(self) -> Sequence[Estimate]:
        """`estimates` of all calls in a row: what an order goes by."""
        return as_a_whole(self.estimates, self.rounds)


def believed(compiled: Compiled, store: Store | None) -> Beliefs:
    """An estimate that is written wins over the history of a simulated task: it *is* the truth there.

    Unless the provider's `durations` say what is true.
    """
    nothing = Estimate(0.0, 0.0, "default", 0)
    unit = Estimate(UNIT, 0.0, "default", 0)
    authors: dict[tuple[float, float], Estimate] = {}
    found = [nothing] * len(compiled.stages)
    asked: list[tuple[Stage, Estimate | None]] = []
    for stage, spec in zip(compiled.stages, compiled.specs, strict=True):
        if spec.pools[0] == CONTROL:
            continue
        written = _as_written(stage.task.estimate, authors)
        provider = compiled.providers[spec.pools[0]]
        found[stage.index] = written or unit
        is_truth = provider is not None and provider.kind == "simulated" and stage.task.id not in provider.durations
        if written is None or not is_truth:
            asked.append((stage, written))
    if store is None:
        return Beliefs(found, asked)
    own = latest_samples(store, compiled.pipeline.key)
    rounds = rounds_of(compiled, store) if own else {}
    if not asked:
        return Beliefs(found, asked, own, rounds=rounds)
    models = sorted({model for stage, _ in asked for model in compiled.models[stage.index][:1]})
    others = latest_samples_of_others(store, models, besides=compiled.pipeline.key)
    if not own and not others:
        return Beliefs(found, asked)
    from llmflow.scheduling.learning import Learner

    learner = Learner(own, others)
    for stage, written in asked:
        found[stage.index] = learner.estimate(subject_of(compiled, stage, written))
    return Beliefs(found, asked, own, learner, rounds)


def subject_of(compiled: Compiled, stage: Stage, written: Estimate | None) -> Subject:
    """What a learner is asked of a stage: any of its items, on its first model, with its prompt as it stands."""
    from llmflow.scheduling.learning import Subject

    models = compiled.models[stage.index]
    return Subject(stage.name, model=models[0] if models else "", template=written_hash(stage.task), author=written)


def _as_written(estimate: EstimateSpec | None, authors: dict[tuple[float, float], Estimate]) -> Estimate | None:
    """The author's word; tasks alike share one object."""
    if estimate is None:
        return None
    key = (estimate.mean, estimate.sd)
    if key not in authors:
        authors[key] = Estimate(*key, "author", 0)
    return authors[key]
