"""Runs a whole pipeline on virtual time, for tests of fan-outs: what came out, what happened when, what was held.

    ran = run(tmp_path, TEXT, inputs={"rows": [1, 2]})
    assert ran.outputs == {"each": ["a", "b"]}
    assert ran.spans()["each[0]"] == [(0.0, 2.0)]

Nothing is stored and nothing waits; `python` and `command` tasks need `virtual=False`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, RunResult, execute
from llmflow.binding.loading import bind, choose_policy, load_file, model_choice
from llmflow.binding.recall import Recall
from llmflow.language.inputs import check_inputs
from llmflow.runtime.clock import VirtualTimeLoop
from llmflow.scheduling import events as ev
from llmflow.scheduling.groups import Settling
from llmflow.scheduling.pools import CONTROL
from llmflow.views.view import RunContext


@dataclass
class Ran:
    """A run that has ended. Times are run seconds."""

    result: RunResult
    story: list[ev.Event]
    names: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def outputs(self) -> Any:
        return self.result.outputs

    @property
    def status(self) -> str:
        return self.result.status

    def statuses(self) -> dict[str, str]:
        """Task or `task[key]` → how it settled; an accepted failure is `failed`."""
        words = {
            ev.TaskSucceeded: "succeeded",
            ev.TaskFailed: "failed",
            ev.TaskSkipped: "skipped",
            ev.TaskBlocked: "blocked",
            ev.TaskCancelled: "cancelled",
        }
        found: dict[str, str] = {}
        for event in self.story:
            if isinstance(event, Settling):
                assert self.names[event.task] not in found, f"{self.names[event.task]} settled twice"
                found[self.names[event.task]] = words[type(event)]
        return found

    def spans(self) -> dict[str, list[tuple[float, float]]]:
        """Task or `task[key]` → start and end of each of its attempts that held a worker."""
        begun: dict[int, ev.AttemptStarted] = {}
        found: dict[str, list[tuple[float, float]]] = {}
        for event in self.story:
            if isinstance(event, ev.AttemptStarted) and event.pool != CONTROL:
                begun[event.attempt] = event
            elif isinstance(event, ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled):
                start = begun.pop(event.attempt, None)
                if start is not None:
                    found.setdefault(self.names[start.task], []).append((start.at, event.at))
        assert not begun
        return found

    def starts(self, task: str) -> list[str]:
        """The items of `task` (the task itself where it has none) in the order of their first start."""
        first: dict[str, None] = {}
        for event in self.story:
            if isinstance(event, ev.AttemptStarted) and self.names[event.task].partition("[")[0] == task:
                first.setdefault(self.names[event.task])
        return list(first)

    def failures(self) -> dict[str, str]:
        """Task or `task[key]` → why it failed."""
        return {self.names[e.task]: e.detail for e in self.story if isinstance(e, ev.TaskFailed)}

    def most_at_once(self, task: str) -> int:
        """How many items of `task` held a worker at the same moment."""
        moments: list[tuple[float, int]] = []
        for name, spans in self.spans().items():
            if name.partition("[")[0] == task:
                moments += [(start, 1) for start, end in spans if end > start]
                moments += [(end, -1) for start, end in spans if end > start]
        busy = most = 0
        for _, change in sorted(moments):
            busy += change
            most = max(most, busy)
        return most


class _Watcher:
    def __init__(self, on_event: Callable[[ev.Event, list[str]], None] | None, stop_after: float) -> None:
        self.story: list[ev.Event] = []
        self.notes: list[str] = []
        self._on_event = on_event
        self._stop_after = stop_after

    def start(self, context: RunContext) -> None:
        self._context = context

    def names(self) -> list[str]:
        return list(self._context.state.graph.names)

    def on_events(self, events: Sequence[ev.Event]) -> None:
        self.story += events
        if events[-1].at >= self._stop_after:
            self._stop_after = inf
            signal.raise_signal(signal.SIGINT)
        if self._on_event is not None:
            names = self.names()
            for event in events:
                self._on_event(event, names)

    def tick(self) -> None:
        """Time that passes is not of interest."""

    def note(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        """Nothing is held."""


def run(
    folder: Path,
    text: str,
    inputs: Mapping[str, Any] | None = None,
    *,
    unchecked: Mapping[str, Any] | None = None,
    workers: str | None = None,
    fail_fast: bool = False,
    policy: str | None = None,
    approved: Mapping[str, bool] | None = None,
    virtual: bool = True,
    on_event: Callable[[ev.Event, list[str]], None] | None = None,
    stop_after: float = inf,
) -> Ran:
    """Write `text` to `p.yaml` below `folder` and run it. `on_event(event, names)` hears of all as it happens.

    `unchecked`: inputs that are taken as they are. `stop_after`: Ctrl-C at the first thing that
    happens at this second or later.
    """
    path = folder / "p.yaml"
    path.write_text(text, encoding="utf-8")
    choice = model_choice(())
    pipeline = load_file(str(path), choice)
    compiled = bind(pipeline, choice, workers)
    watcher = _Watcher(on_event, stop_after)
    options = RunOptions(
        inputs={**check_inputs(pipeline, dict(inputs or {})), **(unchecked or {})},
        policy=choose_policy(pipeline, policy),
        beliefs=believed(compiled, None),
        environment=os.environ,
        fail_fast=fail_fast or pipeline.scheduling.fail_fast,
        views=[watcher],
        handle_signals=stop_after < inf,
        approved=approved or {},
        recall=Recall(),
    )
    with asyncio.Runner(loop_factory=VirtualTimeLoop if virtual else None) as runner:
        result = runner.run(execute(compiled, options))
    return Ran(result, watcher.story, watcher.names(), watcher.notes)
