"""Answers that are there already, from an earlier part of the same run: nobody is asked for them again.

An answer serves again only where what would be asked now is what was asked then, down to the hash;
where it is not, the task runs again and the reason can be told. What was under way when the run was
interrupted, and may have done something out in the world, does not run again by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from llmflow.binding.answered import WITHHELD, Key, Reply
from llmflow.binding.nodes import Node
from llmflow.errors import CallFailed, FailureKind
from llmflow.language.pipeline import Task
from llmflow.scheduling.events import AttemptStarted

_PARTS = ("model", "prompt", "input", "params", "schema", "code")

_NOT_KEPT = "its answer held a secret, which the history does not keep"

Place = tuple[str, str | None]
"""A task's name and, of an item, its address."""


class Known(NamedTuple):
    """One stored answer: whose it is, in which order it came, and what it was."""

    name: str
    address: str | None
    reply: Reply


class Recall:
    """The answers that one run can go back to, per task and item, in the order in which they were given."""

    def __init__(
        self,
        known: Iterable[Known] = (),
        needed: Iterable[str] = (),
        *,
        interrupted: Iterable[Place] = (),
    ) -> None:
        """`needed`: tasks that must not be asked for anew; one without an answer fails.

        `interrupted`: what was under way when the earlier part ended, or whose answer the history could not keep.
        """
        self._known: dict[Place, deque[Reply]] = {}
        self._withheld: set[Place] = set()
        for name, address, reply in known:
            self._known.setdefault((name, address), deque()).append(reply)
            if reply.key is not None and WITHHELD in reply.key.parts:
                self._withheld.add((name, address))
        self._needed = frozenset(needed)
        self._interrupted = frozenset(interrupted)
        self._told: set[tuple[str, str]] = set()
        self.lacking: set[str] = set()
        """Those of `needed` of which an answer was wanted that is not there."""
        self.say: Callable[[str], None] = lambda text: None
        """Hears, once for each task and reason, of answers that no longer fit."""

    def find(self, started: AttemptStarted, node: Node, key: Callable[[], Key]) -> Reply | None:
        """The next answer to what would be asked now; None where it has to be asked. `key` may raise CallFailed."""
        place = (node.stage.name, node.address)
        waiting = self._known.get(place)
        if not waiting:
            if node.stage.name in self._needed:
                self.lacking.add(node.stage.name)
                raise CallFailed(
                    FailureKind.NOT_FOUND,
                    "it was left out of this run, and there is no earlier answer to go by: run the whole pipeline once",
                    retryable=False,
                )
            return None
        first = waiting[0].key
        wanted = None if first is None else key()
        while waiting:
            reply = waiting.popleft()
            if reply.key is None:
                return reply
            if wanted is not None and wanted.fits(reply.key):
                return replace(reply, key=wanted)
        del self._known[place]
        if first is None or wanted is None or self.is_in_doubt(node):
            return None
        same = first.parts.get(WITHHELD) == wanted.whole
        self._tell(place, _NOT_KEPT if same else what_changed(first.parts, wanted.parts))
        return None

    def is_in_doubt(self, node: Node) -> bool:
        """True where the task was under way when the run was interrupted, and may have acted on the world."""
        return (node.stage.name, node.address) in self._interrupted and acts_once(node.stage.task)

    def why_in_doubt(self, node: Node) -> str:
        """The reason, as the end of a sentence about the task."""
        if (node.stage.name, node.address) in self._withheld:
            return f"has done its work, but {_NOT_KEPT}"
        return "was under way when the run was interrupted and may have done its work"

    def _tell(self, place: Place, why: str) -> None:
        name, address = place
        if (name, why) not in self._told:
            self._told.add((name, why))
            self.say(f"{name if address is None else f'{name}[{address}]'} runs again: {why}")


def what_changed(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """In words which parts of a question differ: `prompt changed`, `model and params changed`.

    Where the author changed the prompt, the text that came of it is not named as well.
    """
    changed = [part for part in _PARTS if then.get(part) != now.get(part)] if then else []
    if "prompt" in changed:
        changed.remove("input" if "input" in changed else "prompt")
    return f"{' and '.join(changed) or 'what is asked'} changed"


def acts_once(task: Task) -> bool:
    """True of code and of requests that change something, unless their author wrote that they may be tried again."""
    acts = task.action in ("python", "command") or (task.http is not None and task.http.method in ("POST", "PATCH"))
    return acts and task.retry.max_attempts == 1
