"""A server of models that are none: it speaks both protocols on 127.0.0.1, and misbehaves on demand.

    with FakeServer() as server:
        server.script(Reply(status=429, headers={"retry-after": "0"}), Reply(text="hello"))
        ...                          # talk to server.openai_url or server.anthropic_url
        assert server.requests[0].path == "/v1/chat/completions"

`python tests/fake_server.py --port 0 --latency 0.05` prints its address and serves until stdin ends.
What it does with a request is a `Reply`: the next scripted one, else one that the prompt itself asks
for (`[[{"status": 500, "times": 2}]]` anywhere in it: for the first two requests with that prompt),
else an answer made from the prompt. With a schema in the request the answer is JSON that fits it.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

GOOD_LIMITS = {
    "openai": {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499"},
    "anthropic": {"anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49"},
}
_DIRECTIVE = re.compile(r"\[\[(\{.*?\})\]\]", re.DOTALL)
_REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests"}
_OPENAI_FINISH = {"end_turn": "stop", "max_tokens": "length", "refusal": "content_filter"}
_ANTHROPIC_FINISH = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use"}


@dataclass(frozen=True)
class Reply:
    """What is done with one request. Seconds everywhere.

    `mode`: empty for a proper reply, or one of `MODES`. `body` replaces the whole body; `patch` changes
    the top level of the one we make (a value of None drops the key). Of a stream, `chunks` is the number
    of pieces and `pause` the time between them. `together` holds the reply back until that many requests
    have been under way at once.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    finish: str = "stop"
    body: Any = None
    patch: dict[str, Any] = field(default_factory=dict)
    usage: Any = "counted"
    mode: str = ""
    latency: float | None = None
    chunks: int = 4
    pause: float = 0.0
    size: int = 50_000_000
    together: int = 0
    times: int = 1 << 30


MODES = {
    "hang": "accept the request and never say a word",
    "rst": "reset the connection before any reply",
    "close": "close the connection before any reply",
    "leave": "a proper stream, and the connection closed behind it without a word",
    "rst_body": "reset it in the middle of the body",
    "short": "promise more bytes than are sent",
    "garbage": "answer with bytes that are no HTTP",
    "bad_gzip": "claim gzip and send something else",
    "gzip": "a proper reply, compressed",
    "html": "a web page with status 200",
    "drip": "one byte at a time, `pause` apart",
    "huge": "an answer of `size` bytes",
    "drop": "reset in the middle of the stream",
    "eof": "end the stream cleanly, without a finish reason",
    "stall": "stop sending in the middle of the stream, keep it open",
    "error_event": "an error in the middle of the stream",
    "junk_event": "an event in the stream that is no JSON",
    "endless": "a stream that never ends, `text` again and again",
    "flood": "a body that never ends",
    "bomb": "`size` bytes in a few, by gzip",
}


UNSTREAMED = ("rst_body", "short", "bad_gzip", "gzip", "flood", "bomb")
"""Modes that answer a request for a stream with a body in one piece."""


