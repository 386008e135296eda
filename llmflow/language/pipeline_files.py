"""Files that a pipeline names: relative to its folder, below it, regular, not too large, UTF-8.

The file that is checked is the file that is read: it is opened once, without following a last
symbolic link and without waiting for a pipe, and everything is asked of the open file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PureWindowsPath

MAX_BYTES = 8 * 1024 * 1024


class FileProblem(ValueError):
    """Why a file cannot be read; `hint` is the way out."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(message)


def read_text_below(folder: Path, name: str) -> str:
    """The text of `folder/name`, line ends as `\\n`, a byte order mark taken off. Raises FileProblem."""
    shown = f"`{name[:200]}`"
    data = _read_below(folder, name, shown)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{shown} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
        raise FileProblem(message, "save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def file_below(folder: Path, name: str, *, may_be_missing: bool = False) -> Path:
    """Where `folder/name` is, links followed. Raises FileProblem for one that is outside, missing, or no regular file.

    A pipe or a device would be waited for without end.
    """
    shown = f"`{name[:200]}`"
    outside = "paths in a pipeline stay below its folder"
    if "\0" in name:
        raise FileProblem("a path cannot hold a NUL character")
    if os.path.isabs(name) or PureWindowsPath(name).drive or name.startswith("~"):
        raise FileProblem(f"{shown} is not a relative path", outside)
    if os.path.normpath(name).split(os.sep)[0] == "..":
        raise FileProblem(f"{shown} leads outside the folder of the pipeline", outside)
    try:
        root = folder.resolve(strict=True)
        path = (root / name).resolve(strict=not may_be_missing)
    except (OSError, RuntimeError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "a circle of links"
        raise FileProblem(f"{shown} cannot be read: {reason}", "the path is relative to the pipeline file") from error
    if not path.is_relative_to(root):
        raise FileProblem(f"{shown} leads outside the folder of the pipeline", outside)
    if not path.is_file() and path.exists():
        raise _irregular(shown, folder=path.is_dir())
    return path


def _irregular(shown: str, *, folder: bool) -> FileProblem:
    return FileProblem(f"{shown} is {'a folder' if folder else 'not a regular file'}")


def _read_below(folder: Path, name: str, shown: str) -> bytes:
    path = file_below(folder, name)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise FileProblem(f"{shown} cannot be read: {(error.strerror or 'error').lower()}") from error
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise _irregular(shown, folder=stat.S_ISDIR(mode))
        with open(handle, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    finally:
        os.close(handle)
    if len(data) > MAX_BYTES:
        raise FileProblem(f"{shown} is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return data
