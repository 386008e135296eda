"""What a view is, and what it may read of the run it watches. It knows no terminal and no file.

A view gets a run's events in batches, one batch per tick of the runtime, after `RunContext.state`
has folded them. A view that raises is dropped by whoever calls it; the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from llmflow.protocol import Usage
from llmflow.scheduling.events import Event
from llmflow.scheduling.state import RunState


@dataclass(frozen=True, slots=True)
class PoolInfo:
    """A pool as people see it. `workers`: of all endpoints together, 0 = unlimited."""

    name: str
    workers: int


@dataclass(slots=True)
class RunContext:
    """What a view may read. Times are run seconds; sequences are indexed by task or pool and may grow."""

    name: str
    run_id: str
    state: RunState
    clock: Callable[[], float]
    """Seconds since the run began, on the run's own clock."""
    pools: Sequence[PoolInfo] = ()
    pool_of: Sequence[int] = ()
    """Task → its pool, -1 where it holds no worker."""
    expected: Sequence[float] = ()
    """Task → mean duration in seconds; empty where nothing is known."""
    models: Sequence[str] = ()
    """Task → `provider/model`, empty text where it calls none."""
    usage: dict[int, Usage] = field(default_factory=dict)
    """Task → tokens of its finished attempts."""
    live_tokens: dict[int, int] = field(default_factory=dict)
    """Task → tokens streamed so far by its running attempt."""
    percentile: Callable[[int, int, float], tuple[int, int] | None] = lambda task, candidate, elapsed: None
    """(task, candidate, elapsed seconds of an attempt) → (percent of its like that took no longer, how many those
    are); None where too few are known."""
    speed: float = 1.0
    """How many times faster than the wall the run's clock goes."""


class View(Protocol):
    """Watches one run."""

    def start(self, context: RunContext) -> None:
        """The run is about to begin. Called once, first."""
        ...

    def on_events(self, events: Sequence[Event]) -> None:
        """What happened in one tick; the state has folded all of it."""
        ...

    def tick(self) -> None:
        """Time has passed. Called about ten times a second while nothing else happens."""
        ...

    def note(self, text: str) -> None:
        """Something a person should read now (a stop, a warning)."""
        ...

    def close(self) -> None:
        """The run has ended, well or badly. May be called twice."""
        ...
