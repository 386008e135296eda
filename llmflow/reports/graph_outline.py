"""A pipeline's shape as it is drawn: boxes, links between them, pools. What was written, not what it grows into.

A `foreach` is one box however many items it has; a task that uses another pipeline is a box with
boxes inside. Seconds throughout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from llmflow.quantities import seconds_text


class Link(Enum):
    """Why one task waits for another: it reads its output, it only comes after it, or items flow one by one."""

    DATA = "data"
    ORDER = "order"
    FLOW = "flow"


@dataclass(frozen=True, slots=True)
class Box:
    """One task. `action` is as in `Task`; `traits` say in words what else it is (`foreach × 6`, `when`).

    `inside` are the boxes of the pipeline it uses. `seconds` is what one attempt is believed to take
    (of a pipeline that is used: its longest chain); None where nobody knows: 1 unit. `rank` is in the
    same seconds. `waits` has the boxes it depends on. `critical`: on a longest chain.
    """

    name: str
    action: str
    traits: tuple[str, ...] = ()
    target: str = ""
    """What is called: models in the order in which they are tried, a file, a function, a program."""
    pool: str = ""
    seconds: float | None = 0.0
    each: bool = False
    """`seconds` are those of one item."""
    rank: float = 0.0
    critical: bool = False
    final: bool = False
    description: str = ""
    waits: Mapping[int, Link] | None = None
    inside: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The task's own id, without those of the pipelines around it."""
        return self.name.rpartition("/")[2]

    @property
    def expected(self) -> str:
        """How long one attempt is believed to take; empty for a step that holds no worker."""
        if self.seconds is None:
            return "1 unit" + (" each" if self.each else "")
        if not self.seconds:
            return ""
        return seconds_text(self.seconds) + (" each" if self.each else "")


@dataclass(frozen=True, slots=True)
class Outline:
    """`boxes` are numbered by their place; `top` has those of the file's own `tasks`, `finals` those of `finally`.

    `pools`: name → workers, 0 = unlimited. `knows_nothing`: no box that holds a worker has an estimate.
    """

    name: str
    boxes: Sequence[Box]
    top: tuple[int, ...]
    finals: tuple[int, ...]
    pools: Mapping[str, int]
    knows_nothing: bool

    def links(self) -> Iterator[tuple[int, int, Link, bool]]:
        """(from, to, why, on a longest chain), in the order of the boxes they lead to."""
        for target, box in enumerate(self.boxes):
            for source, link in (box.waits or {}).items():
                before = self.boxes[source]
                tight = before.critical and box.critical and abs(before.rank - box.rank - _length(before)) < 1e-6
                yield source, target, link, tight


def _length(box: Box) -> float:
    return 1.0 if box.seconds is None else box.seconds
