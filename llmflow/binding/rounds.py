"""How many calls in a row each loop (a `repeat`, a fold) is believed to make: what history saw, else one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING

from llmflow.binding.compile import Compiled
from llmflow.history.items import mean_rounds
from llmflow.history.store import Store

if TYPE_CHECKING:
    from llmflow.scheduling.estimates import Estimate


def rounds_of(compiled: Compiled, store: Store | None) -> dict[int, int]:
    """Stage → calls, at least 1, of those loops whose calls history has counted."""
    loops = [stage for stage in compiled.stages if stage.loops]
    if not loops or store is None:
        return {}
    seen = mean_rounds(store, compiled.pipeline.key)
    return {stage.index: max(1, round(seen[stage.name])) for stage in loops if stage.name in seen}


def as_a_whole(estimates: Sequence[Estimate], rounds: Mapping[int, int]) -> Sequence[Estimate]:
    """Per stage what one execution takes from its first call to its last, where `estimates` are of single calls."""
    if not rounds:
        return estimates
    whole = list(estimates)
    for stage, calls in rounds.items():
        one = whole[stage]
        whole[stage] = replace(one, mean=one.mean * calls, sd=one.sd * sqrt(calls), values=(), doubt=None)
    return whole
