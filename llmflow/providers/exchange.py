"""One call from the reply's first byte to a `Response`, whole or streamed, in any protocol.

A protocol is a `Dialect`: how a whole reply is read, and how a stream's events add up. What is alike
for all of them is here: bounds, empty answers, refusals, missing usage, streams that end too early.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import httpx2

from llmflow.errors import CallFailed, FailureKind
from llmflow.protocol import MAX_RESPONSE_BYTES, Progress, Request, Response, Usage, clean_text
from llmflow.providers.connection import read, too_large
from llmflow.providers.endpoints import Endpoint
from llmflow.providers.failures import bad_response, from_connection, from_error_reply, shown
from llmflow.providers.sse import EventDecoder, EventTooLarge, ServerEvent

BYTES_PER_TOKEN = 3.6
"""Of UTF-8 text, where nobody counted: a rough mean over languages and tokenizers."""

DRAIN_SECONDS = 0.1
"""How long a stream may take to end once it has said that nothing follows."""

_MOST_TOKENS = 10**12
_LIMIT_HEADERS = ("x-ratelimit-", "anthropic-ratelimit-", "retry-after")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a protocol's reply says, in words that are the same for all.

    `finish`: `stop`, `length`, `refusal`, `overflow` (the context window was full) or `other`.
    `usage` is None where the reply holds none that makes sense.
    """

    text: str
    finish: str
    usage: Usage | None
    model: str = ""
    id: str = ""


class Malformed(ValueError):
    """A reply that is not what its protocol promises; the text says how."""


class StreamedAnswer(Protocol):
    """An answer that grows event by event. `done`: the stream has said that nothing follows."""

    done: bool

    def take(self, name: str, data: dict[str, Any]) -> int:
        """Add one event; the bytes of answer (or reasoning) it brought. Raises `Malformed`."""
        ...

    def answer(self) -> Answer | None:
        """The whole answer; None while no reason for its end has been given."""
        ...


class Dialect(Protocol):
    """How a protocol puts its answers."""

    def whole(self, data: dict[str, Any]) -> Answer:
        """The answer in a reply that is not streamed. Raises `Malformed`."""
        ...

    def streamed(self) -> StreamedAnswer: ...


async def response_of(
    reply: httpx2.Response,
    request: Request,
    endpoint: Endpoint,
    dialect: Dialect,
    started: float,
    progress: Progress | None,
) -> Response:
    """Read `reply` (unread, of status 200) to its end. `started`: the loop's time of the send.

    Raises `CallFailed`, classified. The reply is closed in every case, so a cancelled call lets go
    of its connection at once.
    """
    first_token: float | None = None
    try:
        if "text/event-stream" in reply.headers.get("content-type", ""):
            answer, first_token = await _streamed(reply, endpoint, dialect.streamed(), started, progress)
        else:
            answer = _whole(await read(reply), endpoint, dialect)
    except httpx2.HTTPError as error:
        raise from_connection(error, endpoint) from error
    except EventTooLarge as error:
        raise too_large() from error
    finally:
        await reply.aclose()
    return _settled(answer, request, endpoint, reply.headers, first_token)


def _whole(body: bytes, endpoint: Endpoint, dialect: Dialect) -> Answer:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_response("the reply is not JSON", body, endpoint) from error
    if not isinstance(data, dict):
        raise bad_response("the reply is no JSON object", body, endpoint)
    if data.get("error"):
        raise from_error_reply(data, endpoint)
    try:
        return dialect.whole(data)
    except Malformed as error:
        raise bad_response(str(error), body, endpoint) from error


async def _streamed(
    reply: httpx2.Response, endpoint: Endpoint, answer: StreamedAnswer, started: float, progress: Progress | None
) -> tuple[Answer, float | None]:
    """The answer, and the seconds until its first token."""
    clock = asyncio.get_running_loop().time
    decoder = EventDecoder()
    first_token: float | None = None
    chunks = size = 0
    async with aclosing(reply.aiter_bytes()) as body:
        async for chunk in body:
            for event in decoder.feed(chunk):
                if event.data == "[DONE]":
                    answer.done = True
                    break
                came = _take(answer, event, endpoint)
                if came:
                    first_token = clock() - started if first_token is None else first_token
                    chunks += 1
                    size += came
                    if progress is not None:
                        progress(chunks)
            if size > MAX_RESPONSE_BYTES:
                raise too_large()
            if answer.done:
                await _drain(body)
                break
    whole = answer.answer()
    if whole is None:
        text = "the stream ended before the answer did: no finish reason was given"
        raise CallFailed(FailureKind.NETWORK, text, billed=True)
    return whole, first_token


async def _drain(body: AsyncIterator[bytes]) -> None:
    """Read on to the end that is due after a stream's last event: then its connection can be used again."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in body:
                pass
    except (TimeoutError, httpx2.HTTPError):
        pass  # the answer is whole; only the connection is lost


def _take(answer: StreamedAnswer, event: ServerEvent, endpoint: Endpoint) -> int:
    try:
        data = json.loads(event.data)
    except (ValueError, RecursionError) as error:
        raise bad_response("an event of the stream is not JSON", event.data, endpoint) from error
    if not isinstance(data, dict):
        raise bad_response("an event of the stream is no JSON object", event.data, endpoint)
    if event.name == "error" or data.get("error"):
        raise from_error_reply(data, endpoint)
    try:
        return answer.take(event.name, data)
    except Malformed as error:
        raise bad_response(str(error), event.data, endpoint) from error


def _settled(
    answer: Answer, request: Request, endpoint: Endpoint, headers: Mapping[str, str], first_token: float | None
) -> Response:
    """The `Response`, unless the answer is none."""
    text = clean_text(answer.text)
    size = len(text.encode())
    if size > MAX_RESPONSE_BYTES:
        raise too_large()
    if answer.finish == "refusal":
        reason = shown(text, endpoint)
        raise CallFailed(FailureKind.REFUSAL, "the model refused" + (f": {reason}" if reason else ""), billed=True)
    if answer.finish == "overflow":
        detail = f"prompt and answer together fill the context window of {request.model}"
        raise CallFailed(FailureKind.CONTEXT_OVERFLOW, detail, billed=True)
    if not text.strip() and answer.finish != "length":
        raise CallFailed(FailureKind.EMPTY, "the answer has no text", billed=True)
    return Response(
        text=text,
        usage=answer.usage or estimated_usage(request, size),
        finish_reason=answer.finish,
        model=shown(answer.model, endpoint, 200) or request.model,
        request_id=shown(headers.get("x-request-id") or headers.get("request-id") or answer.id, endpoint, 200),
        first_token=first_token,
        limits={name.lower(): value for name, value in headers.items() if name.lower().startswith(_LIMIT_HEADERS)},
    )


def estimated_usage(request: Request, output_bytes: int) -> Usage:
    """What a call probably cost where the reply does not say: bytes over `BYTES_PER_TOKEN`, marked as estimated."""
    said = len(request.system.encode()) + sum(len(message.content.encode()) for message in request.messages)
    return Usage(ceil(said / BYTES_PER_TOKEN), ceil(output_bytes / BYTES_PER_TOKEN), estimated=True)


def tokens(value: Any) -> int | None:
    """`value` if it can be a number of tokens, else None."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_TOKENS:
        return None
    return value


def text_of(value: Any) -> str:
    """`value` if it is text, else nothing: for ids and names that a call does not stand or fall by."""
    return value if isinstance(value, str) else ""
