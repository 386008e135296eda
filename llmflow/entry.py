"""The way into the command line: Ctrl-C ends the program silently with 130, whatever it has got to.

Anything heavier than this file is imported behind the handler, as loading it is when most people find that
they meant another command. A run replaces the handler by its own (`runtime.signals`) while it runs.
"""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command that the program was started with; does not return from an interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is to be ignored (`nohup`, `&`)
        signal.signal(signal.SIGINT, _end)
    from llmflow.cli import main as command_line

    command_line()


def _end(number: int, _: object) -> None:
    """An exception would not do: raised while a class is being made, Python 3.11 turns it into another one.

    What must be whole is written in transactions and renamed files; nothing waits for a block's end.
    """
    os._exit(128 + number)
