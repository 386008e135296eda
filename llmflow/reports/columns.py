"""Rows of text under headings, each column as wide as it needs: the one table of all text reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llmflow.sanitise import fit, width


class Column(NamedTuple):
    """`most`: cells at most; `right`: numbers stand at the right."""

    title: str
    right: bool = False
    most: int = 48


def render_columns(heads: Sequence[Column], rows: Sequence[Sequence[str]], columns: int) -> str:
    """Lines of `heads` and `rows`; two blanks between columns. Cells must be printable, without line ends.

    Where the table is wider than `columns`, its widest left-aligned column gives way, down to 8 cells, then the next.
    """
    widths = [
        min(head.most, max(width(head.title), *(width(row[i]) for row in rows))) if rows else width(head.title)
        for i, head in enumerate(heads)
    ]
    excess = sum(widths) + 2 * (len(widths) - 1) - columns
    for i in sorted((i for i, head in enumerate(heads) if not head.right), key=lambda i: -widths[i]):
        given = max(0, min(excess, widths[i] - 8))
        widths[i] -= given
        excess -= given
    lines = [[head.title for head in heads], *rows]
    return "\n".join(
        "  ".join(fit(cell, w, right=head.right) for cell, w, head in zip(line, widths, heads, strict=True)).rstrip()
        for line in lines
    )
