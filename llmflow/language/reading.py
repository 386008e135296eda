"""One file while it is being checked: its source, what is wrong so far, and the templates found.

Field types report here and go on, so that all problems of a file are known at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from llmflow.errors import Problem
from llmflow.language.scalars import UnclearScalar, place_of, resolve
from llmflow.language.source import Source
from llmflow.language.templates import Condition, Template
from llmflow.language.yaml_reader import Broken, Mapping, Node, Scalar, Sequence

SUGGESTIONS = 200
"""So many did-you-means are looked up per file; each compares with every name there is."""


class Used(NamedTuple):
    """A template and where it stands: what it refers to is checked when all ids are known."""

    template: Template | Condition
    scalar: Scalar
    source: Source
    field: str


class Reading:
    """`templates` takes the templates of the record at hand, `field` is the key that is being read."""

    def __init__(self, source: Source, folder: Path) -> None:
        self.source, self.folder = source, folder
        self.problems: list[Problem] = []
        self.templates: list[Used] = []
        self.field = ""
        self._suggestions = SUGGESTIONS

    def problem(self, at: int, message: str, hint: str = "", source: Source | None = None) -> None:
        self.problems.append((source or self.source).problem(at, message, hint))

    def problem_in(self, used: Used, offset: int, message: str, hint: str = "") -> None:
        """A problem at character `offset` of a template."""
        self.problem(place_of(used.source, used.scalar, offset), message, hint, used.source)

    def did_you_mean(self, word: str, known: Iterable[str]) -> str:
        """`did you mean `x`?`, or nothing where no name is near."""
        if self._suggestions <= 0:
            return ""
        self._suggestions -= 1
        return did_you_mean(word, known)

    def value(self, scalar: Scalar) -> Any:
        """The scalar's value; INVALID where it is unclear, which is reported."""
        try:
            return resolve(scalar)
        except UnclearScalar as unclear:
            self.problem(scalar.at, unclear.message, unclear.hint)
            return INVALID


class _Invalid:
    """The one value that stands for: something was wrong here and was reported."""

    def __repr__(self) -> str:
        return "INVALID"


INVALID: Any = _Invalid()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean `x`?` for the nearest of `known`, or nothing."""
    names = list(known)
    if len(names) > 2000:  # comparing costs 20 µs a name
        names = [n for n in names if n[:1] == word[:1] and abs(len(n) - len(word)) <= 2][:2000]
    from difflib import get_close_matches

    lowered = {n.lower().replace("-", "_"): n for n in names}
    near = get_close_matches(word.lower().replace("-", "_"), lowered, 1, 0.6)
    return f"did you mean `{lowered[near[0]]}`?" if near else ""


def described(node: Node, value: Any = INVALID) -> str:
    """What stands there, for `…, not a list`."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Broken):
        return "this"
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return "a number"
    return "text"
