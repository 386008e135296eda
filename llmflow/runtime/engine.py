"""The engine: carries a run out by driving the scheduler through real calls on an asyncio loop.

It is handed `call`, `evaluate`, `publish` and a clock and knows nothing else: no prompt, no provider,
no file. Each tick takes every report that has come in, asks the scheduler once, publishes what
follows, and starts what was decided. One asyncio task per running call only; steps that hold no
worker are evaluated inline, one after the other, so a chain of thousands does not recurse.

Two traps it avoids: a call that is cancelled before its first step never enters its own `try`, so
whoever cancels it looks whether it has begun and reports its end where it has not; and a call may
succeed in the very tick in which it is cancelled, so the engine reports what really happened, and a
paid answer is never lost. Ends are reported from inside the call's own asyncio task and not from a
done-callback, which would cost one more turn of the loop per call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, cast

from llmflow.errors import CallFailed
from llmflow.runtime.clock import Clock
from llmflow.scheduling import events as ev
from llmflow.scheduling.pools import CONTROL
from llmflow.scheduling.scheduler import Scheduler

Call = Callable[[ev.AttemptStarted], Coroutine[Any, Any, str]]
"""Makes one attempt and gives its outcome (`done`, `again`); raises CallFailed."""

Evaluate = Callable[[ev.AttemptStarted], str | None]
"""Carries out one step that holds no worker and gives its outcome, None to have it made a call. Raises CallFailed."""

Publish = Callable[[Sequence[ev.Event]], int]
"""Takes the next events of the story; gives the position in the journal that covers them."""

Acknowledged = Callable[[int], Awaitable[None]]
"""Waits until the journal has committed everything up to a position."""


_ACTED_ON = frozenset({ev.AttemptStarted, ev.TimerSet, ev.AlarmSet, ev.CancelRequested, ev.RunFinished})
"""The events of a story that ask something of the engine."""


class Engine:
    """One run. `acknowledged` is None where there is no journal to wait for."""

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        call: Call,
        evaluate: Evaluate,
        publish: Publish,
        clock: Clock,
        acknowledged: Acknowledged | None = None,
        told: Callable[[str], str] = str,
    ) -> None:
        """`told(text)`: what may be said of a failure."""
        self.scheduler = scheduler
        self.clock = clock
        self._call = call
        self._evaluate = evaluate
        self._publish = publish
        self._acknowledged = acknowledged
        self._told = told
        self._inbox: list[ev.Reported] = []
        self._ticking = False
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._held: deque[tuple[int, ev.AttemptStarted]] = deque()
        """Attempts that may be sent once the journal has acknowledged their position."""
        self._launcher: asyncio.Task[None] | None = None
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._outrun: set[int] = set()
        """Calls that were asked to end because another one has answered."""
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[str] = self._loop.create_future()

    async def run(self, first: ev.Reported | None = None) -> str:
        """Drive the run to its end; gives the status of `RunFinished`.

        Whatever goes wrong inside llmflow itself (the journal, a bug) cancels all calls and is raised.
        """
        self.report(ev.RunStarted(self.clock.now()) if first is None else first)
        try:
            return await self._finished
        finally:
            await self._end_calls()

    def report(self, event: ev.Reported) -> None:
        """Something happened; it is taken in at the next tick with everything else that comes till then."""
        self._inbox.append(event)
        if not self._ticking:
            self._ticking = True
            self._loop.call_soon(self._tick)

    def stop(self, reason: str, mode: str = "drain") -> None:
        """Ask the run to end: `drain` lets running calls end, `cancel` ends them now."""
        self.report(ev.StopRequested(self.clock.now(), reason, mode))

    # ---- the tick ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._ticking = False
        if self._finished.done():
            self._inbox.clear()
            return
        try:
            self._take_in()
        except BaseException as error:
            self._finished.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def _take_in(self) -> None:
        scheduler, publish = self.scheduler, self._publish
        while True:
            reports, self._inbox = self._inbox, []
            decided = scheduler.handle(*reports) if reports else scheduler.rest(self.clock.now())
            if not decided:
                if reports:
                    continue
                break
            position = publish(decided)
            for event in decided:
                if type(event) not in _ACTED_ON:
                    continue
                if isinstance(event, ev.AttemptStarted):
                    if event.pool == CONTROL:
                        self._step(event)
                    elif self._acknowledged is None:
                        self._launch(event)
                    else:
                        self._held.append((position, event))
                elif isinstance(event, ev.TimerSet):
                    self._wake_at(event)
                elif isinstance(event, ev.AlarmSet):
                    self._set_alarm(event)
                elif isinstance(event, ev.CancelRequested):
                    self._cancel(event)
                elif isinstance(event, ev.RunFinished):
                    self._finished.set_result(event.status)
        self._send_held()

    def _step(self, started: ev.AttemptStarted) -> None:
        """Carry out a step that holds no worker, inline unless it says that it takes time."""
        try:
            outcome = self._evaluate(started)
        except CallFailed as failure:
            self._inbox.append(self._failed(started, failure))
            return
        if outcome is None:
            self._launch(started)
        else:
            self._inbox.append(ev.AttemptSucceeded(self.clock.now(), started.task, started.attempt, outcome))

    def _wake_at(self, timer: ev.TimerSet) -> None:
        delay = self.clock.real(max(0.0, timer.due - self.clock.now()))
        self._timers[timer.timer] = self._loop.call_later(delay, self._fire, timer)

    def _fire(self, timer: ev.TimerSet) -> None:
        del self._timers[timer.timer]
        self.report(ev.TimerFired(max(timer.due, self.clock.now()), timer.timer))

    def _set_alarm(self, alarm: ev.AlarmSet) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        delay = self.clock.real(max(0.0, alarm.due - self.clock.now()))
        self._alarm = self._loop.call_later(delay, self._ring, alarm)

    def _ring(self, alarm: ev.AlarmSet) -> None:
        self._alarm = None
        self.report(ev.AlarmRang(max(alarm.due, self.clock.now())))

    # ---- calls ------------------------------------------------------------------------------------

    def _launch(self, started: ev.AttemptStarted) -> None:
        self._calls[started.attempt] = self._loop.create_task(self._attempt(started))

    async def _attempt(self, started: ev.AttemptStarted) -> None:
        """One call, from its first step to the report of how it really ended."""
        attempt, calls = started.attempt, self._calls
        end: ev.Reported
        try:
            outcome = await self._call(started)
            end = ev.AttemptSucceeded(self.clock.now(), started.task, attempt, outcome)
        except CallFailed as failure:
            end = self._failed(started, failure)
        except asyncio.CancelledError:
            end = self._cancelled(started.task, attempt)
        except Exception as error:  # noqa: BLE001 - a bug of ours or the journal: it is raised by `run`
            del calls[attempt]
            if not self._finished.done():
                self._finished.set_exception(error)
            return
        del calls[attempt]
        if calls or self._timers or self._alarm is not None or self._ticking:
            self.report(end)
        else:
            # Nothing else can come in this turn of the loop: a chain need not wait for the next one.
            self._inbox.append(end)
            self._tick()

    def _send_held(self) -> None:
        if self._held and self._launcher is None:
            self._launcher = self._loop.create_task(self._launch_held())
            self._launcher.add_done_callback(self._launcher_ended)

    async def _launch_held(self) -> None:
        """Send what waits for the journal, commit by commit."""
        assert self._acknowledged is not None
        held = self._held
        while held:
            position = held[-1][0]
            await self._acknowledged(position)
            while held and held[0][0] <= position:
                self._launch(held.popleft()[1])

    def _launcher_ended(self, launcher: asyncio.Task[None]) -> None:
        self._launcher = None
        error = None if launcher.cancelled() else launcher.exception()
        if self._finished.done():
            return
        if error is not None:
            self._finished.set_exception(error)
        else:
            self._send_held()  # a tick may have held more between the launcher's last look and this callback

    def _failed(self, started: ev.AttemptStarted, failure: CallFailed) -> ev.AttemptFailed:
        return ev.AttemptFailed(
            self.clock.now(),
            started.task,
            started.attempt,
            failure.kind,
            self._told(failure.detail),
            failure.retry_after,
            failure.retryable,
        )

    def _cancelled(self, task: int, attempt: int) -> ev.AttemptCancelled:
        reason = "outrun" if attempt in self._outrun else "requested"
        self._outrun.discard(attempt)
        return ev.AttemptCancelled(self.clock.now(), task, attempt, reason)

    def _cancel(self, event: ev.CancelRequested) -> None:
        if event.reason == "outrun":
            self._outrun.add(event.attempt)
        call = self._calls.get(event.attempt)
        if call is not None:
            call.cancel()
            if getcoroutinestate(cast(Coroutine[Any, Any, None], call.get_coro())) == CORO_CREATED:
                self.report(self._cancelled(event.task, event.attempt))
            return
        for entry in self._held:
            if entry[1].attempt == event.attempt:
                self._held.remove(entry)
                self.report(self._cancelled(event.task, event.attempt))
                return

    async def _end_calls(self) -> None:
        """Nothing of this run outlives it: cancel what is left and wait until it has ended."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        rest: list[asyncio.Task[Any]] = list(self._calls.values())
        if self._launcher is not None:
            rest.append(self._launcher)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)
