"""Runs a program for a task. Values reach it as environment, standard input and arguments, never through a shell.

The program gets a session and so a process group of its own. A timeout or a cancellation ends the whole
group, its children too: SIGTERM first, SIGKILL to what is left a moment later. The end of the program is
the end of its group as well: what it leaves running behind it may finish writing, then it is ended. Only
a child that has made a session of its own (a daemon) is out of reach.

Of our own environment a program inherits where things are and which language is spoken (`INHERITED`),
never a key: whatever else it needs the author names in the pipeline's `env`, or writes in the task's own.

A value that begins with `-` reaches the program as it is, and most take it for an option: a command that
is given values ends in `--`, or takes them by environment or standard input.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from llmflow.environment import masked_secrets
from llmflow.errors import CallFailed, FailureKind
from llmflow.sanitise import clean_text, printable

MAX_OUTPUT = 8 * 1024 * 1024
"""Bytes of standard output; a program that writes more is ended."""

SHOWN = 2_000
"""Characters of standard error that a failure shows, its last ones."""

GRACE = 2.0
"""Real seconds between SIGTERM and SIGKILL, and from a program's end to the end of what it left running."""

INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TEMP", "TMP"),
        *("LANG", "LANGUAGE", "TZ"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
    }
)
"""What every program gets of our environment, besides `LC_…`. A list of what is harmless, not of what is secret:
a database's address may hold a password under a name that nobody would guess."""

_POLL = 0.02
_IN, _OUT = 0, 1


def inherited_environment(environment: Mapping[str, str], allowed: Sequence[str]) -> dict[str, str]:
    """What a program gets of `environment`: `INHERITED`, `LC_…`, and the names in `allowed` (the pipeline's `env`)."""
    names = INHERITED.union(allowed)
    return {name: value for name, value in environment.items() if name in names or name.startswith("LC_")}


async def run_command(
    command: Sequence[str] | str,
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdin: str = "",
    shell: bool = False,
) -> str:
    """Run the program in `folder` with just this `environment`; gives its standard output, decoded as UTF-8.

    `command` is a list of words, or one line: for the shell where `shell` is true, else split as by
    shlex. The program is looked up along the environment's own PATH. Raises CallFailed(code) for a
    program that is missing, that exits with anything but 0 or that dies by a signal, with the end of
    its standard error; CallFailed(too_large) for too much output. A cancellation ends the whole
    process group before it passes on; a second one does not wait for it to go in peace.
    """
    words = [clean_text(word) for word in _words(command, shell)]
    environment = {name: clean_text(value) for name, value in environment.items()}
    transport, program = await _start(words, folder, environment)
    try:
        feed = cast(asyncio.WriteTransport, transport.get_pipe_transport(_IN))
        feed.write(clean_text(stdin).encode())
        feed.close()  # once everything is written; a program that does not read it is no failure
        await program.over
        if program.ended.done():
            await asyncio.wait([program.silent], timeout=GRACE)
            _signal_group(transport.get_pid(), signal.SIGKILL)
        if program.output_size > MAX_OUTPUT:
            raise CallFailed(FailureKind.TOO_LARGE, f"{words[0]} wrote more than {MAX_OUTPUT // 2**20} MiB")
    except BaseException:
        await _end_group(transport.get_pid(), program)
        raise
    finally:
        transport.close()
    code = transport.get_returncode()
    if code:
        how = f"was ended by {_signal_name(-code)}" if code < 0 else f"exited with {code}"
        told = masked_secrets(printable(program.errors.decode("utf-8", "replace")), environment).strip()[-SHOWN:]
        raise CallFailed(FailureKind.CODE, f"{words[0]} {how}{': ' + told if told else ''}")
    return b"".join(program.output).decode("utf-8", "replace")


def _words(command: Sequence[str] | str, shell: bool) -> list[str]:
    if shell and isinstance(command, str):
        return ["/bin/sh", "-c", command]
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise CallFailed(FailureKind.CODE, f"the command cannot be split into words: {error}") from error
    if not words or not words[0]:
        raise CallFailed(FailureKind.CODE, "the command is empty")
    return words


class _Program(asyncio.SubprocessProtocol):
    """What a running program has written so far, and how far it is.

    `ended` is done when the program itself has, `over` when it has ended or written too much, `silent` when
    nobody can write to its pipes any more. (asyncio's own `Process.wait` waits for that too, and a daemon
    can delay it for ever.)
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self.silent: asyncio.Future[None] = loop.create_future()
        self.output: list[bytes] = []
        self.output_size = 0
        self.errors = b""
        self._open = 2

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd != _OUT:
            self.errors = (self.errors + data)[-4 * SHOWN :]
            return
        self.output_size += len(data)
        if self.output_size <= MAX_OUTPUT:
            self.output.append(data)
        else:
            self.output.clear()
            _set(self.over)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd != _IN:
            self._open -= 1
            if not self._open:
                _set(self.silent)

    def process_exited(self) -> None:
        _set(self.ended)
        _set(self.over)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _start(
    words: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[asyncio.SubprocessTransport, _Program]:
    """The program under way. Raises CallFailed(code) where it cannot be started."""
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            _Program, *words, cwd=folder, env=dict(environment), start_new_session=True
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end_unwanted(starting)
        raise
    except (OSError, ValueError) as error:
        reason = str(error)
        if isinstance(error, OSError):
            reason = error.strerror or reason
            if error.filename in (folder, str(folder)):
                reason = f"its folder {folder}: {reason}"
        raise CallFailed(FailureKind.CODE, f"{words[0]}: cannot be started: {reason}") from error


async def _end_unwanted(starting: asyncio.Future[tuple[Any, Any]]) -> None:
    """A start that was cancelled half-way is let come to its end, a few turns of the loop, and then ended itself.

    (asyncio's own way of cancelling it waits for pipes that were never connected: for ever.)
    """
    while not starting.done():
        try:
            await asyncio.wait([starting])
        except asyncio.CancelledError:
            continue
    if starting.exception() is None:
        transport, program = starting.result()
        _signal_group(transport.get_pid(), signal.SIGKILL)
        transport.close()
        await asyncio.wait([program.ended], timeout=GRACE)


async def _end_group(group: int, program: _Program) -> None:
    """SIGTERM to the group, SIGKILL to what is left of it after `GRACE`, or when there is another cancellation."""
    try:
        if _signal_group(group, signal.SIGTERM):
            await _gone(group)
    finally:
        _signal_group(group, signal.SIGKILL)
        # Bounded: in the middle of a broken disk's read a process outlives even SIGKILL for a while.
        await asyncio.wait([program.ended], timeout=GRACE)


async def _gone(group: int) -> None:
    """Return when the group has no process left, or after `GRACE`."""
    for _ in range(int(GRACE / _POLL)):
        if not _signal_group(group, 0):
            return
        await asyncio.sleep(_POLL)  # nothing tells of the end of a process that is not our own child


def _signal_group(group: int, number: int) -> bool:
    """Whether there was anybody to get it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False  # what is left has become another user's (sudo): not ours to end
    return True


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
