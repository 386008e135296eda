from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from virtual_run import on_virtual_time

from llmflow.errors import CallFailed, FailureKind
from llmflow.runtime.attempts import within

Heard = Callable[[int], None] | None


def timed(attempt: Callable[[], Coroutine[Any, Any, object]]) -> tuple[str, float]:
    """What came of it, and at which second."""

    async def main() -> tuple[str, float]:
        try:
            answer = str(await attempt())
        except CallFailed as failure:
            answer = str(failure)
        return answer, asyncio.get_running_loop().time()

    return on_virtual_time(main())


def dripping(gap: float, tokens: int) -> Callable[[Heard], Coroutine[Any, Any, str]]:
    """A call that says `tokens` tokens, one every `gap` seconds."""

    async def call(heard: Heard) -> str:
        for count in range(1, tokens + 1):
            await asyncio.sleep(gap)
            if heard is not None:
                heard(count)
        return "answer"

    return call


def test_an_answer_in_time_is_given_back() -> None:
    assert timed(lambda: within(dripping(1.0, 5), total=6.0, idle=2.0)) == ("answer", 5.0)


def test_where_the_clock_of_the_run_goes_faster_its_seconds_are_told() -> None:
    told = timed(lambda: within(dripping(0.1, 1_000_000), total=2.02513, speed=100.0))
    assert told == ("timeout: no answer within 202.5 s", 2.02513)
    told = timed(lambda: within(dripping(9.0, 9), total=30.0, idle=0.3, speed=10.0))
    assert told[0] == "timeout: no token for 3 s"


def test_a_total_ends_a_call_that_drips_for_ever() -> None:
    assert timed(lambda: within(dripping(0.1, 1_000_000), total=30.0)) == ("timeout: no answer within 30 s", 30.0)
    assert timed(lambda: within(dripping(0.125, 1_000_000), total=30.0, idle=1.0)) == (
        "timeout: no answer within 30 s",
        30.0,
    )


def test_a_silence_ends_a_call_that_has_begun_to_answer() -> None:
    async def stalling(heard: Heard) -> str:
        assert heard is not None
        for count in range(4):
            await asyncio.sleep(1.5)
            heard(count)
        await asyncio.sleep(1000.0)
        return "never"

    assert timed(lambda: within(stalling, total=600.0, idle=2.0)) == ("timeout: no token for 2 s", 8.0)


def test_a_call_that_never_says_a_token_is_silent_from_the_start() -> None:
    assert timed(lambda: within(dripping(1000.0, 1), total=600.0, idle=60.0)) == ("timeout: no token for 60 s", 60.0)


def test_both_limits_at_one_instant_are_one_timeout() -> None:
    answer, at = timed(lambda: within(dripping(1000.0, 1), total=60.0, idle=60.0))
    assert (answer.startswith("timeout: no "), at) == (True, 60.0)


def test_without_anyone_listening_a_call_hears_of_no_progress() -> None:
    async def call(heard: Heard) -> bool:
        return heard is None

    assert timed(lambda: within(call, total=1.0)) == ("True", 0.0)
    assert timed(lambda: within(call, total=1.0, idle=1.0)) == ("False", 0.0)
    assert timed(lambda: within(call, total=1.0, progress=lambda tokens: None)) == ("False", 0.0)


def test_progress_is_passed_on() -> None:
    heard: list[int] = []
    assert timed(lambda: within(dripping(1.0, 3), total=9.0, progress=heard.append)) == ("answer", 3.0)
    assert heard == [1, 2, 3]


def test_a_failure_of_the_call_passes_through() -> None:
    async def call(heard: Heard) -> str:
        raise CallFailed(FailureKind.AUTH, "no key")

    assert timed(lambda: within(call, total=1.0, idle=1.0)) == ("auth: no key", 0.0)


def test_a_timeout_error_of_the_call_itself_is_not_taken_for_ours() -> None:
    async def call(heard: Heard) -> str:
        raise TimeoutError("of a socket")

    async def main() -> None:
        with pytest.raises(TimeoutError, match="of a socket"):
            await within(call, total=1.0)

    on_virtual_time(main())


@pytest.mark.parametrize("after", [0.0, 1.0, 2.0, 3.0])
def test_a_cancellation_from_outside_passes_through(after: float) -> None:
    """Also in the very instant (2 s) in which the silence has lasted too long, or (3 s) after the total."""

    async def main() -> str:
        attempt = asyncio.ensure_future(within(dripping(100.0, 1), total=2.5 if after == 3.0 else 50.0, idle=2.0))
        asyncio.get_running_loop().call_later(after, attempt.cancel)
        await asyncio.wait([attempt])
        return "cancelled" if attempt.cancelled() else str(attempt.exception())

    assert on_virtual_time(main()) == ("timeout: no token for 2 s" if after > 2.0 else "cancelled")


def test_what_is_left_after_an_attempt_cancels_nobody() -> None:
    async def main() -> float:
        for _ in range(3):
            await within(dripping(0.5, 1), total=1.0, idle=1.0)
        with pytest.raises(CallFailed):
            await within(dripping(9.0, 1), total=5.0, idle=1.0)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(100.0)
        return asyncio.get_running_loop().time()

    assert on_virtual_time(main()) == 102.5


def test_a_timeout_runs_the_cleaning_up_of_the_call() -> None:
    cleaned: list[float] = []

    async def call(heard: Heard) -> str:
        try:
            await asyncio.sleep(100.0)
        finally:
            await asyncio.sleep(1.0)
            cleaned.append(asyncio.get_running_loop().time())
        return "never"

    assert timed(lambda: within(call, total=5.0, idle=2.0)) == ("timeout: no token for 2 s", 3.0)
    assert cleaned == [3.0]
