"""One run from its first event to its last: providers, journal, views and engine put together.

What each of them does stands in their own rooms; here is only who is told what, and in which order:
an answer is queued for the journal before its end is reported, the journal hears an event before
the views do, and a call is sent when the journal has acknowledged its start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from llmflow import __version__
from llmflow.binding.answered import Answered
from llmflow.binding.by_stage import ByStage, NodesOf
from llmflow.binding.caching import Cache
from llmflow.binding.code import Code
from llmflow.binding.compile import Compiled
from llmflow.binding.deciding import TRIED, decide, predict
from llmflow.binding.estimates import Beliefs
from llmflow.binding.expansion import Expansion
from llmflow.binding.forecast import forecast
from llmflow.binding.hedging import hedging
from llmflow.binding.lessons import Lessons
from llmflow.binding.limits import Limits
from llmflow.binding.nodes import Nodes
from llmflow.binding.recall import Known, Place, Recall
from llmflow.binding.recording import Recording
from llmflow.binding.run_names import RunNames
from llmflow.binding.sampling import Sampling
from llmflow.binding.secrecy import redactor_of
from llmflow.binding.subpipelines import printed
from llmflow.binding.token_forecast import predict_tokens
from llmflow.binding.values import Values
from llmflow.binding.work import Ask, Work
from llmflow.errors import StoreError
from llmflow.history.identity import new_run_id
from llmflow.history.locks import RunLock
from llmflow.history.store import Store
from llmflow.protocol import Provider, Starts, Usage
from llmflow.providers.registry import create
from llmflow.reports.chronicle import Chronicle
from llmflow.reports.plan_json import decision_json
from llmflow.reports.spans import Spans
from llmflow.reports.summary import RunSummary, makespan_of, summarise
from llmflow.reports.summary_text import run_json
from llmflow.reports.time_booking import Setting, TimeBooking, book_time, booking_json
from llmflow.reports.time_limit_text import limits_json
from llmflow.runtime.clock import Clock
from llmflow.runtime.engine import Engine
from llmflow.runtime.loop_lag import LoopLag
from llmflow.runtime.signals import StopSignals
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Waits
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.state import FAILED, RunState
from llmflow.standard_streams import complain
from llmflow.views.view import PoolInfo, RunContext, View

TICK = 0.1
"""Real seconds between two calls of `View.tick`."""

BUSY = "no call was served meanwhile; look for a large template or answer, or an async function that computes"


class Held(NamedTuple):
    """A call of the earlier part of a run: whose it was, and which worker it held from when to when (see `Span`)."""

    place: Place
    pool: str
    worker: int
    start: float
    end: float
    ok: bool
    outrun: bool


@dataclass(frozen=True, slots=True)
class Earlier:
    """The earlier part of a run that goes on: its id, answers, calls, the run seconds it took, when it began.

    `in_doubt`: tasks and items that were under way and may have acted, or that have, and whose answer the history
    could not keep. `in_flight`: a sentence on the
    calls that were under way, empty where there was none.
    """

    run: str
    known: Sequence[Known]
    held: Sequence[Held]
    at: float
    started_at: float
    in_doubt: Sequence[Place] = ()
    in_flight: str = ""

    @property
    def names(self) -> frozenset[str]:
        """The tasks that may have an answer already, or wait for a word."""
        return frozenset({answer.name for answer in self.known} | {name for name, _ in self.in_doubt})


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run needs beside the compiled pipeline. `store` is None for a run that leaves no trace."""

    inputs: Mapping[str, Any]
    policy: str
    beliefs: Beliefs
    environment: Mapping[str, str]
    store: Store | None = None
    fail_fast: bool = False
    seed: int = 0
    learns: bool = True
    """False: the order of the beginning stands, whatever the run's own answers teach."""
    plan_budget: float | None = None
    """CPU seconds that deciding on an order may take; None: the policy's own measure."""
    source: str = ""
    keep_content: bool = True
    """False: neither prompts nor answers nor inputs go into the history, and nobody can go on with the run."""
    views: Sequence[View] = ()
    handle_signals: bool = False
    delivers: bool = False
    """True: outputs of a run that succeeds are still to be delivered when it has ended (see `RunResult.lock`)."""
    approved: Mapping[str, bool] = field(default_factory=dict)
    ask: Ask | None = None
    earlier: Earlier | None = None
    recall: Recall = field(default_factory=Recall)
    """Answers that are there already."""
    cache: Cache = field(default_factory=Cache)
    """Answers of other runs."""
    fetching: Callable[[int, int], None] | None = None
    """Hears of bytes fetched before a provider can answer: (there, in all)."""
    words: Mapping[str, Any] = field(default_factory=dict)
    """What the command line said that going on with the run needs again (models, selection). JSON."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `outputs` is what would be printed; `exit_code` is the command line's."""

    run: str
    status: str
    outputs: Any
    exit_code: int
    summary: RunSummary
    booking: TimeBooking | None
    """Where the time went; None of a run that went on, whose earlier part only the history knows."""
    tasks: Mapping[str, Any]
    usage: Usage
    document: Mapping[str, Any]
    """`llmflow.run/1`: what `--json` prints."""
    unapproved: Sequence[str] = ()
    """Tasks that wait for an approval."""
    in_doubt: Sequence[str] = ()
    """Tasks that were under way when the run was interrupted, may have acted, and wait for a word to run again."""
    lacking: Sequence[str] = ()
    """Tasks that were left out of the run although no earlier answer of theirs is there."""
    unsaved: StoreError | None = None
    """Why the last of it could not be written into the history."""
    lock: RunLock | None = None
    """With `RunOptions.delivers`, of a run that succeeded: to be released once its outputs are out. A process that
    dies before, or leaves it, has them delivered by the next `run --resume`."""


