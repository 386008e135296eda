"""One run from its first event to its last: providers, journal, views and engine put together.

What each of them does stands in their own rooms; here is only who is told what, and in which order:
an answer is queued for the journal before its end is reported, the journal hears an event before
the views do, and a call is sent when the journal has acknowledged its start.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from llmflow import __version__
from llmflow.binding.calls import Answered, Calls
from llmflow.binding.compile import Compiled
from llmflow.binding.recording import Recording
from llmflow.binding.values import Values, status_word
from llmflow.errors import CallFailed
from llmflow.history.identity import new_run_id
from llmflow.history.store import Store
from llmflow.protocol import Provider, Usage
from llmflow.providers.registry import create
from llmflow.reports.spans import Spans
from llmflow.reports.summary import RunSummary, summarise
from llmflow.reports.summary_text import run_json
from llmflow.runtime.clock import Clock
from llmflow.runtime.engine import Engine
from llmflow.runtime.signals import StopSignals
from llmflow.scheduling import events as ev
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.state import RunState
from llmflow.views.view import PoolInfo, RunContext, View

TICK = 0.1
"""Real seconds between two calls of `View.tick`."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run needs beside the compiled pipeline. `store` is None for a run that leaves no trace."""

    inputs: Mapping[str, Any]
    policy: str
    estimates: Sequence[Estimate]
    environment: Mapping[str, str]
    store: Store | None = None
    fail_fast: bool = False
    seed: int = 0
    source: str = ""
    views: Sequence[View] = ()
    handle_signals: bool = False


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `outputs` is what would be printed; `exit_code` is the command line's."""

    run: str
    status: str
    outputs: Any
    exit_code: int
    summary: RunSummary
    tasks: Mapping[str, Any]
    usage: Usage
    document: Mapping[str, Any]
    """`llmflow.run/1`: what `--json` prints."""


async def execute(compiled: Compiled, options: RunOptions) -> RunResult:
    """Run the pipeline to its end on the running event loop.

    Raises SetupError before anything is spent, StoreError if the history cannot be written.
    """
    async with AsyncExitStack() as stack:
        providers: list[Provider] = []
        for config in compiled.providers:
            provider = create(config, options.environment)
            stack.push_async_callback(provider.aclose)
            providers.append(provider)
        return await _Run(compiled, options, providers).carry_out(stack)


