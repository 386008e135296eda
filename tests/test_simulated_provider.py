"""The simulated provider on virtual time: durations drawn from the estimate, answers scripted or made up."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from jsonschema import Draft202012Validator

from llmflow.errors import SetupError
from llmflow.protocol import Message, Request, Response, Usage
from llmflow.providers.answers import instance
from llmflow.providers.registry import ProviderConfig, create
from llmflow.providers.simulated import SimulatedProvider, drawn_duration
from llmflow.runtime.clock import VirtualTimeLoop

T = TypeVar("T")


def on_virtual_time(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """What `work` gives, and the virtual seconds it took."""
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(work), loop.time()
    finally:
        loop.close()


def simulated(answers: Any = None, **more: Any) -> SimulatedProvider:
    provider = create(ProviderConfig("sim", "simulated", answers=answers, **more), {})
    assert isinstance(provider, SimulatedProvider)
    return provider


def ask(label: str = "a", **more: Any) -> Request:
    return Request("any", (Message("user", "Name the people."),), label=label, **more)


def test_a_call_takes_exactly_what_is_expected_where_there_is_no_deviation() -> None:
    response, seconds = on_virtual_time(simulated().complete(ask("first", expected=7.5)))
    assert seconds == 7.5
    # 16 bytes in, 27 out, 3.6 to the token.
    assert response == Response(
        "A made-up answer to first.", Usage(input_tokens=4, output_tokens=7, estimated=True), model="any"
    )


def test_speed_divides_the_real_seconds() -> None:
    _, seconds = on_virtual_time(simulated(speed=20).complete(ask(expected=7.5)))
    assert seconds == 0.375


def test_a_streamed_answer_comes_in_ten_pieces_over_its_duration() -> None:
    heard: list[int] = []
    request = ask(expected=5, stream=True, expected_output_tokens=50)
    response, seconds = on_virtual_time(simulated(speed=2).complete(request, heard.append))
    assert seconds == pytest.approx(2.5)
    assert heard == [5, 10, 15, 20, 25, 30, 35, 40, 45, 50]
    assert response.first_token == 0.5
    assert response.usage.output_tokens == 50


def test_calls_side_by_side_do_not_wait_for_each_other() -> None:
    async def run() -> None:
        provider = simulated()
        await asyncio.gather(*(provider.complete(ask(f"t{i}", expected=float(i))) for i in range(10)))
        await provider.aclose()

    assert on_virtual_time(run())[1] == 9.0


def test_durations_have_the_mean_and_the_deviation_that_are_asked_for() -> None:
    drawn = [drawn_duration(ask(f"t{i}", expected=10, expected_sd=5), seed=1) for i in range(20_000)]
    assert min(drawn) > 0
    assert statistics.mean(drawn) == pytest.approx(10, rel=0.02)
    assert statistics.stdev(drawn) == pytest.approx(5, rel=0.04)


def test_a_duration_depends_on_seed_task_and_attempt_and_on_nothing_else() -> None:
    def draw(label: str, attempt: int, seed: int) -> float:
        return drawn_duration(ask(label, attempt=attempt, expected=10, expected_sd=3), seed)

    forward = [draw(label, attempt, 1) for label in "abc" for attempt in (1, 2)]
    backward = [draw(label, attempt, 1) for label in "cba" for attempt in (2, 1)]
    assert forward == backward[::-1]
    assert len({*forward, draw("a", 1, 2)}) == 7


@pytest.mark.parametrize(
    ("answers", "label", "said"),
    [
        ("the same", "a", ["the same", "the same"]),
        (["first", "then"], "a", ["first", "then", "then"]),
        ({"a": "by id", "*": "by pattern"}, "a", ["by id"]),
        ({"*": "by pattern", "a": "by id"}, "a", ["by id"]),
        ({"re*": "by pattern"}, "review_3", ["by pattern"]),
        ({"review": "by task", "review[2]": "by item"}, "review[1]", ["by task"]),
        ({"review": "by task", "review[2]": "by item"}, "review[2]", ["by item"]),
        ({"a": {"label": "bug", "ok": True}}, "a", ['{"label": "bug", "ok": true}']),
        ({"a": [1, [2, 3], "vier"]}, "a", ["1", "[2, 3]", "vier", "vier"]),
        ({"b": "another's"}, "a", ["A made-up answer to a."]),
    ],
)
def test_answers_are_found_by_task_and_call(answers: Any, label: str, said: list[str]) -> None:
    async def run() -> list[str]:
        provider = simulated(answers)
        return [(await provider.complete(ask(label))).text for _ in said]

    assert on_virtual_time(run())[0] == said


def test_a_resumed_run_goes_on_in_its_list_of_answers() -> None:
    async def run() -> list[str]:
        provider = simulated(["one", "two", "three"])
        return [(await provider.complete(ask(attempt=attempt))).text for attempt in (2, 3)]

    assert on_virtual_time(run())[0] == ["two", "three"]


SCHEMAS: list[dict[str, Any]] = [
    {"type": "string", "minLength": 12},
    {"type": "string", "maxLength": 2},
    {"type": "integer", "minimum": 5, "multipleOf": 4},
    {"type": "integer", "exclusiveMaximum": 0},
    {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 3},
    {"type": "number", "maximum": -2.5},
    {"type": ["null", "string"]},
    {"enum": ["bug", "billing"]},
    {"const": {"a": 1}},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 3},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 0},
    {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    {
        "type": "object",
        "properties": {
            "label": {"enum": ["bug", "billing"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "inner": {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]},
            "optional": {"type": "string"},
        },
        "required": ["label", "tags", "inner"],
        "additionalProperties": False,
    },
    {
        "allOf": [
            {"$ref": "#/$defs/named"},
            {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]},
        ],
        "$defs": {"named": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
    },
    {
        "type": "object",
        "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["value"],
    },
    {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["children"],
    },
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_task_with_a_schema_and_no_answer_gets_an_instance_of_it(schema: dict[str, Any]) -> None:
    response, _ = on_virtual_time(simulated().complete(ask(schema=schema)))
    Draft202012Validator(schema).validate(json.loads(response.text))
    assert instance(schema) == json.loads(response.text)


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(SetupError) as problem:
        simulated(speed=speed)
    assert problem.value.message == f"provider sim: speed must be above 0, not {speed:g}"
