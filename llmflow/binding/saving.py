"""Files that tasks save: below the pipeline's folder, whole or not at all; of a `foreach` a line per item."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmflow.binding.files import as_text, write_atomically
from llmflow.errors import CallFailed, FailureKind


def target_of(folder: Path, name: str) -> Path:
    """Where `save: name` writes. Raises CallFailed(code) for a path that leaves the pipeline's folder."""
    target = folder / name
    resolved = target.resolve()
    if not name or not resolved.is_relative_to(folder.resolve()) or target.is_symlink():
        raise CallFailed(FailureKind.CODE, f"`save` leaves the pipeline's folder: {name!r}", retryable=False)
    return resolved


def save(folder: Path, name: str, value: Any) -> None:
    """Write a task's output to `name` below `folder`. Raises CallFailed(code) with the reason."""
    target = target_of(folder, name)
    try:
        write_atomically(target, as_text(value) + "\n")
    except OSError as error:
        raise _cannot(name, error) from error


class ItemLines:
    """The results of a `foreach` as JSON lines, one per item as it settles.

    They gather beside the file and take its place when the last one is written, so that the name
    never stands for half a result. Raises CallFailed(code) where they cannot be written.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._target = target_of(folder, name)
        self._part = self._target.with_name(f".{self._target.name}.part")
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(self._part, flags, 0o666), "w", encoding="utf-8", errors="replace")
        except OSError as error:
            raise _cannot(name, error) from error

    def add(self, row: Mapping[str, Any]) -> None:
        """One more line."""
        try:
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        except OSError as error:
            raise _cannot(self._name, error) from error

    def close(self) -> None:
        """All items have settled: the file is whole."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._part, self._target)
        except OSError as error:
            raise _cannot(self._name, error) from error


def _cannot(name: str, error: OSError) -> CallFailed:
    return CallFailed(FailureKind.CODE, f"cannot save to {name}: {error.strerror}", retryable=False)
