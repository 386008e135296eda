from __future__ import annotations

import asyncio
from random import Random

from virtual_run import on_virtual_time

from llmflow.runtime.clock import Clock


class Hand:
    """A clock's hand, moved by the test."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def time(self) -> float:
        return self.seconds


def test_a_clock_counts_from_its_making() -> None:
    hand = Hand()
    clock = Clock(hand.time)
    hand.seconds += 2.5
    assert (clock.now(), clock.real(3.0)) == (2.5, 3.0)


def test_a_fast_clock_goes_on_where_a_resumed_run_stopped() -> None:
    hand = Hand()
    clock = Clock(hand.time, speed=20.0, offset=100.0)
    assert clock.now() == 100.0
    hand.seconds += 3.0
    assert (clock.now(), clock.real(60.0)) == (160.0, 3.0)


def test_virtual_time_jumps_from_timer_to_timer() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        seen = [loop.time()]
        for seconds in (0.5, 86_400.0 * 3, 0.0, 1.0):
            await asyncio.sleep(seconds)
            seen.append(loop.time())
        return seen

    assert on_virtual_time(main()) == [0.0, 0.5, 259_200.5, 259_200.5, 259_201.5]


def test_timers_of_one_instant_fire_in_the_order_in_which_they_were_set() -> None:
    dice = Random(3)
    plan = [float(dice.randint(1, 5)) for _ in range(200)]

    async def main() -> list[int]:
        fired: list[int] = []
        for number, seconds in enumerate(plan):
            asyncio.get_running_loop().call_later(seconds, fired.append, number)
        await asyncio.sleep(6.0)
        return fired

    assert on_virtual_time(main()) == sorted(range(200), key=lambda number: (plan[number], number))


def test_a_cancelled_timer_does_not_move_virtual_time() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(50.0, print).cancel()
        await asyncio.sleep(1.0)
        return loop.time()

    assert on_virtual_time(main()) == 1.0


def test_a_timeout_works_on_virtual_time() -> None:
    async def main() -> tuple[str, float]:
        try:
            async with asyncio.timeout(7.0):
                await asyncio.sleep(3600.0)
        except TimeoutError:
            return "timeout", asyncio.get_running_loop().time()
        return "no timeout", 0.0

    assert on_virtual_time(main()) == ("timeout", 7.0)


def test_where_there_is_no_timer_a_thread_is_waited_for() -> None:
    async def main() -> tuple[int, float]:
        return await asyncio.to_thread(sum, range(10)), asyncio.get_running_loop().time()

    assert on_virtual_time(main()) == (45, 0.0)