@dataclass
class Seen:
    """One request as it came. `closed` is True when the client let go before the reply was whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    started: float
    ended: float | None = None
    closed: bool = False
    connection: int = 0

    @property
    def key(self) -> str:
        """The key that was sent, by whichever header."""
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")


class FakeServer:
    """Serves from a thread of its own, so that plain tests and child processes can talk to it.

    `latency`: seconds before each reply. `log=False` keeps no requests (for long benchmarks).
    """

    def __init__(
        self,
        *,
        port: int = 0,
        latency: float = 0.0,
        models: tuple[str, ...] = ("fake-large", "fake-small"),
        tls: ssl.SSLContext | None = None,
        log: bool = True,
    ) -> None:
        self.latency, self.models, self.log = latency, models, log
        self.requests: list[Seen] = []
        self.count = 0
        self.active = 0
        self.most_active = 0
        self.default: Reply | None = None
        self.connections = 0
        self.open_connections = 0
        self._port, self._tls = port, tls
        self._script: deque[Reply] = deque()
        self._asked: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="fake-server")
        self._ready = threading.Event()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> FakeServer:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def listen() -> None:
            self._server = await self._loop.create_server(
                lambda: Connection(self), "127.0.0.1", self._port, ssl=self._tls, backlog=2048
            )
            self._port = self._server.sockets[0].getsockname()[1]
            self._ready.set()

        self._loop.run_until_complete(listen())
        self._loop.run_forever()
        assert self._server is not None
        self._server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for transport in list(Connection.open_by_server.pop(id(self), {}).values()):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        return self.url

    def script(self, *replies: Reply) -> None:
        """What the next requests for an answer get, in the order in which they arrive."""
        self._script.extend(replies)

    def wait_for(self, condition: Callable[[FakeServer], bool], seconds: float = 10.0) -> bool:
        """True as soon as `condition(self)` holds; False if it does not within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), seconds)

    def changed(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def reply_to(self, path: str, body: Any) -> Reply:
        """The reply that a request gets."""
        if self._script:
            return self._script.popleft()
        asked = _DIRECTIVE.search(prompt_of(body)) if isinstance(body, dict) else None
        if asked:
            reply = Reply(**json.loads(asked[1]))
            self._asked[prompt_of(body)] += 1
            if self._asked[prompt_of(body)] <= reply.times:
                return reply
        return self.default or Reply()


class Connection(asyncio.Protocol):
    """One connection: requests one after another, kept alive."""

    open_by_server: dict[int, dict[int, asyncio.Transport]] = {}  # noqa: RUF012

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.buffer = bytearray()
        self.seen: Seen | None = None
        self.busy = False
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections += 1
        self.server.open_connections += 1
        self.number = self.server.connections
        self.open_by_server.setdefault(id(self.server), {})[id(self)] = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open_by_server.get(id(self.server), {}).pop(id(self), None)
        self.server.open_connections -= 1
        if self.task is not None:
            self.task.cancel()
        if self.busy:
            if self.seen is not None:
                self.seen.closed = True
            self.finished()
        self.server.changed()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.next_request()

    def next_request(self) -> None:
        """Start on the next request if it is whole and none is being answered."""
        if self.buffer.startswith(b"\x16"):  # a TLS handshake on a plain port: what most servers say to it
            self.transport.write(head(400, {"connection": "close"}))
            self.transport.close()
            return
        end = self.buffer.find(b"\r\n\r\n")
        if self.busy or end < 0:
            return
        lines = self.buffer[:end].decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        if len(self.buffer) < end + 4 + length:
            return
        raw = bytes(self.buffer[end + 4 : end + 4 + length])
        del self.buffer[: end + 4 + length]
        body = json.loads(raw) if raw else None
        server = self.server
        self.busy = True
        server.count += 1
        server.active += 1
        server.most_active = max(server.most_active, server.active)
        if server.log:
            self.seen = Seen(method, path, headers, body, time.monotonic(), connection=self.number)
            server.requests.append(self.seen)
            server.changed()
        self.answer(path.partition("?")[0], body)

    def answer(self, path: str, body: Any) -> None:
        loop = self.server._loop
        if path == "/v1/models":
            listed = [{"id": name, "object": "model", "type": "model"} for name in self.server.models]
            self.send_json(200, {"object": "list", "data": listed}, {})
            return
        protocol = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic"}.get(path)
        if protocol is None:
            self.send_json(404, {"error": {"message": f"no such path: {path}", "type": "not_found_error"}}, {})
            return
        reply = self.server.reply_to(path, body)
        latency = self.server.latency if reply.latency is None else reply.latency
        if reply.mode or reply.together or (body.get("stream") and reply.body is None):
            self.task = loop.create_task(self.perform(protocol, reply, body, latency))
        elif latency:
            loop.call_later(latency, self.reply_plainly, protocol, reply, body)
        else:
            self.reply_plainly(protocol, reply, body)

    def reply_plainly(self, protocol: str, reply: Reply, body: Any) -> None:
        if self.transport.is_closing():
            return
        headers = {**GOOD_LIMITS[protocol], **self.ids(protocol), **reply.headers}
        self.send_json(reply.status, whole(protocol, reply, body), headers)

    def ids(self, protocol: str) -> dict[str, str]:
        name = "x-request-id" if protocol == "openai" else "request-id"
        return {name: f"req_{self.server.count}"}

    async def perform(self, protocol: str, reply: Reply, body: Any, latency: float) -> None:
        """Replies that take their time, stream, or go wrong."""
        if latency:
            await asyncio.sleep(latency)
        while self.server.most_active < reply.together:  # noqa: ASYNC110 - a rare mode, not worth an event
            await asyncio.sleep(0.005)
        mode = reply.mode
        if mode == "hang":
            await asyncio.Event().wait()
        elif mode in ("rst", "close"):
            self.hang_up(reset=mode == "rst")
        elif mode == "garbage":
            self.transport.write(b"\x00\xff\x13SPDY 9\r\n\r\n\x80\x80")
            self.hang_up(reset=False)
        elif mode == "html":
            self.send(200, b"<!doctype html><title>Welcome</title><p>Please log in", {"content-type": "text/html"})
        elif reply.status == 200 and body.get("stream") and mode not in UNSTREAMED:
            await self.stream(protocol, reply, body)
        else:
            await self.misbehave(protocol, reply, body)

    async def misbehave(self, protocol: str, reply: Reply, body: Any) -> None:
        """A reply that is not streamed and not sent as it should be."""
        if reply.mode == "huge":
            reply = replace(reply, text="x" * reply.size)
        content = whole(protocol, reply, body)
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"content-type": "application/json", **self.ids(protocol), **reply.headers}
        if reply.mode in ("rst_body", "short"):
            self.transport.write(head(reply.status, {**headers, "content-length": str(len(raw) + 100)}) + raw[:-5])
            await asyncio.sleep(0.02)
            self.hang_up(reset=reply.mode == "rst_body")
        elif reply.mode == "drip":
            self.transport.write(head(reply.status, {**headers, "content-length": str(len(raw))}))
            for byte in raw:
                self.transport.write(bytes([byte]))
                await asyncio.sleep(reply.pause or 0.1)
            self.finished()
        elif reply.mode == "flood":
            self.transport.write(head(reply.status, {**headers, "transfer-encoding": "chunked"}))
            while not self.transport.is_closing():
                self.chunk(b"x" * 65536)
                await asyncio.sleep(0.001 if self.transport.get_write_buffer_size() > 1 << 20 else 0)
        elif reply.mode == "bomb":
            self.send(reply.status, gzip.compress(b"x" * reply.size), {**headers, "content-encoding": "gzip"})
        elif reply.mode in ("gzip", "bad_gzip"):
            packed = gzip.compress(raw) if reply.mode == "gzip" else b"\x1f\x8b\x08\x00" + raw
            self.send(reply.status, packed, {**headers, "content-encoding": "gzip"})
        else:
            self.send(reply.status, raw, headers)

    async def stream(self, protocol: str, reply: Reply, body: Any) -> None:
        headers = {**GOOD_LIMITS[protocol], **self.ids(protocol), **reply.headers}
        headers = {"content-type": "text/event-stream", **headers, "transfer-encoding": "chunked"}
        self.transport.write(head(200, headers))
        for number, event in enumerate(events(protocol, reply, body)):
            if self.transport.is_closing():  # or a stream without end would hold this thread for good
                return None
            half = number == 2
            if half and reply.mode == "drop":
                await asyncio.sleep(0.02)
                return self.hang_up(reset=True)
            if half and reply.mode == "stall":
                await asyncio.Event().wait()
            if reply.mode == "drip":
                for byte in event:
                    self.chunk(bytes([byte]))
                    await asyncio.sleep(reply.pause or 0.1)
                continue
            self.chunk(event)
            if reply.pause:
                await asyncio.sleep(reply.pause)
            elif self.transport.get_write_buffer_size() > 1 << 20:
                await asyncio.sleep(0.001)
        self.transport.write(b"0\r\n\r\n")
        if reply.mode == "leave":
            return self.hang_up(reset=False)
        self.finished()
        return None

    def chunk(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def send_json(self, status: int, content: Any, headers: dict[str, str]) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send(status, raw, {"content-type": "application/json", **headers})

    def send(self, status: int, raw: bytes, headers: dict[str, str]) -> None:
        self.transport.write(head(status, {**headers, "content-length": str(len(raw))}) + raw)
        self.finished()

    def hang_up(self, *, reset: bool) -> None:
        self.finished()
        if reset:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()

    def finished(self) -> None:
        """The reply is out, or nobody waits for it any more."""
        if self.busy:
            self.busy = False
            self.server.active -= 1
            if self.seen is not None:
                self.seen.ended = time.monotonic()
                self.server.changed()
            self.server._loop.call_soon(self.next_request)


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {_REASONS.get(status, 'Whatever')}\r\n{lines}\r\n".encode("latin-1")


def prompt_of(body: dict[str, Any]) -> str:
    """The text of the last message."""
    messages = body.get("messages") or [{}]
    content = messages[-1].get("content", "")
    if isinstance(content, list):
        content = " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    return str(content)


def schema_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """The schema that the answer must fit, in either protocol."""
    wanted = body.get("response_format") or (body.get("output_config") or {}).get("format") or {}
    found = wanted.get("json_schema", wanted).get("schema") if wanted.get("type") == "json_schema" else None
    return found if isinstance(found, dict) else None


def answer_to(reply: Reply, body: dict[str, Any]) -> str:
    """The text of an answer: what the reply says, JSON for a schema, else the prompt itself, told back."""
    if reply.text is not None:
        return reply.text
    prompt = _DIRECTIVE.sub("", prompt_of(body)).strip()
    schema = schema_of(body)
    if schema is not None:
        return json.dumps(instance_of(schema, prompt, schema), ensure_ascii=False)
    return f"You said: {prompt[:200]}"


def instance_of(schema: dict[str, Any], seed: str, root: dict[str, Any]) -> Any:
    """A value that fits `schema`, the same for the same `seed`. Knows what llmflow's schemas are made of."""
    pick = int(hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:8], 16)
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return instance_of(target, seed, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][pick % len(schema["enum"])]
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return instance_of(schema[word][0], seed, root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: instance_of(part, f"{seed}/{name}", root) for name, part in parts.items()}
    if kind == "array":
        count = max(schema.get("minItems", 0), min(2, schema.get("maxItems", 2)))
        items = schema.get("items", {"type": "string"})
        return [instance_of(items, f"{seed}/{number}", root) for number in range(count)]
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
        return min(low + pick % 5, schema.get("maximum", low + 5))
    if kind == "boolean":
        return pick % 2 == 0
    if kind == "null":
        return None
    return f"word{pick % 1000}".ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 1 << 20)]


