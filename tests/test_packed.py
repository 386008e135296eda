"""Columns that are packed as they grow read like the arrays they stand for."""

from __future__ import annotations

import random
import sys
from array import array

import pytest

from llmflow.reports.spans import Columns, Span
from llmflow.scheduling.packed import OPEN, SIZE, Packed


@pytest.mark.parametrize("count", [0, 1, SIZE - 1, SIZE, SIZE + 1, (OPEN + 3) * SIZE + 7])
def test_a_packed_column_reads_like_an_array(count: int) -> None:
    dice = random.Random(count)
    numbers = array("d", (dice.random() for _ in range(count)))
    column: Packed[float] = Packed("d")
    for place, number in enumerate(numbers):
        column.end.append(number)
        if place % 100 == 0:
            column.pack()
    assert (list(column), len(column)) == (list(numbers), count)
    for place in {*dice.choices(range(count), k=200), 0, count - 1} if count else ():
        assert (column[place], column[place - count]) == (numbers[place], numbers[place])
    assert column[count // 3 : -1 : 1000] == list(numbers[count // 3 : -1 : 1000])
    for outside in (count, count + SIZE, -count - 1):
        with pytest.raises(IndexError):
            column[outside]


@pytest.mark.parametrize("typecode", ["d", "i", "I"])
def test_entries_can_be_set_wherever_they_are(typecode: str) -> None:
    dice = random.Random(typecode)
    first = [dice.randrange(1_000) for _ in range(10)]
    column: Packed[float] = Packed(typecode, first)
    numbers = array(typecode, first)
    for number in range((OPEN + 4) * SIZE):
        column.append(number)
        numbers.append(number)
        for place in (dice.randrange(len(numbers)), -1 - dice.randrange(min(300, len(numbers)))):
            if number % 64 < 2:
                column[place] = numbers[place] = dice.randrange(1 << 30)
    column.extend([5, 6])
    numbers.extend(array(typecode, [5, 6]))
    assert len(column._open) == OPEN
    assert len(column._changed) > 1
    assert list(column) == list(numbers)
    assert [column[place] for place in range(0, len(numbers), 97)] == list(numbers[::97])
    for outside in (len(numbers), -len(numbers) - 1):
        with pytest.raises(IndexError):
            column[outside] = 1


def test_spans_are_kept_packed_and_come_back_as_they_were() -> None:
    dice = random.Random(1)
    spans = [
        Span(n // 2, n % 3, dice.randrange(64), n / 7, n / 7 + dice.random(), bool(n % 5), not n % 11)
        for n in range(3 * SIZE + 5)
    ]
    columns = Columns()
    for span in spans:
        columns.add(*span)
    assert list(columns) == spans
    assert [columns[place] for place in (0, SIZE, 2 * SIZE - 1, -1, -SIZE - 6)] == [
        spans[place] for place in (0, SIZE, 2 * SIZE - 1, -1, -SIZE - 6)
    ]
    assert columns.without({-1}) is columns
    assert list(columns.without({0, 7})) == [span for span in spans if span.task not in (0, 7)]


def test_what_is_packed_takes_a_fraction() -> None:
    column: Packed[int] = Packed("i")
    for number in range(100 * SIZE):
        column.end.append(number // 3)
        column.pack()
    held = sys.getsizeof(column.end) + sum(map(sys.getsizeof, column._blocks))
    assert held < len(column) / 2  # of 4 bytes each
