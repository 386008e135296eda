"""Which view suits the stream in front of us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from llmflow.views import terminal
from llmflow.views.view import View


def view_for(stream: TextIO, environ: Mapping[str, str], *, plain: bool = False) -> View:
    """The live table on a terminal that can redraw; one plain line per change everywhere else."""
    if plain or not terminal.can_redraw(stream, environ):
        from llmflow.views.plain import PlainLines

        return PlainLines(stream)
    from llmflow.views.frame import UNICODE
    from llmflow.views.live import LiveTable

    return LiveTable(
        stream,
        size=lambda: terminal.size(stream, environ),
        colour=terminal.shows_colour(stream, environ),
        unicode=terminal.encodes(stream, UNICODE),
    )
