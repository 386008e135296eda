"""The embedded model: a server of its own in a child process, spoken to like any other endpoint.

One server per run, started at the first call (or by `start`) and shared by all tasks; it ends with
`aclose`, and with this process however that ends. A server that dies fails the calls it was answering
and is started again for the next one, a few times. It knows how to start, watch and end the child;
what is said to it is the `openai` provider's business.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from llmflow.environment import without_secrets
from llmflow.errors import CallFailed, FailureKind, SetupError
from llmflow.protocol import Progress, Request, Response
from llmflow.providers import local_model
from llmflow.providers.registry import KINDS, ProviderConfig
from llmflow.sanitise import one_line

if TYPE_CHECKING:
    from llmflow.providers.openai import OpenAIProvider

MAX_STARTS = 4
"""How often one run starts the server: once, and again after each of three deaths."""

KEY_VARIABLE = "LLMFLOW_LOCAL_SERVER_KEY"
"""The name under which the server's key is handed to the `openai` provider; never in our own environment."""

DEATH_NOTICE = 2.0
"""Seconds within which the end of a child is known after its connections broke."""


class LocalServer:
    """One running child. `base_url` is the address without `/v1`; `key` is what it wants as API key."""

    def __init__(self, process: asyncio.subprocess.Process, log: IO[bytes], base_url: str, key: str) -> None:
        self.base_url, self.key = base_url, key
        self._process, self._log = process, log

    @classmethod
    async def start(cls, model: Path, alias: str, workers: int) -> LocalServer:
        """Start the child and wait until the model is loaded. Raises SetupError with the child's last words."""
        # By its path, with -P: neither the working directory nor this directory (which has an `openai.py`)
        # gets onto the child's module path. A session of its own: Ctrl-C at the terminal is ours to act on.
        program = str(Path(__file__).with_name("local_server.py"))
        line = [sys.executable, "-P", program, "--model", str(model), "--alias", alias, "--workers", str(workers)]
        log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child, `close` closes it
        process = await asyncio.create_subprocess_exec(
            *line,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            # No key of anybody's: what the child needs none of, it cannot lose. And two OpenMP threads that
            # spin while they wait are 3 to 5 times slower on busy processors.
            env={**without_secrets(os.environ), "GOMP_SPINCOUNT": "0"},
        )
        server = cls(process, log, "", "")
        try:
            assert process.stdout is not None
            said = await process.stdout.readline()
            if not said:
                code = await process.wait()
                raise SetupError(
                    f"the local model's server did not start (exit code {code}): {server.last_words()}",
                    f"the model is {model}",
                )
            hello = json.loads(said)
        except BaseException:
            await server.close()
            raise
        server.base_url, server.key = hello["address"], hello["key"]
        return server

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    async def ends_within(self, seconds: float) -> bool:
        """Whether the child is gone; waits so long to see it go."""
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def last_words(self) -> str:
        """The end of what the child wrote to its stderr, in one line."""
        if self._log.closed:
            return "nothing is known"
        # pread: the child writes through the same open file, whose position must stay its own
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), 600, max(0, size - 600)).decode(errors="replace")
        return one_line(text) or "it said nothing"

    def describe_end(self) -> str:
        return f"the local model's server ended (exit code {self._process.returncode}): {self.last_words()}"

    async def close(self) -> None:
        """End the child and wait for it. May be called twice."""
        if self._process.returncode is None:
            try:
                self._process.kill()
            except ProcessLookupError:
                pass  # it was faster
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._log.close()


@dataclass(frozen=True, slots=True)
class _Running:
    """A server and the client that talks to it."""

    server: LocalServer
    client: OpenAIProvider

    async def close(self) -> None:
        try:
            await self.client.aclose()
        finally:
            await self.server.close()


class _Unwanted(Exception):
    """The run has ended while the model was being fetched."""


