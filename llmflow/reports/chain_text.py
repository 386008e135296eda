"""A chain of task names for people: `S1 → Gate → C1`, its middle left out where it is long."""

from __future__ import annotations

from collections.abc import Sequence

from llmflow.sanitise import clip, one_line

ENDS = 6
"""Names kept at each end of a long chain."""


def chain_text(names: Sequence[str], causes: Sequence[str] = ()) -> str:
    """`→` where a step waited for the one before it as a dependency, `⇢` where for its worker."""
    clean = [clip(one_line(name), 40) for name in names]
    arrows = [" ⇢ " if cause == "worker" else " → " for cause in causes or ["dependency"] * len(names)]
    links = [clean[0]] if clean else []
    links += [arrow + name for arrow, name in zip(arrows[1:], clean[1:], strict=True)]
    if len(links) > 2 * ENDS + 1:
        links[ENDS:-ENDS] = [f" → … {len(links) - 2 * ENDS:,} more …"]
    return "".join(links)
