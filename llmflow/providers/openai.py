"""The provider for OpenAI's chat completions and every server that speaks them, on the official SDK.

The SDK brings auth, headers, addresses and error classes through its generic request method; its
retries are off (one retry loop in the whole program, the scheduler's) and its response models are
left out, since they accept nonsense as success and cost more than the rest of the call.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, cast

import httpx2
from openai import APIError, APIStatusError, AsyncOpenAI, AsyncStream

from llmflow.errors import CallFailed, FailureKind
from llmflow.protocol import Message, Progress, Request, Response, Usage
from llmflow.providers.connection import encode, http_client, read
from llmflow.providers.endpoints import Endpoint, endpoints_of
from llmflow.providers.exchange import Answer, Malformed, response_of, text_of, tokens
from llmflow.providers.failures import from_connection, from_status, shown
from llmflow.providers.registry import ProviderConfig, kind_of

MODELS_SECONDS = 5.0
"""How long a failed call may ask which models there are, to say what was perhaps meant."""

FINISHES = {"stop": "stop", "length": "length", "content_filter": "refusal"}
"""Finish reasons in our words; every other one is `other`."""

_STREAM = AsyncStream[object]


class OpenAIProvider:
    """Chat completions on one or more endpoints; `Request.endpoint` chooses."""

    def __init__(self, config: ProviderConfig, environment: Mapping[str, str]) -> None:
        self._name = config.name
        self._endpoints = endpoints_of(config, kind_of(config), environment)
        self._clients = tuple(_client(endpoint) for endpoint in self._endpoints)
        self._models: dict[int, list[str]] = {}

    async def complete(self, request: Request, progress: Progress | None = None) -> Response:
        endpoint = self._endpoints[request.endpoint]
        content = encode(body_of(request, endpoint))
        started = asyncio.get_running_loop().time()
        try:
            reply = await _send(self._clients[request.endpoint], content, endpoint)
        except CallFailed as failure:
            if failure.kind is not FailureKind.NOT_FOUND or endpoint.vendor:
                raise
            hint = await self._models_hint(request)
            raise CallFailed(failure.kind, f"{failure.detail}; {hint}") from failure
        return await response_of(reply, request, endpoint, ChatDialect(), started, progress)

    async def aclose(self) -> None:
        for client in self._clients:
            await client.close()

    async def _models_hint(self, request: Request) -> str:
        """What an endpoint of one's own says about its models, for a call that got 404."""
        index, endpoint = request.endpoint, self._endpoints[request.endpoint]
        if index not in self._models:
            self._models[index] = await _models_at(self._clients[index])
        names = self._models[index]
        if not names:
            return f"{endpoint.url} lists no models: is the path of the base_url right (most end in /v1)?"
        near = get_close_matches(request.model, names, n=1)
        if near and near[0] != request.model:
            return f"did you mean {self._name}/{shown(near[0], endpoint, 100)}?"
        return f"it has: {shown(', '.join(names), endpoint)}"


def _client(endpoint: Endpoint) -> AsyncOpenAI:
    """An SDK client that goes where `endpoint` says, whatever the environment says."""
    return AsyncOpenAI(
        api_key=endpoint.key,
        base_url=endpoint.url,
        max_retries=0,
        timeout=None,  # the http client's own holds
        http_client=http_client(endpoint),
    )


async def _send(client: AsyncOpenAI, content: bytes, endpoint: Endpoint) -> httpx2.Response:
    """The reply, its body unread. The one place where this SDK's exceptions become ours."""
    try:
        reply = await client.post(
            "/chat/completions", cast_to=httpx2.Response, content=content, stream=True, stream_cls=_STREAM
        )
    except APIStatusError as error:
        raise from_status(error.status_code, error.response.headers, error.response.content, endpoint) from error
    except (APIError, httpx2.HTTPError) as error:
        raise from_connection(error, endpoint) from error
    return cast(httpx2.Response, reply)


async def _models_at(client: AsyncOpenAI) -> list[str]:
    """The names that `GET /models` lists; none where it does not answer as it should."""
    try:
        async with asyncio.timeout(MODELS_SECONDS):
            reply = cast(
                httpx2.Response,
                await client.get("/models", cast_to=httpx2.Response, stream=True, stream_cls=_STREAM),
            )
            try:
                listed = json.loads(await read(reply))["data"]
            finally:
                await reply.aclose()
            return [model["id"] for model in listed if isinstance(model["id"], str)]
    except (APIError, httpx2.HTTPError, CallFailed, TimeoutError, ValueError, LookupError, TypeError, RecursionError):
        return []


