"""How the engine carries runs to their end, alone and with a journal, whatever happens."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from chaos import difficult, snapshot
from random_graphs import Scenario, random_scenarios
from small_engine import CALL, briefly, others_running, scheduler
from virtual_run import Run, lasting, on_virtual_time, story_of

from llmflow.errors import CallFailed, FailureKind, StoreError
from llmflow.runtime.clock import Clock
from llmflow.runtime.engine import Engine
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.state import RunState
from llmflow.scheduling.tasks import RetryPolicy, TaskSpec

# ---- ends -----------------------------------------------------------------------------------------


def test_a_retry_waits_as_long_as_its_backoff_says() -> None:
    sent: list[float] = []

    async def call(started: ev.AttemptStarted) -> str:
        sent.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.5)
        if started.number < 3:
            raise CallFailed(FailureKind.SERVER, "busy")
        return "done"

    story = story_of(scheduler("a", TaskSpec(pools=(0,), retry=RetryPolicy(jitter=False))), call)
    assert sent == [0.0, 1.5, 4.0]
    assert story[-3:] == [ev.AttemptSucceeded(4.5, 0, 3), ev.TaskSucceeded(4.5, 0), ev.RunFinished(4.5, "succeeded")]


def test_what_a_failed_call_says_is_in_the_story() -> None:
    async def call(started: ev.AttemptStarted) -> str:
        raise CallFailed(FailureKind.SERVER, "busy", retry_after=9.0, retryable=False)

    assert story_of(scheduler("a"), call)[2:] == [
        ev.AttemptFailed(0.0, 0, 1, FailureKind.SERVER, "busy", 9.0, False),
        ev.TaskFailed(0.0, 0, FailureKind.SERVER, "busy"),
        ev.RunFinished(0.0, "failed"),
    ]


def test_a_value_that_fails_fails_its_task_and_no_other() -> None:
    def evaluate(started: ev.AttemptStarted) -> str:
        if started.task == 0:
            raise CallFailed(FailureKind.TEMPLATE, "no such name")
        return "done"

    story = story_of(scheduler({"a": [], "b": [], "c": ["a"]}, TaskSpec()), lasting([]), evaluate)
    assert [e for e in story if isinstance(e, ev.TaskFailed | ev.TaskBlocked | ev.TaskSucceeded)] == [
        ev.TaskFailed(0.0, 0, FailureKind.TEMPLATE, "no such name"),
        ev.TaskBlocked(0.0, 2, 0),
        ev.TaskSucceeded(0.0, 1),
    ]


def test_calls_that_end_in_one_tick_are_taken_in_together() -> None:
    graph = Graph.of({"a": [], "b": [], "x": ["a"], "y": ["b"]})
    core = Scheduler(graph, [CALL] * 4, [PoolSpec("p", 2)], [0.0, 0.0, 1.0, 2.0])
    story = story_of(core, lasting([1.0] * 4))
    assert [e.task for e in story if isinstance(e, ev.AttemptStarted)] == [0, 1, 3, 2]


def test_a_chain_of_10_000_steps_without_a_worker_does_not_recurse_and_takes_one_tick() -> None:
    count = 10_000
    graph = Graph()
    for task in range(count):
        graph.add(str(task), [task - 1] if task else [])
    core = Scheduler(graph, [TaskSpec()] * count, [], [0.0] * count)
    story = story_of(core, lasting([]))
    assert [e.task for e in story if isinstance(e, ev.TaskSucceeded)] == list(range(count))
    assert story[-1] == ev.RunFinished(0.0, "succeeded")


def test_a_run_on_a_fast_clock_tells_its_own_seconds() -> None:
    async def main() -> tuple[float, float]:
        loop, story = asyncio.get_running_loop(), list[ev.Event]()
        clock = Clock(loop.time, speed=20.0)

        async def call(started: ev.AttemptStarted) -> str:
            await asyncio.sleep(clock.real(60.0))
            if started.number == 1:
                raise CallFailed(FailureKind.SERVER, "busy")
            return "done"

        def publish(events: Sequence[ev.Event]) -> int:
            story.extend(events)
            return 0

        core = scheduler("a", TaskSpec(pools=(0,), retry=RetryPolicy(initial=40.0, jitter=False)))
        await Engine(core, call=call, evaluate=lambda _: "done", publish=publish, clock=clock).run()
        return story[-1].at, loop.time()

    assert on_virtual_time(main()) == (160.0, 8.0)


def test_a_run_gives_its_status_and_leaves_nothing_running() -> None:
    async def main() -> tuple[str, set[asyncio.Task[Any]]]:
        run = Run(scheduler("ab"), lasting([1.0, 2.0]))
        return await run.to_the_end(), others_running()

    assert on_virtual_time(main()) == ("succeeded", set())


def test_reports_after_the_end_are_ignored() -> None:
    async def main() -> list[ev.Event]:
        run = Run(scheduler("a"), lasting([1.0]))
        await run.to_the_end()
        run.engine.stop("SIGINT", "cancel")
        run.engine.report(ev.TimerFired(9.0, 1))
        await asyncio.sleep(5.0)
        return run.story

    assert on_virtual_time(main())[-1] == ev.RunFinished(1.0, "succeeded")


def test_a_timer_that_fires_a_hair_early_is_reported_as_due() -> None:
    """A loop fires what is due within its clock's resolution; the story must not go back in time."""
    due = 1.0 + 2.0**-31

    async def call(started: ev.AttemptStarted) -> str:
        if started.number == 1:
            raise CallFailed(FailureKind.SERVER, "busy", retry_after=due)
        return "done"

    async def main() -> tuple[list[ev.Event], float]:
        run = Run(scheduler("a"), call)
        run.at(1.0, list)
        await run.to_the_end()
        return run.story, asyncio.get_running_loop().time()

    story, at = on_virtual_time(main())
    assert ev.TimerFired(due, 1) in story
    assert at == 1.0


