"""The fake server is what the other tests lean on, so it is tested itself: with sockets and no SDK."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fake_server import FakeServer, Reply

from llmflow.providers.sse import EventDecoder

PROMPT = {"model": "fake-large", "messages": [{"role": "user", "content": "hello there"}]}


@pytest.fixture(scope="module")
def server():
    with FakeServer() as running:
        yield running


def post(url: str, body: dict[str, Any]) -> bytes:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return bytes(reply.read())


def test_both_protocols_answer_with_the_prompt_and_its_tokens(server):
    chat = json.loads(post(f"{server.url}/v1/chat/completions", PROMPT))
    assert chat["choices"][0]["message"] == {"role": "assistant", "content": "You said: hello there"}
    assert chat["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}
    message = json.loads(post(f"{server.url}/v1/messages", {**PROMPT, "max_tokens": 5}))
    assert (message["content"], message["stop_reason"]) == (
        [{"type": "text", "text": "You said: hello there"}],
        "end_turn",
    )
    assert message["usage"] == {"input_tokens": 2, "output_tokens": 4}


def test_both_protocols_stream_events(server):
    events = EventDecoder().feed(post(f"{server.url}/v1/chat/completions", {**PROMPT, "stream": True}))
    assert events[-1].data == "[DONE]"
    assert "".join(json.loads(e.data)["choices"][0]["delta"].get("content", "") for e in events[:-1]) == (
        "You said: hello there"
    )
    events = EventDecoder().feed(post(f"{server.url}/v1/messages", {**PROMPT, "stream": True}))
    assert [event.name for event in events] == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 4,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_replies_are_scripted_by_the_test_or_by_the_prompt(server):
    def status(content: str) -> int:
        try:
            post(f"{server.url}/v1/messages", {"messages": [{"role": "user", "content": content}]})
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        return 200

    server.script(Reply(status=503), Reply(status=429))
    assert [status("x"), status("x"), status("x")] == [503, 429, 200]
    prompt = 'Please [[{"status": 500, "times": 2}]] answer'
    assert [status(prompt) for _ in range(4)] == [500, 500, 200, 200]


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": ["a", "b"]},
        {"type": "integer", "minimum": 7, "maximum": 8},
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 3, "maxItems": 3},
        {"type": ["string", "null"], "minLength": 20},
        {"anyOf": [{"const": 5}, {"type": "null"}]},
        {"$ref": "#/$defs/t", "$defs": {"t": {"type": "boolean"}}},
        {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "null"}}}}},
    ],
)
def test_an_answer_fits_the_schema_of_the_request(server, schema):
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    chat = json.loads(post(f"{server.url}/v1/chat/completions", {**PROMPT, "response_format": wanted}))
    checker = jsonschema.Draft202012Validator(schema)
    assert checker.is_valid(json.loads(chat["choices"][0]["message"]["content"])), chat
    wanted = {"format": {"type": "json_schema", "schema": schema}}
    message = json.loads(post(f"{server.url}/v1/messages", {**PROMPT, "output_config": wanted}))
    assert checker.is_valid(json.loads(message["content"][0]["text"])), message


def test_requests_are_kept_as_they_came(server):
    server.requests.clear()
    post(f"{server.url}/v1/messages", PROMPT)
    assert server.wait_for(lambda s: s.requests[0].ended is not None)
    (seen,) = server.requests
    assert (seen.method, seen.path, seen.body, seen.closed) == ("POST", "/v1/messages", PROMPT, False)
    assert seen.started <= (seen.ended or 0)


def test_it_runs_as_a_program_until_its_stdin_ends():
    program = [sys.executable, str(Path(__file__).with_name("fake_server.py")), "--reply", '{"text": "from afar"}']
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        url = child.stdout.readline().strip()
        assert json.loads(post(f"{url}/v1/messages", PROMPT))["content"][0]["text"] == "from afar"
        child.stdin.close()
        assert child.wait(10) == 0
