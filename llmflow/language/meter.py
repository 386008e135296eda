"""How much work and text one rendering may cost: the budget that stops a hostile template.

A template may come from a stranger's file, so its work is counted before it is done: every turn of
a loop, every element that an operation looks at (256 characters count as one) and every character
that it makes. The count is deterministic: the same template on the same data always stops at the
same place. All refusals are `CallFailed` with the kind `template`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmflow.errors import CallFailed, FailureKind

MAX_STEPS = 1_000_000
"""Steps of one rendering; about half a second of loops and lookups."""

MAX_TEXT = 8 * 1024 * 1024
"""Characters of one text, the rendered one included."""

MAX_MADE = 8 * MAX_TEXT
"""Characters that all operations of one rendering may make together."""

MAX_BITS = 4096
"""Size of a whole number."""


def failure(sentence: str) -> CallFailed:
    """The error for a template that cannot be rendered; trying again would not help."""
    return CallFailed(FailureKind.TEMPLATE, sentence, retryable=False)


def too_long() -> CallFailed:
    """The error for one text of more than `MAX_TEXT` characters."""
    return failure(f"the template makes too much text (one text may have {MAX_TEXT:,} characters)")


class Meter:
    """The budget of one rendering. Every method returns quietly or raises `CallFailed`."""

    __slots__ = ("_made", "_steps")

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._made = MAX_MADE

    def spend(self, steps: int) -> None:
        """Count `steps` that are about to be done."""
        self._steps -= steps
        if self._steps < 0:
            raise failure(f"the template does too much work (more than {MAX_STEPS:,} steps)")

    def make(self, characters: int) -> None:
        """Count a text of `characters` that is about to be made."""
        if characters > MAX_TEXT:
            raise too_long()
        self.spend(1 + (characters >> 8))
        self._made -= characters
        if self._made < 0:
            raise failure(f"the template handles too much text (more than {MAX_MADE:,} characters in all)")

    def scan(self, value: Any) -> None:
        """Count one look at each direct element of `value` (at each 256 characters of a text)."""
        if isinstance(value, str):
            self.spend(1 + (len(value) >> 8))
        elif isinstance(value, Mapping | Sequence):
            self.spend(1 + len(value))
        elif isinstance(value, int):
            self.spend(1 + (value.bit_length() >> 8))
        else:
            self.spend(1)

    def weigh(self, value: Any) -> int:
        """Count one look at everything inside `value`; returns about how many characters it has as JSON."""
        if isinstance(value, str):
            self.spend(1 + (len(value) >> 8))
            return len(value)
        if not isinstance(value, Mapping | Sequence):
            self.spend(1)
            return value.bit_length() // 3 + 1 if isinstance(value, int) else 20
        characters = 0
        open_values: list[Any] = [value]
        while open_values:
            inner = open_values.pop()
            if isinstance(inner, str):
                self.spend(1 + (len(inner) >> 8))
                characters += len(inner) + 4
            elif isinstance(inner, Mapping):
                self.spend(1 + 2 * len(inner))
                open_values.extend(inner.keys())
                open_values.extend(inner.values())
                characters += 2
            elif isinstance(inner, Sequence):
                self.spend(1 + len(inner))
                open_values.extend(inner)
                characters += 2
            else:
                characters += inner.bit_length() // 3 + 3 if isinstance(inner, int) else 20
        return characters