def test_a_run_that_ended_is_held_by_no_timer_of_its_retries() -> None:
    async def call(started: ev.AttemptStarted) -> str:
        raise CallFailed(FailureKind.SERVER, "busy", retry_after=200.0)

    async def main() -> tuple[str, bool]:
        run = Run(scheduler("a"), call)
        run.at(1.0, run.engine.stop, "SIGINT")
        status, engine = await run.to_the_end(), weakref.ref(run.engine)
        del run
        await asyncio.sleep(0)
        gc.collect()
        return status, engine() is None

    assert on_virtual_time(main()) == ("stopped", True)


# ---- the journal ----------------------------------------------------------------------------------


class LaggingJournal:
    """Commits what has been asked for `lag` seconds later, everything up to the position at once."""

    def __init__(self, lag: float) -> None:
        self.lag = lag
        self.committed = 0
        self.asked: list[int] = []

    async def acknowledged(self, position: int) -> None:
        self.asked.append(position)
        if position > self.committed:
            if self.lag:
                await asyncio.sleep(self.lag)
            self.committed = position


@pytest.mark.parametrize("lag", [0.0, 0.25, 3.0])
def test_no_call_is_sent_before_the_journal_has_its_start(lag: float) -> None:
    async def main(index: int) -> None:
        scenario = difficult(index)
        journal = LaggingJournal(lag)
        sent = 0

        async def call(started: ev.AttemptStarted) -> str:
            nonlocal sent
            sent += 1
            position = next(i for i, event in enumerate(run.story, 1) if event == started)
            assert position <= journal.committed
            await asyncio.sleep(scenario.durations[started.task])
            if started.number == 1 and started.task % 3 == 0:
                raise CallFailed(FailureKind.SERVER, "busy")
            return "done"

        run = Run(scenario.scheduler(), call, acknowledged=journal.acknowledged)
        await run.to_the_end()
        assert sent == sum(isinstance(e, ev.AttemptStarted) and e.pool != CONTROL for e in run.story)
        assert journal.asked == sorted(journal.asked)

    for index in range(60):
        on_virtual_time(main(index))


@pytest.mark.parametrize("hops", range(8))
def test_a_call_held_while_the_last_ones_are_sent_is_sent_too(hops: int) -> None:
    async def call(started: ev.AttemptStarted) -> str:
        await asyncio.sleep(1.0)
        if started.task == 1:
            for _ in range(hops):
                await asyncio.sleep(0)
        return "done"

    async def main() -> float:
        run = Run(
            scheduler({"a": [], "b": [], "c": ["a"], "d": ["b"]}), call, acknowledged=LaggingJournal(0.0).acknowledged
        )
        await run.to_the_end()
        return run.story[-1].at

    assert on_virtual_time(main()) == 2.0


def test_calls_go_out_commit_by_commit() -> None:
    journal = LaggingJournal(0.5)
    sent: list[tuple[float, int]] = []

    async def call(started: ev.AttemptStarted) -> str:
        sent.append((asyncio.get_running_loop().time(), started.task))
        await asyncio.sleep(1.0)
        return "done"

    async def main() -> None:
        await Run(scheduler({"a": [], "b": [], "c": ["a"]}), call, acknowledged=journal.acknowledged).to_the_end()

    on_virtual_time(main())
    assert sent == [(0.5, 0), (0.5, 1), (2.0, 2)]


