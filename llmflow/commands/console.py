"""Where commands write: data to standard output or a file, words for people to standard error."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from llmflow.binding.files import write_atomically
from llmflow.errors import LlmflowError, OutputClosed, StoreError, UsageError
from llmflow.sanitise import printable
from llmflow.standard_streams import complain, lead_nowhere

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def deliver(text: str, output: str | None = None) -> None:
    """Write a command's result, with one newline at its end, to standard output or to the file `output`.

    On a terminal the text is made safe first; into a pipe or a file it goes as it is. Raises OutputClosed where the
    reader has gone, StoreError where the disk is full.
    """
    text = text if text.endswith("\n") else text + "\n"
    if output is not None:
        try:
            if os.path.exists(output) and not os.path.isfile(output):
                Path(output).write_text(text, encoding="utf-8", errors="replace")  # a device or a pipe stays one
            else:
                write_atomically(Path(output), text)
        except OSError as error:
            raise unwritten(output, error) from error
        return
    if sys.stdout is None:  # it was closed before we began
        raise OutputClosed
    try:
        _speak(sys.stdout)
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
    except OSError as error:
        lead_nowhere(sys.stdout)
        raise unwritten("standard output", error) from error


def _speak(stream: TextIO) -> None:
    """Data is UTF-8 whatever the locale says; a terminal gets what it can show."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(encoding=stream.encoding if stream.isatty() else "utf-8", errors="replace")


def unwritten(what: str, error: OSError) -> LlmflowError:
    """Why `what` could not be written: its reader has gone, there is no room, or nobody may write there."""
    if isinstance(error, BrokenPipeError):
        return OutputClosed()
    if error.errno in _NO_ROOM:
        return StoreError(
            f"cannot write {what}: {error.strerror}\n  hint: make room; what a run gave: llmflow show last"
        )
    return UsageError(f"cannot write {what}: {error.strerror}")


def say(text: str) -> None:
    """One message for the person at the terminal."""
    complain(printable(text) + "\n")


def as_json(data: Any) -> str:
    """`data` as people and programs can both read it."""
    return json.dumps(data, ensure_ascii=False, indent=2)


def line_length() -> int:
    """Columns to write tables in: the terminal's, 100 where there is none."""
    on_terminal = sys.stdout is not None and sys.stdout.isatty()  # None: it was closed before we began
    return shutil.get_terminal_size((100, 24)).columns if on_terminal else 100
