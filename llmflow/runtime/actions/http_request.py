"""One HTTP request for a task, over aiohttp. A status from 400 on is a failure, and so is a redirect: none is followed.

The address may come out of a template, so an answer of a model may have had a hand in it: only http and
https are spoken, and addresses that only a cloud's own machines can reach (link-local, metadata services)
are refused, whatever way they are written. The answer's size is bounded, and so is an error's.

No proxy, no cookie, no `.netrc` of the environment is used. A failure shows of an address neither its
user nor its query, where keys like to stand, and of the other side's text no value of a header we sent.
"""

from __future__ import annotations

import ipaddress
import json
import math
import socket
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmflow.errors import CallFailed, FailureKind
from llmflow.sanitise import clean_text, one_line

if TYPE_CHECKING:
    import aiohttp

MAX_BODY = 8 * 1024 * 1024
MAX_ERROR = 64 * 1024
"""Bytes of a failing answer that are read; the rest is dropped with the connection."""

SHOWN = 300
"""Characters of a failing answer's body that the failure shows."""

CONNECT_SECONDS = 15.0

_KINDS = {
    401: FailureKind.AUTH,
    402: FailureKind.QUOTA,
    403: FailureKind.AUTH,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.TIMEOUT,
    413: FailureKind.TOO_LARGE,
    429: FailureKind.RATE_LIMIT,
    503: FailureKind.OVERLOADED,
    504: FailureKind.TIMEOUT,
}
"""Other statuses: 5xx is `server`, everything else `invalid_request`."""

_REDIRECTS = (301, 302, 303, 307, 308)
_EMPTY = (204, 205, 304)
_OPEN = ("accept", "content-type", "user-agent")
"""Headers whose values are no secrets."""

_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192")))


class HttpRequests:
    """The HTTP client of one run, made at its first request."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        body: str | None = None,
    ) -> Any:
        """The answer's body: parsed where its content type is JSON, else text. `data` is sent as JSON.

        Raises CallFailed: classified by the status; `network` or `timeout` where there was no answer;
        `invalid_request` for what cannot be asked; `bad_response` for JSON that is none. A cancellation
        closes the connection.
        """
        import aiohttp
        from multidict import CIMultiDict

        where = f"{method} {_shown_address(url)}"
        sent = CIMultiDict({name: str(value) for name, value in (headers or {}).items()})
        payload = _payload(sent, data, body, where)
        if self._session is None:
            self._session = _session()
        try:
            _check(url)
            async with self._session.request(
                method, url, headers=sent, data=payload, allow_redirects=False
            ) as response:
                if response.status >= 400 or response.status in _REDIRECTS:
                    raise _failure(response, await _beginning(response), where, sent)
                content = await _whole(response)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError, LookupError) as error:
            raise CallFailed(FailureKind.INVALID_REQUEST, f"{where}: {_shown(str(error), sent)}") from error
        except TimeoutError as error:
            raise CallFailed(FailureKind.TIMEOUT, f"{where}: no connection within {CONNECT_SECONDS:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            final = isinstance(error, ssl.SSLError | _Refused) or isinstance(error.__cause__, _Refused)
            told = _shown(str(error.__cause__ if final and error.__cause__ else error), sent) or type(error).__name__
            raise CallFailed(FailureKind.NETWORK, f"{where}: {told}", retryable=False if final else None) from error
        text = _decoded(content, response.charset)
        kind = response.content_type
        if not (kind == "application/json" or kind.endswith("+json")):
            return text
        if not text and (response.status in _EMPTY or method.upper() == "HEAD"):
            return text
        return _parsed(text, where)

    async def aclose(self) -> None:
        """Let go of the connections. May be called twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Refused(OSError):
    """An address that no task may ask."""


def _check(url: str) -> None:
    """Raises ValueError for what is no http address, `_Refused` for a forbidden one that is written as a number."""
    from yarl import URL

    parts = URL(url)
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ValueError("the address must begin with http:// or https:// and name a host")
    try:
        address = ipaddress.ip_address(parts.host)
    except ValueError:
        return  # a name: `_session` looks at what it resolves to
    _refuse(parts.host, address)


