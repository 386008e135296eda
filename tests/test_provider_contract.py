"""What every kind of provider keeps, whoever answers: one list of promises, run on all of `KINDS`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
from asking import config_for
from fake_server import FakeServer, Reply

from llmflow.errors import CallFailed, FailureKind
from llmflow.protocol import Message, Provider, Request, Response
from llmflow.providers.registry import KINDS, ProviderConfig, create

SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"enum": ["positive", "negative"]}, "sure": {"type": "boolean"}},
    "required": ["sentiment", "sure"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Case:
    """One kind, ready to be asked. `slow()` is a call that does not end by itself for a good while."""

    config: ProviderConfig
    model: str = "fake-large"
    environment: dict[str, str] | None = None
    server: FakeServer | None = None

    def request(self, prompt: str = "Say hello.", **changes: Any) -> Request:
        params = {"max_output_tokens": 24}
        return Request(
            self.model, (Message("user", prompt),), **{"params": params, "label": "t", "expected": 0.01, **changes}
        )

    def slow(self) -> Request:
        if self.server is not None:
            self.server.script(Reply(mode="hang"))
        return self.request("Count from one to a thousand.", label="slow", expected=60.0, params={})


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture(params=list(KINDS))
def case(request: pytest.FixtureRequest, server: FakeServer) -> Case:
    kind: str = request.param
    if kind in ("openai", "anthropic"):
        return Case(config_for(server, kind), server=server)
    if kind == "ollama":
        return Case(ProviderConfig(kind, kind, base_url=server.openai_url), server=server)
    if kind == "local":
        model = request.getfixturevalue("local_model")
        return Case(ProviderConfig(kind, kind), "smollm2", {"LLMFLOW_LOCAL_MODEL": str(model)})
    scripted = {"t*": {"data": {"sentiment": "positive", "sure": True}}, "slow": {"text": "late", "delay": 60}}
    return Case(ProviderConfig(kind, kind, answers=scripted if kind == "mock" else None))


def using(case: Case, use: Callable[[Provider], Awaitable[Any]]) -> Any:
    """The result of `use`; the provider is closed twice after it, and must then hold nothing."""

    async def whole() -> Any:
        provider = create(case.config, case.environment or {})
        try:
            return await use(provider)
        finally:
            await provider.aclose()
            await provider.aclose()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left

    return asyncio.run(whole())


def test_an_answer_has_text_usage_and_a_reason_for_its_end(case: Case) -> None:
    response = using(case, lambda provider: provider.complete(case.request()))
    assert isinstance(response, Response)
    assert response.text.strip()
    assert response.finish_reason in ("stop", "length")
    assert response.usage.input_tokens > 0
    assert response.usage.output_tokens > 0
    assert response.model
    assert response.first_token is None


def test_a_streamed_answer_counts_up_as_it_comes(case: Case) -> None:
    told: list[int] = []
    response = using(case, lambda provider: provider.complete(case.request(stream=True), told.append))
    assert response.text.strip()
    assert response.usage.output_tokens > 0
    assert told
    assert told == sorted(told)
    assert using(case, lambda provider: provider.complete(case.request(stream=True))).text.strip()


def test_an_answer_fits_the_schema_it_was_asked_for(case: Case) -> None:
    request = case.request("Sentiment of: what a lovely day!", schema=SCHEMA, params={"max_output_tokens": 60})
    response = using(case, lambda provider: provider.complete(request))
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(response.text)), response.text


def test_calls_run_at_once_and_each_gets_its_own_answer(case: Case) -> None:
    async def four(provider: Provider) -> list[Response]:
        requests = [case.request(label=f"t{number}") for number in range(4)]
        return list(await asyncio.gather(*map(provider.complete, requests)))

    assert [bool(response.text.strip()) for response in using(case, four)] == [True] * 4


def test_a_cancelled_call_ends_at_once_and_leaves_the_provider_usable(case: Case) -> None:
    async def cancel_then_ask(provider: Provider) -> Response:
        await provider.complete(case.request())  # whatever has to be started is running now
        call = asyncio.create_task(provider.complete(case.slow()))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return await provider.complete(case.request())

    assert using(case, cancel_then_ask).text.strip()


def test_a_call_cancelled_before_its_first_step_is_cancelled(case: Case) -> None:
    async def cancel_first(provider: Provider) -> None:
        call = asyncio.create_task(provider.complete(case.request()))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    using(case, cancel_first)


def test_a_provider_that_was_never_asked_can_be_closed(case: Case) -> None:
    async def nothing(provider: Provider) -> str:
        return "closed with nothing left"

    assert using(case, nothing) == "closed with nothing left"


@pytest.mark.parametrize("case", [kind for kind in KINDS if kind != "simulated"], indirect=True)
def test_a_failure_is_classified(case: Case) -> None:
    """A model that is not there, where there is such a thing (a simulation takes any): never another exception."""
    if case.server is not None:
        case.server.script(Reply(status=404))
    request = case.request(label="unscripted")
    if case.config.kind == "local":
        case = Case(case.config, "no-such-model", {})
        request = case.request()
    with pytest.raises(CallFailed) as caught:
        using(case, lambda provider: provider.complete(request))
    assert (caught.value.kind, caught.value.retryable) == (FailureKind.NOT_FOUND, False)
