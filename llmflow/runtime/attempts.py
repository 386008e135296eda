"""One attempt's time limits, which the SDKs' own do not give: a total, and a longest silence.

A read timeout of an HTTP client starts anew with every byte, so a server that drips one byte at a
time never meets it. Here `total` bounds the whole attempt and `idle` the time between two tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from llmflow.errors import CallFailed, FailureKind

T = TypeVar("T")

DEFAULT_IDLE = 60.0
"""Seconds that apply where the author wrote nothing."""


class IdleWatch:
    """Ends an attempt that has been silent for `limit` seconds. Call `heard` for every token."""

    __slots__ = ("_handle", "_last", "_limit", "_loop", "_task", "expired")

    def __init__(self, limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._limit = limit
        self._last = self._loop.time()
        self.expired = False
        self._handle = self._loop.call_later(limit, self._check)

    def heard(self) -> None:
        self._last = self._loop.time()

    def close(self) -> None:
        self._handle.cancel()

    def _check(self) -> None:
        left = self._last + self._limit - self._loop.time()
        if left > 0:
            self._handle = self._loop.call_later(left, self._check)
        else:
            self.expired = True
            self._task.cancel()


async def within(
    call: Callable[[Callable[[int], None] | None], Coroutine[Any, Any, T]],
    *,
    total: float,
    idle: float | None = None,
    progress: Callable[[int], None] | None = None,
    speed: float = 1.0,
) -> T:
    """Await `call(progress)` within `total` seconds and, if given, with no silence beyond `idle` seconds.

    `speed`: seconds of the run in one of these, which people are told. Raises CallFailed(timeout). A
    cancellation from outside passes through as it is.
    """
    watch = IdleWatch(idle) if idle is not None else None

    def heard(tokens: int) -> None:
        if watch is not None:
            watch.heard()
        if progress is not None:
            progress(tokens)

    try:
        async with asyncio.timeout(total) as limit:
            return await call(heard if watch is not None or progress is not None else None)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise CallFailed(FailureKind.TIMEOUT, f"no answer within {total * speed:.4g} s") from error
    except asyncio.CancelledError as error:
        if watch is None or idle is None or not watch.expired:
            raise
        task = asyncio.current_task()
        if task is not None and task.uncancel() > 0:
            raise
        raise CallFailed(FailureKind.TIMEOUT, f"no token for {idle * speed:.4g} s") from error
    finally:
        if watch is not None:
            watch.close()
