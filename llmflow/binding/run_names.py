"""`run` as templates see it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from llmflow.scheduling.state import RunState


class RunNames(Mapping[str, Any]):
    """`run.id` and `run.started`; `status`, `failed` and `cost_usd` are for the tasks of `finally`."""

    KEYS = ("id", "started", "status", "failed", "cost_usd")

    def __init__(self, run: str, started_at: float, state: RunState, failed: Callable[[], list[str]]) -> None:
        """`started_at`: a time of day; `failed`: names of the tasks that have failed so far and were not accepted."""
        self._run, self._started_at, self._state, self._failed = run, started_at, state, failed

    def __getitem__(self, key: str) -> Any:
        if key == "id":
            return self._run
        if key == "started":
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started_at))
        if key == "failed":
            return self._failed()
        if key == "status":
            return "stopped" if self._state.stop_reason else "failed" if self._failed() else "succeeded"
        if key == "cost_usd":
            return None
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.KEYS)

    def __len__(self) -> int:
        return len(self.KEYS)
