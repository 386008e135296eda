"""Files that a run writes: below the pipeline's folder, whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from llmflow.errors import CallFailed, FailureKind


def as_text(value: Any) -> str:
    """What is written for a value: text as it is, anything else as indented JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def write_atomically(path: Path, text: str) -> None:
    """Write `text` so that `path` holds either the old content or all of the new. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save(folder: Path, name: str, value: Any) -> None:
    """Write a task's output to `name` below `folder`. Raises CallFailed(code) with the reason."""
    target = folder / name
    resolved = target.resolve()
    if not name or not resolved.is_relative_to(folder.resolve()) or target.is_symlink():
        raise CallFailed(FailureKind.CODE, f"`save` leaves the pipeline's folder: {name!r}")
    try:
        write_atomically(resolved, as_text(value) + "\n")
    except OSError as error:
        raise CallFailed(FailureKind.CODE, f"cannot save to {name}: {error.strerror}") from error
