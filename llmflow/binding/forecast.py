"""The graph that a plan simulates: every `foreach` with the number of items that it is believed to have.

A loop stands as a chain of its calls, and of a `foreach` with `workers` each item waits for the one so many before it.

The count is what is written or follows from the inputs, else what history saw last, else 1; where it is
assumed the plan says so. Nothing of the pipeline is executed for it but templates that read inputs alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from llmflow.binding.compile import Compiled
from llmflow.binding.items import rows_below
from llmflow.binding.rounds import rounds_of
from llmflow.binding.stages import Role, Stage
from llmflow.errors import CallFailed
from llmflow.history.items import item_counts
from llmflow.history.store import Store
from llmflow.language.pipeline import Foreach
from llmflow.language.templates import Structure, Template
from llmflow.quantities import plural
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.idling import Hold
from llmflow.scheduling.setting import Decision
from llmflow.scheduling.tasks import TaskSpec


@dataclass(slots=True)
class Forecast:
    """Sequences are indexed by planned task. `notes`: one sentence per assumption."""

    graph: Graph = field(default_factory=Graph)
    specs: list[TaskSpec] = field(default_factory=list)
    estimates: list[Estimate] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)
    """Planned task → its stage."""
    notes: list[str] = field(default_factory=list)

    def holds(self, decision: Decision) -> tuple[Hold, ...]:
        """The decision's, which are of stages, by planned task."""
        if not decision.holds:
            return ()
        task_of = {stage: task for task, stage in enumerate(self.stages)}
        return tuple(h._replace(task=task_of[h.task], until=task_of[h.until]) for h in decision.holds)


class TooLargeToPlan(Exception):
    """The graph would have more tasks than the caller wants to lay out."""


def forecast(
    compiled: Compiled,
    estimates: Sequence[Estimate],
    store: Store | None,
    *,
    inputs: Mapping[str, Any] | None = None,
    most: int = 0,
) -> Forecast:
    """Lay out every item of every group. Groups themselves take no time and stand before their items.

    Tasks of `finally` are left out: they run when all others have settled and are no part of the makespan.
    `inputs`: those of the run, None = what stands in the file. Raises TooLargeToPlan above `most` tasks, 0 = no limit.
    """
    most = most or sys.maxsize
    if (
        not any(stage.is_item or stage.final or stage.loops for stage in compiled.stages)
        and len(compiled.graph) <= most
    ):
        # Nothing to lay out: the run's own graph is the whole of it.
        stages = list(range(len(compiled.graph)))
        return Forecast(compiled.graph, list(compiled.specs), list(estimates), stages)
    return _Layout(compiled, estimates, store, inputs, most).laid()


