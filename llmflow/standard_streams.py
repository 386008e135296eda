"""Standard streams as a command needs them: none of them closed, and none that loses half of what it is given.

A file that is opened where standard error should be would be written into by whoever complains. And a stream
without a buffer (PYTHONUNBUFFERED, `python -u`) asks the system once: what a full disk or a full pipe did not take
is lost without a word.
"""

from __future__ import annotations

import os
import sys
from io import BufferedWriter, RawIOBase, TextIOWrapper
from typing import TextIO


def fill_closed() -> None:
    """Put the null device where standard input, output or error is closed.

    Python's own `sys.stdout` stays None then, so that a command can tell that nobody reads what it delivers.
    """
    while (file := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(file, True)
    os.close(file)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - open as long as the program runs
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as above


def write_whole() -> None:
    """Give standard output and error a buffer where they have none: it writes until everything is taken, or fails.

    Lines still appear when they are written.
    """
    sys.stdout, sys.stderr = _buffered(sys.stdout), _buffered(sys.stderr)


def _buffered(stream: TextIO) -> TextIO:
    if isinstance(stream, TextIOWrapper) and isinstance(stream.buffer, RawIOBase):
        buffer = BufferedWriter(stream.buffer)
        return TextIOWrapper(buffer, encoding=stream.encoding, errors=stream.errors, line_buffering=True)
    return stream


def complain(text: str) -> None:
    """Write to standard error; where its reader has gone, this and all that follows goes nowhere, silently.

    So it does where a file that it leads into takes no more: what people are told is no reason to stop.
    """
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        lead_nowhere(sys.stderr)


def lead_nowhere(stream: TextIO) -> None:
    """What is in the stream's buffer, and all that follows, is dropped.

    Python would try it again at its end, and complain.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
