"""The way to an endpoint: an HTTP transport on aiohttp that both SDKs can be given.

It exists because a run needs what neither SDK's own transport promises: addresses are checked when a
name is resolved, a reply is never larger than we are ready to hold, a cancelled call closes its
connection at once, nothing but the SDK's own headers reaches a host that is not the vendor's, and
what went wrong underneath (refused, reset, TLS, DNS) can still be told apart afterwards.

It knows HTTP only: no protocol of a model, no retry, no key of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from llmflow.errors import CallFailed, FailureKind
from llmflow.protocol import MAX_RESPONSE_BYTES
from llmflow.providers.endpoints import Endpoint, UnsafeAddress, forbidden

CONNECT_SECONDS = 15.0
"""How long a name may take to resolve and a connection to open."""

MANY_FILES = 1024
"""Where a process may open so many, connections are not counted."""

FILES_OF_OUR_OWN = 40
"""The history, the event loop, modules as they are loaded, programs that tasks start."""

MAX_BODY_BYTES = 2 * MAX_RESPONSE_BYTES
"""Bytes of a whole reply, JSON and escapes included."""

MAX_ERROR_BYTES = 64 * 1024
"""Bytes of an error reply that are read; the rest is dropped with the connection."""

CHUNK_BYTES = 16 * 1024
"""Bytes handled at once: compression may blow each of them up a thousandfold before we count."""

_SDK_HEADERS = frozenset(
    {"accept", "accept-encoding", "anthropic-version", "connection", "content-length", "content-type", "user-agent"}
)


def http_client(endpoint: Endpoint) -> httpx2.AsyncClient:
    """A client for one endpoint, to be handed to an SDK; `aclose()` lets its connections go.

    It does not follow redirects and has no read timeout: the runtime's own clock ends a call.
    """
    return httpx2.AsyncClient(
        transport=Transport(endpoint),
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,  # the transport looks after proxies itself
        headers={"Accept-Encoding": "identity"},
    )


def most_connections() -> int:
    """How many connections may be open at once, 0 for any number: a process may be allowed few files."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 0 if files == resource.RLIM_INFINITY or files >= MANY_FILES else max(4, files - FILES_OF_OUR_OWN)


class Transport(httpx2.AsyncBaseTransport):
    """Requests to one endpoint over a pool of kept connections, as many at once as are asked for."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None

    def _open(self) -> aiohttp.ClientSession:
        secure = self._endpoint.url.startswith("https:")
        most = most_connections()
        connector = aiohttp.TCPConnector(
            limit=most,
            ssl=httpx2.create_ssl_context() if secure else False,
            resolver=SafeResolver(),
        )
        self._proxy = _proxy_for(URL(self._endpoint.url))
        return aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            # Waiting for another call's connection counts as connecting: where there are few, it may take long.
            timeout=aiohttp.ClientTimeout(
                total=None, connect=None if most else CONNECT_SECONDS, sock_connect=CONNECT_SECONDS
            ),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._session is None:
            self._session = self._open()
        try:
            try:
                reply = await self._send(self._session, request)
            except aiohttp.ClientError as error:
                if not isinstance(error.__cause__, aiohttp.ClientConnectionResetError):
                    raise
                # A kept connection that the server had closed without saying so. The request was never whole
                # on the wire, so it goes out again, once, on another one.
                reply = await self._send(self._session, request)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _translated(error) from error
        protocol = reply.connection.protocol if reply.connection is not None else None
        if reply.content_type == "text/event-stream" and not self._endpoint.vendor and protocol is not None:
            # llama.cpp closes after every stream without saying so: a call sent on that connection just then would
            # fail without an answer, and nobody could tell whether it had been read. A new connection costs less.
            protocol.force_close()
        stream: httpx2.AsyncByteStream = _Body(reply)
        headers = list(reply.raw_headers)
        if reply.status >= 300:
            stream = httpx2.ByteStream(await _beginning(reply))
            headers = [(name, value) for name, value in headers if name.lower() not in _LENGTHS]
        return httpx2.Response(reply.status, headers=headers, stream=stream, request=request)

    async def _send(self, session: aiohttp.ClientSession, request: httpx2.Request) -> aiohttp.ClientResponse:
        return await session.request(
            request.method,
            URL(str(request.url), encoded=True),
            headers=self._headers(request),
            data=await request.aread() or None,
            allow_redirects=False,
            compress=False,
            proxy=self._proxy,
        )

    def _headers(self, request: httpx2.Request) -> list[tuple[str, str]]:
        """The vendor gets what the SDK says; anyone else only what a call needs, and this endpoint's own key."""
        sent = [(name, value) for name, value in request.headers.multi_items() if name != "host"]
        if self._endpoint.vendor:
            return sent
        sent = [(name, value) for name, value in sent if name in _SDK_HEADERS or name.startswith("x-stainless-")]
        return [*sent, ("authorization", f"Bearer {self._endpoint.key}")]

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


