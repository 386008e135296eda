"""HTTP requests of tasks, against a server on the loopback: what is sent, what comes back, what is refused."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from llmflow.errors import CallFailed, FailureKind
from llmflow.runtime.actions.http_request import MAX_BODY, MAX_ERROR, SHOWN, HttpRequests

K = FailureKind


def reply(status: int = 200, body: bytes | str = b"", **headers: str) -> bytes:
    """A whole answer; `content_type=` and so on are its headers."""
    raw = body.encode() if isinstance(body, str) else body
    lines = {"Content-Length": str(len(raw)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + raw


@dataclass
class Server:
    """Answers every request with `answer`, byte for byte; an empty one is never sent."""

    url: str = ""
    answer: bytes = b""
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = head[0].split(" ")
                self.seen.append((method, path, headers, body))
                self.arrived.set()
                writer.write(self.answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Server, HttpRequests]]:
    server, http = Server(), HttpRequests()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server, http
    finally:
        await http.aclose()
        await http.aclose()
        listening.close()
        await asyncio.sleep(0.01)  # let the server see its connections go


def with_server(scene: Callable[[Server, HttpRequests], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with served() as (server, http):
            return await scene(server, http)

    return asyncio.run(run())


def answered(answer: bytes, method: str = "GET", **more: Any) -> Any:
    async def scene(server: Server, http: HttpRequests) -> Any:
        server.answer = answer
        return await http.send(method, server.url + "/path", **more)

    return with_server(scene)


def failure(answer: bytes, method: str = "GET", **more: Any) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        answered(answer, method, **more)
    return caught.value


def sent(method: str, path: str = "/x", **more: Any) -> tuple[str, str, dict[str, str], bytes]:
    """The request as the server saw it."""

    async def scene(server: Server, http: HttpRequests) -> Any:
        server.answer = reply()
        await http.send(method, server.url + path, **more)
        return server.seen[0]

    return with_server(scene)


# ---- what is sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_every_method_is_sent_as_written(method: str) -> None:
    assert sent(method)[0] == method


def test_headers_go_out_as_written_and_hardly_any_others() -> None:
    seen = sent("GET", "/a%2Fb?q=1%202", headers={"Authorization": "Bearer k", "X-Number": 5, "Accept": "text/csv"})
    assert (seen[1], seen[3]) == ("/a%2Fb?q=1%202", b"")
    assert {name: value for name, value in seen[2].items() if name != "host"} == {
        "user-agent": "llmflow",
        "accept": "text/csv",
        "accept-encoding": "identity",
        "authorization": "Bearer k",
        "x-number": "5",
    }


@pytest.mark.parametrize(
    ("given", "kind", "body"),
    [
        ({"data": {"a": [1, "é", None]}}, "application/json", '{"a": [1, "é", null]}'),
        ({"data": []}, "application/json", "[]"),
        ({"data": "a\ud800"}, "application/json", '"a\ufffd"'),
        ({"body": "é\ud800"}, "text/plain; charset=utf-8", "é\ufffd"),
        ({"data": {}, "headers": {"content-type": "application/vnd.api+json"}}, "application/vnd.api+json", "{}"),
        ({"body": "<a/>", "headers": {"CONTENT-TYPE": "text/xml"}}, "text/xml", "<a/>"),
    ],
)
def test_a_body_goes_out_with_one_type(given: dict[str, Any], kind: str, body: str) -> None:
    seen = sent("POST", **given)
    assert (seen[2]["content-type"], seen[3]) == (kind, body.encode())


@pytest.mark.parametrize("hostile", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
def test_a_value_cannot_begin_a_header_of_its_own(hostile: str) -> None:
    for more in ({"headers": {"X": hostile}}, {"headers": {hostile: "x"}}):
        failed = failure(reply(), **more)
        assert (failed.kind, failed.retryable) == (K.INVALID_REQUEST, False)
    assert failure(reply(), f"GET {hostile}").kind is K.INVALID_REQUEST
    assert "X-Evil" not in str(sent("GET", "/" + hostile)[2])


def test_what_is_no_json_is_not_sent() -> None:
    for data in ({"a": float("nan")}, {"a": {1, 2}}):
        failed = failure(reply(), "POST", data=data)
        assert failed.kind is K.INVALID_REQUEST
        assert "`json` cannot be written as JSON: " in failed.detail


def test_no_cookie_is_kept_and_no_netrc_or_proxy_is_used(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password canary\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    async def scene(server: Server, http: HttpRequests) -> list[dict[str, str]]:
        server.answer = reply(Set_Cookie="a=1")
        for _ in range(2):
            await http.send("GET", server.url)
        assert server.connections == 1
        return [headers for _, _, headers, _ in server.seen]

    assert [{"cookie", "authorization"} & set(headers) for headers in with_server(scene)] == [set(), set()]


# ---- what comes of an answer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (reply(200, '{"a": 1}', Content_Type="application/json"), {"a": 1}),
        (reply(201, "[1.5, null]", Content_Type="application/problem+json; charset=utf-8"), [1.5, None]),
        (reply(200, '{"a": 1}', Content_Type="text/plain"), '{"a": 1}'),
        (reply(200, '{"a": 1}'), '{"a": 1}'),
        (reply(200, '\ufeff{"a": 1}', Content_Type="application/json"), {"a": 1}),
        (reply(200, '"a\\ud800b\\u00e9"', Content_Type="application/json"), "a\ufffdbé"),
        (reply(200, "é".encode("latin-1"), Content_Type="text/plain; charset=latin-1"), "é"),
        (reply(200, "é", Content_Type="text/plain; charset=zlib"), "é"),
        (reply(200, "é", Content_Type="text/plain; charset=no-such"), "é"),
        (reply(200, b"a\xff\0", Content_Type="text/plain"), "a\ufffd\0"),
        (reply(204, Content_Type="application/json"), ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "abc"),
        (reply(200, gzip.compress(b"packed"), Content_Encoding="gzip"), "packed"),
    ],
)
def test_an_answer_is_json_by_its_content_type_and_else_text(answer: bytes, value: Any) -> None:
    assert answered(answer) == value


def test_the_answer_to_head_has_no_body() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    assert answered(answer, "HEAD") == ""


@pytest.mark.parametrize("body", ["", "{", "NaN", '{"a": Infinity}', "[" * 100_000, "<html>", "9" * 5_000])
def test_json_that_is_none_is_a_bad_response(body: str) -> None:
    failed = failure(reply(200, body, Content_Type="application/json"))
    assert (failed.kind, failed.retryable) == (K.BAD_RESPONSE, True)
    assert len(failed.detail) < 2 * SHOWN


STATUSES = [
    (400, K.INVALID_REQUEST),
    (401, K.AUTH),
    (402, K.QUOTA),
    (403, K.AUTH),
    (404, K.NOT_FOUND),
    (408, K.TIMEOUT),
    (409, K.INVALID_REQUEST),
    (413, K.TOO_LARGE),
    (422, K.INVALID_REQUEST),
    (429, K.RATE_LIMIT),
    (500, K.SERVER),
    (502, K.SERVER),
    (503, K.OVERLOADED),
    (504, K.TIMEOUT),
]
RETRIED = {408, 429, 500, 502, 503, 504}


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_every_failing_status_has_its_kind_and_is_sent_once(status: int, kind: FailureKind) -> None:
    async def scene(server: Server, http: HttpRequests) -> CallFailed:
        server.answer = reply(status, "no\x1b[2J\nreason", Content_Type="text/plain")
        with pytest.raises(CallFailed) as caught:
            await http.send("PUT", f"{server.url}/path?key=canary")
        assert len(server.seen) == 1
        assert caught.value.detail == f"PUT {server.url}/path: status {status}: no reason"
        return caught.value

    failed = with_server(scene)
    assert (failed.kind, failed.retryable) == (kind, status in RETRIED)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({}, None),
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "-1"}, 0.0),
        ({"Retry_After": "1000000000"}, 1e9),
        ({"Retry_After": "nan"}, None),
        ({"Retry_After": "inf"}, None),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_what_the_server_asks_us_to_wait_is_passed_on(header: dict[str, str], seconds: float | None) -> None:
    assert failure(reply(429, **header)).retry_after == seconds


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_that_names_its_target_and_is_not_followed(status: int) -> None:
    async def scene(server: Server, http: HttpRequests) -> None:
        server.answer = reply(status, "moved", Location=f"{server.url}/elsewhere?token=canary")
        with pytest.raises(CallFailed) as caught:
            await http.send("POST", server.url + "/here", body="x")
        assert (caught.value.kind, caught.value.retryable) == (K.INVALID_REQUEST, False)
        assert caught.value.detail == (
            f"POST {server.url}/here: status {status}: it redirects to {server.url}/elsewhere, which is not followed"
        )
        assert [path for _, path, _, _ in server.seen] == ["/here"]

    with_server(scene)


def test_a_failure_shows_little_of_the_other_sides_text_and_none_of_our_keys() -> None:
    told = failure(
        reply(401, "the key sk-canary-1 is wrong, Bearer sk-canary-1 " + "y" * MAX_ERROR * 40),
        headers={"Authorization": "Bearer sk-canary-1", "Content-Type": "text/plain"},
    ).detail
    assert "status 401: the key [header] is wrong, [header] yyy" in told
    assert len(told) < 2 * SHOWN

    async def scene(server: Server, http: HttpRequests) -> str:
        server.answer = reply(500)
        with pytest.raises(CallFailed) as caught:
            await http.send("GET", server.url.replace("//", "//ada:canary@") + "/p?api_key=canary#canary")
        return caught.value.detail.replace(server.url, "URL")

    assert with_server(scene) == "GET URL/p: status 500"


# ---- sizes ----------------------------------------------------------------------------------------


def test_a_body_up_to_the_limit_comes_whole_and_beyond_it_is_refused() -> None:
    assert len(answered(reply(200, b"x" * MAX_BODY))) == MAX_BODY
    failed = failure(reply(200, b"x" * (MAX_BODY + 1)))
    assert (failed.kind, failed.retryable, failed.detail) == (K.TOO_LARGE, False, "the answer is larger than 8 MiB")
    packed = gzip.compress(b"x" * 200_000_000, 1)
    assert failure(reply(200, packed, Content_Encoding="gzip")).kind is K.TOO_LARGE


def test_a_failure_with_an_endless_text_is_judged_by_its_status() -> None:
    answer = b"HTTP/1.1 500 No\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * (MAX_ERROR * 4)
    assert failure(answer).kind is K.SERVER


# ---- connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00\xff\x13SPDY 9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        reply(200, b"no", Content_Encoding="gzip"),
    ],
)
def test_a_reply_that_is_no_http_breaks_off_or_cannot_be_unpacked_is_a_network_failure(answer: bytes) -> None:
    async def scene(server: Server, http: HttpRequests) -> CallFailed:
        async def say_and_leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        other = await asyncio.start_server(say_and_leave, "127.0.0.1", 0)
        with pytest.raises(CallFailed) as caught:
            await http.send("POST", f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}/")
        other.close()
        return caught.value

    failed = with_server(scene)
    assert (failed.kind, failed.retryable) == (K.NETWORK, True)


def test_a_refused_connection_may_be_tried_again() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async def scene(server: Server, http: HttpRequests) -> CallFailed:
        with pytest.raises(CallFailed) as caught:
            await http.send("GET", f"http://127.0.0.1:{port}/")
        return caught.value

    failed = with_server(scene)
    assert (failed.kind, failed.retryable) == (K.NETWORK, True)
    assert failed.detail.startswith(f"GET http://127.0.0.1:{port}/: Cannot connect to host")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"])
def test_a_cancellation_closes_the_connection_at_once(answer: bytes) -> None:
    async def scene(server: Server, http: HttpRequests) -> None:
        server.answer = answer
        call = asyncio.ensure_future(http.send("GET", server.url))
        await server.arrived.wait()
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(server.left.wait(), 10)  # while the client itself is still open

    with_server(scene)


def test_two_hundred_requests_run_at_once() -> None:
    async def scene(server: Server, http: HttpRequests) -> list[str]:
        server.answer = b""
        calls = [asyncio.ensure_future(http.send("GET", server.url)) for _ in range(200)]
        while len(server.seen) < 200:  # noqa: ASYNC110 - the server counts them
            await asyncio.sleep(0.01)
        for call in calls:
            call.cancel()
        return [type(end).__name__ for end in await asyncio.gather(*calls, return_exceptions=True)]

    assert with_server(scene) == ["CancelledError"] * 200


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://0.0.0.0/",
    ],
)
def test_addresses_of_a_clouds_own_machines_are_refused_however_they_are_written(url: str) -> None:
    async def scene(server: Server, http: HttpRequests) -> CallFailed:
        with pytest.raises(CallFailed) as caught:
            await http.send("GET", url)
        return caught.value

    failed = with_server(scene)
    assert not failed.retryable
    if failed.kind is not K.INVALID_REQUEST:  # some of these are no addresses at all to the client
        assert failed.detail.endswith(", which no task may ask")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/", "//127.0.0.1/", "", "http://", "a b", "http://[::1"]
)
def test_what_is_no_http_address_is_not_asked(url: str) -> None:
    async def scene(server: Server, http: HttpRequests) -> CallFailed:
        with pytest.raises(CallFailed) as caught:
            await http.send("GET", url)
        return caught.value

    failed = with_server(scene)
    assert (failed.kind, failed.retryable) == (K.INVALID_REQUEST, False)


def test_json_that_is_sent_and_told_back_is_the_same() -> None:
    value = {"a": [1, 2.5, None, True, {"é\U0001f600": "\0"}]}
    seen = sent("POST", data=value)
    assert json.loads(seen[3]) == value
    assert answered(reply(200, seen[3], Content_Type="application/json")) == value
