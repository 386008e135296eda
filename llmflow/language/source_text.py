"""The bytes of a pipeline file → its text: UTF-8, or UTF-16 with a byte order mark; bounded."""

from __future__ import annotations

import codecs

from llmflow.errors import Mark, PipelineError, Problem

MAX_BYTES = 256 * 1024 * 1024


def file_bytes(path: str) -> bytes:
    """What stands in the file. Raises PipelineError."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _wrong(path, "there is no such file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _wrong(path, f"cannot be read: {reason.lower()}") from None
    if len(data) > MAX_BYTES:
        raise _wrong(path, f"larger than {MAX_BYTES // 1024 // 1024} MiB")
    return data


def decoded(path: str, data: bytes) -> str:
    """The text, without a byte order mark. Raises PipelineError with the offset of the first wrong byte."""
    encoding, mark, name = "utf-8", b"", "UTF-8"
    for bom, codec in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(bom):
            encoding, mark, name = codec, bom, codec[:6].upper()
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        offset = error.start + len(mark)
        before = data[len(mark) : offset].decode(encoding, "replace")
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        message = f"not {name}: byte 0x{data[offset]:02x} at offset {offset}"
        raise PipelineError([Problem(Mark(path, line, column), message, "save the file as UTF-8")]) from None


def is_plain_utf8(data: bytes) -> bool:
    """True where bytes that `decoded` takes are UTF-8 without a byte order mark."""
    return not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def _wrong(path: str, message: str) -> PipelineError:
    return PipelineError([Problem(Mark(path), message)])
