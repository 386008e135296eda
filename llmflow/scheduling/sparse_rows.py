"""A list of rows of which nearly all are empty: the edges of a graph that has grown by thousands of items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SHIFT = 8
PAGE = 1 << SHIFT


class SparseRows(Sequence[Any]):
    """Reads and grows like the list it begins with. A page of rows that are all `empty` takes no room."""

    __slots__ = ("_count", "_empty", "_first", "_pages")

    def __init__(self, first: list[Any], empty: Any) -> None:
        self._first, self._empty = first, empty
        self._count = 0
        """Rows behind the first ones."""
        self._pages: dict[int, list[Any]] = {}

    def append(self, row: Any) -> None:
        """One more row."""
        self._count += 1
        if row is not self._empty:
            self._set(self._count - 1, row)

    def __len__(self) -> int:
        return len(self._first) + self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = index - len(self._first)
        if place < 0:
            return self._first[index] if index >= 0 else self[self._from_the_end(index)]
        if place >= self._count:
            raise IndexError(index)
        page = self._pages.get(place >> SHIFT)
        return self._empty if page is None else page[place & (PAGE - 1)]

    def __setitem__(self, index: int, row: Any) -> None:
        place = index - len(self._first)
        if 0 <= index < len(self._first):
            self._first[index] = row
        elif 0 <= place < self._count:
            self._set(place, row)
        else:
            raise IndexError(index)

    def _set(self, place: int, row: Any) -> None:
        page = self._pages.get(place >> SHIFT)
        if page is None:
            page = self._pages[place >> SHIFT] = [self._empty] * PAGE
        page[place & (PAGE - 1)] = row

    def _from_the_end(self, index: int) -> int:
        if index < -len(self):
            raise IndexError(index)
        return index + len(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SparseRows | list):
            return len(other) == len(self) and all(a == b for a, b in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]