def body_of(request: Request, endpoint: Endpoint) -> dict[str, Any]:
    """The body of a chat completion. Unknown parameters go through as they stand."""
    params = dict(request.params)
    limit = params.pop("max_output_tokens", None)
    if limit is not None:
        # The vendor deprecated max_tokens; other servers know only that.
        params["max_completion_tokens" if endpoint.vendor else "max_tokens"] = limit
    body = {**params, "model": request.model, "messages": [_said(message) for message in request.messages]}
    if request.system:
        body["messages"].insert(0, {"role": "system", "content": request.system})
    if request.schema is not None:
        schema = {"name": schema_name(request.label), "schema": request.schema, "strict": is_strict(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def _said(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.content}
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.content}] if message.content else []
    for image in message.images:
        data = base64.b64encode(image.data).decode("ascii")
        parts.append({"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}})
    return {"role": message.role, "content": parts}


def schema_name(label: str) -> str:
    """`label` as a schema may be called: letters, digits, `_` and `-`, at most 64."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", label).strip("_")[:64] or "answer"


def is_strict(schema: Any) -> bool:
    """True where every object of `schema` closes itself and requires all it names.

    Strict mode refuses any other schema; without it the model is still shown the schema, and we check.
    """
    if isinstance(schema, Mapping):
        if schema.get("type") == "object" or "properties" in schema:
            names = schema.get("properties") or {}
            if schema.get("additionalProperties") is not False or set(schema.get("required") or ()) != set(names):
                return False
        return all(is_strict(part) for part in schema.values())
    if isinstance(schema, (list, tuple)):
        return all(is_strict(part) for part in schema)
    return True


class ChatDialect:
    """Chat completions: the first choice is the answer."""

    def whole(self, data: dict[str, Any]) -> Answer:
        choice = _first_choice(data)
        if choice is None:
            raise Malformed("the reply has no choices")
        message = choice.get("message")
        if not isinstance(message, dict):
            raise Malformed("the reply's choice has no message")
        finish = choice.get("finish_reason")
        if not isinstance(finish, str):
            raise Malformed("the reply gives no finish reason")
        return _answer(
            _text(message.get("content")),
            text_of(message.get("refusal")),
            finish,
            usage_of(data.get("usage")),
            text_of(data.get("model")),
            text_of(data.get("id")),
        )

    def streamed(self) -> ChatStream:
        return ChatStream()


class ChatStream:
    """A chat completion that grows chunk by chunk. The usage comes last, in a chunk without choices."""

    def __init__(self) -> None:
        self.done = False
        self._parts: list[str] = []
        self._refusal: list[str] = []
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._model = self._id = ""

    def take(self, name: str, data: dict[str, Any]) -> int:
        self._model = self._model or text_of(data.get("model"))
        self._id = self._id or text_of(data.get("id"))
        if data.get("usage") is not None:
            self._usage = usage_of(data["usage"])
        choice = _first_choice(data)
        if choice is None:
            return 0
        finish = choice.get("finish_reason")
        if isinstance(finish, str):
            self._finish = finish
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            if delta is None and self._finish is not None:
                return 0
            raise Malformed("a chunk of the stream has no delta")
        text = _text(delta.get("content"))
        refusal = text_of(delta.get("refusal"))
        thought = text_of(delta.get("reasoning_content")) or text_of(delta.get("reasoning"))
        if text:
            self._parts.append(text)
        if refusal:
            self._refusal.append(refusal)
        return len((text + refusal + thought).encode("utf-8", "replace"))

    def answer(self) -> Answer | None:
        if self._finish is None:
            return None
        refusal = "".join(self._refusal)
        return _answer("".join(self._parts), refusal, self._finish, self._usage, self._model, self._id)


def _answer(text: str, refusal: str, finish: str, usage: Usage | None, model: str, id: str) -> Answer:
    answer = Answer(text, FINISHES.get(finish, "other"), usage, model, id)
    return replace(answer, text=refusal, finish="refusal") if refusal else answer


def _first_choice(data: dict[str, Any]) -> dict[str, Any] | None:
    """The choice with the lowest index; a stream of several interleaves them."""
    choices = data.get("choices")
    if choices is None:
        return None
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise Malformed("the reply's choices are no list of objects")
    return next((choice for choice in choices if choice.get("index", 0) in (0, None)), None)


def _text(content: Any) -> str:
    """The text of a message: a string, or a list of parts as some servers send it."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        return "".join(text_of(part.get("text")) for part in content if isinstance(part, dict))
    raise Malformed("the answer's content is no text")


def usage_of(data: Any) -> Usage | None:
    """The tokens of a call; None where the numbers are missing or make no sense."""
    if not isinstance(data, dict):
        return None
    said, answered = tokens(data.get("prompt_tokens")), tokens(data.get("completion_tokens"))
    if said is None or answered is None:
        return None
    prompt = data.get("prompt_tokens_details")
    completion = data.get("completion_tokens_details")
    return Usage(
        said,
        answered,
        cached_input_tokens=_detail(prompt, "cached_tokens"),
        cache_write_tokens=_detail(prompt, "cache_write_tokens"),
        reasoning_tokens=_detail(completion, "reasoning_tokens"),
    )


def _detail(details: Any, name: str) -> int:
    return (tokens(details.get(name)) or 0) if isinstance(details, dict) else 0
