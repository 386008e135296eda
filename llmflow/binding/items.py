"""The items of a `foreach`, one by one: a template, a list, a file read by lines, lists side by side, a product."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llmflow.errors import CallFailed, FailureKind
from llmflow.language.input_files import json_value
from llmflow.language.pipeline import Foreach
from llmflow.language.pipeline_files import FileProblem, file_below
from llmflow.language.rows import FORMS, Rows
from llmflow.language.values import kind_of

MAX_KEY = 200
"""Characters of a key."""


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
        return _numbered(rows_below(folder, foreach.file.text(scope)))
    assert foreach.items is not None
    return _numbered(_list(foreach.items.sequence(scope), "items"))


def key_of(foreach: Foreach, default: str, scope: Mapping[str, Any]) -> str:
    """The item's key: the author's template, else `default`. Raises CallFailed for one that cannot serve."""
    if foreach.key is None:
        return default
    key = foreach.key.text(scope)
    if not key or len(key) > MAX_KEY:
        raise wrong(f"`key` gave a text of {len(key)} characters; a key has 1 to {MAX_KEY}")
    return key


def rows_below(folder: Path, name: str) -> Sequence[Any]:
    """`rows_of` the file `folder/name`. Raises CallFailed(template) for a path that leaves the folder, as a template
    may have taken it from an answer, and for what is no regular file.
    """
    try:
        path = file_below(folder, name)
    except FileProblem as problem:
        raise wrong(str(problem)) from problem
    return rows_of(path)


def rows_of(path: Path) -> Sequence[Any]:
    """The elements of a data file: `.jsonl` and `.csv` are read as they are used, a `.json` list and text lines whole.

    Raises CallFailed(template) naming the file and the line.
    """
    form = path.suffix.removeprefix(".").lower()
    try:
        if form in FORMS:
            return Rows(path, form)
        text = path.read_text(encoding="utf-8-sig")
        return _list(json_value(text), path.name) if form == "json" else text.splitlines()
    except (OSError, ValueError) as error:
        raise wrong(f"{path.name} cannot be read: {error}") from error


def _numbered(items: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    try:
        for index, item in enumerate(items):
            yield str(index), item
    except ValueError as error:  # a file that has changed since it was looked through
        raise wrong(str(error)) from error


def _product(lists: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, Any]]:
    for row in itertools.product(*lists.values()):
        item = dict(zip(lists, row, strict=True))
        yield ",".join(f"{name}={_plain(value)}" for name, value in item.items()), item


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _list(value: Any, name: str) -> Sequence[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise wrong(f"`{name}` must be a list, not {kind_of(value)}")
    return value


def wrong(detail: str) -> CallFailed:
    return CallFailed(FailureKind.TEMPLATE, detail, retryable=False)
