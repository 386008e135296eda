"""Long columns of numbers that only grow: all but the newest part is kept compressed.

What a run's reports need of each call is written once and read at the end. In plain arrays it was
half of what 100,000 items cost; neighbours resemble each other so much that `zlib` at its quickest
takes three quarters of that away, for 20 ns an entry.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar, overload

N = TypeVar("N", int, float)

SHIFT = 12
SIZE = 1 << SHIFT
"""Entries of a block."""
OPEN = 16
"""Blocks of one column that are kept open while it is read."""


class Packed(Sequence[N]):
    """Reads like an array of `typecode`. Append to `end`; `pack` now and then puts what is there away."""

    __slots__ = ("_blocks", "_open", "_typecode", "end")

    def __init__(self, typecode: str) -> None:
        self.end: array[Any] = array(typecode)
        """The newest entries, not packed yet."""
        self._typecode = typecode
        self._blocks: list[bytes] = []
        self._open: dict[int, array[Any]] = {}

    def pack(self) -> None:
        """Compress whatever fills a block."""
        while len(self.end) >= SIZE:
            self._blocks.append(zlib.compress(self.end[:SIZE].tobytes(), 1))
            self.end = self.end[SIZE:]

    def __len__(self) -> int:
        return (len(self._blocks) << SHIFT) + len(self.end)

    @overload
    def __getitem__(self, index: int) -> N: ...

    @overload
    def __getitem__(self, index: slice) -> list[N]: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = index if index >= 0 else index + len(self)
        block = place >> SHIFT
        if block >= len(self._blocks):
            return self.end[place - (len(self._blocks) << SHIFT)]
        found = self._open.get(block)
        return (self._opened(block) if found is None else found)[place & (SIZE - 1)]

    def __iter__(self) -> Iterator[N]:
        return chain(chain.from_iterable(map(self._unpacked, self._blocks)), self.end)

    def _opened(self, block: int) -> array[Any]:
        if block < 0:
            raise IndexError(block << SHIFT)
        if len(self._open) >= OPEN:
            del self._open[next(iter(self._open))]
        found = self._open[block] = self._unpacked(self._blocks[block])
        return found

    def _unpacked(self, block: bytes) -> array[Any]:
        return array(self._typecode, zlib.decompress(block))
