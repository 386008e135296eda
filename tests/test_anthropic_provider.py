"""What the anthropic provider says in its protocol, and what it makes of the answers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from asking import ask, config_for, failure_of, request_for
from fake_server import FakeServer, Reply

from llmflow.errors import CallFailed, FailureKind
from llmflow.protocol import Image, Message, Request, Response, Usage
from llmflow.providers.anthropic import body_of
from llmflow.providers.registry import ProviderConfig

K = FailureKind
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


@pytest.fixture(scope="module")
def server():
    with FakeServer() as running:
        yield running


def asked(server: FakeServer, request: Request) -> tuple[Response, dict[str, Any]]:
    """The answer, and the body of the request that the server saw."""
    server.requests.clear()
    return ask(config_for(server, "anthropic"), request), server.requests[0].body


def test_a_call_sends_what_was_asked_and_gives_what_was_answered(server):
    messages = (Message("system", "Be kind."), Message("user", "hi"), Message("assistant", "yes?"))
    request = Request(
        "fake-large",
        (*messages, Message("user", "hello there 🙂")),
        system="Be brief.",
        params={"max_output_tokens": 30, "stop": ".", "metadata": {"user_id": "u"}},
    )
    response, body = asked(server, request)
    assert body == {
        "model": "fake-large",
        "max_tokens": 30,
        "system": "Be brief.\n\nBe kind.",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes?"},
            {"role": "user", "content": "hello there 🙂"},
        ],
        "stop_sequences": ["."],
        "metadata": {"user_id": "u"},
    }
    assert server.requests[0].headers["anthropic-version"]
    assert response == Response(
        text="You said: hello there 🙂",
        usage=Usage(input_tokens=3, output_tokens=5),
        finish_reason="stop",
        model="fake-large",
        request_id=f"req_{server.count}",
        limits={"anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49"},
    )


def test_a_streamed_call_reports_its_tokens_and_gives_the_same_answer(server):
    told: list[int] = []
    server.script(Reply(chunks=5))
    server.requests.clear()
    response = ask(config_for(server, "anthropic"), request_for("one two three", stream=True), progress=told.append)
    assert server.requests[0].body["stream"] is True
    assert (response.text, response.usage, told) == ("You said: one two three", Usage(3, 5), [1, 2, 3, 4, 5])
    assert response.first_token is not None


def test_the_limit_on_tokens_is_4096_unless_written():
    assert body_of(request_for())["max_tokens"] == 4096
    assert "system" not in body_of(request_for())


def test_a_long_limit_needs_no_stream(server):
    """The SDK's own create() refuses more than 21,333 without one."""
    _, body = asked(server, request_for(params={"max_output_tokens": 64_000}))
    assert body["max_tokens"] == 64_000


def test_a_schema_is_sent_beside_the_authors_output_config(server):
    response, body = asked(server, request_for(schema=SCHEMA, params={"output_config": {"effort": "low"}}))
    assert body["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}
    assert isinstance(json.loads(response.text)["n"], int)


def test_images_go_before_the_text_of_their_message(server):
    image = Image(b"\xff\xd8jpeg", "image/jpeg")
    _, body = asked(server, Request("fake-large", (Message("user", "What is it?", (image,)),)))
    source = {"type": "base64", "media_type": "image/jpeg", "data": base64.b64encode(image.data).decode()}
    assert body["messages"][0]["content"] == [
        {"type": "image", "source": source},
        {"type": "text", "text": "What is it?"},
    ]


def test_a_base_url_may_end_in_the_version_or_not(server):
    for url in (server.url, f"{server.url}/", f"{server.url}/v1", f"{server.url}/v1/"):
        server.requests.clear()
        ask(ProviderConfig("mine", "anthropic", base_url=url), request_for())
        assert [seen.path for seen in server.requests] == ["/v1/messages"]


def test_cached_input_counts_as_input(server):
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 30,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
    }
    expected = Usage(100, 50, cached_input_tokens=60, cache_write_tokens=30, reasoning_tokens=40)
    for stream in (False, True):
        server.script(Reply(usage=usage))
        assert ask(config_for(server, "anthropic"), request_for(stream=stream)).usage == expected


def message(*blocks: Any, stop: Any = "end_turn") -> dict[str, Any]:
    return {"type": "message", "content": list(blocks), "stop_reason": stop}


