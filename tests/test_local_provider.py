"""The embedded model, for real: short calls through both SDKs, and the life and death of its server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import ModelServer

from llmflow.errors import CallFailed, FailureKind, SetupError
from llmflow.protocol import Message, Provider, Request, Response
from llmflow.providers.local import MAX_STARTS, LocalProvider
from llmflow.providers.registry import ProviderConfig, create

SENTIMENT = {
    "type": "object",
    "properties": {"sentiment": {"enum": ["positive", "negative"]}},
    "required": ["sentiment"],
    "additionalProperties": False,
}


def ask(text: str, tokens: int = 12, **more: Any) -> Request:
    params = {"temperature": 0, "max_output_tokens": tokens, **more.pop("params", {})}
    return Request("smollm2", (Message("user", text),), params=params, **more)


def on_server(
    server: ModelServer, kind: str, call: Callable[[Provider], Awaitable[Response]], key: str | None = None
) -> Response:
    """Run `call` on a provider of `kind` that talks to the suite's server."""
    url = f"{server.base_url}/v1" if kind == "openai" else server.base_url
    config = ProviderConfig("own", kind, base_url=url, api_key_env="OWN_KEY")

    async def run() -> Response:
        provider = create(config, {"OWN_KEY": key or server.key})
        try:
            return await call(provider)
        finally:
            await provider.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_both_sdks_get_text_and_the_servers_own_token_counts(local_server: ModelServer, kind: str) -> None:
    request = ask("Say hello.", tokens=6)
    if kind == "anthropic":  # its SDK has no sampling parameters
        request = Request("smollm2", request.messages, params={"max_output_tokens": 6})
    response = on_server(local_server, kind, lambda provider: provider.complete(request))
    assert response.text
    assert response.model == "smollm2"
    assert response.finish_reason in ("stop", "length")
    assert response.usage.input_tokens > 10
    assert 1 <= response.usage.output_tokens <= 6
    assert not response.usage.estimated


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_both_sdks_stream_and_tell_of_progress(local_server: ModelServer, kind: str) -> None:
    heard: list[int] = []
    request = Request("smollm2", (Message("user", "Count to five."),), params={"max_output_tokens": 8}, stream=True)
    response = on_server(local_server, kind, lambda provider: provider.complete(request, heard.append))
    assert response.text
    assert heard == sorted(heard)
    assert heard
    assert response.first_token is not None
    assert response.usage.input_tokens > 10


def test_a_call_after_a_stream_is_not_lost_to_a_connection_that_the_server_closed(local_server: ModelServer) -> None:
    async def alternate(provider: Provider) -> Response:
        for _ in range(3):
            await provider.complete(ask("Hi", 2, stream=True), lambda tokens: None)
            last = await provider.complete(ask("Hi", 2))
        return last

    assert on_server(local_server, "openai", alternate).usage.output_tokens == 2


def test_a_schema_is_kept_by_the_grammar(local_server: ModelServer) -> None:
    request = ask("Is this review good or bad? 'I love it.'", tokens=40, schema=SENTIMENT)
    response = on_server(local_server, "openai", lambda provider: provider.complete(request))
    answer = json.loads(response.text)
    assert list(answer) == ["sentiment"]
    assert answer["sentiment"] in ("positive", "negative")


def test_a_raw_prompt_goes_in_without_chat_markup(local_server: ModelServer) -> None:
    text = "One, two, three, four,"
    raw = {"chat_template_kwargs": {"raw": True}}
    bare = on_server(local_server, "openai", lambda p: p.complete(ask(text, 2, params=raw)))
    chat = on_server(local_server, "openai", lambda p: p.complete(ask(text, 2)))
    assert bare.usage.input_tokens == 8  # four words, four commas
    assert chat.usage.input_tokens > 25


def test_a_prompt_beyond_the_context_is_told_as_such(local_server: ModelServer) -> None:
    with pytest.raises(CallFailed) as failure:
        on_server(local_server, "openai", lambda p: p.complete(ask("word " * 3000)))
    assert failure.value.kind is FailureKind.CONTEXT_OVERFLOW


def test_the_server_wants_its_key(local_server: ModelServer) -> None:
    with pytest.raises(CallFailed) as failure:
        on_server(local_server, "openai", lambda p: p.complete(ask("Hi")), key="another")
    assert failure.value.kind is FailureKind.AUTH


def local(model: Path, slots: int = 1) -> LocalProvider:
    """Make inside a running loop."""
    return LocalProvider(ProviderConfig("local", "local", slots=slots), {"LLMFLOW_LOCAL_MODEL": str(model)})


def refuses_connections(base_url: str) -> bool:
    parts = urlsplit(base_url)
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((parts.hostname or "", parts.port or 0)) != 0


def test_first_calls_that_come_together_start_one_server_and_closing_ends_it(local_model: Path) -> None:
    async def run() -> None:
        provider = local(local_model, slots=2)
        answers = await asyncio.gather(*(provider.complete(ask("Hi", 3)) for _ in range(3)))
        assert [bool(answer.text) for answer in answers] == [True, True, True]
        assert provider.starts == 1
        assert provider.server is not None
        address = provider.server.base_url
        assert not refuses_connections(address)
        await provider.aclose()
        await provider.aclose()
        assert refuses_connections(address)
        with pytest.raises(CallFailed) as failure:
            await provider.complete(ask("Hi", 3))
        assert (failure.value.kind, failure.value.retryable) == (FailureKind.SERVER, False)

    asyncio.run(run())


