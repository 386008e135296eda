"""What the stream in front of us can do: move its cursor, show colour, and how large it is.

The conventions: NO_COLOR and CLICOLOR=0 turn colour off, FORCE_COLOR turns it on, TERM=dumb and
CI=true mean plain lines, COLUMNS and LINES win over what the terminal says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

FALLBACK = (80, 24)


def can_redraw(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """A live table makes sense here: a terminal that understands cursor movement, and no robot."""
    if not stream.isatty() or environ.get("TERM", "") in ("dumb", "unknown"):
        return False
    if environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    return os.name != "nt" or "WT_SESSION" in environ or "ANSICON" in environ


def shows_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Colour is wanted and understood."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "") not in ("", "0", "false"):
        return True
    return stream.isatty() and environ.get("CLICOLOR") != "0" and environ.get("TERM", "") not in ("dumb", "unknown")


def size(stream: TextIO, environ: Mapping[str, str]) -> tuple[int, int]:
    """(columns, lines), each at least 1; 80 × 24 where nobody knows."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):  # not a terminal, or a stream without a descriptor
        columns, lines = 0, 0
    columns = _number(environ.get("COLUMNS", "")) or columns or FALLBACK[0]
    lines = _number(environ.get("LINES", "")) or lines or FALLBACK[1]
    return columns, lines


def encodes(stream: TextIO, text: str) -> bool:
    """`text` can be written to the stream as it is."""
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
