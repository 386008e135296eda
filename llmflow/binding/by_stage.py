"""What is known per stage, read by task of the run."""

from __future__ import annotations

from collections.abc import Sequence
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
