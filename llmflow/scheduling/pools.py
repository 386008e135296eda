"""Pools: the workers of one provider. May an attempt start now, on which endpoint, as which worker?

Pure and fed by the scheduler: `acquire` when an attempt starts, `release` when it ends. Workers are
numbered from 0 and the lowest free number is taken, so a run reads well in a Gantt chart. With
several endpoints each has `workers` of its own and the one with the most room is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

CONTROL = -1
"""The pool of steps that hold no worker: values, conditions."""

UNLIMITED = 0


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """`workers` per endpoint, 0 = unlimited."""

    name: str
    workers: int = UNLIMITED
    endpoints: int = 1

    @property
    def size(self) -> int:
        """Workers of all endpoints together, 0 = unlimited."""
        return self.workers * self.endpoints


class Pool:
    """The free workers of one pool."""

    __slots__ = ("_busy", "_free", "_next", "spec")

    def __init__(self, spec: PoolSpec) -> None:
        self.spec = spec
        self._busy = [0] * spec.endpoints
        self._free: list[list[int]] = [[] for _ in range(spec.endpoints)]
        self._next = list(range(spec.endpoints))
        """Per endpoint: the worker number after the highest ever used."""

    def has_room(self) -> bool:
        """One more attempt may start now."""
        workers = self.spec.workers
        return not workers or min(self._busy) < workers

    def acquire(self) -> tuple[int, int]:
        """(endpoint, worker) for one attempt; call it only when there is room."""
        busy = self._busy
        endpoint = 0 if len(busy) == 1 else busy.index(min(busy))
        busy[endpoint] += 1
        if self._free[endpoint]:
            return endpoint, heappop(self._free[endpoint])
        worker = self._next[endpoint]
        self._next[endpoint] = worker + len(busy)
        return endpoint, worker

    def release(self, endpoint: int, worker: int) -> None:
        """The attempt that held `worker` has ended."""
        self._busy[endpoint] -= 1
        heappush(self._free[endpoint], worker)