def test_a_stale_report_between_decision_and_send_holds_nothing_up() -> None:
    async def main() -> str:
        run = Run(scheduler("a"), lasting([1.0]), acknowledged=LaggingJournal(0.5).acknowledged)
        publish = run.engine._publish

        def meddling(events: Sequence[ev.Event]) -> int:
            if isinstance(events[-1], ev.AttemptStarted):
                run.engine.report(ev.TimerFired(0.0, 77))
            return publish(events)

        run.engine._publish = meddling
        async with asyncio.timeout(60.0):
            return await run.to_the_end()

    assert on_virtual_time(main()) == "succeeded"


def test_a_journal_that_fails_ends_the_run_and_nothing_is_sent() -> None:
    sent: list[int] = []

    async def call(started: ev.AttemptStarted) -> str:
        sent.append(started.task)
        return "done"

    async def broken(position: int) -> None:
        await asyncio.sleep(1.0)
        raise StoreError("the disk is full")

    async def main() -> None:
        with pytest.raises(StoreError, match="the disk is full"):
            await Run(scheduler("ab"), call, acknowledged=broken).to_the_end()
        assert others_running() == set()

    on_virtual_time(main())
    assert sent == []


def test_calls_that_wait_for_the_journal_can_be_cancelled() -> None:
    sent: list[int] = []

    async def call(started: ev.AttemptStarted) -> str:
        sent.append(started.task)
        return "done"

    async def main() -> list[ev.Event]:
        run = Run(scheduler("ab"), call, acknowledged=LaggingJournal(5.0).acknowledged)
        run.at(1.0, run.engine.stop, "SIGINT", "cancel")
        assert await run.to_the_end() == "stopped"
        assert others_running() == set()
        return run.story

    assert briefly(on_virtual_time(main()))[3:] == [
        (1.0, "StopRequested", -1),
        (1.0, "CancelRequested", 0),
        (1.0, "CancelRequested", 1),
        (1.0, "AttemptCancelled", 0),
        (1.0, "TaskCancelled", 0),
        (1.0, "AttemptCancelled", 1),
        (1.0, "TaskCancelled", 1),
        (1.0, "RunFinished", -1),
    ]
    assert sent == []


async def journalled(scenario: Scenario, journal: LaggingJournal) -> list[ev.Event]:
    run = Run(scenario.scheduler(), lasting(scenario.durations), acknowledged=journal.acknowledged)
    await run.to_the_end()
    return run.story


def test_a_journal_that_keeps_up_changes_no_decision() -> None:
    for scenario in random_scenarios(60, control=False):
        plain = story_of(scenario.scheduler(), lasting(scenario.durations))

        assert on_virtual_time(journalled(scenario, LaggingJournal(0.0))) == plain


# ---- whatever happens -----------------------------------------------------------------------------


async def chaotic_engine(seed: int) -> Run:
    """A run in which calls fail, ask again, hang, clean up slowly and are stopped, with a journal that lags."""
    dice = Random(seed)
    scenario = difficult(seed)

    async def call(started: ev.AttemptStarted) -> str:
        try:
            await asyncio.sleep(dice.choice((0.0, 0.5, 3.0, 40.0)))
        except asyncio.CancelledError:
            if dice.random() < 0.3:
                await asyncio.sleep(dice.choice((0.0, 2.0)))
            if dice.random() < 0.3:
                return "done"
            raise
        if dice.random() < 0.3:
            raise CallFailed(dice.choice(list(FailureKind)), "no", retry_after=dice.choice((None, 0.0, 9.0, 1e9)))
        return dice.choice(("done", "done", "done", "again"))

    def evaluate(started: ev.AttemptStarted) -> str:
        if dice.random() < 0.1:
            raise CallFailed(FailureKind.TEMPLATE, "no such name")
        return "done" if started.number else dice.choice(("proceed", "proceed", "skip"))

    journal = LaggingJournal(dice.choice((0.0, 0.1, 5.0)))
    run = Run(scenario.scheduler(), call, evaluate, journal.acknowledged if dice.random() < 0.7 else None)
    if dice.random() < 0.5:
        for _ in range(dice.randint(1, 3)):
            run.at(dice.uniform(0.0, 60.0), run.engine.stop, "SIGINT", dice.choice(("drain", "cancel")))
    await run.to_the_end()
    assert others_running() == set()
    return run


@pytest.mark.parametrize("seed", range(100))
def test_whatever_happens_the_engine_ends_with_a_story_that_can_be_folded_again(seed: int) -> None:
    run = on_virtual_time(chaotic_engine(seed))
    scheduler = run.engine.scheduler
    again = RunState(scheduler.graph)
    for event in run.story:
        again.apply(event)
    assert snapshot(again) == snapshot(scheduler.state)
    assert isinstance(run.story[-1], ev.RunFinished)
    begun = [e.attempt for e in run.story if isinstance(e, ev.AttemptStarted)]
    ended = [
        e.attempt for e in run.story if isinstance(e, ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled)
    ]
    assert sorted(ended) == begun
    assert all(earlier.at <= later.at for earlier, later in pairwise(run.story))
