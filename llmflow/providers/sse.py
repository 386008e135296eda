"""Server-sent events: bytes as they arrive in, whole events out.

After the event stream format of the HTML standard (section 9.2.6): any of the three line ends, a
leading byte order mark, comments, `data` over several lines. `id` and `retry` are of no use here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from llmflow.protocol import MAX_RESPONSE_BYTES

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A carriage return at the very end may be half of a pair: it waits for what follows."""


class ServerEvent(NamedTuple):
    """One event: its name (empty where it has none) and its data."""

    name: str
    data: str


class EventTooLarge(ValueError):
    """One event is larger than a whole answer may be."""


class EventDecoder:
    """Takes a stream apart into events, holding at most one unfinished event."""

    __slots__ = ("_data", "_name", "_rest", "_size", "_started")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._name = ""
        self._data: list[str] = []
        self._size = 0
        self._started = False

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that `chunk` completes. Bytes that are no UTF-8 become U+FFFD.

        Raises `EventTooLarge` where an unfinished event outgrows twice `MAX_RESPONSE_BYTES`.
        """
        self._rest += chunk
        if len(self._rest) + self._size > 2 * MAX_RESPONSE_BYTES:
            raise EventTooLarge
        if b"\n" not in chunk and b"\r" not in chunk:
            return []  # the line goes on; splitting again and again would be quadratic
        text = bytes(self._rest)
        if not self._started:
            self._started = True
            text = text.removeprefix(b"\xef\xbb\xbf")
        *lines, rest = _LINE_END.split(text)
        self._rest = bytearray(rest)
        events = []
        for line in lines:
            if line:
                self._take(line)
                continue
            if self._data:
                events.append(ServerEvent(self._name, "\n".join(self._data)))
            self._name, self._data, self._size = "", [], 0
        return events

    def _take(self, line: bytes) -> None:
        """One line that is not blank."""
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value.decode("utf-8", "replace"))
            self._size += len(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
