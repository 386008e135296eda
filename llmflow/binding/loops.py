"""What a task that is asked several times remembers between its attempts: invalid answers, iterations, pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llmflow.protocol import Message


@dataclass(slots=True)
class Loop:
    """The state of one node between attempts. `turns` is what the conversation has gained since its prompt.

    `iteration` counts a `repeat` from 1; `pieces` are those of a fold, `piece` the current one;
    `previous` is the last good output of either.
    """

    turns: list[Message] = field(default_factory=list)
    invalid: int = 0
    extensions: int = 0
    iteration: int = 1
    previous: Any = None
    pieces: list[list[Any]] | None = None
    piece: int = 0

    def start_anew(self, output: Any) -> None:
        """The next iteration or piece: what was wrong with earlier answers is forgotten."""
        self.previous = output
        self.turns = []
        self.invalid = self.extensions = 0


def in_pieces(items: Sequence[Any], batch: int) -> list[list[Any]]:
    """`items` cut into lists of `batch`, the last one shorter."""
    return [list(items[i : i + batch]) for i in range(0, len(items), batch)]
