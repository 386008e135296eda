"""How the engine stops: on request, and when something in llmflow itself breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from small_engine import CALL, briefly, others_running, scheduler
from virtual_run import Run, lasting, on_virtual_time, story_of

from llmflow.errors import StoreError
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.tasks import TaskSpec

# ---- stops ----------------------------------------------------------------------------------------


def stopped(
    core: Scheduler, call: Callable[[ev.AttemptStarted], Coroutine[Any, Any, str]], *stops: tuple[float, str]
) -> list[ev.Event]:
    async def main() -> list[ev.Event]:
        run = Run(core, call)
        for seconds, mode in stops:
            run.at(seconds, run.engine.stop, "SIGINT", mode)
        await run.to_the_end()
        assert others_running() == set()
        return run.story

    return on_virtual_time(main())


def test_a_drained_run_lets_its_calls_end() -> None:
    assert briefly(stopped(scheduler({"a": [], "b": ["a"]}), lasting([5.0, 5.0]), (1.0, "drain"))) == [
        (0.0, "RunStarted", -1),
        (0.0, "AttemptStarted", 0),
        (1.0, "StopRequested", -1),
        (1.0, "TaskCancelled", 1),
        (5.0, "AttemptSucceeded", 0),
        (5.0, "TaskSucceeded", 0),
        (5.0, "RunFinished", -1),
    ]


def test_a_cancelled_run_ends_its_calls_now() -> None:
    assert briefly(stopped(scheduler("a"), lasting([5.0]), (1.0, "cancel"))) == [
        (0.0, "RunStarted", -1),
        (0.0, "AttemptStarted", 0),
        (1.0, "StopRequested", -1),
        (1.0, "CancelRequested", 0),
        (1.0, "AttemptCancelled", 0),
        (1.0, "TaskCancelled", 0),
        (1.0, "RunFinished", -1),
    ]


def test_a_call_that_is_cancelled_before_its_first_step_is_reported() -> None:
    entered: list[int] = []

    async def call(started: ev.AttemptStarted) -> str:
        entered.append(started.task)
        return "done"

    async def main() -> list[ev.Event]:
        run = Run(scheduler("a"), call)
        publish = run.engine._publish

        def stop_at_the_start(events: Sequence[ev.Event]) -> int:
            if isinstance(events[-1], ev.AttemptStarted):
                run.engine.stop("SIGINT", "cancel")
            return publish(events)

        run.engine._publish = stop_at_the_start
        await run.to_the_end()
        return run.story

    assert briefly(on_virtual_time(main()))[2:] == [
        (0.0, "StopRequested", -1),
        (0.0, "CancelRequested", 0),
        (0.0, "AttemptCancelled", 0),
        (0.0, "TaskCancelled", 0),
        (0.0, "RunFinished", -1),
    ]
    assert entered == []


@pytest.mark.parametrize("turns", range(6))
def test_an_answer_in_the_instant_of_its_cancellation_is_kept(
    turns: int,
) -> None:
    """The stop comes `turns` turns of the loop after the call could go on; only at once is it in time."""
    answered: list[int] = []

    async def call(started: ev.AttemptStarted) -> str:
        await asyncio.sleep(1.0)
        answered.append(started.task)
        return "done"

    async def main() -> list[ev.Event]:
        run = Run(scheduler("a"), call)
        loop = asyncio.get_running_loop()

        def stop_after(left: int) -> None:
            if left:
                loop.call_soon(stop_after, left - 1)
            else:
                run.engine.stop("SIGINT", "cancel")

        loop.call_at(1.0, stop_after, turns)
        await run.to_the_end()
        return run.story

    story = on_virtual_time(main())
    ends = [type(e) for e in story if isinstance(e, ev.TaskSucceeded | ev.TaskCancelled)]
    assert ends == [ev.TaskSucceeded if turns else ev.TaskCancelled]
    assert answered == ([0] if turns else [])
    assert any(isinstance(e, ev.CancelRequested) for e in story) == (turns < 2)


def test_a_call_that_saves_its_answer_while_it_is_cancelled_has_succeeded() -> None:
    async def call(started: ev.AttemptStarted) -> str:
        try:
            await asyncio.sleep(10.0)
        except asyncio.CancelledError:
            await asyncio.sleep(2.0)
        return "done"

    assert briefly(stopped(scheduler("a"), call, (1.0, "cancel"), (2.0, "cancel")))[-3:] == [
        (3.0, "AttemptSucceeded", 0),
        (3.0, "TaskSucceeded", 0),
        (3.0, "RunFinished", -1),
    ]


def test_a_storm_of_stops_ends_a_large_run() -> None:
    graph = Graph()
    for task in range(3000):
        graph.add(str(task), [task - 1000] if task >= 1000 else [])
    core = Scheduler(graph, [CALL] * 3000, [PoolSpec("p")], [0.0] * 3000)
    story = stopped(core, lasting([5.0] * 3000), *((7.0, mode) for mode in ("drain", "cancel") * 50))
    kinds = [type(e) for e in story]
    assert (kinds.count(ev.StopRequested), kinds.count(ev.CancelRequested)) == (100, 1000)
    assert (kinds.count(ev.TaskCancelled), kinds.count(ev.TaskSucceeded)) == (2000, 1000)


def test_cancelling_the_run_from_outside_cancels_its_calls() -> None:
    ended: list[int] = []

    async def call(started: ev.AttemptStarted) -> str:
        try:
            await asyncio.sleep(100.0)
        finally:
            ended.append(started.task)
        return "done"

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await Run(scheduler("ab"), call).to_the_end()
        assert others_running() == set()

    on_virtual_time(main())
    assert ended == [0, 1]


# ---- bugs -----------------------------------------------------------------------------------------


def test_a_bug_in_a_call_ends_the_run_by_raising_and_cancels_the_other_calls() -> None:
    ended: list[int] = []

    async def call(started: ev.AttemptStarted) -> str:
        if started.task == 1:
            await asyncio.sleep(1.0)
            raise ValueError("a bug")
        try:
            await asyncio.sleep(100.0)
        finally:
            ended.append(started.task)
        return "done"

    async def main() -> float:
        with pytest.raises(ValueError, match="a bug"):
            await Run(scheduler("abc"), call).to_the_end()
        assert others_running() == set()
        return asyncio.get_running_loop().time()

    assert on_virtual_time(main()) == 1.0
    assert ended == [0, 2]


def test_two_bugs_in_one_tick_raise_the_first() -> None:
    async def call(started: ev.AttemptStarted) -> str:
        raise ValueError(f"bug {started.task}")

    with pytest.raises(ValueError, match="bug 0"):
        story_of(scheduler("ab"), call)


def test_a_bug_in_a_value_ends_the_run_by_raising() -> None:
    def evaluate(started: ev.AttemptStarted) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        story_of(scheduler("a", TaskSpec()), lasting([]), evaluate)


def test_an_outcome_that_nobody_knows_ends_the_run_by_raising() -> None:
    async def call(started: ev.AttemptStarted) -> str:
        return "perhaps"

    with pytest.raises(ValueError, match="an attempt cannot end as 'perhaps'"):
        story_of(scheduler("a"), call)


def test_a_story_that_cannot_be_published_ends_the_run() -> None:
    async def main() -> None:
        run = Run(scheduler({"a": [], "b": ["a"]}), lasting([1.0, 1.0]))
        publish = run.engine._publish

        def full(events: Sequence[ev.Event]) -> int:
            if events[0].at:
                raise StoreError("the disk is full")
            return publish(events)

        run.engine._publish = full
        with pytest.raises(StoreError, match="the disk is full"):
            await run.to_the_end()

    on_virtual_time(main())
