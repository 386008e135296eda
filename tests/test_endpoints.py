"""Which address is called, and which key may go there."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import subprocess
import sys

import pytest
from asking import PROTOCOLS, ask, config_for, failure_of, request_for
from fake_server import FakeServer

from llmflow.errors import FailureKind, SetupError
from llmflow.providers.connection import SafeResolver
from llmflow.providers.endpoints import Endpoint, UnsafeAddress, endpoints_of, forbidden
from llmflow.providers.registry import KINDS, ProviderConfig, create, default_workers, kind_of

AMBIENT = {"OPENAI_API_KEY": "sk-ambient-openai", "ANTHROPIC_API_KEY": "sk-ambient-anthropic"}


@pytest.fixture(scope="module")
def server():
    with FakeServer() as running:
        yield running


def endpoints(environment: dict[str, str], **config: object) -> tuple[Endpoint, ...]:
    made = ProviderConfig(name="p", **config)  # type: ignore[arg-type]
    return endpoints_of(made, kind_of(made), environment)


def test_the_ambient_key_goes_to_the_vendors_own_host():
    assert endpoints(AMBIENT, kind="openai") == (
        Endpoint("https://api.openai.com/v1", "sk-ambient-openai", "OPENAI_API_KEY", vendor=True),
    )
    assert endpoints(AMBIENT, kind="anthropic") == (
        Endpoint("https://api.anthropic.com", "sk-ambient-anthropic", "ANTHROPIC_API_KEY", vendor=True),
    )
    (written,) = endpoints(AMBIENT, kind="openai", base_url="https://api.openai.com/v1/")
    assert (written.url, written.key) == ("https://api.openai.com/v1", "sk-ambient-openai")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com.evil.example/v1",
        "https://evil.example/api.openai.com/v1",
        "https://api.anthropic.com/v1",
        "http://localhost:11434/v1",
    ],
)
def test_the_ambient_key_goes_nowhere_else(url):
    assert endpoints(AMBIENT, kind="openai", base_url=url) == (Endpoint(url, "none"),)
    assert endpoints(AMBIENT, kind="openai", endpoints=(url, url)) == (Endpoint(url, "none"),) * 2
    assert endpoints(AMBIENT, kind="ollama") == (Endpoint("http://localhost:11434/v1", "none"),)


def test_a_pipeline_cannot_name_a_vendors_key_for_another_host():
    for name in AMBIENT:
        with pytest.raises(SetupError, match=f"{name} is only ever sent to api.*, not to evil.example"):
            endpoints(AMBIENT, kind="openai", base_url="https://evil.example/v1", api_key_env=name)
    (mine,) = endpoints(AMBIENT, kind="openai", base_url="http://127.0.0.1:1/v1", api_key_env="OPENAI_API_KEY")
    assert mine.key == "sk-ambient-openai"


def test_an_endpoint_of_ones_own_gets_the_key_it_names():
    assert endpoints({"GPU_KEY": " k1 "}, kind="openai", base_url="http://gpu:8000/v1", api_key_env="GPU_KEY") == (
        Endpoint("http://gpu:8000/v1", "k1", "GPU_KEY"),
    )


def test_a_missing_key_names_its_variable_and_the_way_out():
    with pytest.raises(SetupError) as caught:
        endpoints({"OPENAI_API_KEY": " "}, kind="openai")
    assert str(caught.value) == (
        "provider p: the environment variable OPENAI_API_KEY is not set\n"
        "  hint: export OPENAI_API_KEY=…, or use another model with --model"
    )
    assert caught.value.exit_code == 5
    with pytest.raises(SetupError, match="the environment variable GPU_KEY is not set"):
        endpoints(AMBIENT, kind="openai", base_url="http://gpu:8000/v1", api_key_env="GPU_KEY")


def test_a_key_that_no_header_can_carry_is_not_shown():
    with pytest.raises(SetupError) as caught:
        endpoints({"OPENAI_API_KEY": "sk-first\nsk-second"}, kind="openai")
    assert str(caught.value) == "provider p: the key in OPENAI_API_KEY has characters that no header can carry"


def test_a_key_is_not_in_the_text_of_an_endpoint():
    assert "sk-ambient" not in repr(endpoints(AMBIENT, kind="openai"))


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xA9FEA9FE",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[::169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "100.100.100.200",
    ],
)
def test_no_endpoint_may_be_a_metadata_service_however_it_is_written(host):
    with pytest.raises(SetupError, match="an address that no model answers on"):
        endpoints({}, kind="openai", base_url=f"http://{host}/v1")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "is no http or https URL"),
        ("gpu1:8000", "is no http or https URL"),
        ("http:///v1", "is no http or https URL"),
        ("", "is no http or https URL"),
        ("http://h:99999/v1", "cannot be read"),
        ("http://[::1/v1", "cannot be read"),
        ("http://h/v1?x=1", "has a query or fragment"),
        ("http://me:secret@h/v1", "holds a name or password"),
    ],
)
def test_an_unusable_base_url_says_why(url, reason):
    with pytest.raises(SetupError, match=reason) as caught:
        endpoints({}, kind="openai", endpoints=(url,))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.8", "192.168.1.5", "fd12::1", "8.8.8.8", "2606:4700::1"])
def test_loopback_private_and_public_addresses_are_fine(host):
    assert not forbidden(ipaddress.ip_address(host))


def test_a_name_is_judged_by_what_it_resolves_to():
    # A host name that libc reads as an address is the one way to a forbidden answer without a DNS server.
    async def resolve() -> None:
        resolver = SafeResolver()
        assert [found["host"] for found in await resolver.resolve("localhost", 1, socket.AF_INET)] == ["127.0.0.1"]
        with pytest.raises(UnsafeAddress, match=r"resolves to 169\.254\.169\.254, which no endpoint may be"):
            await resolver.resolve("0xa9.0xfe.0xa9.0xfe", 1)
        await resolver.close()

    asyncio.run(resolve())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_name_that_leads_to_a_metadata_service_is_not_called(protocol, monkeypatch):
    real = socket.getaddrinfo

    def names(host: str, port: int, *more: object, **options: object) -> list[object]:
        """A name server that answers 169.254.169.254 for one name."""
        where = "169.254.169.254" if host == "rebound.test" else host
        return real(where, port, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", names)
    failure = failure_of(ProviderConfig("gpu", protocol, base_url="http://rebound.test/v1"), request_for())
    assert (failure.kind, failure.retryable, failure.billed) == (FailureKind.NETWORK, False, False)
    assert failure.detail == (
        "http://rebound.test/v1 is refused: rebound.test resolves to 169.254.169.254, which no endpoint may be"
    )


POISON = {
    "OPENAI_API_KEY": "sk-canary-1",
    "OPENAI_ADMIN_KEY": "sk-canary-2",
    "OPENAI_ORG_ID": "org-canary",
    "OPENAI_PROJECT_ID": "proj-canary",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/canary",
    "OPENAI_CUSTOM_HEADERS": "X-Canary: canary\nAuthorization: Bearer canary\nauthorization: Bearer canary",
    "ANTHROPIC_API_KEY": "sk-canary-3",
    "ANTHROPIC_AUTH_TOKEN": "canary-4",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:9/canary",
    "ANTHROPIC_CUSTOM_HEADERS": "X-Canary: canary\nX-Api-Key: canary\nauthorization: Bearer canary",
    "ANTHROPIC_PROFILE": "canary",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("key", [None, "own-key"])
def test_nothing_of_the_environment_reaches_an_endpoint_of_ones_own(server, protocol, key, monkeypatch):
    for name, value in POISON.items():
        monkeypatch.setenv(name, value)
    server.requests.clear()
    config = config_for(server, protocol)
    if key:
        config = ProviderConfig("mine", protocol, base_url=config.base_url, api_key_env="MY_KEY")
    ask(config, request_for(), {**os.environ, **({"MY_KEY": key} if key else {})})
    (seen,) = server.requests
    assert seen.headers["authorization"] == f"Bearer {key or 'none'}"
    assert "canary" not in json.dumps(seen.headers)
    assert "x-api-key" not in seen.headers


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_ambient_proxy_is_not_used_for_this_machine(server, protocol, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(config_for(server, protocol), request_for()).text == "You said: hello there"


def test_the_vendors_host_is_reached_through_the_proxy_of_the_environment(monkeypatch):
    heard: list[bytes] = []

    async def through_proxy() -> None:
        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            writer.close()
            await writer.wait_closed()

        listening = await asyncio.start_server(proxy, "127.0.0.1", 0)
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        failure = await asyncio.to_thread(failure_of, ProviderConfig("openai", "openai"), request_for(), AMBIENT)
        assert failure.kind is FailureKind.NETWORK
        listening.close()
        await listening.wait_closed()

    asyncio.run(through_proxy())
    assert heard[0].startswith(b"CONNECT api.openai.com:443 ")
    assert b"ambient" not in heard[0]


def test_default_workers_follow_who_runs_the_endpoint():
    def workers(kind: str, **config: object) -> int:
        return default_workers(ProviderConfig("p", kind, **config))  # type: ignore[arg-type]

    assert {kind: workers(kind) for kind in KINDS} == {
        "openai": 0,
        "anthropic": 0,
        "ollama": 4,
        "local": 2,
        "simulated": 0,
        "mock": 0,
    }
    assert workers("openai", base_url="http://gpu:8000/v1") == 4
    assert workers("openai", endpoints=("http://gpu1:8000/v1", "http://gpu2:8000/v1")) == 4
    assert workers("openai", base_url="https://api.openai.com/v1/") == 0
    assert workers("anthropic", base_url="http://gpu:8000") == 4


def test_an_unknown_kind_gets_a_suggestion():
    with pytest.raises(SetupError, match=r"(?s)there is no kind 'opnai'.*did you mean openai\?"):
        create(ProviderConfig("p", "opnai"), {})


def test_the_registry_imports_no_sdk():
    program = "import sys, llmflow.providers.registry, llmflow.providers.endpoints as e; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert not [name for name in ("openai", "anthropic", "aiohttp", "httpx2", "asyncio") if f"'{name}'" in loaded]


def test_every_kind_is_where_the_table_says():
    for kind in KINDS.values():
        module, _, name = kind.target.partition(":")
        program = f"import {module} as m; assert isinstance(m.{name}, type)"
        subprocess.run([sys.executable, "-c", program], check=True)
