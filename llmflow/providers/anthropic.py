"""The provider for Anthropic's messages and every server that speaks them, on the official SDK.

As with `openai`: the SDK's generic request method without its retries and response models. The
protocol differs in more than names: an answer is a list of blocks, `max_tokens` must be written, the
system text stands beside the messages, and a stream is told in named events.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, cast

import httpx2
from anthropic import APIError, APIStatusError, AsyncAnthropic, AsyncStream

from llmflow.protocol import Message, Progress, Request, Response, Usage
from llmflow.providers.connection import encode, http_client
from llmflow.providers.endpoints import Endpoint, endpoints_of
from llmflow.providers.exchange import Answer, Malformed, response_of, text_of, tokens
from llmflow.providers.failures import from_connection, from_status
from llmflow.providers.registry import ProviderConfig, kind_of

DEFAULT_MAX_TOKENS = 4096
"""The protocol wants a limit; this one unless `max_output_tokens` is written."""

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "pause_turn": "length",
    "refusal": "refusal",
    "model_context_window_exceeded": "overflow",
}
"""Stop reasons in our words; every other one is `other`."""

_STREAM = AsyncStream[object]


class AnthropicProvider:
    """Messages on one or more endpoints; `Request.endpoint` chooses."""

    def __init__(self, config: ProviderConfig, environment: Mapping[str, str]) -> None:
        self._endpoints = endpoints_of(config, kind_of(config), environment)
        self._clients = tuple(_client(endpoint) for endpoint in self._endpoints)

    async def complete(self, request: Request, progress: Progress | None = None) -> Response:
        endpoint = self._endpoints[request.endpoint]
        content = encode(body_of(request))
        started = asyncio.get_running_loop().time()
        reply = await _send(self._clients[request.endpoint], content, endpoint)
        return await response_of(reply, request, endpoint, MessagesDialect(), started, progress)

    async def aclose(self) -> None:
        for client in self._clients:
            await client.close()


def _client(endpoint: Endpoint) -> AsyncAnthropic:
    """An SDK client that goes where `endpoint` says, whatever the environment says."""
    return AsyncAnthropic(
        api_key=endpoint.key,  # explicit, so no token, profile or file on disk is looked for
        base_url=endpoint.url.removesuffix("/v1"),
        max_retries=0,
        timeout=None,  # the http client's own holds
        http_client=http_client(endpoint),
        open_telemetry=False,
    )


async def _send(client: AsyncAnthropic, content: bytes, endpoint: Endpoint) -> httpx2.Response:
    """The reply, its body unread. The one place where this SDK's exceptions become ours."""
    try:
        reply = await client.post(
            "/v1/messages", cast_to=httpx2.Response, content=content, stream=True, stream_cls=_STREAM
        )
    except APIStatusError as error:
        raise from_status(error.status_code, error.response.headers, error.response.content, endpoint) from error
    except (APIError, httpx2.HTTPError) as error:
        raise from_connection(error, endpoint) from error
    return cast(httpx2.Response, reply)


def body_of(request: Request) -> dict[str, Any]:
    """The body of a message. Unknown parameters go through as they stand."""
    params = dict(request.params)
    limit = params.pop("max_output_tokens", None)
    stop = params.pop("stop", None)
    if stop is not None:
        params["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    system = [request.system, *(message.content for message in request.messages if message.role == "system")]
    body = {
        **params,
        "model": request.model,
        "max_tokens": DEFAULT_MAX_TOKENS if limit is None else limit,
        "messages": [_said(message) for message in request.messages if message.role != "system"],
    }
    if any(system):
        body["system"] = "\n\n".join(text for text in system if text)
    if request.schema is not None:
        output = params.get("output_config")
        wanted = {"type": "json_schema", "schema": request.schema}
        body["output_config"] = {**(output if isinstance(output, Mapping) else {}), "format": wanted}
    if request.stream:
        body["stream"] = True
    return body


def _said(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.content}
    blocks: list[dict[str, Any]] = []
    for image in message.images:
        data = base64.b64encode(image.data).decode("ascii")
        source = {"type": "base64", "media_type": image.media_type, "data": data}
        blocks.append({"type": "image", "source": source})
    if message.content:
        blocks.append({"type": "text", "text": message.content})
    return {"role": message.role, "content": blocks}


class MessagesDialect:
    """Messages: the text blocks together are the answer; thinking is not."""

    def whole(self, data: dict[str, Any]) -> Answer:
        blocks = data.get("content")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise Malformed("the reply's content is no list of blocks")
        texts = [block.get("text") for block in blocks if block.get("type") == "text"]
        if not all(isinstance(text, str) for text in texts):
            raise Malformed("a text block of the reply has no text")
        reason = data.get("stop_reason")
        if not isinstance(reason, str):
            raise Malformed("the reply gives no stop reason")
        return Answer(
            "".join(texts),
            FINISHES.get(reason, "other"),
            usage_of(data.get("usage")),
            text_of(data.get("model")),
            text_of(data.get("id")),
        )

    def streamed(self) -> MessageStream:
        return MessageStream()


class MessageStream:
    """A message that grows event by event. Its usage comes in two parts, the second counts from the start."""

    def __init__(self) -> None:
        self.done = False
        self._parts: list[str] = []
        self._reason: str | None = None
        self._usage: dict[str, Any] = {}
        self._model = self._id = ""

    def take(self, name: str, data: dict[str, Any]) -> int:
        kind = data.get("type", name)
        if kind == "message_start":
            message = _object(data, "message")
            self._model, self._id = text_of(message.get("model")), text_of(message.get("id"))
            self._count(message.get("usage"))
        elif kind == "content_block_start":
            return self._add(_object(data, "content_block"))
        elif kind == "content_block_delta":
            return self._add(_object(data, "delta"))
        elif kind == "message_delta":
            reason = _object(data, "delta").get("stop_reason")
            self._reason = reason if isinstance(reason, str) else self._reason
            self._count(data.get("usage"))
        elif kind == "message_stop":
            self.done = True
        return 0

    def _add(self, part: dict[str, Any]) -> int:
        """A block or a piece of one: only text is kept, but all that the model writes is progress."""
        kind = part.get("type")
        if kind in ("text", "text_delta"):
            text = part.get("text")
            if not isinstance(text, str):
                raise Malformed("a text block of the stream has no text")
            if text:
                self._parts.append(text)
            return len(text.encode("utf-8", "replace"))
        written = text_of(part.get("thinking")) or text_of(part.get("partial_json"))
        return len(written.encode("utf-8", "replace"))

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._usage.update({name: value for name, value in usage.items() if value is not None})

    def answer(self) -> Answer | None:
        if self._reason is None:
            return None
        finish = FINISHES.get(self._reason, "other")
        return Answer("".join(self._parts), finish, usage_of(self._usage), self._model, self._id)


def _object(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    if not isinstance(value, dict):
        raise Malformed(f"an event of the stream has no {name}")
    return value


def usage_of(data: Any) -> Usage | None:
    """The tokens of a call; None where the numbers are missing or make no sense.

    The protocol counts cached input apart; `Usage.input_tokens` is the sum.
    """
    if not isinstance(data, dict):
        return None
    fresh, answered = tokens(data.get("input_tokens")), tokens(data.get("output_tokens"))
    if fresh is None or answered is None:
        return None
    cached = tokens(data.get("cache_read_input_tokens")) or 0
    written = tokens(data.get("cache_creation_input_tokens")) or 0
    details = data.get("output_tokens_details")
    thought = details.get("thinking_tokens") if isinstance(details, dict) else 0
    return Usage(fresh + cached + written, answered, cached, written, tokens(thought) or 0)