async def execute(compiled: Compiled, options: RunOptions) -> RunResult:
    """Run the pipeline to its end on the running event loop.

    Raises SetupError before anything is spent, StoreError if the history cannot be written.
    """
    async with AsyncExitStack() as stack:
        providers: list[Provider | None] = []
        for config in compiled.providers:
            provider = None
            if config is not None:
                provider = create(config, options.environment)
                stack.push_async_callback(provider.aclose)
                if isinstance(provider, Starts):
                    await provider.start(options.fetching)
            providers.append(provider)
        code = Code(options.environment)
        stack.push_async_callback(code.aclose)
        return await _Run(compiled, options, providers, code).carry_out(stack)


class _Run:
    """The wiring of one run."""

    def __init__(
        self, compiled: Compiled, options: RunOptions, providers: Sequence[Provider | None], code: Code
    ) -> None:
        self.compiled, self.options = compiled, options
        earlier = options.earlier
        self.id = earlier.run if earlier is not None else new_run_id()
        self.started_at = earlier.started_at if earlier is not None else time.time()
        self.estimates = options.beliefs.estimates
        means = [estimate.mean for estimate in self.estimates]
        self.decision = decide(
            compiled,
            options.beliefs.whole,
            options.policy,
            seed=options.seed,
            budget_s=options.plan_budget,
            resumed=earlier is not None,
            expected=lambda: forecast(compiled, self.estimates, options.store, inputs=options.inputs, most=TRIED),
        )
        self.doubled = None if self.decision.holds else hedging(compiled, self.estimates, options.store)
        self.redactor = redactor_of(compiled, options.environment)
        self.scheduler = Scheduler(
            compiled.graph,
            compiled.specs,
            compiled.pools,
            self.decision.priorities,
            workers=compiled.workers,
            fail_fast=options.fail_fast,
            seed=options.seed,
            hedging=self.doubled,
            holds=self.decision.holds,
        )
        self.state: RunState = self.scheduler.state
        self.clock = Clock(
            asyncio.get_running_loop().time, speed=compiled.speed, offset=earlier.at if earlier is not None else 0.0
        )
        self.nodes = Nodes(compiled.stages, compiled.graph, options.inputs)
        finals = frozenset(stage.index for stage in compiled.stages if stage.final)
        self.finals = NodesOf(finals, compiled.graph.stages) if finals else frozenset[int]()
        self.values = Values(
            self.nodes,
            self.state,
            environment=options.environment,
            run=RunNames(self.id, self.started_at, self.state, self.failed_tasks),
        )
        self.spans = Spans()
        self.chronicle = Chronicle()
        self.places: dict[Place, int] = {}
        """Of a run that goes on: task and item → node."""
        self.limits = Limits(compiled, options.beliefs)
        self.context = self._context(means)
        self.views = list(options.views)
        self.work = Work(
            compiled,
            self.nodes,
            self.values,
            providers,
            code,
            self.clock,
            estimates=self.estimates,
            limits=self.limits,
            keep=self._keep,
            progress=self.context.live_tokens.__setitem__,
            warn=self._note,
            recall=options.recall,
            cache=options.cache,
            approved=options.approved,
            ask=options.ask,
            redactor=self.redactor,
        )
        self.sampling = Sampling(compiled, self.nodes, self.started_at)
        self.lessons: Lessons | None = None
        if options.learns:
            self.lessons = Lessons(compiled, options.beliefs, self.decision, self.state, self.scheduler.rerank)
        self.reused = 0
        """Answers that were there already and served."""
        self.recording: Recording | None = None
        self._tick_handle: asyncio.TimerHandle | None = None
        self.lag: LoopLag
        """There from the first tick on: what comes before it serves no call either."""

    async def carry_out(self, stack: AsyncExitStack) -> RunResult:
        options = self.options
        if options.store is not None:
            predicted = predict(
                self.compiled,
                self.estimates,
                self.decision,
                options.store,
                inputs=options.inputs,
                seed=options.seed,
                doubled=self.doubled,
            )
            tokens = predict_tokens(self.compiled, options.beliefs, options.store, seed=options.seed)
            self.recording = Recording(
                self.id,
                self.started_at,
                self.compiled,
                self.nodes,
                options,
                self.sampling,
                self.redactor,
                forecast={
                    **(predicted or {}),
                    "tokens": tokens,
                    "timeouts": limits_json(self.limits.told()),
                    "decision": decision_json(self.decision),
                    "layout": self.compiled.stages.layout(),
                },
                version=__version__,
            )
            stack.callback(self.recording.close)
        engine = Engine(
            self.scheduler,
            call=self.work.call,
            evaluate=self.work.evaluate,
            publish=self._publish,
            clock=self.clock,
            acknowledged=self.recording.acknowledged if self.recording is not None else None,
            told=self.redactor.told,
        )
        self.expansion = Expansion(
            self.compiled,
            self.nodes,
            self.values,
            report=engine.report,
            now=self.clock.now,
            added=self._added,
            stopping=lambda: bool(self.scheduler.stopping),
            told=self.redactor.told,
        )
        self._each_view(lambda view: view.start(self.context))
        self.clock.begin()
        self.lag = LoopLag(asyncio.get_running_loop().time, time.thread_time)
        self._tick()
        first = ev.RunResumed(self.clock.now()) if options.earlier is not None else ev.RunStarted(self.clock.now())
        received = 0
        try:
            if options.handle_signals:
                with StopSignals(engine.stop, self._note, self.state.running.__len__) as signals:
                    status = await engine.run(first)
                received = signals.received
            else:
                status = await engine.run(first)
        finally:
            if self._tick_handle is not None:
                self._tick_handle.cancel()
            self._look_for_lag()
            self._each_view(lambda view: view.close())
        result = self._result(status, received)
        if self.recording is not None:
            try:
                return replace(result, lock=self.recording.finish(status, result.summary, result.document))
            except StoreError as error:  # what was paid for is known: whoever asked shall have it
                return replace(result, exit_code=error.exit_code, unsaved=error)
        return result

    # ---- as it happens ----------------------------------------------------------------------------

    def _publish(self, events: Sequence[ev.Event]) -> int:
        for event in events:
            if isinstance(event, ev.TaskFailed) and event.accepted:
                self.work.settle_without_answer(event.task)
            elif isinstance(event, ev.CancelRequested):
                self.nodes.linger(event.task, event.attempt)
        self.spans.on_events(events)
        self.chronicle.on_events(events)
        position = self.recording.publish(events) if self.recording is not None else 0
        if self.views:
            self._each_view(lambda view: view.on_events(events))
        self.expansion.on_events(events)
        if self.nodes.any_lingers:
            for event in events:
                if isinstance(event, ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled):
                    self.nodes.let_go(event.task, event.attempt)
        return position

    def _added(self, ids: range) -> None:
        self._note_places(ids)
        if self.recording is not None:
            self.recording.tasks(ids)

    def _keep(self, answered: Answered) -> None:
        self.context.live_tokens.pop(answered.started.task, None)
        self.chronicle.answered(answered.started.attempt, answered.duration, invalid=not answered.accepted)
        self.reused += answered.reply.given_at is not None
        sample = self.sampling.of_answer(answered)
        if self.recording is not None:
            self.recording.keep(answered, sample)
        if sample is not None:
            self.limits.learn(sample)
            if self.lessons is not None:
                self.lessons.take_in(self.nodes[answered.started.task].stage.index, sample)

    def _tick(self) -> None:
        self._each_view(lambda view: view.tick())
        self._look_for_lag()
        self._tick_handle = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _look_for_lag(self) -> None:
        """Tell of the first time that the loop stood still; the longest stands in the run's document."""
        told = self.lag.longest
        still = self.lag.tick(TICK)
        if still and not told:
            self._note(f"the event loop stood still for {still:.2f} s: {BUSY}")

    def _note(self, text: str) -> None:
        told = self.redactor.told(text)
        self._each_view(lambda view: view.note(told))

    def _each_view(self, do: Callable[[View], None]) -> None:
        for view in list(self.views):
            try:
                do(view)
            except Exception as error:  # noqa: BLE001 - a view that breaks is dropped, the run goes on
                self.views.remove(view)
                complain(f"llmflow: {type(view).__name__} broke and is gone: {error!r}\n")

    def _context(self, means: Sequence[float]) -> RunContext:
        compiled, stages = self.compiled, self.compiled.graph.stages
        known = any(estimate.source != "default" for estimate in self.estimates)
        models = [candidates[0] if candidates else "" for candidates in compiled.models]
        return RunContext(
            name=compiled.pipeline.name,
            run_id=self.id,
            state=self.state,
            clock=self.clock.now,
            pools=[PoolInfo(pool.name, pool.size) for pool in compiled.pools],
            pool_of=ByStage(compiled.pool_of, stages),
            expected=ByStage(means, stages) if known else (),
            models=ByStage(models, stages),
            usage=self.values.usage,
            percentile=lambda task, candidate, elapsed: self.limits.percentile(stages[task], candidate, elapsed),
            speed=compiled.speed,
        )

    # ---- at the end -------------------------------------------------------------------------------

    def _result(self, status: str, received: int) -> RunResult:
        usage = self.values.all_usage()
        booking = self._booking()
        self.chronicle = Chronicle()  # read for the last time; a long run's is not small, and summing up needs room
        summary = summarise(
            self.state,
            self.compiled.pools,
            self._all_spans(),
            usage,
            workers=self.compiled.workers,
            left_out=self.finals,
            cap_of=lambda group: self.compiled.specs[self.compiled.graph.stages[group]].item_workers,
        )
        outputs, problem = printed(self.nodes.root, self.values)
        outputs, problem = self.redactor.data(outputs), self.redactor.told(problem)
        document = run_json(summary, self.state, run=self.id, outputs=outputs, usage=usage)
        if booking is not None:
            document["time"] = booking_json(booking, self.compiled.graph.names)
        document["resumed"] = self.options.earlier is not None
        document["answers_reused"] = self.reused
        document["loop_lag"] = self.lag.longest
        document["ranks_renewed"] = self.lessons.renewed if self.lessons is not None else 0
        if problem:
            document["problem"] = problem
        return RunResult(
            run=self.id,
            status=status,
            outputs=outputs,
            exit_code=_exit_code(status, received, problem),
            summary=summary,
            booking=booking,
            tasks=document["tasks"],
            usage=summary.usage,
            document=document,
            unapproved=tuple(self.work.unapproved),
            in_doubt=tuple(self.work.in_doubt),
            lacking=tuple(sorted(self.options.recall.lacking)),
        )

    def _note_places(self, ids: range) -> None:
        if self.options.earlier is not None:
            self.places.update((self.nodes.name(node), node) for node in ids)

    def _all_spans(self) -> Spans:
        """The calls of all parts of the run, as nodes and pools are numbered now; what is no more is left out."""
        earlier = self.options.earlier
        if earlier is None:
            return self.spans
        self._note_places(range(self.compiled.stages.static))
        pools = {pool.name: number for number, pool in enumerate(self.compiled.pools)}
        whole = Spans()
        whole.failures, whole.copies, whole.overtaken = self.spans.failures, self.spans.copies, self.spans.overtaken
        for place, pool, worker, start, end, ok, outrun in earlier.held:
            if place in self.places and pool in pools:
                whole.spans.add(self.places[place], pools[pool], worker, start, end, ok, outrun)
        for span in self.spans.spans:
            whole.spans.add(*span)
        return whole

    def _booking(self) -> TimeBooking | None:
        if self.options.earlier is not None:
            return None
        pools, rows, stages = self.compiled.pools, self.compiled.stages.rows, self.state.graph.stages
        setting = Setting(
            [pool.name for pool in pools],
            unlimited=lambda task, pool: not pools[pool].size and not rows[stages[task]].has_own_workers,
        )
        end = makespan_of(self.state, self.finals)
        return book_time(self.chronicle, Waits(self.state.graph), setting, makespan=end)

    def failed_tasks(self) -> list[str]:
        """Names of the tasks that have failed so far and that their authors did not accept."""
        return [self.compiled.graph.names[t] for t, s in enumerate(self.state.status) if s == FAILED]


def _exit_code(status: str, received: int, problem: str) -> int:
    if received:
        return 128 + received
    if status == "paused":
        return 4
    return 0 if status == "succeeded" and not problem else 1