def counted(reply: Reply, body: dict[str, Any], protocol: str) -> Any:
    """The usage of a reply: words of the prompt and of the answer, unless the reply says otherwise."""
    if reply.usage != "counted":
        return reply.usage
    said, answered = max(1, len(prompt_of(body).split())), max(1, len(answer_to(reply, body).split()))
    if protocol == "openai":
        return {"prompt_tokens": said, "completion_tokens": answered, "total_tokens": said + answered}
    return {"input_tokens": said, "output_tokens": answered}


def whole(protocol: str, reply: Reply, body: dict[str, Any]) -> Any:
    """The body of a reply that is not streamed: JSON-able, or bytes."""
    if reply.body is not None:
        return reply.body.encode() if isinstance(reply.body, str) else reply.body
    if reply.status >= 300:
        return {"type": "error", "error": {"type": "some_error", "message": f"status {reply.status} as asked"}}
    text, model = answer_to(reply, body), body.get("model", "")
    if protocol == "openai":
        message = {"role": "assistant", "content": text}
        finish = _OPENAI_FINISH.get(reply.finish, reply.finish)
        made = {
            "id": "chatcmpl-fake",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        }
    else:
        made = {
            "id": "msg_fake",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": _ANTHROPIC_FINISH.get(reply.finish, reply.finish),
            "stop_sequence": None,
        }
    made = {**made, "usage": counted(reply, body, protocol), **reply.patch}
    return {name: value for name, value in made.items() if value is not None or name == "stop_sequence"}


