"""What the answers of a run teach while it goes on: beliefs are renewed, and with them the order of what is left.

The items of a `foreach` teach their brothers, and all tasks of a model those that have not begun. On
a first run every task counts for one unit until then. How often ranks are renewed is bounded by what
that costs: only when the answers of a task or of a model have doubled, and never more than a small,
fixed amount of work per answer, however many tasks there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llmflow.binding.compile import Compiled
from llmflow.binding.deciding import ranking
from llmflow.binding.estimates import Beliefs, subject_of
from llmflow.binding.rounds import as_a_whole
from llmflow.scheduling.state import FIRST_SETTLED, READY, RunState
from llmflow.scheduling.statistics import SUCCEEDED

if TYPE_CHECKING:
    from llmflow.history.records import SampleRecord
    from llmflow.scheduling.estimates import Estimate
    from llmflow.scheduling.setting import Decision

LARGEST = 2_000
"""Stages of a pipeline above which nothing is learned inside a run: estimating them all anew would be felt."""

PER_ANSWER = 16
"""So many stages and waiting tasks may be ranked anew for each answer that came."""

IN_HAND = 1_000
"""The same, before the first answer: the first lesson is worth most."""

THINNED_FROM, THINNED_TO = 200, 8
"""After so many answers of one stage only every so-manieth is taken in."""


class Lessons:
    """One run's. `rerank` takes new priorities per stage; `renewed` counts how often it was called."""

    def __init__(
        self,
        compiled: Compiled,
        beliefs: Beliefs,
        decision: Decision,
        state: RunState,
        rerank: Callable[[Sequence[float]], None],
    ) -> None:
        self.renewed = 0
        self._compiled, self._beliefs, self._state, self._rerank = compiled, beliefs, state, rerank
        self._rank = ranking(compiled, decision) if beliefs.asked and len(compiled.stages) <= LARGEST else None
        self._learner = beliefs.learner
        self._open = {stage.index for stage, _ in beliefs.asked}
        self._taken: dict[int, int] = {}
        self._of_model: dict[str, int] = {}
        self._credit = IN_HAND
        self._is_news = False

    def take_in(self, stage: int, sample: SampleRecord) -> None:
        """Learn from an attempt of `stage`, and renew the ranks where that is due. O(1) amortised."""
        if self._rank is None or sample.outcome != SUCCEEDED or stage not in self._open:
            return
        taken = self._taken[stage] = self._taken.get(stage, 0) + 1
        self._credit += PER_ANSWER
        if taken > THINNED_FROM and taken % THINNED_TO:
            return
        if self._learner is None:
            from llmflow.scheduling.learning import Learner

            self._learner = Learner()
        of_model = self._of_model[sample.model] = self._of_model.get(sample.model, 0) + 1
        self._learner.update(sample)
        repeats = stage >= self._compiled.stages.static or taken > 1
        self._is_news |= (repeats and _is_power_of_two(taken)) or _is_power_of_two(of_model)
        if self._is_news and self._credit >= (cost := len(self._compiled.stages) + self._state.counts[READY]):
            self._credit -= cost
            self._is_news = False
            self._renew()

    def _renew(self) -> None:
        assert self._learner is not None
        assert self._rank is not None
        estimates = list(self._beliefs.estimates)
        compiled, status = self._compiled, self._state.status
        strangers: dict[tuple[tuple[str, ...], Estimate | None], Estimate] = {}
        """(model, the author's word) → what is believed of every task of which nothing else is known."""
        for stage, written in self._beliefs.asked:
            if stage.index < compiled.stages.static and status[stage.index] >= FIRST_SETTLED:
                continue  # nobody asks for its rank any more
            if self._learner.knows(stage.name):
                estimates[stage.index] = self._learner.estimate(subject_of(compiled, stage, written))
                continue
            kind = (compiled.models[stage.index][:1], written)
            if kind not in strangers:
                strangers[kind] = self._learner.estimate(subject_of(compiled, stage, written))
            estimates[stage.index] = strangers[kind]
        self._rerank(self._rank(as_a_whole(estimates, self._beliefs.rounds)))
        self.renewed += 1


def _is_power_of_two(count: int) -> bool:
    return not count & (count - 1)