def _refuse(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
    if inner.is_link_local or inner.is_multicast or inner.is_unspecified or inner in _METADATA:
        raise _Refused(f"{host} leads to {address}, which no task may ask")


def _session() -> aiohttp.ClientSession:
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult
    from aiohttp.resolver import ThreadedResolver

    class SafeResolver(AbstractResolver):
        """The system's resolver, checked on the very answer that is connected to."""

        def __init__(self) -> None:
            self._resolver = ThreadedResolver()

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            found = await self._resolver.resolve(host, port, family)
            for result in found:
                _refuse(host, ipaddress.ip_address(result["host"].partition("%")[0]))
            return found

        async def close(self) -> None:
            await self._resolver.close()

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, resolver=SafeResolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "llmflow", "Accept": "*/*", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS),
    )


def _payload(sent: Any, data: Any, body: str | None, where: str) -> bytes | None:
    """The bytes to send, None for none; their type goes into `sent` unless the author wrote one."""
    if data is None:
        if body is None:
            return None
        sent.setdefault("Content-Type", "text/plain; charset=utf-8")
        return clean_text(body).encode()
    sent.setdefault("Content-Type", "application/json")
    try:
        return clean_text(json.dumps(data, ensure_ascii=False, allow_nan=False)).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CallFailed(FailureKind.INVALID_REQUEST, f"{where}: `json` cannot be written as JSON: {error}") from error


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for part in response.content.iter_chunked(64 * 1024):
        content += part
        if len(content) > MAX_BODY:
            raise CallFailed(FailureKind.TOO_LARGE, f"the answer is larger than {MAX_BODY // 2**20} MiB")
    return bytes(content)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """As much of a failing answer as is worth showing, or as arrives before it breaks off."""
    import aiohttp

    content = bytearray()
    try:
        async for part in response.content.iter_chunked(16 * 1024):
            content += part
            if len(content) > MAX_ERROR:
                break
    except (aiohttp.ClientError, OSError):
        pass  # the status is known, which is what the call is judged by
    return bytes(content[:MAX_ERROR])


def _failure(response: aiohttp.ClientResponse, content: bytes, where: str, sent: Mapping[str, str]) -> CallFailed:
    status = response.status
    if status in _REDIRECTS:
        target = _shown(_shown_address(response.headers.get("Location", "")), sent)
        return CallFailed(
            FailureKind.INVALID_REQUEST, f"{where}: status {status}: it redirects to {target}, which is not followed"
        )
    kind = _KINDS.get(status, FailureKind.SERVER if status >= 500 else FailureKind.INVALID_REQUEST)
    text = _shown(_decoded(content, response.charset), sent)
    return CallFailed(
        kind,
        f"{where}: status {status}{': ' + text if text else ''}",
        retry_after=_retry_after(response.headers.get("Retry-After", "")),
    )


def _retry_after(value: str) -> float | None:
    """Seconds, never negative, of a Retry-After in seconds or as a date; None for none and for junk."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError, OSError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _decoded(content: bytes, charset: str | None) -> str:
    try:
        text = content.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):  # a name that stands for no encoding of text
        text = content.decode("utf-8", "replace")
    return clean_text(text).removeprefix("\ufeff")


def _parsed(text: str, where: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_constant)
        # An escape may stand for half a character, which nobody could write down again.
        return json.loads(clean_text(json.dumps(value, ensure_ascii=False))) if "\\u" in text else value
    except (ValueError, RecursionError) as error:
        told = f"it is no JSON ({error}); it begins: {_shown(text, {})}" if text else "it is empty"
        raise CallFailed(FailureKind.BAD_RESPONSE, f"{where}: the answer should be JSON: {told}") from error


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _shown_address(url: str) -> str:
    """Scheme, host and path: neither user nor query, where keys like to stand."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname or ""
    except ValueError:
        return "(an address that cannot be read)"
    host = f"[{host}]" if ":" in host else host
    return one_line(f"{parts.scheme}://{host}{port}{parts.path}" if host else parts.path)[:SHOWN]


def _shown(text: str, sent: Mapping[str, str]) -> str:
    """Somebody else's text as a failure may show it: one line, bounded, and no value of a header that we sent."""
    for name, value in sent.items():
        if name.lower() in _OPEN:
            continue
        for secret in (value, value.partition(" ")[2]):  # `Bearer KEY` is told back as `KEY`
            if len(secret) >= 8:
                text = text.replace(secret, "[header]")
    return one_line(text[: 8 * SHOWN])[:SHOWN]
