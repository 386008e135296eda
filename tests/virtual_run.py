"""Runs the real engine on virtual time, for tests: a call lasts as long as it is told to, and nothing really waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from llmflow.runtime.clock import Clock, VirtualTimeLoop
from llmflow.runtime.engine import Call, Engine, Evaluate
from llmflow.scheduling import events as ev
from llmflow.scheduling.scheduler import Scheduler

T = TypeVar("T")


def on_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def lasting(durations: Sequence[float]) -> Call:
    """A call of task t takes `durations[t]` seconds and succeeds."""

    async def call(started: ev.AttemptStarted) -> str:
        await asyncio.sleep(durations[started.task])
        return "done"

    return call


def conditions_hold(started: ev.AttemptStarted) -> str:
    """Every condition holds, every value is computed."""
    return "done" if started.number else "proceed"


class Run:
    """One engine, its story so far, and the status it ended with. Make it inside the loop."""

    def __init__(
        self,
        scheduler: Scheduler,
        call: Call,
        evaluate: Evaluate | None = None,
        acknowledged: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self.story: list[ev.Event] = []
        self.engine = Engine(
            scheduler,
            call=call,
            evaluate=evaluate or conditions_hold,
            publish=self._publish,
            clock=Clock(asyncio.get_running_loop().time),
            acknowledged=acknowledged,
        )

    def _publish(self, events: Sequence[ev.Event]) -> int:
        self.story += events
        return len(self.story)

    def at(self, seconds: float, then: Callable[..., object], *arguments: object) -> None:
        """Do something `seconds` after now."""
        asyncio.get_running_loop().call_later(seconds, then, *arguments)

    async def to_the_end(self) -> str:
        return await self.engine.run()


def story_of(scheduler: Scheduler, call: Call, evaluate: Evaluate | None = None) -> list[ev.Event]:
    """The whole story of a run on virtual time."""

    async def main() -> list[ev.Event]:
        run = Run(scheduler, call, evaluate)
        await run.to_the_end()
        return run.story

    return on_virtual_time(main())
