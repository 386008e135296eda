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

    Where the table is wider than `columns`, its widest left-aligned column gives way, down to 8 cells.
    """
    widths = [
        min(head.most, max(width(head.title), *(width(row[i]) for row in rows))) if rows else width(head.title)
        for i, head in enumerate(heads)
    ]
    excess = sum(widths) + 2 * (len(widths) - 1) - columns
    if excess > 0:
        texts = [i for i, head in enumerate(heads) if not head.right]
        widest = max(texts, key=lambda i: widths[i], default=0)
        widths[widest] = max(min(8, widths[widest]), widths[widest] - excess)
    lines = [[head.title for head in heads], *rows]
    return "\n".join(
        "  ".join(fit(cell, w, right=head.right) for cell, w, head in zip(line, widths, heads, strict=True)).rstrip()
        for line in lines
    )
