"""The items of a `foreach`, one by one: a template, a list, a file read by lines, lists side by side, a product."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llmflow.errors import CallFailed, FailureKind
from llmflow.language.pipeline import Foreach

MAX_KEY = 200
"""Characters of a key."""

STREAMED = (".jsonl", ".csv")
"""Files that are read as they are used; others are read whole."""


def items_of(foreach: Foreach, scope: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, Any]]:
    """(key, item) in order; `key` is the default one: the index, or `a=1,b=x` of a matrix.

    Raises CallFailed(template) for what is no list, and, while it is read, for a file's wrong line.
    """
    if foreach.matrix:
        lists = {name: _list(structure.value(scope), name) for name, structure in foreach.matrix.items()}
        return _product(lists)
    if foreach.zip:
        columns = [_list(structure.value(scope), f"zip[{i}]") for i, structure in enumerate(foreach.zip)]
        if len({len(column) for column in columns}) > 1:
            raise wrong(f"the lists of `zip` have different lengths: {', '.join(str(len(c)) for c in columns)}")
        return ((str(i), list(row)) for i, row in enumerate(zip(*columns, strict=True)))
    if foreach.file is not None:
        return ((str(i), item) for i, item in enumerate(read_rows(folder / foreach.file.text(scope))))
    assert foreach.items is not None
    value = foreach.items.value(scope)
    if isinstance(value, StreamedFile):
        return ((str(i), item) for i, item in enumerate(value))
    return ((str(i), item) for i, item in enumerate(_list(value, "items")))


def key_of(foreach: Foreach, default: str, scope: Mapping[str, Any]) -> str:
    """The item's key: the author's template, else `default`. Raises CallFailed for one that cannot serve."""
    if foreach.key is None:
        return default
    key = foreach.key.text(scope)
    if not key or len(key) > MAX_KEY:
        raise wrong(f"`key` gave a text of {len(key)} characters; a key has 1 to {MAX_KEY}")
    return key


class StreamedFile(Sequence[Any]):
    """The rows of a `.jsonl` or `.csv` file, read as they are used; a `foreach` over it holds none of them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[Any]:
        return read_rows(self.path)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return list(itertools.islice(self, *index.indices(len(self))))
        return next(itertools.islice(self, index if index >= 0 else len(self) + index, None))


def read_rows(path: Path) -> Iterator[Any]:
    """The elements of a data file: lines of JSON, rows of CSV as mappings, the elements of a JSON list, else lines.

    Raises CallFailed(template) naming file and line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                yield from csv.DictReader(file)
            elif path.suffix == ".jsonl":
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield _parsed(line, f"{path.name}:{number}")
            elif path.suffix == ".json":
                yield from _list(_parsed(file.read(), path.name), path.name)
            else:
                for line in file:
                    yield line.rstrip("\r\n")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise wrong(f"{path.name} cannot be read: {error}") from error


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise wrong(f"{place}: not JSON: {error}") from error


def _product(lists: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, Any]]:
    for row in itertools.product(*lists.values()):
        item = dict(zip(lists, row, strict=True))
        yield ",".join(f"{name}={_plain(value)}" for name, value in item.items()), item


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _list(value: Any, name: str) -> Sequence[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        what = "a text" if isinstance(value, str) else "none" if value is None else f"a {type(value).__name__}"
        raise wrong(f"`{name}` must be a list, not {what}")
    return value


def wrong(detail: str) -> CallFailed:
    return CallFailed(FailureKind.TEMPLATE, detail, retryable=False)
