"""The colours of pools in drawn graphs, the same in every format."""

from __future__ import annotations

from collections.abc import Iterable

BORDER = "#b3001b"
"""What is on a longest chain."""

_FILLS = ("#cfe3ff", "#d6f5d6", "#ffe3c2", "#eadcff", "#fff3b0", "#cdf3f0", "#ffd6e4", "#e2e2e2")
"""Light, so that black text on them is readable."""


def colours(pools: Iterable[str]) -> dict[str, str]:
    """Pool → its fill; from the ninth pool on colours come again."""
    return {pool: _FILLS[number % len(_FILLS)] for number, pool in enumerate(pools)}
