"""Long columns of numbers of which only the newest are at work: all but these are kept compressed.

What a run knows of each task is written while the task is under way and read once more at the end. In
plain arrays the items of a long fan-out cost 100 bytes each; neighbours resemble each other so much
that `zlib` at its quickest takes most of that away, for 20 ns an entry. Blocks of one size also
leave no holes behind, as arrays do that are copied whenever they outgrow their place.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar, overload

N = TypeVar("N", int, float)

SHIFT = 11
SIZE = 1 << SHIFT
"""Entries of a block."""
OPEN = 16
"""Blocks of one column that are kept open while it is read."""


class Packed(Sequence[N]):
    """Reads and grows like an array of `typecode`; its entries can be set.

    Where every nanosecond counts, append to `end` instead, and `pack` now and then.
    """

    __slots__ = ("_before", "_blocks", "_changed", "_first", "_open", "_typecode", "end")

    def __init__(self, typecode: str, first: Sequence[N] = ()) -> None:
        """`first`: entries to begin with, which are never packed: they are read and set in any order."""
        self.end: array[Any] = array(typecode)
        """The newest entries, not packed yet."""
        self._typecode = typecode
        self._first: array[Any] = array(typecode, first)
        self._blocks: list[bytes] = []
        self._before = len(self._first)
        """Entries before `end`."""
        self._open: dict[int, array[Any]] = {}
        self._changed: set[int] = set()
        """Open blocks that differ from what was packed."""

    def append(self, value: N) -> None:
        """One more entry. The youngest SIZE stay as they are: they are the ones that are still set."""
        self.end.append(value)
        if len(self.end) == 2 * SIZE:
            self._pack_block()

    def extend(self, values: Iterable[N]) -> None:
        """More entries."""
        for value in values:
            self.append(value)

    def pack(self) -> None:
        """Compress whatever fills a block."""
        while len(self.end) >= SIZE:
            self._pack_block()

    def _pack_block(self) -> None:
        self._blocks.append(self._compressed(self.end[:SIZE]))
        self.end = self.end[SIZE:]
        self._before += SIZE

    def __len__(self) -> int:
        return self._before + len(self.end)

    @overload
    def __getitem__(self, index: int) -> N: ...

    @overload
    def __getitem__(self, index: slice) -> list[N]: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = index - self._before
        if place >= 0:
            return self.end[place]
        part, place = self._part(index)
        return part[place]

    def __setitem__(self, index: int, value: N) -> None:
        place = index - self._before
        if place >= 0:
            self.end[place] = value
            return
        part, place = self._part(index, changing=True)
        part[place] = value

    def __iter__(self) -> Iterator[N]:
        return chain(self._first, chain.from_iterable(map(self._read, range(len(self._blocks)))), self.end)

    def _part(self, index: int, *, changing: bool = False) -> tuple[array[Any], int]:
        """The array that holds the entry, and its place there."""
        whole = index if index >= 0 else index + len(self)
        if whole < 0:
            raise IndexError(index)
        if whole >= self._before:
            return self.end, whole - self._before
        place = whole - len(self._first)
        if place < 0:
            return self._first, whole
        block = place >> SHIFT
        if changing:
            self._changed.add(block)
        found = self._open.get(block)
        return (self._opened(block) if found is None else found), place & (SIZE - 1)

    def _opened(self, block: int) -> array[Any]:
        if len(self._open) >= OPEN:
            oldest = next(iter(self._open))
            closed = self._open.pop(oldest)
            if oldest in self._changed:
                self._changed.discard(oldest)
                self._blocks[oldest] = self._compressed(closed)
        found = self._open[block] = self._read(block)
        return found

    def _read(self, block: int) -> array[Any]:
        if block in self._changed and block in self._open:
            return self._open[block]
        data = zlib.decompress(self._blocks[block])
        if self._typecode == "d":
            return array("d", data)
        numbers, width = bytearray(len(data)), self.end.itemsize
        for place in range(width):
            numbers[place::width] = data[place * SIZE : (place + 1) * SIZE]
        return array(self._typecode, bytes(numbers))

    def _compressed(self, block: array[Any]) -> bytes:
        """Of integers all lowest bytes come first, and so on: the others hardly change from one to the next."""
        data = block.tobytes()
        if self._typecode != "d":
            data = b"".join(data[place :: block.itemsize] for place in range(block.itemsize))
        return zlib.compress(data, 1)
