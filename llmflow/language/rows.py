"""The rows of a data file, read as they are used: a fan-out over 100,000 of them holds none.

Lines of JSON (`.jsonl`), or CSV with a header. The file is read through once when it is opened, so
that a wrong line is told before anything is spent.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from llmflow.language.input_files import json_value
from llmflow.protocol import clean_text

FORMS = ("jsonl", "csv")


class Rows(Sequence[Any]):
    """A list that is a file. Raises ValueError, naming the line, for a file that is not what `form` says."""

    def __init__(self, path: str | Path, form: str) -> None:
        self.path, self.form = Path(path), form
        self._length = sum(1 for _ in self)

    def __iter__(self) -> Iterator[Any]:
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                yield from _json_lines(file) if self.form == "jsonl" else _records(file)
        except FileNotFoundError:
            raise ValueError(f"there is no file `{self.path}`") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"`{self.path}` is not UTF-8: {error.reason} at byte {error.start}") from None
        except OSError as error:
            raise ValueError(f"`{self.path}` cannot be read: {(error.strerror or str(error)).lower()}") from None

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return list(islice(self, *index.indices(self._length)))
        place = index if index >= 0 else self._length + index
        if not 0 <= place < self._length:
            raise IndexError(index)
        return next(islice(self, place, None))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Rows):
            return self.path == other.path and self.form == other.form
        return (
            isinstance(other, list)
            and len(other) == self._length
            and all(a == b for a, b in zip(self, other, strict=True))
        )

    def __hash__(self) -> int:
        return hash((self.path, self.form))


def _json_lines(lines: Iterator[str] | Any) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield json_value(clean_text(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def _records(lines: Any) -> Iterator[dict[str, str]]:
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) < len(header):
            raise ValueError("two columns have the same name")
        for row in reader:
            if len(row) not in (0, len(header)):
                raise ValueError(f"line {reader.line_num}: {len(row)} values for {len(header)} columns")
            if row:
                yield dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise ValueError(f"not CSV: line {reader.line_num}: {error}") from None
