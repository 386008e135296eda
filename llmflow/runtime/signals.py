"""Signals: the first one asks a run to end well, the second ends its calls now, the third ends the process.

A handler on the loop is needed: with plain `asyncio.run` a second Ctrl-C breaks the clean-up of the
first, and SIGTERM and SIGHUP end the process on the spot.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else (signal.SIGINT,)


class StopSignals:
    """While entered, signals call `stop(reason, mode)`; `say` gets one line for the person.

    A signal that this process was told to ignore stays ignored (`nohup`, a shell's background job).
    `grace`: seconds that running calls have after the first signal. `received` is the number of the
    first signal, 0 if none came; a run that was stopped exits with 128 + it.
    """

    def __init__(
        self,
        stop: Callable[[str, str], None],
        say: Callable[[str], None],
        running: Callable[[], int],
        grace: float = 10.0,
    ) -> None:
        self._stop, self._say, self._running, self._grace = stop, say, running, grace
        self._count = 0
        self._deadline: asyncio.TimerHandle | None = None
        self.received = 0

    def __enter__(self) -> StopSignals:
        self._loop = asyncio.get_running_loop()
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                if before is signal.SIG_IGN:
                    continue
                self._loop.add_signal_handler(number, self._on_signal, number)
                self._before[number] = before
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            self._loop.remove_signal_handler(number)
            # Where one came, the process is on its way out: one more signal ends it with the same code.
            signal.signal(number, self._end if self.received else before)
        if self._deadline is not None:
            self._deadline.cancel()

    def _on_signal(self, number: int) -> None:
        self._count += 1
        self.received = self.received or number
        name = signal.Signals(number).name
        if self._count == 1:
            self._stop(name, "drain")
            self._deadline = self._loop.call_later(self._grace, self._stop, name, "cancel")
            self._say(f"stopping; signal again to cancel {self._running()} running calls")
        elif self._count == 2:
            self._stop(name, "cancel")
            self._say("cancelling the running calls; signal again to end at once")
        else:
            self._end()

    def _end(self, *_: object) -> None:
        os._exit(128 + self.received)
