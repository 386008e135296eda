"""One HTTP request for a task, over aiohttp; redirects are not followed, and a status from 400 on is a failure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmflow.errors import CallFailed, FailureKind

if TYPE_CHECKING:
    import aiohttp

MAX_BODY = 8 * 1024 * 1024
SHOWN = 300
"""Characters of a failing answer's body that the failure shows."""

_KINDS = {
    401: FailureKind.AUTH,
    403: FailureKind.AUTH,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.TIMEOUT,
    429: FailureKind.RATE_LIMIT,
    503: FailureKind.OVERLOADED,
}


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

        Raises CallFailed, classified by the status, or `network` where there was no answer.
        """
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=15))
        sent = dict(headers or {})
        payload: bytes | None = body.encode("utf-8", "replace") if body is not None else None
        if data is not None:
            payload = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")
            sent.setdefault("Content-Type", "application/json")
        try:
            async with self._session.request(
                method, url, headers=sent, data=payload, allow_redirects=False
            ) as response:
                content = await _bounded(response)
                text = content.decode(response.charset or "utf-8", "replace")
                if response.status >= 400:
                    raise _failure(response, text)
                kind = response.content_type
        except aiohttp.ClientError as error:
            raise CallFailed(FailureKind.NETWORK, f"{method} {url}: {error or type(error).__name__}") from error
        except (ValueError, LookupError) as error:
            raise CallFailed(FailureKind.INVALID_REQUEST, f"{method} {url}: {error}") from error
        if kind == "application/json" or kind.endswith("+json"):
            try:
                return json.loads(text)
            except ValueError as error:
                raise CallFailed(FailureKind.BAD_RESPONSE, f"{method} {url}: no JSON: {text[:SHOWN]}") from error
        return text

    async def aclose(self) -> None:
        """Let go of the connections. May be called twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(64 * 1024):
        size += len(part)
        if size > MAX_BODY:
            raise CallFailed(FailureKind.TOO_LARGE, f"the answer is larger than {MAX_BODY // 2**20} MiB")
        parts.append(part)
    return b"".join(parts)


def _failure(response: aiohttp.ClientResponse, text: str) -> CallFailed:
    status = response.status
    kind = _KINDS.get(status, FailureKind.SERVER if status >= 500 else FailureKind.INVALID_REQUEST)
    wait: float | None
    try:
        wait = max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        wait = None
    detail = f"{response.method} {response.url}: status {status}: {text[:SHOWN]}"
    return CallFailed(kind, detail, retry_after=wait)
