"""What a secret looks like: the shapes of well-known API keys, and names of fields that hold one.

Keys never stand in YAML. It finds them so that the loader can refuse them, and masks them so that
no message repeats one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_SHAPES: tuple[tuple[str, str], ...] = tuple(
    (lead, r"(?<![A-Za-z0-9])" + pattern)
    for lead, pattern in (
        ("sk-", r"sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}"),
        ("sk_", r"sk_(?:live|test)_[A-Za-z0-9]{16,}"),
        ("gsk_", r"gsk_[A-Za-z0-9]{20,}"),
        ("hf_", r"hf_[A-Za-z0-9]{20,}"),
        ("xai-", r"xai-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}"),
        ("AIza", r"AIza[A-Za-z0-9_-]{30,}"),
        ("AKIA", r"AKIA[A-Z0-9]{16}"),
        ("ghp_", r"ghp_[A-Za-z0-9]{30,}"),
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{30,}"),
        ("glpat-", r"glpat-[A-Za-z0-9_-]{20,}"),
        ("xox", r"xox[abprs]-[A-Za-z0-9-]{16,}"),
        ("eyJ", r"eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{8,}"),
        ("-----BEGIN ", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    )
)
"""A piece that every key of the shape holds (looked for first: it is far cheaper), and the shape."""

_KEY_FIELD = re.compile(r"(?i)(?:api[_-]?key|apikey|secret|passw(?:or)?d|authorization|(?<!max_)token)$")

_ASSIGNED = re.compile(
    r"""(?ix) (?: api[_-]?key | apikey | secret | passw(?:or)?d | authorization | token )
    ["']? \s* [:=] \s* ["']? (?P<value> (?:bearer\s+)? [^\s"',}\]{]{8,} )"""
)


_IN_URL = re.compile(r"(?i)https?://(?P<value>[^/\s@\"']+)@")
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=_.-]{20,}")


def key_places(text: str) -> Iterator[int]:
    """Where in `text` something stands that looks like a key of a well-known shape."""
    for lead, shape in _SHAPES:
        if lead in text:
            for found in re.finditer(shape, text):
                yield found.start()


def has_key(text: str) -> bool:
    """True where a key of a well-known shape stands in `text`."""
    return next(key_places(text), None) is not None


def is_key_field(name: str) -> bool:
    """True for names of fields that would hold a secret: `api_key`, `Authorization`, `password`."""
    return _KEY_FIELD.search(name) is not None


def is_random_word(text: str) -> bool:
    """20 or more characters, letters and digits well mixed: no word, no variable's name."""
    if len(text) < 20 or not re.fullmatch(r"[A-Za-z0-9+/=_.-]+", text):
        return False
    changes = sum(a.isdigit() != b.isdigit() for a, b in pairwise(text))
    return changes >= 6


def masked(line: str) -> str:
    """`line` with everything that looks like a key, or is assigned to a key's name, starred out; same length."""
    for lead, shape in _SHAPES:
        if lead in line:
            line = re.sub(shape, lambda found: "*" * len(found.group()), line)

    line = _LONG_WORD.sub(
        lambda found: "*" * len(found.group()) if is_random_word(found.group()) else found.group(), line
    )

    def star(found: re.Match[str]) -> str:
        value = found.group("value")
        start = found.start("value") - found.start()
        return found.group()[:start] + "*" * len(value) + found.group()[start + len(value) :]

    return _IN_URL.sub(star, _ASSIGNED.sub(star, line))
