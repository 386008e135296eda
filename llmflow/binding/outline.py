"""A bound pipeline → the boxes and links that are drawn of it. Nothing of the pipeline is executed for it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from llmflow.binding.compile import Compiled
from llmflow.binding.forecast import written_count
from llmflow.binding.stages import Role, Stage
from llmflow.history.items import item_counts
from llmflow.history.store import Store
from llmflow.language.pipeline import Task
from llmflow.reports.graph_outline import Box, Link, Outline
from llmflow.scheduling.estimates import UNKNOWN, Estimate
from llmflow.scheduling.graph import Timing, timing
from llmflow.scheduling.pools import CONTROL

TIGHT = 1e-9
"""Slack in seconds below which a task is on a longest chain: sums in another order differ in their last bits."""


def outline_of(compiled: Compiled, estimates: Sequence[Estimate], store: Store | None) -> Outline:
    """Ranks count each `foreach` as one item. `estimates` are per stage."""
    return _Drawing(compiled, estimates, store).outline()


class _Drawing:
    def __init__(self, compiled: Compiled, estimates: Sequence[Estimate], store: Store | None) -> None:
        self._compiled, self._estimates = compiled, estimates
        self._rows = compiled.stages.rows
        self._counts = item_counts(store, compiled.pipeline.key) if store is not None else {}
        self._final = self._finals()
        self._times = timing(
            compiled.shadow,
            [
                estimate.mean if spec.pools[0] != CONTROL and index not in self._final else 0.0
                for index, (estimate, spec) in enumerate(zip(estimates, compiled.specs, strict=True))
            ],
        )
        self._entries = {stage.name.removesuffix("/"): stage for stage in self._rows if stage.role is Role.ENTRY}

    def outline(self) -> Outline:
        shown = [stage for stage in self._rows if not stage.is_item and stage.role is not Role.ENTRY]
        places = {stage.name: place for place, stage in enumerate(shown)}
        inside: dict[str, list[int]] = {}
        for place, stage in enumerate(shown):
            inside.setdefault(stage.space.prefix.removesuffix("/"), []).append(place)
        boxes = [self._box(stage, places, tuple(inside.get(stage.name, ()))) for stage in shown]
        top = inside.get("", [])
        holding = [e for e, spec in zip(self._estimates, self._compiled.specs, strict=True) if spec.pools[0] != CONTROL]
        return Outline(
            name=self._compiled.pipeline.name,
            boxes=boxes,
            top=tuple(place for place in top if not boxes[place].final),
            finals=tuple(place for place in top if boxes[place].final),
            pools={pool.name: pool.size for pool in self._compiled.pools},
            knows_nothing=all(estimate.source == UNKNOWN.source for estimate in holding),
        )

    def _finals(self) -> set[int]:
        """The stages of `finally`, those below them included: no part of the makespan."""
        names = {stage.name for stage in self._rows if stage.final}
        return {stage.index for stage in self._rows if stage.name.partition("/")[0] in names}

    def _box(self, stage: Stage, places: dict[str, int], inside: tuple[int, ...]) -> Box:
        task, prefix = stage.task, stage.space.prefix
        waits = {
            places[prefix + d]: Link.ORDER if d in task.order_only else Link.DATA
            for d in dict.fromkeys(task.dependencies)
        }
        if task.source:
            waits[places[prefix + task.source]] = Link.FLOW
        first = self._entries[stage.name] if stage.role is Role.EXIT else stage
        last = self._rows[stage.item] if stage.item >= 0 else stage
        final = stage.index in self._final
        holder = self._compiled.specs[last.index].pools[0]
        return Box(
            name=stage.name,
            action=task.action,
            traits=self._traits(stage),
            target=self._target(last),
            pool=self._compiled.pools[holder].name if holder != CONTROL else "",
            seconds=self._seconds(first, last),
            each=task.foreach is not None or (task.reduce is not None and task.reduce.mode == "tree"),
            rank=0.0 if final else self._times.upward[first.index],
            critical=not final and _critical(self._times, last.index),
            final=final,
            description=task.description,
            waits=waits,
            inside=inside,
        )

    def _seconds(self, first: Stage, last: Stage) -> float | None:
        if self._compiled.specs[last.index].pools[0] != CONTROL:
            estimate = self._estimates[last.index]
            return None if estimate.source == UNKNOWN.source else estimate.mean
        return self._times.earliest[last.index] - self._times.earliest[first.index]

    def _traits(self, stage: Stage) -> tuple[str, ...]:
        task, traits = stage.task, []
        if task.foreach is not None:
            count = self._counts.get(stage.name) or written_count(task.foreach, stage)
            word = "matrix" if task.foreach.matrix else "foreach"
            traits.append(f"{word} × {count:,}" if count is not None else word)
        if task.reduce is not None:
            traits.append(f"reduce, {task.reduce.mode} of {task.reduce.batch}")
        if task.repeat is not None:
            traits.append(f"repeat ≤ {task.repeat.max_iterations}")
        if task.when is not None:
            traits.append("when")
        if task.trigger_rule != "all_success":
            traits.append(task.trigger_rule)
        return tuple(traits)

    def _target(self, last: Stage) -> str:
        task: Task = last.task
        if task.uses is not None:
            return _relative(task.uses.path, last.space.pipeline.path)
        if task.command is not None:
            return task.command.line if task.command.shell else shlex.join(task.command.words)
        if task.http is not None:
            return f"{task.http.method} {task.http.url.source}"
        return task.python or ", else ".join(self._compiled.models[last.index])


def _critical(times: Timing, stage: int) -> bool:
    return times.length > 0 and times.slack(stage) <= TIGHT


def _relative(path: str, beside: str) -> str:
    """The file as the pipeline that uses it names it."""
    folder = Path(beside).resolve().parent
    found = Path(path).resolve()
    return str(found.relative_to(folder)) if found.is_relative_to(folder) else path
