"""The mock provider: scripted answers and failures, and what is said about a wrong script."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from llmflow.errors import CallFailed, FailureKind, SetupError
from llmflow.protocol import Message, Request, Response, Usage
from llmflow.providers.mock import MockProvider
from llmflow.providers.registry import ProviderConfig, create
from llmflow.runtime.clock import VirtualTimeLoop


def mock(answers: Any = None, environment: dict[str, str] | None = None) -> MockProvider:
    provider = create(ProviderConfig("fake", "mock", answers=answers), environment or {})
    assert isinstance(provider, MockProvider)
    return provider


def ask(label: str = "a", **more: Any) -> Request:
    return Request("any", (Message("user", "Name the people."),), label=label, **more)


def said(provider: MockProvider, label: str = "a", **more: Any) -> Response:
    return asyncio.run(provider.complete(ask(label, **more)))


def failure(provider: MockProvider, label: str = "a") -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        said(provider, label)
    return caught.value


def test_an_answer_is_given_as_it_is_written() -> None:
    assert said(mock({"a": "Ada, Grace"})) == Response(
        "Ada, Grace", Usage(input_tokens=4, output_tokens=3, estimated=True), model="any"
    )


def test_an_answer_with_details_has_them() -> None:
    script = {"text": "Ada and", "finish_reason": "length", "usage": {"input_tokens": 9, "output_tokens": 2}}
    assert said(mock({"a": script})) == Response("Ada and", Usage(9, 2), "length", model="any")


def test_data_is_said_as_json_and_its_own_text_key_can_be_written_below_data() -> None:
    provider = mock(
        {"plain": {"label": "bug"}, "inside": {"data": {"text": "x", "error": None}}, "empty": {"data": []}}
    )
    assert [said(provider, label).text for label in ("plain", "inside", "empty")] == [
        '{"label": "bug"}',
        '{"text": "x", "error": null}',
        "[]",
    ]


def test_failures_and_answers_follow_each_other_by_call() -> None:
    provider = mock(
        {"a": [{"error": "rate_limit", "retry_after": 3}, {"error": "auth", "detail": "no key"}, "at last"]}
    )
    first, second = failure(provider), failure(provider)
    assert (first.kind, first.retry_after, first.retryable) == (FailureKind.RATE_LIMIT, 3, True)
    assert first.detail == "a scripted failure of the task 'a'"
    assert (second.kind, second.retry_after, second.retryable, second.detail) == (
        FailureKind.AUTH,
        None,
        False,
        "no key",
    )
    assert [said(provider).text for _ in range(2)] == ["at last", "at last"]


def test_a_task_that_the_script_leaves_out_fails() -> None:
    left_out = failure(mock({"a": "x"}), "b")
    assert (left_out.kind, left_out.retryable) == (FailureKind.NOT_FOUND, False)
    assert left_out.detail == "no answer is scripted for the task 'b'"


def test_without_a_script_answers_are_made_up() -> None:
    assert said(mock(), "b").text == "A made-up answer to b."


def test_a_delay_is_waited_for_before_an_answer_and_before_a_failure() -> None:
    async def run() -> list[float]:
        loop = asyncio.get_running_loop()
        provider = mock({"a": {"text": "late", "delay": 2.5}, "b": {"error": "server", "delay": 4}, "c": "at once"})
        times = []
        for label in "abc":
            try:
                await provider.complete(ask(label))
            except CallFailed:
                assert label == "b"
            times.append(loop.time())
        return times

    loop = VirtualTimeLoop()
    try:
        assert loop.run_until_complete(run()) == [2.5, 6.5, 6.5]
    finally:
        loop.close()


def test_a_streamed_answer_tells_of_its_tokens() -> None:
    heard: list[int] = []
    asyncio.run(mock("Ada, Grace").complete(ask(stream=True), heard.append))
    assert heard == [3]


def test_each_call_leaves_a_line_that_another_process_can_count(tmp_path: Path) -> None:
    file = tmp_path / "calls"
    provider = mock({"a": {"error": "server"}, "*": "x"}, {"LLMFLOW_MOCK_CALLS": str(file)})
    failure(provider, "a")
    said(provider, "b[1]", attempt=2)
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"task": "a", "attempt": 1},
        {"task": "b[1]", "attempt": 2},
    ]


KINDS = ", ".join(FailureKind)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            {"a": ["ok", {"error": "rate_limit", "retryafter": 3}]},
            "answers.a[1]: unknown key 'retryafter' beside 'error' "
            "(known: delay, detail, retry_after; data of your own goes below `data:`)",
        ),
        ({"a": {"error": "nope"}}, f"answers.a: there is no failure 'nope' (there are: {KINDS})"),
        ({"a": {"text": "x", "error": "server"}}, "answers.a: has both text and error"),
        (
            {"a": {"text": "x", "finish_reason": "cut"}},
            "answers.a: finish_reason is one of stop, length, refusal, other, not 'cut'",
        ),
        (
            [{"text": "x", "usage": {"tokens": 1}}],
            "answers[0]: usage is a map of whole numbers: cache_write_tokens, cached_input_tokens, "
            "input_tokens, output_tokens, reasoning_tokens",
        ),
        ({"a": {"text": "x", "delay": "2s"}}, "answers.a: delay is a number of seconds, not '2s'"),
        (
            {"a": []},
            "answers.a: the list of answers is empty (an empty list as an answer is written `data: []`)",
        ),
    ],
)
def test_a_script_that_is_not_understood_is_refused_before_any_call(answers: Any, message: str) -> None:
    with pytest.raises(SetupError) as problem:
        mock(answers)
    assert problem.value.message == f"provider fake: {message}"