class LocalProvider:
    """The provider of kind `local`; its one model is `smollm2` unless LLMFLOW_LOCAL_MODEL names a file."""

    def __init__(self, config: ProviderConfig, environment: Mapping[str, str]) -> None:
        """Raises SetupError where the extra is not installed. Starts nothing."""
        if importlib.util.find_spec("xllamacpp") is None:
            raise SetupError(
                f"provider {config.name}: the local model needs an extra that is not installed",
                'pip install ".[local]"',
            )
        self._config = config
        self._environment = environment
        self._starting: asyncio.Task[_Running] | None = None
        self._starts = 0
        self._closed = False

    @property
    def starts(self) -> int:
        """How often the server has been started so far."""
        return self._starts

    @property
    def server(self) -> LocalServer | None:
        """The server that answers at the moment, None where none does."""
        starting = self._starting
        if starting is None or not starting.done() or starting.cancelled() or starting.exception() is not None:
            return None
        server = starting.result().server
        return None if server.ended else server

    async def start(self, report: local_model.Report | None = None) -> None:
        """Have the model ready for calls: fetched (`report` gets the progress), loaded, listening.

        Raises SetupError. The first call does this as well, and quietly; a program that wants to show
        the download, or to fail before it spends anything, starts first.
        """
        await self._running(report)

    async def complete(self, request: Request, progress: Progress | None = None) -> Response:
        """One call, tried once. Raises CallFailed, `network` where the server died while answering."""
        self._check_model(request.model)
        try:
            running = await self._running(None)
        except SetupError as error:
            raise CallFailed(FailureKind.SERVER, error.message, retryable=False) from error
        try:
            return await running.client.complete(replace(request, endpoint=0), progress)
        except CallFailed as failure:
            if failure.kind is not FailureKind.NETWORK or not await running.server.ends_within(DEATH_NOTICE):
                raise
            again = self._starts < MAX_STARTS
            raise CallFailed(FailureKind.NETWORK, running.server.describe_end(), retryable=again) from failure

    async def aclose(self) -> None:
        """End the server, also one that is just starting. May be called twice."""
        self._closed = True
        starting, self._starting = self._starting, None
        if starting is None:
            return
        starting.cancel()
        try:
            running = await starting
        except (asyncio.CancelledError, SetupError):
            return  # it never ran, and `LocalServer.start` has ended the child
        await running.close()

    def _check_model(self, name: str) -> None:
        if name != local_model.EMBEDDED.name and not self._environment.get(local_model.VARIABLE):
            raise CallFailed(
                FailureKind.NOT_FOUND,
                f"there is no local model {name!r}: the embedded one is {local_model.EMBEDDED.name!r}, "
                f"and {local_model.VARIABLE} names the GGUF file of another",
            )

    async def _running(self, report: local_model.Report | None) -> _Running:
        """The one server, started where there is none. A caller that is cancelled does not stop the start.

        A start that failed is not tried again: what it lacked, the next would lack too.
        """
        starting, dead = self._starting, None
        if starting is not None and starting.done() and not starting.cancelled() and not starting.exception():
            dead = starting.result() if starting.result().server.ended else None
        if starting is None or dead is not None:
            if self._closed:
                raise SetupError("the local model's server has been ended")
            if self._starts >= MAX_STARTS:
                raise SetupError(f"the local model's server has died {self._starts} times in this run")
            self._starts += 1
            starting = self._starting = asyncio.create_task(self._start(report, dead))
        return await asyncio.shield(starting)

    async def _start(self, report: local_model.Report | None, dead: _Running | None) -> _Running:
        from llmflow.providers.openai import OpenAIProvider

        if dead is not None:
            await dead.close()

        def watched(there: int, total: int) -> None:
            # Called from the thread that fetches, which a cancellation does not reach.
            if self._closed:
                raise _Unwanted
            if report is not None:
                report(there, total)

        model = await asyncio.to_thread(local_model.fetch_model, watched, self._environment)
        workers = self._config.slots or KINDS["local"].workers
        server = await LocalServer.start(model, local_model.EMBEDDED.name, workers)
        try:
            config = ProviderConfig(
                name=self._config.name, kind="openai", base_url=f"{server.base_url}/v1", api_key_env=KEY_VARIABLE
            )
            return _Running(server, OpenAIProvider(config, {KEY_VARIABLE: server.key}))
        except BaseException:
            await server.close()
            raise
