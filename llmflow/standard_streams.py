"""Standard streams that were closed before we began: nothing we open later may take their place.

A file that is opened where standard error should be would be written into by whoever complains.
"""

from __future__ import annotations

import os
import sys


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


def complain(text: str) -> None:
    """Write to standard error; where its reader has gone, this and all that follows goes nowhere, silently.

    So it does where a file that it leads into takes no more: what people are told is no reason to stop.
    """
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        # What is still in its buffer would be tried again at the end, and be an error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
