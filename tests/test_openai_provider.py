"""What the openai provider says in its protocol, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from asking import ask, config_for, failure_of, request_for
from fake_server import FakeServer, Reply
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmflow.errors import CallFailed, FailureKind
from llmflow.protocol import Image, Message, Request, Response, Usage
from llmflow.providers.endpoints import Endpoint
from llmflow.providers.openai import body_of, is_strict, schema_name
from llmflow.providers.registry import ProviderConfig, create

K = FailureKind
OWN = Endpoint("http://gpu:8000/v1")
VENDOR = Endpoint("https://api.openai.com/v1", "k", "OPENAI_API_KEY", vendor=True)
SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["bug", "billing"]}, "urgency": {"type": "integer"}},
    "required": ["label", "urgency"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def server():
    with FakeServer() as running:
        yield running


def asked(server: FakeServer, request: Request) -> tuple[Response, dict[str, Any]]:
    """The answer, and the body of the request that the server saw."""
    server.requests.clear()
    return ask(config_for(server, "openai"), request), server.requests[0].body


def test_a_call_sends_what_was_asked_and_gives_what_was_answered(server):
    messages = (Message("user", "hi"), Message("assistant", "yes?"), Message("user", "hello\u0000 🙂"))
    request = Request(
        "fake-large",
        messages,
        system="Be brief.",
        params={"temperature": 0.5, "max_output_tokens": 30, "stop": ["."], "seed": 7, "logit_bias": {"5": 1}},
        label="greet",
    )
    response, body = asked(server, request)
    assert body == {
        "model": "fake-large",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes?"},
            {"role": "user", "content": "hello\u0000 🙂"},
        ],
        "temperature": 0.5,
        "max_tokens": 30,
        "stop": ["."],
        "seed": 7,
        "logit_bias": {"5": 1},
    }
    assert response == Response(
        text="You said: hello\u0000 🙂",
        usage=Usage(input_tokens=2, output_tokens=4),
        finish_reason="stop",
        model="fake-large",
        request_id=f"req_{server.count}",
        limits={"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499"},
    )


def test_a_streamed_call_reports_its_tokens_and_gives_the_same_answer(server):
    told: list[int] = []
    server.script(Reply(chunks=5))
    server.requests.clear()
    response = ask(config_for(server, "openai"), request_for("one two three", stream=True), progress=told.append)
    body = server.requests[0].body
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert (response.text, response.usage) == ("You said: one two three", Usage(3, 5))
    assert told == [1, 2, 3, 4, 5]
    assert response.first_token is not None
    assert response.limits["x-ratelimit-limit-requests"] == "500"


def test_only_the_vendor_gets_the_new_name_of_the_token_limit():
    request = request_for(params={"max_output_tokens": 9})
    assert body_of(request, VENDOR)["max_completion_tokens"] == 9
    assert "max_tokens" not in body_of(request, VENDOR)
    assert body_of(request, OWN)["max_tokens"] == 9
    assert "max_completion_tokens" not in body_of(request, OWN)


def test_parameters_cannot_replace_what_the_task_says():
    body = body_of(request_for(params={"model": "x", "messages": [], "n": 2}), OWN)
    assert (body["model"], len(body["messages"]), body["n"]) == ("fake-large", 1, 2)


def test_a_schema_is_sent_and_answered(server):
    response, body = asked(server, request_for(schema=SCHEMA, label="triage[17/ä]"))
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "triage_17", "schema": SCHEMA, "strict": True},
    }
    assert set(json.loads(response.text)) == {"label", "urgency"}


def test_a_schema_name_has_only_what_the_protocol_allows():
    assert [schema_name(label) for label in ("a", "a[b c]", "", "[ü]", "x" * 99)] == [
        "a",
        "a_b_c",
        "answer",
        "answer",
        "x" * 64,
    ]


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (SCHEMA, True),
        ({**SCHEMA, "required": ["label"]}, False),
        ({**SCHEMA, "additionalProperties": True}, False),
        ({"type": "array", "items": {"type": "object", "properties": {}}}, False),
        ({"type": "array", "items": SCHEMA}, True),
        ({"enum": ["a"]}, True),
    ],
)
def test_strict_is_asked_for_only_where_the_schema_allows_it(schema, strict):
    assert is_strict(schema) is strict


def test_images_go_with_their_message(server):
    image = Image(b"\x89PNG\x00", "image/png")
    _, body = asked(server, Request("fake-large", (Message("user", "What is it?", (image,)),)))
    url = f"data:image/png;base64,{base64.b64encode(image.data).decode()}"
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]


def test_a_parameter_that_json_has_no_word_for_fails_before_anything_is_sent(server):
    server.requests.clear()
    failure = failure_of(config_for(server, "openai"), request_for(params={"temperature": float("nan")}))
    assert (failure.kind, failure.billed, server.requests) == (K.INVALID_REQUEST, False, [])


def test_usage_keeps_its_details(server):
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }
    for stream in (False, True):
        server.script(Reply(usage=usage))
        response = ask(config_for(server, "openai"), request_for(stream=stream))
        assert response.usage == Usage(100, 50, cached_input_tokens=60, cache_write_tokens=5, reasoning_tokens=40)


def chat(**message: Any) -> dict[str, Any]:
    finish = message.pop("finish_reason", "stop")
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"choices": []}, K.BAD_RESPONSE),
        ({"choices": None}, K.BAD_RESPONSE),
        ({}, K.BAD_RESPONSE),
        ({"choices": [None]}, K.BAD_RESPONSE),
        ({"choices": {"0": {}}}, K.BAD_RESPONSE),
        ({"choices": [{"index": 0, "message": None, "finish_reason": "stop"}]}, K.BAD_RESPONSE),
        (chat(content="half", finish_reason=None), K.BAD_RESPONSE),
        (chat(content=7), K.BAD_RESPONSE),
        (chat(content=None), K.EMPTY),
        (chat(content=None, tool_calls=[{"id": "c"}], finish_reason="tool_calls"), K.EMPTY),
        (chat(content=None, refusal="I can't."), K.REFUSAL),
        (chat(content="part", finish_reason="content_filter"), K.REFUSAL),
    ],
)
def test_an_answer_that_is_none_is_a_failure(server, body, kind):
    server.script(Reply(body=body))
    assert failure_of(config_for(server, "openai"), request_for()).kind is kind


def test_text_in_parts_and_unknown_finish_reasons_are_answers(server):
    parts = [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "…"}, {"type": "text", "text": "b"}]
    server.script(Reply(body=chat(content=parts, finish_reason="eos")))
    response = ask(config_for(server, "openai"), request_for())
    assert (response.text, response.finish_reason, response.usage.estimated) == ("ab", "other", True)


def stream_of(*chunks: Any, done: bool = True) -> Reply:
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + ("data: [DONE]\n\n" if done else "")
    return Reply(headers={"content-type": "text/event-stream"}, body=events)


def delta(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def outcome(server: FakeServer, request: Request) -> Response | FailureKind:
    try:
        return ask(config_for(server, "openai"), request)
    except CallFailed as failure:
        return failure.kind


def streamed(server: FakeServer, reply: Reply) -> Response | FailureKind:
    server.script(reply)
    return outcome(server, request_for(stream=True))


def test_a_stream_of_many_shapes_is_understood(server):
    answer = streamed(server, stream_of(delta(content="a"), delta(content="b"), delta("stop"), done=False))
    assert isinstance(answer, Response)
    assert (answer.text, answer.finish_reason) == ("ab", "stop")
    last = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    answer = streamed(server, stream_of(delta(reasoning_content="hm"), delta("length", content="a"), last))
    assert isinstance(answer, Response)
    assert (answer.text, answer.finish_reason, answer.usage) == ("a", "length", Usage(1, 2))
    assert streamed(server, stream_of(delta(refusal="no"), delta("stop"))) is K.REFUSAL
    assert streamed(server, stream_of(delta(content="a"))) is K.NETWORK
    assert streamed(server, stream_of([1])) is K.BAD_RESPONSE
    assert streamed(server, stream_of({"choices": [{"index": 0}]})) is K.BAD_RESPONSE
    assert streamed(server, stream_of({"error": {"message": "x", "code": 429}})) is K.RATE_LIMIT
    assert streamed(server, stream_of({"error": {"message": "x", "code": "insufficient_quota"}})) is K.QUOTA
    assert streamed(server, stream_of({"error": "broken"})) is K.SERVER
    assert streamed(server, Reply(headers={"content-type": "text/event-stream"}, body=": nothing\n\n")) is K.NETWORK


def test_a_server_that_does_not_stream_is_answered_all_the_same(server):
    server.script(Reply(mode="gzip", text="all at once"))
    assert ask(config_for(server, "openai"), request_for(stream=True)).text == "all at once"


def test_a_missing_model_is_looked_for_among_those_that_are_there(server):
    def told(model: str) -> str:
        body = {"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}}
        server.script(Reply(status=404, body=body))
        failure = failure_of(config_for(server, "openai"), request_for(model=model))
        assert (failure.kind, failure.retryable) == (K.NOT_FOUND, False)
        return failure.detail.partition("; ")[2]

    assert told("fake-lrge") == "did you mean my_openai/fake-large?"
    assert told("gpt-9") == "it has: fake-large, fake-small"


def test_a_wrong_path_is_told_from_a_wrong_model(server):
    config = ProviderConfig("gpu", "openai", base_url=f"{server.url}/api")
    failure = failure_of(config, request_for())
    assert failure.kind is K.NOT_FOUND
    assert failure.detail.endswith(
        f"{server.url}/api lists no models: is the path of the base_url right (most end in /v1)?"
    )


def test_the_models_are_asked_for_once(server):
    server.requests.clear()
    server.script(*[Reply(status=404)] * 3)

    async def three() -> list[BaseException | Response]:
        provider = create(config_for(server, "openai"), {})
        failures = [await asyncio.gather(provider.complete(request_for()), return_exceptions=True) for _ in range(3)]
        await provider.aclose()
        return [failure for (failure,) in failures]

    assert [type(failure) for failure in asyncio.run(three())] == [CallFailed] * 3
    assert [seen.path for seen in server.requests].count("/v1/models") == 1


def test_each_endpoint_gets_the_calls_meant_for_it(server):
    with FakeServer() as other:
        config = ProviderConfig("gpu", "openai", endpoints=(server.openai_url, other.openai_url))
        server.requests.clear()
        for endpoint in (0, 1, 1):
            ask(config, request_for(endpoint=endpoint))
        assert (len(server.requests), len(other.requests)) == (1, 2)


GOOD = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "fake-large",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "fine", "refusal": None}, "finish_reason": "stop"}
    ],
    "usage": {
        "prompt_tokens": 3,
        "completion_tokens": 1,
        "total_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 0},
    },
}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of every value inside `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(places(GOOD)[1:]), junk=JUNK, drop=st.booleans())
def test_a_good_body_with_one_thing_wrong_is_an_answer_or_a_classified_failure(server, place, junk, drop):
    body = json.loads(json.dumps(GOOD))
    holder = body
    for key in place[:-1]:
        holder = holder[key]
    if drop:
        del holder[place[-1]]
    else:
        holder[place[-1]] = junk
    server.script(Reply(body=json.dumps(body)))
    answer = outcome(server, request_for())
    if isinstance(answer, Response):
        assert answer.text
        assert answer.usage == Usage(3, 1) or answer.usage.estimated or "usage" in place
    else:
        assert answer in (K.BAD_RESPONSE, K.EMPTY, K.REFUSAL, K.SERVER)
