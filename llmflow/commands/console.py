"""Where commands write: data to standard output or a file, words for people to standard error."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from llmflow.binding.files import write_atomically
from llmflow.errors import OutputClosed, UsageError
from llmflow.sanitise import printable
from llmflow.standard_streams import complain


def deliver(text: str, output: str | None = None) -> None:
    """Write a command's result, with one newline at its end, to standard output or to the file `output`.

    On a terminal the text is made safe first; into a pipe or a file it goes as it is. Raises OutputClosed where the
    reader has gone.
    """
    text = text if text.endswith("\n") else text + "\n"
    if output is not None:
        try:
            write_atomically(Path(output), text)
        except OSError as error:
            raise UsageError(f"cannot write {output}: {error.strerror}") from error
        return
    if sys.stdout is None:  # it was closed before we began
        raise OutputClosed
    try:
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
    except BrokenPipeError as error:
        # Python would complain once more when it closes the stream at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputClosed from error


def say(text: str) -> None:
    """One message for the person at the terminal."""
    complain(printable(text) + "\n")


def as_json(data: Any) -> str:
    """`data` as people and programs can both read it."""
    return json.dumps(data, ensure_ascii=False, indent=2)
