"""The live table: redraws one picture of the run in place, at most ten times a second.

It draws by itself in place of rich.live, because a frame of Rich costs 17 ms of the loop's thread
and this one 0.5. The cursor is never hidden, so no way of dying can leave a terminal without one;
each frame is one write, the size is read anew for each, and the last frame stays on the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TextIO

from llmflow.sanitise import one_line, printable
from llmflow.scheduling import events as ev
from llmflow.scheduling.events import Event
from llmflow.views.frame import Line, Watched, picture
from llmflow.views.plain import reason
from llmflow.views.remaining import Remaining
from llmflow.views.view import RunContext

INTERVAL = 0.1
"""Seconds of the wall clock between two frames."""

SGR = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

_SETTLING = (ev.TaskSucceeded, ev.TaskFailed, ev.TaskSkipped, ev.TaskBlocked, ev.TaskCancelled)


class LiveTable:
    """Draws on `stream`. `size` gives (columns, lines); `wall` paces the frames and nothing else."""

    def __init__(
        self,
        stream: TextIO,
        *,
        size: Callable[[], tuple[int, int]],
        colour: bool = True,
        unicode: bool = True,
        wall: Callable[[], float] = monotonic,
    ) -> None:
        self._stream, self._size, self._wall = stream, size, wall
        self._colour, self._unicode = colour, unicode
        self._context: RunContext
        self._remaining: Remaining
        self._watched = Watched()
        self._height = 0
        """Lines of the last frame: how far the cursor is below its first."""
        self._drawn_at = float("-inf")
        self._closed = False

    def start(self, context: RunContext) -> None:
        self._context = context
        self._remaining = Remaining(context)
        self._draw()

    def on_events(self, events: Sequence[Event]) -> None:
        watched, names = self._watched, self._context.state.graph.names
        for event in events:
            kind = type(event)
            if kind in _SETTLING:
                watched.recent.append(event.task)  # type: ignore[union-attr]
                self._remaining.settled(event.task)  # type: ignore[union-attr]
            if isinstance(event, (ev.AttemptFailed, ev.TaskFailed)):
                watched.reasons[event.task] = reason(event.kind, event.detail)
            elif isinstance(event, ev.TimerSet):
                watched.due[event.task] = (event.due, event.cause)
            elif isinstance(event, ev.TaskBlocked):
                watched.reasons[event.task] = f"by {one_line(names[event.cause])}"
            elif isinstance(event, ev.TaskCancelled):
                watched.reasons[event.task] = reason(event.reason, "")
        self.tick()

    def tick(self) -> None:
        if not self._closed and self._wall() - self._drawn_at >= INTERVAL:
            self._draw()

    def note(self, text: str) -> None:
        self._write(self._to_top() + "\x1b[J" + printable(text) + "\n")
        self._height = 0
        if not self._closed:
            self._draw()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._draw()

    def _draw(self) -> None:
        self._watched.remaining = self._remaining.seconds()
        columns, lines = self._size()
        frame = picture(self._context, self._watched, columns, lines, unicode=self._unicode)
        self._height = min(self._height, lines - 1)
        text = "".join(f"{self._styled(line)}\x1b[K\n" for line in frame)
        self._write(f"{self._to_top()}{text}\x1b[J")
        self._height = len(frame)
        self._drawn_at = self._wall()

    def _to_top(self) -> str:
        return f"\r\x1b[{self._height}A" if self._height else "\r"

    def _styled(self, line: Line) -> str:
        if not self._colour:
            return "".join(text for text, _ in line)
        return "".join(f"\x1b[{SGR[style]}m{text}\x1b[0m" if style else text for text, style in line)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
