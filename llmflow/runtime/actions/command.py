"""Runs a program for a task. Values reach it as environment, standard input and arguments, never through a shell.

The program gets a process group of its own, so a timeout or a cancellation ends its children too:
SIGTERM first, SIGKILL a moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from llmflow.errors import CallFailed, FailureKind

MAX_OUTPUT = 8 * 1024 * 1024
"""Bytes of standard output; a program that writes more is ended."""

SHOWN = 2_000
"""Characters of standard error that a failure shows, its last ones."""

GRACE = 2.0
"""Real seconds between SIGTERM and SIGKILL."""

_CHUNK = 64 * 1024


INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
)
"""What a program gets of our own environment, beside `LC_*`: enough to run, and no secret."""


def inherited_environment(environment: Mapping[str, str], allowed: Sequence[str]) -> dict[str, str]:
    """The part of `environment` that a program sees: `INHERITED`, `LC_*`, and what the pipeline's `env` names."""
    return {
        name: value
        for name, value in environment.items()
        if name in INHERITED or name.startswith("LC_") or name in allowed
    }


async def run_command(
    command: Sequence[str] | str,
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdin: str = "",
    shell: bool = False,
) -> str:
    """Run the program in `folder` and give its standard output, decoded as UTF-8.

    `command` is a list of words, or one line for the shell where `shell` is true. Raises
    CallFailed(code) for a program that is missing, that exits with anything but 0 or that dies by a
    signal, CallFailed(too_large) for too much output. A cancellation ends the whole process group.
    """
    words = ["/bin/sh", "-c", command] if shell and isinstance(command, str) else list(command)
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=folder,
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CallFailed(FailureKind.CODE, f"{words[0]}: cannot be started: {reason}") from error
    try:
        output, errors, _ = await asyncio.gather(
            _read(process.stdout, MAX_OUTPUT), _tail(process.stderr), _feed(process.stdin, stdin)
        )
        code = await process.wait()
    except BaseException:
        await _end_group(process)
        raise
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
        told = errors.decode("utf-8", "replace").strip()[-SHOWN:]
        raise CallFailed(FailureKind.CODE, f"{words[0]} {how}{': ' + told if told else ''}")
    return output.decode("utf-8", "replace")


async def _read(stream: asyncio.StreamReader | None, limit: int) -> bytes:
    assert stream is not None
    parts: list[bytes] = []
    size = 0
    while part := await stream.read(_CHUNK):
        size += len(part)
        if size > limit:
            raise CallFailed(FailureKind.TOO_LARGE, f"the program wrote more than {limit // 2**20} MiB")
        parts.append(part)
    return b"".join(parts)


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    """The last bytes of a stream, however long it is."""
    assert stream is not None
    kept = b""
    while part := await stream.read(_CHUNK):
        kept = (kept + part)[-4 * SHOWN :]
    return kept


async def _feed(stream: asyncio.StreamWriter | None, text: str) -> None:
    """Give the program its standard input; one that does not read it is no failure."""
    assert stream is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(text.encode("utf-8", "replace"))
        await stream.drain()
    stream.close()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await stream.wait_closed()


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """SIGTERM to the group, SIGKILL to what is left of it; returns when the program itself is gone."""
    _signal_group(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(asyncio.shield(process.wait()), GRACE)
    except TimeoutError:
        pass  # it would not go by itself
    finally:
        _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
