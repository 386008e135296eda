"""What is known per stage, read by task of the run."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any


class ByStage(Sequence[Any]):
    """`values` by stage, seen by node; grows with `stages`, the stage of each node."""

    def __init__(self, values: Sequence[Any], stages: Sequence[int]) -> None:
        self._values, self._stages = values, stages

    def __getitem__(self, node: Any) -> Any:
        if isinstance(node, slice):
            return [self._values[stage] for stage in self._stages[node]]
        return self._values[self._stages[node]]

    def __len__(self) -> int:
        return len(self._stages)


class NodesOf(Container[int]):
    """The nodes of some stages, those that are still to come among them."""

    def __init__(self, wanted: Container[int], stages: Sequence[int]) -> None:
        self._wanted, self._stages = wanted, stages

    def __contains__(self, node: object) -> bool:
        return isinstance(node, int) and self._stages[node] in self._wanted