class _Layout:
    def __init__(
        self,
        compiled: Compiled,
        estimates: Sequence[Estimate],
        store: Store | None,
        inputs: Mapping[str, Any] | None,
        most: int,
    ) -> None:
        defaults = {name: given.default for name, given in compiled.pipeline.inputs.items()}
        self._inputs = defaults if inputs is None else inputs
        self._most = most
        self._compiled, self._rows, self._estimates = compiled, compiled.stages.rows, estimates
        self._seen = item_counts(store, compiled.pipeline.key) if store is not None else {}
        self._rounds = rounds_of(compiled, store)
        self._forecast = Forecast()
        self._ends: dict[int, list[int]] = {}
        """Group stage → the planned tasks that its dependents wait for."""

    def laid(self) -> Forecast:
        ids: dict[int, int] = {}
        final: set[int] = set()
        for index in self._compiled.graph.order():
            stage = self._rows[index]
            if stage.final or not final.isdisjoint(stage.dependencies):
                final.add(index)
            else:
                self._lay(stage, stage.name, ids)
        return self._forecast

    def _lay(self, stage: Stage, name: str, ids: dict[int, int], more: Sequence[int] = ()) -> int:
        """One planned task behind those it waits for; a group is followed by its items."""
        waits = [*more]
        for d in stage.dependencies:
            if d != stage.source:
                waits += self._ends.get(d, [ids[d]] if d in ids else [])
        new = self._add_loop(stage, name, waits)
        ids[stage.index] = new
        if stage.item >= 0:
            self._lay_items(stage, name, new)
        return new

    def _add_loop(self, stage: Stage, name: str, waits: Sequence[int]) -> int:
        """One execution, call by call; gives the last."""
        last = self._add(stage, name, waits)
        if stage.loops:
            calls = self._rounds.get(stage.index, 0)
            self._note_of_loop(stage, calls)
            for call in range(2, calls + 1):
                last = self._add(stage, f"{name}, call {call}", [last])
        return last

    def _note_of_loop(self, stage: Stage, calls: int) -> None:
        if not calls:
            note = f"{stage.name}: how many calls in a row it will make is not known; 1 is assumed"
        else:
            note = f"{stage.name}: {plural(calls, 'call')} in a row, as in earlier runs"
        if note not in self._forecast.notes:
            self._forecast.notes.append(note)

    def _add(self, stage: Stage, name: str, waits: Sequence[int]) -> int:
        planned = self._forecast
        if len(planned.specs) >= self._most:
            raise TooLargeToPlan
        planned.specs.append(self._compiled.specs[stage.index])
        planned.estimates.append(self._estimates[stage.index])
        planned.stages.append(stage.index)
        return planned.graph.add(name, waits)

    def _lay_items(self, group: Stage, name: str, gate: int) -> None:
        item = self._rows[group.item]
        source = self._ends.get(group.source) if group.source >= 0 else None
        if group.role is Role.TREE and source:
            self._ends[group.index] = self._lay_tree(group, item, name, gate, source)
            return
        count = len(source) if source is not None and group.role is Role.GROUP else self._count(group, source)
        ends: list[int] = []
        cap = self._compiled.specs[group.index].item_workers
        if 0 < cap < count:
            self._forecast.notes.append(f"{name}: at most {plural(cap, 'item')} at once")
        for k in range(count):
            before = [gate, source[k]] if source is not None and group.role is Role.GROUP else [gate, *(source or ())]
            if 0 < cap <= k:
                before.append(ends[k - cap])
            shown = f"{name}[{k}]"
            if item.body:
                inner: dict[int, int] = {}
                for index in item.body[:-1]:
                    stage = self._rows[index]
                    first = before if index == item.body[0] else ()
                    self._lay(stage, shown + stage.name.removeprefix(item.name), inner, first)
                ends.append(self._lay(item, shown, inner))
            else:
                ends.append(self._add_loop(item, shown, before))
        self._ends[group.index] = ends or [gate]

    def _lay_tree(self, group: Stage, item: Stage, name: str, gate: int, source: Sequence[int]) -> list[int]:
        """Pieces join a batch of answers each, level by level, until one is left."""
        assert group.task.reduce is not None
        batch, level, pieces = group.task.reduce.batch, list(source), 0
        while True:
            joined = []
            for first in range(0, len(level), batch):
                joined.append(self._add(item, f"{name}[{pieces}]", [gate, *level[first : first + batch]]))
                pieces += 1
            level = joined
            if len(level) == 1:
                return level

    def _count(self, group: Stage, source: Sequence[int] | None) -> int:
        """How many items (or pieces) the group is believed to have."""
        if group.role is not Role.TREE:
            assert group.task.foreach is not None
            written = written_count(group.task.foreach, group, self._inputs)
            if written is not None:
                return written
        seen = self._seen.get(group.name)
        if seen:
            self._forecast.notes.append(f"{group.name}: {seen} items, as in its last run")
            return seen
        if group.role is Role.TREE:
            self._forecast.notes.append(f"{group.name}: how many pieces it will have is not known; 1 is assumed")
            return 1
        self._forecast.notes.append(f"{group.name}: how many items it will have is not known; 1 is assumed")
        return 1


def written_count(foreach: Foreach, group: Stage, inputs: Mapping[str, Any] | None = None) -> int | None:
    """The number of items that stand in the pipeline itself, or in a file it names, or that `inputs` lead to.

    None where what other tasks answer decides.
    """
    scope = {"inputs": inputs} if inputs is not None and group.space.parent is None else None
    if foreach.matrix:
        lengths = [_length(structure, scope) for structure in foreach.matrix.values()]
        return prod(n for n in lengths if n is not None) if None not in lengths else None
    if foreach.zip:
        return _length(foreach.zip[0], scope)
    if foreach.items is not None:
        return _length(foreach.items, scope)
    if foreach.file is not None and not foreach.file.references:
        try:
            return len(rows_below(Path(group.space.pipeline.path).parent, foreach.file.source))
        except CallFailed:
            return None
    return None


def _length(structure: Structure, scope: Mapping[str, Any] | None) -> int | None:
    data: Any = structure.data
    if scope is not None and isinstance(data, Template) and all(r.path[0] == "inputs" for r in data.references):
        try:
            data = data.sequence(scope)
        except CallFailed:
            return None
        return len(data) if isinstance(data, Sequence) and not isinstance(data, str | bytes) else None
    return len(data) if isinstance(data, list | tuple) else None
