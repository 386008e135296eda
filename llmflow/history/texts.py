"""Texts and JSON as the history keeps them: compressed where they are large, without lone surrogates."""

from __future__ import annotations

import json
import zlib
from typing import Any

from llmflow.protocol import clean_text

COMPRESS_FROM = 64 * 1024
"""Texts of more bytes than this are compressed."""

PACKED_FROM = COMPRESS_FROM // 4
"""Texts of fewer characters cannot have so many bytes."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def packed(text: str) -> str | bytes:
    """`text` as it is stored: compressed where it is large, without lone surrogates."""
    text = clean_text(text)
    if len(text) > PACKED_FROM and len(data := text.encode()) > COMPRESS_FROM:
        return zlib.compress(data, 1)
    return text


def unpacked(stored: str | bytes) -> str:
    """The text that `packed` was given."""
    return zlib.decompress(stored).decode() if isinstance(stored, bytes) else stored


def json_text(value: Any) -> str:
    """`value` as compact JSON, before `packed`. Raises TypeError where it is none."""
    return _encode(value)


def unpacked_json(stored: str | bytes) -> Any:
    """The value that `json_text` was given, `packed` or not (tuples have become lists)."""
    return json.loads(unpacked(stored))
