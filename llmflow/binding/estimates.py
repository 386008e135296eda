"""What each stage is believed to take: its own history, else its model's, else the author's word, else 1 unit."""

from __future__ import annotations

from llmflow.binding.compile import Compiled
from llmflow.history.samples import latest_durations, latest_durations_of_models
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
    own = latest_durations(store, compiled.pipeline.key) if store is not None else {}
    of_models = latest_durations_of_models(store) if store is not None else {}
    nothing = Estimate(0.0, 0.0, "default", 0)
    unit = Estimate(UNIT, 0.0, "default", 0)
    author: dict[tuple[float, float], Estimate] = {}

    def as_written(estimate: EstimateSpec) -> Estimate:
        key = (estimate.mean, estimate.sd)
        if key not in author:
            author[key] = Estimate(*key, "author", 0)
        return author[key]

    found = []
    for stage, spec, models in zip(compiled.stages, compiled.specs, compiled.models, strict=True):
        if spec.pools[0] == CONTROL:
            found.append(nothing)
            continue
        model = models[0] if models else ""
        written = stage.task.estimate
        provider = compiled.providers[spec.pools[0]]
        if written is not None and provider is not None and provider.kind == "simulated":
            found.append(as_written(written))
        elif (seen := own.get((stage.name, model))) is not None:
            found.append(Estimate(seen.mean, seen.sd, "task", seen.n))
        elif (seen := of_models.get(model)) is not None and written is None:
            found.append(Estimate(seen.mean, seen.sd, "model", seen.n))
        elif written is not None:
            found.append(as_written(written))
        else:
            found.append(unit)
    return found
