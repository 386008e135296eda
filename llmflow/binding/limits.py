"""How long the attempts of each task may take, and how their elapsed time compares with what such attempts took.

Limits rest on what was known when the run began; where an elapsed time lies also on what was measured since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from llmflow.binding.asking import written_hash
from llmflow.binding.compile import Compiled
from llmflow.binding.estimates import Beliefs
from llmflow.scheduling.pools import CONTROL
from llmflow.scheduling.statistics import SUCCEEDED
from llmflow.scheduling.time_limits import DEFAULT, Durations, TimeLimit

if TYPE_CHECKING:
    from llmflow.history.records import SampleRecord


class Limits:
    """Of one run or plan. A changed prompt or another model starts without history."""

    def __init__(self, compiled: Compiled, beliefs: Beliefs) -> None:
        self._compiled = compiled
        taken: dict[tuple[str, str], dict[str, list[float]]] = {}
        for sample in beliefs.own:
            taken.setdefault((sample.task, sample.model), {}).setdefault(sample.template, []).append(sample.duration)
        self._known = {
            key: {template: Durations(durations) for template, durations in each.items()} for key, each in taken.items()
        }
        self._limits: dict[tuple[int, int], TimeLimit] = {}

    def of(self, stage: int, candidate: int) -> TimeLimit:
        """Of an attempt of `stage` on its `candidate`-th model."""
        key = stage, candidate
        if key not in self._limits:
            written = self._compiled.stages.rows[stage].task.timeout.total
            if written is not None:
                self._limits[key] = TimeLimit(written, "author")
            else:
                known = self._durations(stage, candidate)
                self._limits[key] = (known.limit() if known is not None else None) or DEFAULT
        return self._limits[key]

    def told(self) -> Mapping[str, TimeLimit]:
        """Task → its limit on its first model, of those that do not go by the default."""
        rows, specs = self._compiled.stages.rows, self._compiled.specs
        found = {rows[i].name: self.of(i, 0) for i, spec in enumerate(specs) if spec.pools[0] != CONTROL}
        return {name: limit for name, limit in found.items() if limit is not DEFAULT}

    def percentile(self, stage: int, candidate: int, elapsed: float) -> tuple[int, int] | None:
        """(percent of such attempts that took no longer, how many there are); None of too few."""
        known = self._durations(stage, candidate) if self._compiled.specs[stage].pools[0] != CONTROL else None
        return known.percentile(elapsed) if known is not None else None

    def learn(self, sample: SampleRecord) -> None:
        """An attempt of this run has ended."""
        if sample.outcome == SUCCEEDED:
            each = self._known.setdefault((sample.task, sample.model), {})
            each.setdefault(sample.template, Durations()).add(sample.duration)

    def _durations(self, stage: int, candidate: int) -> Durations | None:
        row, models = self._compiled.stages.rows[stage], self._compiled.models[stage]
        each = self._known.get((row.name, models[candidate] if models else ""))
        return each.get(written_hash(row.task)) if each else None
