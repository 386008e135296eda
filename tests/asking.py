"""How tests put one question to a provider: made, asked and closed inside one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fake_server import FakeServer

from llmflow.errors import CallFailed
from llmflow.protocol import Message, Progress, Request, Response
from llmflow.providers.registry import ProviderConfig, create

PROTOCOLS = ("openai", "anthropic")
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


def config_for(server: FakeServer, kind: str) -> ProviderConfig:
    return ProviderConfig(name=f"my_{kind}", kind=kind, base_url=server.openai_url if kind == "openai" else server.url)


def request_for(prompt: str = "hello there", **changes: Any) -> Request:
    return replace(Request("fake-large", (Message("user", prompt),)), **changes)


def ask(
    config: ProviderConfig,
    request: Request,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Response:
    async def once() -> Response:
        provider = create(config, environment or {})
        try:
            return await provider.complete(request, progress)
        finally:
            await provider.aclose()

    return asyncio.run(once())


def failure_of(config: ProviderConfig, request: Request, environment: Mapping[str, str] | None = None) -> CallFailed:
    """The failure that the call ends with; an answer is an error of the test."""
    try:
        response = ask(config, request, environment)
    except CallFailed as failure:
        return failure
    raise AssertionError(f"there was an answer: {response}")
