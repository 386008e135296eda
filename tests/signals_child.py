"""A process of its own that runs an engine with slow calls under `StopSignals`, for the tests of signals.

`signals_child.py GRACE [stubborn] [mute]`: two calls that end when the process gets SIGUSR1, one task
behind each. Says `ready` when both run, then every line for the person and every stop the engine has
taken in, at last its end as JSON, and exits 128 + the signal. `stubborn` calls that are cancelled clean
up until SIGUSR1; `mute` makes every line for the person fail.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Sequence

from llmflow.runtime.clock import Clock
from llmflow.runtime.engine import Engine
from llmflow.runtime.signals import StopSignals
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.tasks import TaskSpec


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say_nothing(line: str) -> None:
    raise BrokenPipeError(line)


async def main(grace: float, stubborn: bool, mute: bool) -> int:
    graph = Graph.of({"a": [], "b": [], "c": ["a"], "d": ["b"]})
    scheduler = Scheduler(graph, [TaskSpec(pools=(0,))] * 4, [PoolSpec("p")], [0.0] * 4)
    story: list[ev.Event] = []
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)

    async def call(started: ev.AttemptStarted) -> str:
        if started.task == 1:
            asyncio.get_running_loop().call_soon(say, "ready")
        try:
            await told.wait()
        except asyncio.CancelledError:
            if stubborn:
                await told.wait()
            raise
        return "done"

    def publish(events: Sequence[ev.Event]) -> int:
        story.extend(events)
        for event in events:
            if isinstance(event, ev.StopRequested):
                say(f"asked to {event.mode}")
        return len(story)

    clock = Clock(asyncio.get_running_loop().time)
    engine = Engine(scheduler, call=call, evaluate=lambda _: "done", publish=publish, clock=clock)
    with StopSignals(engine.stop, say_nothing if mute else say, lambda: len(scheduler.state.running), grace) as stop:
        status = await engine.run()
    asked = [event.mode for event in story if isinstance(event, ev.StopRequested)]
    say(
        json.dumps(
            {
                "status": status,
                "reason": scheduler.state.stop_reason,
                "asked": asked,
                "cancels": sum(isinstance(event, ev.CancelRequested) for event in story),
                "tasks": [type(event).__name__ for event in story if type(event).__name__ in ENDS],
            }
        )
    )
    return 128 + stop.received if stop.received else 0


ENDS = ("TaskSucceeded", "TaskCancelled")

if __name__ == "__main__":
    sys.exit(asyncio.run(main(float(sys.argv[1]), "stubborn" in sys.argv, "mute" in sys.argv)))
