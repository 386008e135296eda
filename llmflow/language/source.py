"""The text of a pipeline file and the places in it: index of a character → line, column, source line.

It knows neither YAML's grammar nor what the words mean. A place is the index of a character in
`Source.text`; lines and columns are worked out only where a problem is reported. What looks like a
key is masked in every source line that is shown.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right

from llmflow.errors import Mark, Problem
from llmflow.language.key_like import masked

WIDTH = 160
"""Longest piece of a source line that a problem shows."""

_LEAD = 100
"""Characters shown in front of the caret where a line is too long to be shown whole."""


def printable(text: str) -> str:
    """`text` with whatever could move a terminal's cursor or hide replaced, tabs kept; same length."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else "�" for c in text)


class Source:
    """One decoded file. `path` is shown as the user wrote it."""

    __slots__ = ("_starts", "path", "text")

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text
        self._starts: array[int] | None = None

    def _line_starts(self) -> array[int]:
        if self._starts is None:
            starts = array("Q", [0])
            if "\r" in self.text:
                starts.extend(found.end() for found in re.finditer(r"\r\n?|\n", self.text))
            else:
                find, at = self.text.find, 0
                while at := find("\n", at) + 1:
                    starts.append(at)
            self._starts = starts
        return self._starts

    def mark(self, at: int) -> Mark:
        """The place of character `at`; line and column count from 1."""
        starts = self._line_starts()
        line = bisect_right(starts, at) - 1
        return Mark(self.path, line + 1, at - starts[line] + 1)

    def start(self, number: int) -> int:
        """The place of the first character of line `number` (from 1)."""
        return self._line_starts()[number - 1]

    def line(self, number: int) -> str:
        """Line `number` (from 1) without its end."""
        starts = self._line_starts()
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r\n")

    def problem(self, at: int, message: str, hint: str = "") -> Problem:
        """What is wrong at character `at`, with its source line (cut to a width that can be read)."""
        mark = self.mark(at)
        line = printable(masked(self.line(mark.line)))
        caret = mark.column
        if len(line) > WIDTH:
            start = max(0, caret - 1 - _LEAD)
            head, tail = "…" if start else "", "…" if start + WIDTH < len(line) else ""
            caret = caret - start + len(head)
            line = head + line[start : start + WIDTH] + tail
        return Problem(mark, printable(masked(message)), printable(hint), line, caret if caret != mark.column else 0)
