"""Time limits of attempts for people and as data: how long, and where that comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmflow.quantities import plural, seconds_text
from llmflow.scheduling.time_limits import FLOOR, TIMES, TimeLimit


def limit_text(limit: TimeLimit) -> str:
    """`60.0 s (5 × p99 1.20 s of 24 samples, at least 60.0 s)`, `30.0 s (written)`, `10m00s (default)`."""
    if limit.p99 is None:
        return f"{seconds_text(limit.total)} ({'written' if limit.source == 'author' else limit.source})"
    least = f", at least {seconds_text(FLOOR)}" if limit.total <= FLOOR else ""
    rests = f"{TIMES:g} × p99 {seconds_text(limit.p99)} of {plural(limit.samples, 'sample')}"
    return f"{seconds_text(limit.total)} ({rests}{least})"


def limits_json(limits: Mapping[str, TimeLimit]) -> dict[str, dict[str, Any]]:
    """Task → its limit; what is not in it goes by the default."""
    return {
        name: {"total": limit.total, "from": limit.source, "p99": limit.p99, "samples": limit.samples}
        for name, limit in limits.items()
    }


def limit_of(told: Mapping[str, Any]) -> TimeLimit:
    """The inverse of `limits_json` for one task."""
    return TimeLimit(told["total"], told["from"], told["p99"], told["samples"])
