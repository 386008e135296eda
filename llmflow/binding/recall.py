"""Answers that are there already, from an earlier part of the same run: nobody is asked for them again.

An answer serves again only where what would be asked now is what was asked then, down to the hash;
where it is not, the task runs again and the reason can be told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from llmflow.binding.answered import Reply
from llmflow.binding.nodes import Node
from llmflow.errors import CallFailed, FailureKind
from llmflow.scheduling.events import AttemptStarted


class Known(NamedTuple):
    """One stored answer: whose it is, in which order it came, and what it was."""

    name: str
    address: str | None
    reply: Reply


class Recall:
    """The answers that one run can go back to, per task and item, in the order in which they were given."""

    def __init__(self, known: Iterable[Known] = (), needed: Iterable[str] = ()) -> None:
        """`needed`: tasks that must not be asked for anew; one without an answer fails."""
        self._known: dict[tuple[str, str | None], deque[Reply]] = {}
        for name, address, reply in known:
            self._known.setdefault((name, address), deque()).append(reply)
        self._needed = frozenset(needed)
        self.used = 0
        """Answers that served again."""
        self.stale: list[str] = []
        """Tasks for which there was an answer, but to another question."""

    def find(self, started: AttemptStarted, node: Node, key: Callable[[], str]) -> Reply | None:
        """The next answer to what would be asked now; None where it has to be asked. `key` may raise CallFailed."""
        place = (node.stage.name, node.address)
        waiting = self._known.get(place)
        if not waiting:
            if node.stage.name in self._needed:
                raise CallFailed(
                    FailureKind.NOT_FOUND,
                    "it was left out of this run, and there is no earlier answer to go by: run the whole pipeline once",
                    retryable=False,
                )
            return None
        wanted = None if waiting[0].key is None else key()
        while waiting:
            reply = waiting.popleft()
            if reply.key is None or reply.key == wanted:
                self.used += 1
                return reply
        del self._known[place]
        self.stale.append(place[0] if place[1] is None else f"{place[0]}[{place[1]}]")
        return None