class _Run:
    """The wiring of one run."""

    def __init__(self, compiled: Compiled, options: RunOptions, providers: Sequence[Provider]) -> None:
        self.compiled, self.options = compiled, options
        self.id = new_run_id()
        self.started_at = time.time()
        means = [estimate.mean for estimate in options.estimates]
        self.scheduler = Scheduler(
            compiled.graph,
            compiled.specs,
            compiled.pools,
            POLICIES[options.policy].priorities(compiled.graph, means, options.seed),
            workers=compiled.workers,
            fail_fast=options.fail_fast,
            seed=options.seed,
        )
        self.state: RunState = self.scheduler.state
        self.clock = Clock(asyncio.get_running_loop().time, speed=compiled.speed)
        self.values = Values(
            compiled,
            self.state,
            inputs=options.inputs,
            environment=options.environment,
            run={"id": self.id, "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started_at))},
        )
        self.spans = Spans()
        self.context = self._context(means)
        self.views = list(options.views)
        self.calls = Calls(
            compiled,
            self.values,
            providers.__getitem__,
            self.clock,
            estimates=list(options.estimates),
            keep=self._keep,
            progress=self.context.live_tokens.__setitem__,
        )
        self.recording: Recording | None = None
        self._tick_handle: asyncio.TimerHandle | None = None

    async def carry_out(self, stack: AsyncExitStack) -> RunResult:
        options = self.options
        if options.store is not None:
            self.recording = Recording(self.id, self.started_at, self.compiled, options, version=__version__)
            stack.callback(self.recording.close)
        engine = Engine(
            self.scheduler,
            call=self.calls.call,
            evaluate=self.calls.evaluate,
            publish=self._publish,
            clock=self.clock,
            acknowledged=self.recording.acknowledged if self.recording is not None else None,
        )
        self._each_view(lambda view: view.start(self.context))
        received = 0
        self.clock.begin()
        self._tick()
        try:
            if options.handle_signals:
                running = self.state.running.__len__
                with StopSignals(engine.stop, self._note, running) as signals:
                    status = await engine.run()
                received = signals.received
            else:
                status = await engine.run()
        finally:
            if self._tick_handle is not None:
                self._tick_handle.cancel()
            self._each_view(lambda view: view.close())
        return self._result(status, received)

    # ---- as it happens ----------------------------------------------------------------------------

    def _publish(self, events: Sequence[ev.Event]) -> int:
        for event in events:
            if isinstance(event, ev.TaskFailed) and event.accepted:
                self.calls.settle_without_answer(event.task)
        self.spans.on_events(events)
        position = self.recording.publish(events) if self.recording is not None else 0
        if self.views:
            self._each_view(lambda view: view.on_events(events))
        return position

    def _keep(self, answered: Answered) -> None:
        self.context.live_tokens.pop(answered.started.task, None)
        if self.recording is not None:
            self.recording.keep(answered)

    def _tick(self) -> None:
        self._each_view(lambda view: view.tick())
        self._tick_handle = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _note(self, text: str) -> None:
        self._each_view(lambda view: view.note(text))

    def _each_view(self, do: Callable[[View], None]) -> None:
        for view in list(self.views):
            try:
                do(view)
            except Exception as error:  # noqa: BLE001 - a view that breaks is dropped, the run goes on
                self.views.remove(view)
                sys.stderr.write(f"llmflow: {type(view).__name__} broke and is gone: {error!r}\n")

    def _context(self, means: Sequence[float]) -> RunContext:
        compiled = self.compiled
        return RunContext(
            name=compiled.pipeline.name,
            run_id=self.id,
            state=self.state,
            clock=self.clock.now,
            pools=[PoolInfo(pool.name, pool.size) for pool in compiled.pools],
            pool_of=compiled.pool_of,
            expected=means if any(e.source != "default" for e in self.options.estimates) else (),
            models=[candidates[0] if candidates else "" for candidates in compiled.models],
            usage=self.values.usage,
            speed=compiled.speed,
        )

    # ---- at the end -------------------------------------------------------------------------------

    def _result(self, status: str, received: int) -> RunResult:
        summary = summarise(
            self.state, self.compiled.pools, self.spans, self.values.usage, workers=self.compiled.workers
        )
        outputs, problem = self._outputs()
        code = 128 + received if received else 0 if status == "succeeded" and not problem else 1
        document = run_json(summary, self.state, run=self.id, outputs=outputs, usage=self.values.usage)
        if problem:
            document["problem"] = problem
        if self.recording is not None:
            self.recording.finish(status, summary, document)
        return RunResult(
            run=self.id,
            status=status,
            outputs=outputs,
            exit_code=code,
            summary=summary,
            tasks=document["tasks"],
            usage=summary.usage,
            document=document,
        )

    def _outputs(self) -> tuple[Any, str]:
        """What the run prints, and what is wrong with it: `outputs`, else the outputs of the leaves.

        An output that cannot be computed because its task settled without one is null.
        """
        pipeline, values = self.compiled.pipeline, self.values
        ids = {task.id: i for i, task in enumerate(self.compiled.tasks)}
        if pipeline.outputs is None:
            leaves = pipeline.leaves()
            if len(leaves) == 1:
                return values.outputs.get(ids[leaves[0]]), ""
            return {leaf: values.outputs.get(ids[leaf]) for leaf in leaves}, ""
        scope = values.scope()
        outputs: dict[str, Any] = {}
        problems = []
        for name, template in pipeline.outputs.items():
            try:
                outputs[name] = json.loads(json.dumps(template.value(scope)))
            except CallFailed as failure:
                outputs[name] = None
                if self._expected(template.references, ids):
                    problems.append(f"outputs.{name}: {failure.detail}")
        return outputs, "; ".join(problems)

    def _expected(self, references: Sequence[Any], ids: Mapping[str, int]) -> bool:
        """True where every task the template reads has succeeded, so that it should have had a value."""
        read = [r.path[1] for r in references if r.path[0] == "tasks" and len(r.path) > 1]
        return all(status_word(self.state.status[ids[name]]) == "succeeded" for name in read if name in ids)