_LENGTHS = (b"content-length", b"transfer-encoding")


class _Body(httpx2.AsyncByteStream):
    """The bytes of a reply as they arrive. Closed before its end, it closes the connection with it."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._reply.content.iter_chunked(CHUNK_BYTES):
                yield chunk
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        self._reply.release()  # closes the connection unless the body was read to its end


async def _beginning(reply: aiohttp.ClientResponse) -> bytes:
    """The first `MAX_ERROR_BYTES` of an error's body, or as much as arrives before it breaks off."""
    body = bytearray()
    try:
        async for chunk in reply.content.iter_any():
            body += chunk
            if len(body) > MAX_ERROR_BYTES:
                break
    except (aiohttp.ClientError, OSError):
        pass  # the status is known, which is what the call is judged by
    finally:
        reply.release()
    return bytes(body[:MAX_ERROR_BYTES])


def _translated(error: Exception) -> httpx2.TransportError:
    """aiohttp's exception as one that the SDKs expect of a transport; the original stays its cause."""
    if isinstance(error, (aiohttp.ClientConnectorError, UnsafeAddress)):
        return httpx2.ConnectError(str(error))
    if isinstance(error, (aiohttp.ServerTimeoutError, asyncio.TimeoutError)):
        return httpx2.ConnectTimeout(str(error))
    if isinstance(error, aiohttp.ClientPayloadError):
        return httpx2.ReadError(str(error))
    return httpx2.RemoteProtocolError(str(error))


class SafeResolver(AbstractResolver):
    """The system's resolver, refusing a name that leads to a forbidden address.

    Checked on the very answer that is connected to, so a name cannot change its mind in between.
    """

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises `UnsafeAddress` where any of the addresses is forbidden."""
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            if forbidden(ipaddress.ip_address(result["host"].partition("%")[0])):
                raise UnsafeAddress(f"{host} resolves to {result['host']}, which no endpoint may be")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _proxy_for(url: URL) -> str | None:
    """The proxy that the environment names for `url`; a loopback address is never sent through one."""
    host = url.host or ""
    if host == "localhost" or host.startswith("127.") or host == "::1" or proxy_bypass(host):
        return None
    return getproxies().get(url.scheme)


def encode(body: Mapping[str, Any]) -> bytes:
    """`body` as JSON. Raises `CallFailed` (invalid_request) for values JSON has no word for, such as NaN."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise CallFailed(FailureKind.INVALID_REQUEST, f"the request cannot be written as JSON: {error}") from error


async def read(response: httpx2.Response) -> bytes:
    """The whole body, decompressed. Raises `CallFailed` (too_large) beyond `MAX_BODY_BYTES`."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise too_large()
    return bytes(body)


def too_large() -> CallFailed:
    """The failure of a reply that is larger than we are ready to hold."""
    limit = MAX_RESPONSE_BYTES // 2**20
    return CallFailed(FailureKind.TOO_LARGE, f"the answer is larger than {limit} MiB", billed=True)


def root_cause(error: BaseException) -> BaseException:
    """What happened underneath: the last of the chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def tls_problem(error: BaseException) -> str | None:
    """What TLS objected to, None where the failure was not TLS."""
    cause: BaseException | None = error
    while cause is not None:
        # aiohttp's own TLS errors are ssl.SSLError too, but only the one underneath says what was wrong.
        if isinstance(cause, ssl.SSLError) and cause.__cause__ is None:
            return getattr(cause, "verify_message", "") or cause.reason or str(cause)
        cause = cause.__cause__
    return None