def test_the_server_is_given_no_keys_and_the_rest_of_the_environment(
    local_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "MY_SECRET", "ORDINARY"):
        monkeypatch.setenv(name, "canary")

    async def run() -> bytes:
        provider = local(local_model)
        try:
            await provider.start()
            assert provider.server is not None
            return await asyncio.to_thread(Path(f"/proc/{provider.server.pid}/environ").read_bytes)
        finally:
            await provider.aclose()

    if not Path("/proc/self/environ").exists():
        pytest.skip("only /proc tells what another process was given")
    given = asyncio.run(run()).decode().split("\0")
    assert [line for line in given if "canary" in line] == ["ORDINARY=canary"]
    assert "GOMP_SPINCOUNT=0" in given
    assert f"HOME={os.environ['HOME']}" in given


def test_a_server_that_dies_fails_its_calls_and_is_started_again_a_few_times(local_model: Path) -> None:
    async def die(provider: LocalProvider) -> CallFailed:
        await provider.start()
        assert provider.server is not None
        call = asyncio.create_task(provider.complete(ask("Tell a long story.", 1500)))
        await asyncio.sleep(0.3)
        os.kill(provider.server.pid, signal.SIGKILL)
        with pytest.raises(CallFailed) as failure:
            await call
        return failure.value

    async def run() -> None:
        provider = local(local_model)
        failure = await die(provider)
        assert failure.kind is FailureKind.NETWORK
        assert failure.retryable
        assert failure.detail == "the local model's server ended (exit code -9): it said nothing"
        assert (await provider.complete(ask("Hi", 3))).text
        assert provider.starts == 2
        ends = [(await die(provider)).retryable for _ in range(MAX_STARTS - 1)]
        assert ends == [True, True, False]
        with pytest.raises(CallFailed) as last:
            await provider.complete(ask("Hi", 3))
        assert last.value.detail == "the local model's server has died 4 times in this run"
        assert not last.value.retryable
        await provider.aclose()

    asyncio.run(run())


def test_a_call_that_is_cancelled_while_the_server_starts_leaves_the_start_to_the_others(local_model: Path) -> None:
    async def run() -> None:
        provider = local(local_model)
        first = asyncio.create_task(provider.complete(ask("Hi", 3)))
        second = asyncio.create_task(provider.complete(ask("Hi", 3)))
        await asyncio.sleep(0.05)
        first.cancel()
        assert (await second).text
        assert first.cancelled()
        assert provider.starts == 1
        await provider.aclose()

    asyncio.run(run())


def test_closing_in_the_middle_of_the_start_leaves_nothing_behind(local_model: Path) -> None:
    async def run() -> None:
        provider = local(local_model)
        start = asyncio.create_task(provider.start())
        await asyncio.sleep(0.3)
        await provider.aclose()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert provider.server is None

    asyncio.run(run())


PARENT = """
import asyncio, os
from llmflow.providers.local import LocalProvider
from llmflow.providers.registry import ProviderConfig

async def run():
    provider = LocalProvider(ProviderConfig("local", "local", slots=1), os.environ)
    await provider.start()
    print(provider.server.base_url, flush=True)
    await asyncio.sleep(1000)

asyncio.run(run())
"""


def test_the_server_dies_with_a_parent_that_is_killed(local_model: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        address = parent.stdout.readline().strip()
        assert not refuses_connections(address)
        parent.kill()
    deadline = time.monotonic() + 20
    while not refuses_connections(address) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert refuses_connections(address)


def test_a_damaged_file_fails_the_start_with_the_servers_words_and_once(local_model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(local_model.read_bytes()[:2_000_000])

    async def run() -> None:
        provider = local(damaged)
        with pytest.raises(SetupError) as problem:
            await provider.start()
        assert problem.value.message.startswith("the local model's server did not start (exit code ")
        assert problem.value.hint == f"the model is {damaged}"
        with pytest.raises(CallFailed) as failure:
            await provider.complete(ask("Hi"))
        assert (failure.value.kind, failure.value.retryable) == (FailureKind.SERVER, False)
        assert provider.starts == 1
        await provider.aclose()

    asyncio.run(run())


def test_an_unknown_local_model_is_named_before_anything_starts() -> None:
    pytest.importorskip("xllamacpp")

    async def run() -> None:
        provider = LocalProvider(ProviderConfig("local", "local"), {})
        with pytest.raises(CallFailed) as failure:
            await provider.complete(Request("llama", (Message("user", "Hi"),)))
        assert failure.value.kind is FailureKind.NOT_FOUND
        assert failure.value.detail == (
            "there is no local model 'llama': the embedded one is 'smollm2', "
            "and LLMFLOW_LOCAL_MODEL names the GGUF file of another"
        )
        assert provider.starts == 0
        await provider.aclose()

    asyncio.run(run())


def test_without_its_extra_the_provider_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(SetupError) as problem:
        LocalProvider(ProviderConfig("local", "local"), {})
    assert str(problem.value) == (
        'provider local: the local model needs an extra that is not installed\n  hint: pip install ".[local]"'
    )
