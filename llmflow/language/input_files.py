"""Files given as inputs: their bytes → text → the content that `format` promises."""

from __future__ import annotations

import json
import sys
from pathlib import PurePath
from typing import Any

from llmflow.errors import PipelineError
from llmflow.language.source import Source
from llmflow.language.source_text import MAX_BYTES, decoded

_BY_ENDING = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".yaml": "yaml",
    ".yml": "yaml",
}


def file_text(path: str) -> str:
    """The text of a file that the user names; `-` is standard input. Raises ValueError with a sentence."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ValueError(f"there is no file `{path}`") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(f"`{path}` cannot be read: {reason.lower()}") from None
    if len(data) > MAX_BYTES:
        raise ValueError(f"`{path}` is larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        return decoded(path, data)
    except PipelineError as error:
        raise ValueError(f"`{path}` is {error.problems[0].message}") from None


def form_of(path: str, form: str) -> str:
    """The written format, else what the ending of `path` says."""
    return form or _BY_ENDING.get(PurePath(path).suffix.lower(), "text")


def content(text: str, path: str, form: str) -> Any:
    """What `text` holds: `text`, `json`, `jsonl` (a list), `csv` (a list of rows by column name), `yaml`.

    An empty `form` goes by the ending of `path`. Raises ValueError with a sentence.
    """
    form = form_of(path, form)
    if form == "json":
        return json_value(text)
    if form == "jsonl":
        return _json_lines(text)
    if form == "csv":
        return _rows(text)
    if form == "yaml":
        return _yaml(text, path)
    return text


def json_value(text: str) -> Any:
    """The value of a JSON text. Raises ValueError: also for NaN, a key written twice and deep nesting."""
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("not JSON that can be read: nested too deep") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"not JSON: `{name}` is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key `{twice}` is written twice")
    return made


def _json_lines(text: str) -> list[Any]:
    values = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                values.append(json_value(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return values


def _rows(text: str) -> list[dict[str, str]]:
    import csv
    from io import StringIO

    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) < len(header):
            raise ValueError("two columns have the same name")
        rows = []
        for row in reader:
            if len(row) not in (0, len(header)):
                raise ValueError(f"line {reader.line_num}: {len(row)} values for {len(header)} columns")
            if row:
                rows.append(dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise ValueError(f"not CSV: line {reader.line_num}: {error}") from None
    return rows


def _yaml(text: str, path: str) -> Any:
    from pathlib import Path

    from llmflow.language.data_types import plain_data
    from llmflow.language.reading import Reading
    from llmflow.language.yaml_reader import UnreadableYaml, read_yaml

    source = Source(path, text)
    try:
        node, problems = read_yaml(source)
    except UnreadableYaml as unreadable:
        raise ValueError(str(unreadable)) from None
    reading = Reading(source, Path())
    value = plain_data(node, reading)
    if problems := [*problems, *reading.problems]:
        raise ValueError("\n".join(p.render() for p in problems))
    return value
