"""A tree `reduce`: which pieces can be asked for now, and what is left in the end.

Level 0 holds the items; piece j of a level is its values j·batch … (j+1)·batch-1, and its answer is
value j of the level above. A piece starts when its own values are there, whatever the others do. A
value alone in its piece, above level 0, goes up unasked. The last value left is the result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any


class Tree:
    """One `reduce` under way; `node` is its own. Items that failed leave a gap and count for nothing."""

    def __init__(self, node: int, batch: int) -> None:
        self.node = node
        self.batch = max(2, batch)
        self.told = False
        """Its end has been reported."""
        self.is_done = False
        self.failed = False
        self.open = 0
        """Pieces that were given and have not ended."""
        self.result: Any = None
        self._levels: list[dict[int, list[tuple[int, Any, int]]]] = [{}]
        """Per level: piece → (ordinal, value, node) of its values so far."""
        self._seen: list[dict[int, int]] = [{}]
        """Per level: piece → how many of its places are filled, gaps included."""
        self._totals: list[int | None] = [None]
        self._highest = -1
        """The largest ordinal of an item."""
        self._given: set[int] = set()
        """Pieces of items that have been dealt with."""
        self._touched: deque[tuple[int, int]] = deque()

    def put(self, ordinal: int, value: Any, present: bool, node: int = -1) -> None:
        """Item `ordinal` is there, or (not `present`) will never be; `node` gave it, -1 if none did."""
        self._put(0, ordinal, value, present, node)

    def close(self) -> None:
        """No more items will come: ordinals that nobody spoke of are gaps like any other."""
        total = self._highest + 1
        for piece in range(-(-total // self.batch)):
            if piece not in self._given:
                self._seen[0][piece] = self.batch
                self._touched.append((0, piece))
        self._close(0, total)

    def ended(self, key: str, value: Any, answered: bool, node: int) -> None:
        """The piece `key` has been answered, or has failed and with it the whole."""
        self.open -= 1
        level, _, piece = key.partition(".")
        if answered:
            self._put(int(level) + 1, int(piece), value, True, node)
        else:
            self.failed = True

    def ready(self) -> Iterator[tuple[str, list[Any], list[int]]]:
        """(key, values, the nodes that gave them) of every piece that can be asked for now and was not given before."""
        while self._touched and not self.failed:
            level, piece = self._touched.popleft()
            if piece not in self._seen[level] or self._seen[level][piece] < self._size(level, piece):
                continue
            del self._seen[level][piece]
            if not level:
                self._given.add(piece)
            found = sorted(self._levels[level].pop(piece, []), key=lambda place: place[0])
            values = [value for _, value, _ in found]
            if level and self._totals[level] == 1:
                self.is_done, self.result = True, values[0] if values else None
            elif not values:
                self._put(level + 1, piece, None, False, -1)
            elif level and len(values) == 1:
                self._put(level + 1, piece, values[0], True, found[0][2])
            else:
                self.open += 1
                yield f"{level}.{piece}", values, [node for _, _, node in found if node >= 0]

    def _put(self, level: int, ordinal: int, value: Any, present: bool, node: int) -> None:
        if level == len(self._levels):
            self._levels.append({})
            self._seen.append({})
            self._totals.append(None)
            below = self._totals[level - 1]
            if below is not None:
                self._close(level, -(-below // self.batch))
        piece = ordinal // self.batch
        self._seen[level][piece] = self._seen[level].get(piece, 0) + 1
        if not level:
            self._highest = max(self._highest, ordinal)
        if present:
            self._levels[level].setdefault(piece, []).append((ordinal, value, node))
        self._touched.append((level, piece))

    def _close(self, level: int, total: int) -> None:
        self._totals[level] = total
        if not total:
            self.is_done = True
            return
        self._touched.append((level, (total - 1) // self.batch))
        if level + 1 < len(self._levels):
            self._close(level + 1, -(-total // self.batch))

    def _size(self, level: int, piece: int) -> int:
        """Places of a piece; one that may still grow is never full before its batch is."""
        total = self._totals[level]
        if total is None:
            return self.batch
        return min(self.batch, total - piece * self.batch)
