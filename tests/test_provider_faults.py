"""What goes wrong between a provider and a server, over real sockets, the same in both protocols."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from asking import PATHS, PROTOCOLS, ask, config_for, failure_of, request_for
from fake_server import MODES, FakeServer, Reply

from llmflow.errors import CallFailed, FailureKind
from llmflow.providers.registry import ProviderConfig, create

K = FailureKind
KEY = "sk-secret-canary-123456"


@pytest.fixture(scope="module")
def server():
    with FakeServer() as running:
        yield running


def error_body(protocol: str, *, code: str | None = None, type: str = "some_error", message: str = "no") -> bytes:
    if protocol == "openai":
        return json.dumps({"error": {"message": message, "type": type, "param": None, "code": code}}).encode()
    error = {"type": type, "message": message, "details": {"error_code": code} if code else None}
    return json.dumps({"type": "error", "error": error, "request_id": "req_x"}).encode()


STATUSES = [
    (302, K.INVALID_REQUEST),
    (307, K.INVALID_REQUEST),
    (400, K.INVALID_REQUEST),
    (401, K.AUTH),
    (402, K.QUOTA),
    (403, K.AUTH),
    (404, K.NOT_FOUND),
    (405, K.INVALID_REQUEST),
    (408, K.TIMEOUT),
    (409, K.SERVER),
    (413, K.TOO_LARGE),
    (422, K.INVALID_REQUEST),
    (429, K.RATE_LIMIT),
    (500, K.SERVER),
    (501, K.SERVER),
    (502, K.SERVER),
    (503, K.OVERLOADED),
    (504, K.TIMEOUT),
    (529, K.OVERLOADED),
]
RETRIED = {408, 409, 429, 500, 501, 502, 503, 504, 529}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_every_status_has_its_kind_and_is_sent_once(server, protocol, stream, status, kind):
    server.requests.clear()
    server.script(Reply(status=status, headers={"location": f"{server.url}/elsewhere"}, body=error_body(protocol)))
    failure = failure_of(config_for(server, protocol), request_for(stream=stream))
    assert (failure.kind, failure.retryable, failure.billed) == (kind, status in RETRIED, False)
    calls = [seen for seen in server.requests if seen.path == PATHS[protocol]]
    assert [seen.headers["x-stainless-retry-count"] for seen in calls] == ["0"]
    assert not [seen for seen in server.requests if seen.path == "/elsewhere"]


CODES = [
    (429, "insufficient_quota", K.QUOTA),
    (429, "enforced_spend_limit_reached", K.QUOTA),
    (429, "contract_spend_limit_reached", K.QUOTA),
    (400, "credit_balance_exhausted", K.QUOTA),
    (400, "context_length_exceeded", K.CONTEXT_OVERFLOW),
    (400, "content_policy_violation", K.REFUSAL),
    (403, "model_not_found", K.NOT_FOUND),
    (429, "rate_limit_exceeded", K.RATE_LIMIT),
    (400, "something_new", K.INVALID_REQUEST),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("status", "code", "kind"), CODES)
def test_an_error_code_says_more_than_its_status(server, protocol, status, code, kind):
    server.script(Reply(status=status, body=error_body(protocol, code=code, message="insufficient_quota, 404, retry")))
    failure = failure_of(config_for(server, protocol), request_for())
    assert (failure.kind, failure.retryable) == (kind, kind is K.RATE_LIMIT)
    assert f"({status}, {code}, request req_" in failure.detail


def test_a_type_of_llama_cpp_says_that_the_context_is_full(server):
    body = {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_ctx": 2048}}
    server.script(Reply(status=400, body=json.dumps(body)))
    assert failure_of(config_for(server, "openai"), request_for()).kind is K.CONTEXT_OVERFLOW


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "1000000000"}, 1e9),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "junk", "retry-after": "9"}, 9.0),
    ],
)
def test_what_the_server_asks_us_to_wait_is_passed_on(server, protocol, headers, seconds):
    server.script(Reply(status=429, headers=headers, body=error_body(protocol)))
    assert failure_of(config_for(server, protocol), request_for()).retry_after == seconds


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_forbids_a_retry_is_obeyed(server, protocol):
    server.script(Reply(status=503, headers={"x-should-retry": "false"}, body=error_body(protocol)))
    failure = failure_of(config_for(server, protocol), request_for())
    assert (failure.kind, failure.retryable) == (K.OVERLOADED, False)


BROKEN = {
    "rst": "broke before the reply was whole",
    "close": "broke before the reply was whole",
    "rst_body": "broke before the reply was whole",
    "short": "its body broke off",
    "garbage": "what came is no HTTP",
    "bad_gzip": "cannot be decompressed",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", BROKEN)
def test_a_broken_connection_may_be_tried_again_and_may_have_cost_something(server, protocol, stream, mode):
    server.script(Reply(mode=mode))
    failure = failure_of(config_for(server, protocol), request_for(stream=stream))
    assert (failure.kind, failure.retryable, failure.billed) == (K.NETWORK, True, True)
    assert BROKEN[mode] in failure.detail


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("mode", "kind", "says"),
    [
        ("drop", K.NETWORK, "its body broke off"),
        ("eof", K.NETWORK, "no finish reason was given"),
        ("error_event", K.OVERLOADED, "overloaded_error"),
        ("junk_event", K.BAD_RESPONSE, "not JSON; it begins: {nonsense"),
        ("html", K.BAD_RESPONSE, "not JSON; it begins: <!doctype html><title>Welcome"),
    ],
)
def test_a_stream_that_breaks_is_never_an_answer(server, protocol, mode, kind, says):
    server.script(Reply(mode=mode))
    failure = failure_of(config_for(server, protocol), request_for(stream=True))
    assert (failure.kind, failure.retryable, failure.billed) == (kind, True, True)
    assert says in failure.detail


BODIES = [
    (b"", "it is empty"),
    (b"[]", "no JSON object"),
    (b"null", "no JSON object"),
    (b'{"id": "x", "choices": [{"index": 0, "mess', "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"<html>\x1b]0;owned\x07 sign in\r\n</html>", "it begins: <html> sign in </html>"),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("body", "says"), BODIES)
def test_a_body_that_is_no_answer_is_shown_from_its_beginning(server, protocol, body, says):
    server.script(Reply(body=body))
    failure = failure_of(config_for(server, protocol), request_for())
    assert failure.kind is K.BAD_RESPONSE
    assert says in failure.detail
    assert len(failure.detail) < 400


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_error_that_claims_success_is_a_failure(server, protocol):
    server.script(Reply(body=error_body(protocol, type="overloaded_error", message="busy")))
    assert failure_of(config_for(server, protocol), request_for()).kind is K.OVERLOADED


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_too_large_is_left_unread(server, protocol, stream):
    server.script(Reply(mode="huge", size=40_000_000))
    failure = failure_of(config_for(server, protocol), request_for(stream=stream))
    assert (failure.kind, failure.retryable, failure.billed) == (K.TOO_LARGE, False, True)
    assert failure.detail == "the answer is larger than 8 MiB"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_end_comes_to_one(server, protocol, stream):
    """Memory is bounded because reading is: these would never return otherwise."""
    modes = [Reply(mode="flood"), Reply(mode="bomb", size=100_000_000)]
    modes += [Reply(mode="endless", text="x" * 65536)] if stream else []
    for reply in modes:
        server.script(reply)
        assert failure_of(config_for(server, protocol), request_for(stream=stream)).kind is K.TOO_LARGE
    server.script(Reply(mode="flood", status=500))
    assert failure_of(config_for(server, protocol), request_for(stream=stream)).kind is K.SERVER


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_error_that_is_too_large_is_still_judged_by_its_status(server, protocol):
    server.script(Reply(status=500, body=b"x" * 20_000_000))
    failure = failure_of(config_for(server, protocol), request_for())
    assert failure.kind is K.SERVER
    assert len(failure.detail) < 400


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reply", [Reply(text=" \n"), Reply(text="", chunks=1)])
def test_an_answer_without_text_is_empty(server, protocol, stream, reply):
    server.script(reply)
    failure = failure_of(config_for(server, protocol), request_for(stream=stream))
    assert (failure.kind, failure.retryable, failure.billed) == (K.EMPTY, True, True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_told_apart(server, protocol, stream):
    server.script(Reply(text="I would rather not", finish="refusal"))
    failure = failure_of(config_for(server, protocol), request_for(stream=stream))
    assert (failure.kind, failure.retryable) == (K.REFUSAL, False)
    assert failure.detail == "the model refused: I would rather not"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", ["half an ans", ""])
def test_a_cut_off_answer_says_so(server, protocol, stream, text):
    server.script(Reply(text=text, finish="length"))
    response = ask(config_for(server, protocol), request_for(stream=stream))
    assert (response.finish_reason, response.text) == ("length", text)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "usage",
    [
        None,
        {"prompt_tokens": -1, "completion_tokens": True, "input_tokens": -1, "output_tokens": 10**30},
        {"prompt_tokens": 4.5, "completion_tokens": "7", "input_tokens": 4.5, "output_tokens": "7"},
        {"prompt_tokens": None, "completion_tokens": 1, "input_tokens": None, "output_tokens": 1},
    ],
)
def test_missing_or_senseless_usage_is_estimated_and_marked(server, protocol, stream, usage):
    server.script(Reply(text="x" * 36, usage=usage))
    response = ask(config_for(server, protocol), request_for("y" * 18, stream=stream))
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.estimated) == (5, 10, True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_text_that_no_encoder_takes_arrives_clean(server, protocol):
    text = "a\ud800b\u0000c\u202ed 🙂"
    server.script(Reply(text=text))
    assert ask(config_for(server, protocol), request_for()).text == "a\ufffdb\u0000c\u202ed 🙂"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_compressed_and_dripping_replies_are_read(server, protocol):
    for mode in ("gzip", "drip"):
        for stream in (False, True):
            server.script(Reply(mode=mode, pause=0.0001, text="fine"))
            assert ask(config_for(server, protocol), request_for(stream=stream)).text == "fine"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("mode", "stream"),
    [("hang", False), ("hang", True), ("drip", False), ("drip", True), ("stall", True), ("endless", True)],
)
def test_cancelling_a_call_closes_its_connection(server, protocol, stream, mode):
    server.requests.clear()
    server.script(Reply(mode=mode, pause=5.0))

    async def cancel_when_it_runs() -> None:
        provider = create(config_for(server, protocol), {})
        call = asyncio.create_task(provider.complete(request_for(stream=stream)))
        assert await asyncio.to_thread(server.wait_for, lambda s: s.requests)
        await asyncio.sleep(0.05)  # let some of the reply arrive
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        # Seen by the server while the provider is still open: the call itself has let go.
        assert await asyncio.to_thread(server.wait_for, lambda s: s.requests[0].closed)
        await provider.aclose()

    asyncio.run(cancel_when_it_runs())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_connections_are_kept_and_reused(server, protocol):
    server.requests.clear()

    async def six() -> None:
        provider = create(config_for(server, protocol), {})
        for _ in range(6):
            server.script(Reply(pause=0.02))
            await provider.complete(request_for())
        await provider.aclose()
        await provider.aclose()

    asyncio.run(six())
    assert len({seen.connection for seen in server.requests}) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_behind_a_stream_goes_out_on_a_connection_of_its_own(server, protocol):
    """A server that lets go after each stream unannounced, as llama.cpp does, costs no call."""
    server.requests.clear()
    server.script(*[Reply(mode="leave"), Reply()] * 5)

    async def ten() -> list[str]:
        provider = create(config_for(server, protocol), {})
        replies = [await provider.complete(request_for(f"number {n}", stream=n % 2 == 0)) for n in range(10)]
        await provider.aclose()
        return [reply.text for reply in replies]

    assert asyncio.run(ten()) == [f"You said: number {n}" for n in range(10)]
    assert len(server.requests) == 10


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_many_calls_run_at_once(server, protocol):
    server.most_active = 0

    async def many() -> set[str]:
        provider = create(config_for(server, protocol), {})
        server.script(*[Reply(together=150)] * 150)
        replies = await asyncio.gather(*(provider.complete(request_for(f"number {n}")) for n in range(150)))
        await provider.aclose()
        return {reply.text for reply in replies}

    assert asyncio.run(many()) == {f"You said: number {n}" for n in range(150)}
    assert server.most_active == 150


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refused_connection_may_be_tried_again(protocol):
    config = ProviderConfig("gone", protocol, base_url=f"http://127.0.0.1:{closed_port()}/v1")
    failure = failure_of(config, request_for())
    assert (failure.kind, failure.retryable, failure.billed) == (K.NETWORK, True, False)
    assert failure.detail.startswith("no connection to http://127.0.0.1:")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_name_that_nobody_knows_may_be_tried_again(protocol):
    failure = failure_of(ProviderConfig("gone", protocol, base_url="http://nowhere.invalid/v1"), request_for())
    assert (failure.kind, failure.retryable, failure.billed) == (K.NETWORK, True, False)
    assert failure.detail == "the name in http://nowhere.invalid/v1 cannot be resolved"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_https_to_a_server_without_it_is_no_passing_trouble(server, protocol):
    config = ProviderConfig("plain", protocol, base_url=server.url.replace("http:", "https:") + "/v1")
    failure = failure_of(config, request_for())
    assert (failure.kind, failure.retryable, failure.billed) == (K.NETWORK, False, False)
    assert "no secure connection to https://127.0.0.1" in failure.detail


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_certificate_nobody_vouches_for_gets_a_hint(tmp_path: Path, monkeypatch, protocol):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with FakeServer(tls=context) as server:
        failure = failure_of(config_for(server, protocol), request_for())
        assert (failure.kind, failure.retryable) == (K.NETWORK, False)
        assert "set SSL_CERT_FILE to a file with its authority" in failure.detail
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert ask(config_for(server, protocol), request_for()).text == "You said: hello there"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_key_is_in_no_failure(server, protocol, stream):
    """Every fault, with a server that repeats the key wherever it can."""
    config = ProviderConfig("mine", protocol, base_url=config_for(server, protocol).base_url, api_key_env="MY_KEY")
    echo = f"the key {KEY} is wrong, Authorization: Bearer {KEY}"
    replies = [Reply(status=s, body=error_body(protocol, code=f"c-{KEY}", message=echo)) for s, _ in STATUSES]
    replies += [Reply(status=401, body=echo), Reply(status=500, body=echo, headers={"x-request-id": KEY})]
    replies += [Reply(body=echo), Reply(text=echo, finish="refusal"), Reply(body=json.dumps({"error": echo}))]
    replies += [
        Reply(mode=mode)
        for mode in MODES
        if mode not in ("hang", "stall", "drip", "endless", "gzip", "huge", "flood", "bomb")
    ]
    told = []
    for reply in replies:
        server.script(reply)
        try:
            told.append(repr(ask(config, request_for(stream=stream), {"MY_KEY": KEY})))
        except CallFailed as failure:
            told.append(f"{failure} {failure.detail} {failure!r}")
    assert len(told) == len(replies)
    assert not [line for line in told if "canary" in line]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refused_key_names_its_variable(server, protocol):
    config = ProviderConfig("mine", protocol, base_url=config_for(server, protocol).base_url, api_key_env="MY_KEY")
    server.script(Reply(status=401, body=error_body(protocol, code="invalid_api_key")))
    failure = failure_of(config, request_for(), {"MY_KEY": KEY})
    assert failure.detail.startswith(f"the key in MY_KEY was not accepted by {config.base_url} (401, invalid_api_key")
    server.script(Reply(status=401, body=error_body(protocol)))
    failure = failure_of(config_for(server, protocol), request_for())
    assert "wants a key: name the variable that holds it in api_key_env" in failure.detail
