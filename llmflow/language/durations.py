"""Durations as people write them: `500ms`, `90s`, `1h30m`."""

from __future__ import annotations

import math
import re
from functools import lru_cache

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile(rf"(?:({_NUMBER})h)?(?:({_NUMBER})m(?!s))?(?:({_NUMBER})s)?(?:({_NUMBER})ms)?", re.ASCII)
_BARE_NUMBER = re.compile(rf"[-+]?(?:{_NUMBER}|\.\d+)", re.ASCII)
_OTHER_UNITS = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "hour": "h", "hours": "h", "hr": "h", "hrs": "h", "msec": "ms", "millisecond": "ms", "milliseconds": "ms",
}  # fmt: skip


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> float:
    """Seconds of a duration such as `500ms`, `90s`, `2.5m`, `2h` or `1h30m` (largest unit first, each once).

    Raises ValueError with a sentence that says what would be right; a number without a unit, a
    negative one and one beyond a float are refused.
    """
    bare = text.strip()
    found = _DURATION.fullmatch(bare)
    if found and bare:
        parts = zip(found.groups(), _SECONDS.values(), strict=True)
        seconds = sum(float(number) * unit for number, unit in parts if number is not None)
        if math.isinf(seconds):
            raise ValueError(f"`{bare[:40]}` is too long for a duration")
        return seconds
    raise ValueError(_complaint(bare))


def _complaint(bare: str) -> str:
    if not bare:
        return "a duration is empty; write one such as `90s`"
    shown = bare if len(bare) <= 40 else bare[:40] + "…"
    if _BARE_NUMBER.fullmatch(bare):
        return f"`{shown}` has no unit; write `{shown}s` for seconds, or use `ms`, `m` or `h`"
    for number, word in re.findall(rf"({_NUMBER})\s*([A-Za-z]+)", bare):
        unit = _OTHER_UNITS.get(word.lower(), word.lower())
        if unit != word and unit in _SECONDS:
            return f"`{shown}` is not a duration; write `{number}{unit}`"
        if unit in ("d", "day", "days"):
            return f"`{shown}` is not a duration: the largest unit is `h`; write `{float(number) * 24:g}h`"
    return f"`{shown}` is not a duration; write one such as `500ms`, `90s`, `10m`, `2h` or `1h30m`"
