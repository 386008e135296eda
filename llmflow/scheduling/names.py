"""The names of a graph's tasks: texts for what is written in the file, a few bytes for each item of a fan-out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from llmflow.scheduling.packed import Packed

MAX_NUMBER = (1 << 31) - 1
PIECES = 1 << 26
"""`level.piece` is kept as one number as long as there are no more pieces than this and fewer than 31 levels."""


class Names(Sequence[str]):
    """Reads like a list of texts. `group[17]` is kept as two packed integers: 100,000 items take 0.1 MB, not 7.

    So is `group[2.17]`, a piece of a tree.
    """

    __slots__ = ("_numbers", "_parents", "_texts", "_written")

    def __init__(self, written: Iterable[str] = ()) -> None:
        self._written = list(written)
        self._parents: Packed[int] = Packed("i")
        """Of every name behind the first item's: the group, -1 where the whole name is a text."""
        self._numbers: Packed[int] = Packed("i")
        self._texts: dict[int, str] = {}
        """Names, and keys of items, that are no number."""

    def append(self, name: str) -> None:
        """One more name."""
        if not self._parents:
            self._written.append(name)
            return
        self._texts[len(self)] = name
        self._parents.append(-1)
        self._numbers.append(-1)

    def append_item(self, group: int, key: str) -> None:
        """The name of an item of task `group`: `group[key]`."""
        number = _number_of(key)
        if number == -1:
            self._texts[len(self)] = key
        self._parents.append(group)
        self._numbers.append(number)

    def __len__(self) -> int:
        return len(self._written) + len(self._parents)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = index - len(self._written)
        if place < 0:
            return self._written[index] if index >= 0 else self[self._from_the_end(index)]
        group, number = self._parents[place], self._numbers[place]
        if number >= 0:
            return f"{self[group]}[{number}]"
        if number < -1:
            return f"{self[group]}[{_piece(number)}]"
        text = self._texts[index]
        return text if group < 0 else f"{self[group]}[{text}]"

    def _from_the_end(self, index: int) -> int:
        if index < -len(self):
            raise IndexError(index)
        return index + len(self)

    def __iter__(self) -> Iterator[str]:
        return chain(self._written, (self[i] for i in range(len(self._written), len(self))))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Names | list):
            return len(other) == len(self) and all(a == b for a, b in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]


def _number_of(key: str) -> int:
    """A key that reads like a number, or like a piece of a tree (below -1); -1 for any other."""
    if not key.isascii() or len(key) > 11:
        return -1
    level, dot, piece = key.partition(".")
    if not dot:
        number = int(key) if key.isdecimal() else -1
        return number if number <= MAX_NUMBER and str(number) == key else -1
    if not (level.isdecimal() and piece.isdecimal()) or int(level) > 30 or int(piece) >= PIECES:
        return -1
    number = -2 - int(level) * PIECES - int(piece)
    return number if _piece(number) == key else -1


def _piece(number: int) -> str:
    level, piece = divmod(-2 - number, PIECES)
    return f"{level}.{piece}"