TEXT = {"type": "text", "text": "fine"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, K.BAD_RESPONSE),
        ({"content": None, "stop_reason": "end_turn"}, K.BAD_RESPONSE),
        ({"content": "fine", "stop_reason": "end_turn"}, K.BAD_RESPONSE),
        (message(None), K.BAD_RESPONSE),
        (message({"type": "text", "text": None}), K.BAD_RESPONSE),
        (message(TEXT, stop=None), K.BAD_RESPONSE),
        (message(), K.EMPTY),
        (message({"type": "tool_use", "id": "t", "input": {}}, stop="tool_use"), K.EMPTY),
        (message({"type": "thinking", "thinking": "hm"}), K.EMPTY),
        (message(stop="refusal"), K.REFUSAL),
        (message(TEXT, stop="model_context_window_exceeded"), K.CONTEXT_OVERFLOW),
    ],
)
def test_an_answer_that_is_none_is_a_failure(server, body, kind):
    server.script(Reply(body=body))
    assert failure_of(config_for(server, "anthropic"), request_for()).kind is kind


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("pause_turn", "length"),
        ("tool_use", "other"),
        ("a_new_reason", "other"),
    ],
)
def test_stop_reasons_become_our_words(server, stop, finish):
    server.script(
        Reply(body=message({"type": "thinking", "thinking": "hm"}, TEXT, {"type": "text", "text": "!"}, stop=stop))
    )
    response = ask(config_for(server, "anthropic"), request_for())
    assert (response.text, response.finish_reason, response.usage.estimated) == ("fine!", finish, True)


def event(name: str, **data: Any) -> str:
    return f"event: {name}\r\ndata: {json.dumps({'type': name, **data})}\r\n\r\n"


START = event("message_start", message={"id": "m", "model": "fake", "usage": {"input_tokens": 4, "output_tokens": 1}})
STOP = event("message_stop")


def delta(**delta: Any) -> str:
    return event("content_block_delta", index=0, delta=delta)


def ended(reason: Any, tokens: int = 9) -> str:
    return event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": tokens})


def streamed(server: FakeServer, *events: str) -> Response | FailureKind:
    server.script(Reply(headers={"content-type": "text/event-stream; charset=utf-8"}, body="".join(events)))
    try:
        return ask(config_for(server, "anthropic"), request_for(stream=True))
    except CallFailed as failure:
        return failure.kind


def test_a_stream_of_many_shapes_is_understood(server):
    thought = delta(type="thinking_delta", thinking="hm") + delta(type="signature_delta", signature="s")
    text = delta(type="text_delta", text="fi") + event("ping") + delta(type="text_delta", text="ne")
    answer = streamed(server, START, thought, text, event("brand_new"), ended("end_turn"), STOP)
    assert isinstance(answer, Response)
    assert (answer.text, answer.finish_reason, answer.usage) == ("fine", "stop", Usage(4, 9))
    answer = streamed(server, START, text, ended("max_tokens"))
    assert isinstance(answer, Response)
    assert answer.finish_reason == "length"
    assert streamed(server, START, text, ended("refusal"), STOP) is K.REFUSAL
    assert streamed(server, START, text, ended("model_context_window_exceeded"), STOP) is K.CONTEXT_OVERFLOW
    assert streamed(server, START, text) is K.NETWORK
    assert streamed(server, START, text, ended(None), STOP) is K.NETWORK
    assert streamed(server, START, ended("end_turn"), STOP) is K.EMPTY
    assert streamed(server, START, delta(type="text_delta", text=5)) is K.BAD_RESPONSE
    assert streamed(server, event("message_start")) is K.BAD_RESPONSE
    assert streamed(server, event("error", error={"type": "rate_limit_error", "message": "m"})) is K.RATE_LIMIT
    assert streamed(server, event("error", error={"type": "api_error", "message": "m"})) is K.SERVER
    assert streamed(server, event("error", error={"type": "authentication_error", "message": "m"})) is K.AUTH


def test_thinking_is_progress_but_not_the_answer(server):
    told: list[int] = []
    thought = delta(type="thinking_delta", thinking="hm") * 3
    body = START + thought + delta(type="text_delta", text="x") + ended("end_turn") + STOP
    server.script(Reply(headers={"content-type": "text/event-stream"}, body=body))
    response = ask(config_for(server, "anthropic"), request_for(stream=True), progress=told.append)
    assert (response.text, told) == ("x", [1, 2, 3, 4])
