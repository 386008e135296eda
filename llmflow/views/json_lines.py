"""Each event as one JSON object on one line, names instead of numbers: `--events FILE`.

    {"at": 1.0, "event": "AttemptStarted", "task": "S1", "attempt": 0, "number": 1, "pool": "sim", …}

Keys are the event's own fields; fields are only ever added. Non-ASCII text is escaped, so a line
is safe to print and to split.
"""

from __future__ import annotations

from collections.abc import Sequence
from json import JSONEncoder
from typing import Any, TextIO

from llmflow.scheduling import events as ev
from llmflow.scheduling.events import Event
from llmflow.views.view import RunContext


class JsonLines:
    """Writes to `stream` in one piece per batch; closes it at the end when `owned`.

    `unwritten`: why it takes no more (the disk is full, its reader has gone); nothing is written any more then.
    """

    def __init__(self, stream: TextIO, *, owned: bool = True) -> None:
        self._stream, self._owned = stream, owned
        self.unwritten: OSError | None = None
        self._encode = JSONEncoder().encode
        self._context: RunContext

    def start(self, context: RunContext) -> None:
        self._context = context

    def on_events(self, events: Sequence[Event]) -> None:
        if self.unwritten is not None:
            return
        encode, record = self._encode, self.record
        lines = "".join([encode(record(event)) + "\n" for event in events])
        try:
            self._stream.write(lines)
            self._stream.flush()
        except OSError as error:
            self.unwritten = error

    def record(self, event: Event) -> dict[str, Any]:
        """The event as data, `at` and `event` first."""
        names, pools = self._context.state.graph.names, self._context.pools
        record: dict[str, Any] = {"at": event.at, "event": type(event).__name__}
        field: Any
        for key, field in zip(event._fields, event, strict=True):
            if key in ("task", "parent") or (key == "cause" and isinstance(event, ev.TaskBlocked)):
                record[key] = names[field]
            elif key == "pool":
                record[key] = pools[field].name if field >= 0 else None
            else:
                record[key] = field
        return record

    def tick(self) -> None:
        """Nothing happens between events."""

    def note(self, text: str) -> None:
        """A note is for people; the events that caused it are in the story."""

    def close(self) -> None:
        if self._owned and not self._stream.closed:
            try:
                self._stream.close()
            except OSError as error:  # what is left in its buffer; a disk may be full for the first time now
                self.unwritten = self.unwritten or error
