"""The id of a run: 26 characters that sort by time, can be typed, and never meet again (the ULID layout)."""

from __future__ import annotations

import secrets
import time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U to be misread."""

LENGTH = 26


def new_run_id() -> str:
    """An id for a run that begins now."""
    return run_id(time.time(), secrets.token_bytes(10))


def run_id(started_at: float, entropy: bytes) -> str:
    """48 bits of milliseconds since 1970, then 80 bits of `entropy` (10 bytes): ids sort by start time."""
    number = int(started_at * 1000) << 80 | int.from_bytes(entropy, "big")
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5))