def pieces(text: str, count: int) -> list[str]:
    """`text` in at most `count` pieces."""
    size = max(1, -(-len(text) // max(1, count)))
    return [text[start : start + size] for start in range(0, len(text), size)]


def events(protocol: str, reply: Reply, body: dict[str, Any]) -> Iterator[bytes]:
    """The events of a stream, as bytes."""
    if reply.mode == "huge":
        reply = replace(reply, text="x" * reply.size, chunks=max(1, reply.size // 65536))
    parts = pieces(answer_to(reply, body), reply.chunks)
    told = openai_events if protocol == "openai" else anthropic_events
    yield from told(reply, body, parts)


def openai_events(reply: Reply, body: dict[str, Any], parts: list[str]) -> Iterator[bytes]:
    base = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 0, "model": body.get("model", "")}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + json.dumps({**base, "choices": [choice]}).encode() + b"\n\n"

    yield chunk({"role": "assistant", "content": ""})
    for number, part in enumerate(parts):
        yield chunk({"content": part})
        if number == 1 and reply.mode == "error_event":
            yield b'data: {"error": {"message": "overloaded", "type": "overloaded_error", "code": null}}\n\n'
            return
        if number == 1 and reply.mode == "junk_event":
            yield b"data: {nonsense\n\n"
    while reply.mode == "endless":
        yield chunk({"content": reply.text or "and so on "})
    if reply.mode == "eof":
        return
    yield chunk({}, _OPENAI_FINISH.get(reply.finish, reply.finish))
    usage = counted(reply, body, "openai")
    if usage is not None and (body.get("stream_options") or {}).get("include_usage"):
        yield b"data: " + json.dumps({**base, "choices": [], "usage": usage}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def anthropic_events(reply: Reply, body: dict[str, Any], parts: list[str]) -> Iterator[bytes]:
    def event(name: str, **data: Any) -> bytes:
        return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()

    usage = counted(reply, body, "anthropic")
    message = {"id": "msg_fake", "type": "message", "role": "assistant", "model": body.get("model"), "content": []}
    first = {**usage, "output_tokens": 1} if isinstance(usage, dict) else None
    yield event("message_start", message={**message, "stop_reason": None, "usage": first})
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("ping")
    for number, part in enumerate(parts):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": part})
        if number == 1 and reply.mode == "error_event":
            yield event("error", error={"type": "overloaded_error", "message": "Overloaded"})
            return
        if number == 1 and reply.mode == "junk_event":
            yield b"event: content_block_delta\ndata: {nonsense\n\n"
    while reply.mode == "endless":
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": reply.text or "and so on "})
    if reply.mode == "eof":
        return
    yield event("content_block_stop", index=0)
    reason = _ANTHROPIC_FINISH.get(reply.finish, reply.finish)
    last = {"output_tokens": usage["output_tokens"]} if isinstance(usage, dict) else None
    yield event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=last)
    yield event("message_stop")


def main() -> None:
    parser = argparse.ArgumentParser(description="A model server for tests, on 127.0.0.1; ends with its stdin.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each reply")
    parser.add_argument("--reply", default="{}", help=f"JSON of the default reply: {[f.name for f in fields(Reply)]}")
    chosen = parser.parse_args()
    server = FakeServer(port=chosen.port, latency=chosen.latency, log=False)
    server.default = Reply(**json.loads(chosen.reply))
    with server:
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
